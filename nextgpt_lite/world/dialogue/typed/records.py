"""Conversations whose user types as people do, as records and as text.

Knows: the mixture of wishes, questions, turns and what is outside the world. Leaves to others: each
of them (`wishes`, `outside`), the world's own conversations (`dialogue.records`), reworded here.

Deterministic in `rng`. `scenes` says which pairs may occur (`scene.Split`), `wording` which frames,
unknown words and typing errors: those held out never occur in "train".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from random import Random
from typing import Final

from nextgpt_lite.data.records import Record
from nextgpt_lite.messages import Part, parts_of
from nextgpt_lite.world.dialogue import records, turns
from nextgpt_lite.world.dialogue.corpus import in_words
from nextgpt_lite.world.dialogue.parts import Message, assistant, present, text_part, user
from nextgpt_lite.world.dialogue.requests import Request, draw
from nextgpt_lite.world.dialogue.state import State
from nextgpt_lite.world.dialogue.typed import outside, wishes
from nextgpt_lite.world.dialogue.typed.reword import reword
from nextgpt_lite.world.scene import MODALITIES, Split

TELLS: Final = 1.0  # share of replies that tell what they show: there understanding is learnt
RESTATED: Final = 0.15  # share of conversations in words that only say what to make
STRANGE: Final = 0.02  # share of media that are not of this world, in the text for the LLM

Maker = Callable[[Random, Split, Split, float], Record]


def typed_record(
    rng: Random, scenes: Split = "train", wording: Split = "train", tells: float = TELLS
) -> Record:
    """Any conversation as people type it; `tells` as in `dialogue.records.t2m`."""
    return rng.choices(tuple(MAKERS.values()), SHARES)[0](rng, scenes, wording, tells)


def reworded(record: Record, rng: Random, wording: Split = "train") -> Record:
    """The record with what the user says put in other words and typed by someone."""
    for message in record.messages[::2]:
        message["content"] = [_part(part, rng, wording) for part in parts_of(message)]
    return record


def _part(part: Part, rng: Random, wording: Split) -> Part:
    if part["type"] != "text" or not part["text"]:
        return part
    return text_part(reword(part["text"], rng, wording))


def typed_corpus(rng: Random, wording: Split = "train") -> Iterator[list[Message]]:
    """Endless typed conversations in words alone, in the form of `dialogue.records.llm_corpus`."""
    while True:
        if rng.random() < STRANGE:
            medium, asked = outside.strange_medium(rng, wording)
            yield [
                {"role": "user", "content": f"{medium} {asked}"},
                {"role": "assistant", "content": outside.reply("strange medium")},
            ]
            continue
        record = typed_record(rng, "any", wording)
        yield in_words(record, rng, restated=rng.random() < RESTATED)


def _wish(rng: Random, scenes: Split, wording: Split, tells: float) -> Record:
    text, wanted = wishes.wish(rng, scenes, wording)
    return Record(_name(rng), [user(text), present(wanted, rng, rng.random() < tells)], "t2m")


def _drawn(rng: Random, scenes: Split, wording: Split, tells: float) -> Record:
    """Two or three kinds."""
    request: Request = draw(rng, scenes, rng.choice((2, 2, 3)))
    messages = [user(request.text), present(request.scenes, rng, rng.random() < tells)]
    return reworded(Record(_name(rng), messages, "t2m"), rng, wording)


def _outside(rng: Random, scenes: Split, wording: Split, tells: float) -> Record:
    """Out of the world at the beginning, in the middle or at the end of something else."""
    asked, answer = outside.outside(rng, wording)
    exchange = [user(asked), assistant(answer)]
    if rng.random() < 0.7 or answer == outside.reply("nothing given"):
        return Record(_name(rng), exchange, "text")
    other = rng.choice((_t2m, _skill, _text, _pair))(rng, scenes, wording, tells)
    at = rng.choice((0, len(other.messages)))
    return Record(_name(rng), [*other.messages[:at], *exchange, *other.messages[at:]], "mosit")


def _no_medium(rng: Random, scenes: Split, wording: Split, tells: float) -> Record:
    messages = [user(wishes.no_medium(rng, wording)), assistant(wishes.NO_MEDIUM_ANSWER)]
    return Record(_name(rng), messages, "text")


def _other_one(rng: Random, scenes: Split, wording: Split, tells: float) -> Record:
    told = wishes.other_one(rng, scenes, wording)
    return Record(_name(rng), records.as_messages(told, rng, True), "mosit")


def _doubled(rng: Random, scenes: Split, wording: Split, tells: float) -> Record:
    """A number of things, then twice or half as many, then perhaps another change."""
    while True:
        state = State(rng, scenes)
        told = []
        for makers in (
            (turns.open_request,),
            (wishes.double,),
            (wishes.double, turns.recount, turns.recolour, turns.hear_it),
        ):
            turn = rng.choice(makers)(state)
            if turn is None:
                break
            told.append(turn)
            state = state.after(turn)
        if len(told) > 1:
            record = Record(
                _name(rng), records.as_messages(told, rng, rng.random() < tells), "mosit"
            )
            return reworded(record, rng, wording)


def _skill(rng: Random, scenes: Split, wording: Split, tells: float) -> Record:
    skill = rng.choices(records.SKILLS, (4, 1, 1, 2, 4, 3))[0]
    record = reworded(records.skill_record(skill, rng, scenes, tells), rng, wording)
    return record if len(record.messages) > 2 else replace(record, kind="t2m")  # one wish


def _worded(make: Callable[[Random, Split, float], Record]) -> Maker:
    """What the world's own users say, reworded."""
    return lambda rng, scenes, wording, tells: reworded(make(rng, scenes, tells), rng, wording)


_t2m = _worded(records.t2m)
_text = _worded(lambda rng, scenes, _: records.text(rng, scenes))
_pair = _worded(lambda rng, scenes, _: records.pair(rng, rng.choice(tuple(MODALITIES)), scenes))


def _name(rng: Random) -> str:
    return f"typed_{rng.getrandbits(40):010x}"


MAKERS: Final[dict[str, Maker]] = {
    "request": _t2m,
    "kinds": _drawn,
    "wish": _wish,
    "skill": _skill,
    "turns": _worded(records.mosit),
    "about given": _worded(records.about_given),
    "question": _worded(lambda rng, scenes, _: records.understand(rng, scenes)),
    "description": _pair,
    "talk": _text,
    "doubled": _doubled,
    "other one": _other_one,
    "no medium": _no_medium,
    "outside": _outside,
}
SHARES: Final = (20, 6, 23, 14, 5, 4, 9, 4, 4, 2, 2, 1, 17)
