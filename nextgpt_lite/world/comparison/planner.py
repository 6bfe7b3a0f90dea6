"""How the frozen lite LLM is asked what to make, and how its captions become calls of tools.

Knows: the two forms of a request that it knows from its pretraining. Leaves to others: running the
tools (`evaluation.baselines.pipeline`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.evaluation.baselines import pipeline
from nextgpt_lite.evaluation.baselines.pipeline import Call, Turn
from nextgpt_lite.messages import Message
from nextgpt_lite.world import phrases
from nextgpt_lite.world.describe import parse
from nextgpt_lite.world.dialogue.corpus import RESTATE
from nextgpt_lite.world.dialogue.parts import modality_of, sentence, telling

_ANNOUNCED = re.compile(r"(Here (is|are|you are|they are)\b|Listen:|Watch:)")
_MOVES = tuple(way[0] for ways in phrases.MOTION_WORDS.values() for way in ways)


class WorldPlanner:
    """The frozen lite LLM, asked in the two forms it knows from its pretraining.

    Asked plainly, it announces media ("Here is ...") or answers in words: that is its decision.
    If it announces some, it is asked what to make, and answers with one caption for each medium;
    a caption of the lite world says by its form whether it is of a picture, a sound or a clip.
    """

    def __init__(self, model: NextGPT) -> None:
        self.model = model

    def __call__(self, turns: Sequence[Turn]) -> tuple[str, list[Call]]:
        """See `Planner`."""
        plain: list[Message] = [{"role": turn.role, "content": turn.words} for turn in turns]
        words = pipeline.frozen_words(self.model, plain)
        if not _ANNOUNCED.match(words):
            return words, []
        restated: list[Message] = []
        for turn, following in zip(turns, [*turns[1:], None], strict=True):
            asks = turn.role == "user" and (following is None or following.calls)
            content = (RESTATE if asks else "") + turn.words
            if turn.calls:
                content = " ".join(sentence(call.caption) for call in turn.calls)
            restated.append({"role": turn.role, "content": content})
        return words, calls_of_captions(pipeline.frozen_words(self.model, restated))


def calls_of_captions(text: str) -> list[Call]:
    """Captions of the lite world, one a sentence, each to the tool that its form asks for."""
    sentences = (piece.strip(" .") for piece in re.split(r"(?<=[.?!])\s+", text))
    return [_call(piece[:1].lower() + piece[1:]) for piece in sentences if piece]


def _call(words: str) -> Call:
    scene = parse(words)
    if scene is not None:
        return Call(modality_of(scene), words, telling(scene))
    if "pitch" in words.split():
        return Call("audio", words)
    return Call("video" if any(f" {moves}" in words for moves in _MOVES) else "image", words)
