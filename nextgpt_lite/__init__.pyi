__version__: str

from .chat import NextGPT as NextGPT
from .errors import (
    CheckpointError as CheckpointError,
    ConfigError as ConfigError,
    DamagedError as DamagedError,
    DataError as DataError,
    DownloadError as DownloadError,
    ExistsError as ExistsError,
    MediaError as MediaError,
    MissingError as MissingError,
    NextGPTError as NextGPTError,
    NumericsError as NumericsError,
    PackageError as PackageError,
    RunError as RunError,
)
from .media import Audio as Audio, Video as Video
from .messages import MediaSource as MediaSource, Message as Message, Part as Part
from .model.config import NextGPTConfig as NextGPTConfig
from .model.modality import Modality as Modality, register as register
from .plugins import plugin as plugin
from .reply import Event as Event, Reply as Reply
from .trace import trace as trace
from .training.refine import refine as refine
from .training.run import train as train
