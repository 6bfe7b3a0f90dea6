"""What several threads must not do at once.

Knows: the locks. Leaves to others: what they stand around, a load, a forward of the LLM (`model`),
a run of a pipeline (`decoders`).
"""

from __future__ import annotations

import threading
from contextlib import ContextDecorator
from typing import Any


class Lock(ContextDecorator):
    """A reentrant lock for a module to keep: a copy of the module has a lock of its own."""

    def __init__(self) -> None:
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def __reduce__(self) -> tuple[Any, ...]:
        return Lock, ()


# Around every load. While diffusers loads, the parameters of *all* modules that the process builds
# get no memory, those of another thread too.
LOADING = Lock()
