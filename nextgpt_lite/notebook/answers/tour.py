"""Judges of the exercises in 00_tour."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nextgpt_lite.reply import Reply


def stages(answer: Any) -> str | None:
    """The stages in which the signal tokens' rows learn."""
    if not isinstance(answer, Iterable) or isinstance(answer, str | bytes):
        return f"a set of stage numbers is asked for, such as {{1}}, not {answer!r}"
    given = {stage.item() if hasattr(stage, "item") else stage for stage in answer}
    if not given <= {1, 2, 3}:
        return f"a set of stage numbers is asked for, from 1 to 3, not {answer!r}"
    if 1 in given:
        return "in stage 1 the model only describes: no signal token occurs, so none can learn"
    if 2 not in given:
        return "stage 2 has a cross-entropy on signal tokens: without their rows nothing could fall"
    if 3 not in given:
        return "conversations of stage 3 hold signal tokens too, and their rows stay open"
    return None


def request(answer: Reply) -> str | None:
    """A reply with an image and an audio clip, and no video."""
    if not isinstance(answer, Reply):
        return f"pass what model.chat(...) gives back, not {type(answer).__name__}"
    if not answer.images:
        return 'there is no image in it: ask to see something, for instance "Draw ..."'
    if not answer.audios:
        return 'there is no audio in it: add a wish such as "and let me hear it"'
    if answer.videos:
        return "there is a video in it: do not ask for movement"
    return None
