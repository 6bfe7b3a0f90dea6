from .folder import Records as Records, index_folder as index_folder
from .records import Record as Record
from .released import Report as Report, read_file as read_file, read_folder as read_folder
