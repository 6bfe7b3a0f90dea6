from .catalogue import checkpoint as checkpoint, components as components, licences as licences
from .convert import from_released as from_released, to_released as to_released
from .doctor import GIB as GIB, memory as memory, report as report
from .download import download as download
from .legacy import SIGNAL_TOKENS as SIGNAL_TOKENS
from .parameters import count as count, sizes as sizes, table as table
from .stand_ins import write_stand_ins as write_stand_ins
