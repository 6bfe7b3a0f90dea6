"""Judges of the exercises in 14_your_own_ablation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from nextgpt_lite.notebook.exercises import numbers_of

TOLD, SHOWN, GOLD, ASKED = 130, 65, 91, 200  # of the question about factors


def fair(answer: Any) -> str | None:
    """Which settings differ between two cells of which one trains for longer."""
    try:
        said = {str(name) for name in answer}
    except TypeError:
        return "a set of names of settings is asked for"
    if said == {"distance"}:
        return "one of them also trains four times as long: which setting says so?"
    if said == {"distance", "steps"}:
        return "steps is a number inside another setting: name that setting"
    return None if said == {"distance", "schedule"} else "two names of settings stand in the cells"


def factors(answer: Any) -> str | None:
    """Words, channel and decoder of counted answers, in per cent."""
    given = numbers_of(list(answer) if isinstance(answer, Iterable) else answer)
    if given.shape != (3,) or not np.isfinite(given).all():
        return "three numbers are asked for: words, channel, decoder"
    words, channel, decoder = given
    if max(words, channel, decoder) <= 1:
        return "they are asked for in per cent"
    right = (100 * TOLD / ASKED, 100 * SHOWN / GOLD, 100 * GOLD / TOLD)
    if abs(words - right[0]) > 0.1:
        return "words are a share of all answers"
    if abs(channel - 100 * SHOWN / TOLD) <= 0.1:
        return "that is channel and decoder in one: the channel is measured by what gold gets right"
    if abs(channel - right[1]) > 0.1:
        return "the channel is the system's right ones as a share of the gold caption's"
    if abs(decoder - right[2]) > 0.1:
        return "the decoder is what gold captions get right of the answers told rightly"
    return None
