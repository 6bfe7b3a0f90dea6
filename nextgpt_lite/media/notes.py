"""What a user should know of a medium that was read all the same.

Knows: how such a sentence finds its way to whoever reads media for someone. Leaves to others: what
they make of it; a reply has it among its warnings.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_heard: ContextVar[list[str] | None] = ContextVar("heard", default=None)


def note(sentence: str) -> None:
    """Says something of a medium: to `noted` where that listens, else as a Python warning."""
    heard = _heard.get()
    if heard is None:
        warnings.warn(sentence, stacklevel=3)
    elif sentence not in heard:
        heard.append(sentence)


@contextmanager
def noted() -> Iterator[list[str]]:
    """Collects the sentences that are said inside it, those of this thread only."""
    heard: list[str] = []
    token = _heard.set(heard)
    try:
        yield heard
    finally:
        _heard.reset(token)
