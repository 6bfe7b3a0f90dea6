"""One family of errors: each says in a sentence what is wrong, where, and what to do.

Every class also is the built-in error that Python programmers expect in its place, so `except
ValueError` goes on working.
"""

from __future__ import annotations


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


class MissingError(NextGPTError, FileNotFoundError):
    """A file, a folder or a component is not on this machine; says how to get it."""
