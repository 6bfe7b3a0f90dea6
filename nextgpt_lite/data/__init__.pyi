from .folder import Records as Records, index_folder as index_folder
from .records import Record as Record
from .released import read_file as read_file, read_folder as read_folder
from .report import Report as Report
from .sources import FolderSource as FolderSource, Source as Source, open_source as open_source
