from .folder import Records as Records, index_folder as index_folder
from .indexed import FolderSource as FolderSource
from .opening import open_source as open_source
from .records import Record as Record
from .released import read_file as read_file, read_folder as read_folder
from .report import Report as Report
from .sources import Source as Source
