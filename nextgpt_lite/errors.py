"""One family of errors: each says in a sentence what is wrong, where, and what to do.

Every class also is the built-in error that Python programmers expect in its place, so `except
ValueError` goes on working.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class NextGPTError(Exception):
    """Whatever this package refuses."""


class ConfigError(NextGPTError, ValueError):
    """A field of a configuration, a command or a call has a value it cannot have."""


class MediaError(NextGPTError, ValueError):
    """A media file or object cannot be used; the message names the file and a remedy."""


class DataError(NextGPTError, ValueError):
    """A data set, or an item of one, cannot be used; names the file and the item."""


class CheckpointError(NextGPTError, ValueError):
    """Trained weights do not fit this model, this run, or each other; names the folder."""


class DamagedError(CheckpointError, ConfigError, DataError):
    """A file is cut off, changed, or not what its place asks for; names file, field and remedy.

    It is all three, for a reader of weights, of a configuration and of data alike.
    """


class MissingError(NextGPTError, FileNotFoundError):
    """A file, a folder or a component is not on this machine; says how to get it."""


class ExistsError(NextGPTError, FileExistsError):
    """An output is already there, and would be mixed with what is written now."""


class PackageError(NextGPTError, ModuleNotFoundError):
    """What was asked for needs a package that is not installed; names it."""


class DownloadError(NextGPTError, ConnectionError):
    """A checkpoint cannot be fetched: the hub is out of reach, or the disk too small."""


class NumericsError(NextGPTError, FloatingPointError):
    """A loss or a logit is not a finite number; names the precision."""


class Stopped(KeyboardInterrupt):
    """Work that was asked to stop is saved; says how to go on.

    Attributes:
        code: of the process that ends by it: 130 for Ctrl-C, 143 for SIGTERM.
    """

    def __init__(self, sentence: str, code: int = 130) -> None:
        super().__init__(sentence)
        self.code = code


class RunError(NextGPTError, RuntimeError):
    """Work that was begun cannot go on or would come to nothing; says why."""


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Around an import, or on a function with some: says which extra of this package brings it.

    Raises:
        PackageError: the import found nothing.
    """
    try:
        yield
    except PackageError:
        raise
    except ModuleNotFoundError as error:
        raise PackageError(
            f'this needs {error.name}, which is not installed: pip install "nextgpt-lite[{name}]".'
        ) from error
