"""How a language model is asked for a dialogue or a wish: topic, media at hand, plan, an example.

Knows: `wordings.yaml`, and how often each thing is asked for. Leaves to others: the model
(`writers`), what comes back (`script`, `filters`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, TypeAlias

from nextgpt_lite.data.builders import script
from nextgpt_lite.data.builders.filters import TURNS
from nextgpt_lite.data.builders.shelf import Pair, Shelf
from nextgpt_lite.errors import DataError
from nextgpt_lite.messages import Message, Part, parts_of
from nextgpt_lite.reading import read_text, read_yaml

AROUND = 40  # captions nearest to a topic, of which one is drawn to begin with
OFFERED = 4  # media of each modality that a dialogue may show
Plan: TypeAlias = tuple[str, str, str, str]  # of a turn: what is shown, wish, act, what is made
MEDIA = {"shown": 3, "made": 5, "both": 1, "none": 2}  # weights of what happens in a turn


@cache
def wordings() -> dict[str, Any]:
    """All that is said to a language model."""
    values: dict[str, Any] = read_yaml(Path(__file__).with_name("wordings.yaml"))
    return values


def read_topics(path: Path | None) -> list[str]:
    """The lines of a reader's file, or the package's own topics.

    Raises:
        DataError: the file is empty.
    """
    if path is None:
        return [*wordings()["topics"]]
    found = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    if not found:
        raise DataError(f"{path}: no topic; write one a line.")
    return found


def ask_dialogue(rng: Random, shelf: Shelf, topics: Sequence[str]) -> list[Message]:
    """The request for one MosIT dialogue.

    The media offered are near the topic, and near to each other.
    """
    words, topic = wordings(), rng.choice(topics)
    about = shelf.vectors([topic])[0]  # (E,)
    near = [n for m in shelf.modalities for n in shelf.near(m, about, AROUND)]
    first = shelf[rng.choice(sorted(near, key=lambda each: -each[1])[:AROUND])[0]]
    about = shelf.vectors([first.caption])[0]
    offered = {
        m: [shelf[n].caption for n, _ in shelf.near(m, about, OFFERED)] for m in shelf.modalities
    }
    marks = [
        script.mark({"type": m, "caption": caption})
        for m, captions in offered.items()
        for caption in dict.fromkeys(captions)
    ]
    fitting = [t for t in words["templates"] if _kinds(t["dialogue"]) <= {*offered}]
    plan = _plan(rng, shelf.modalities)
    request = _request(topic, marks, [_turn(n, *each) for n, each in enumerate(plan, 1)])
    rules = words["rules"].format(kinds=", ".join(map(_an, shelf.modalities)), mark=marks[0])
    if not fitting:  # of modalities that are not the package's own
        return _conversation(rules, "", "", request)
    example = rng.choice(fitting)
    told = [_turn(n, *each) for n, each in enumerate(_plan_of(example), 1)]
    shown = [script.mark(part) for part in _media(example["dialogue"])]
    asked = _request(example["topic"], shown, told)
    return _conversation(rules, asked, example["dialogue"], request)


def ask_wish(rng: Random, pair: Pair) -> list[Message]:
    """The request for a wish for one medium, in a manner that is drawn."""
    words, kind = wordings()["t2m"], pair.part["type"]
    shown = script.mark({"type": kind, "caption": pair.caption})
    request = words["request"].format(mark=shown, manner=rng.choice(words["manners"]))
    asked = words["example"]["asked"].format(kind=kind)
    said = words["example"]["said"].rstrip()
    return _conversation(words["rules"].format(kind=_an(kind)), asked, said, request)


def _conversation(rules: str, asked: str, said: str, request: str) -> list[Message]:
    """The rules stand before the first request: some chat templates know no system turn."""
    if not asked:
        return [{"role": "user", "content": f"{rules}\n\n{request}"}]
    return [
        {"role": "user", "content": f"{rules}\n\n{asked}"},
        {"role": "assistant", "content": said},
        {"role": "user", "content": request},
    ]


def _request(topic: str, shown: Sequence[str], turns: Sequence[str]) -> str:
    said = {"topic": topic, "shown": "\n".join(shown), "plan": "\n".join(turns)}
    return str(wordings()["request"].format(**said))


def _turn(number: int, given: str, wish: str, act: str, made: str) -> str:
    """One turn in words; `given` and `made` are modalities, or empty."""
    words = wordings()
    marks = {
        name: words[name].format(mark=_an(modality)) if modality else ""
        for name, modality in (("given", given), ("made", made))
    }
    told = {"number": number, "wish": words["wishes"][wish], "act": words["acts"][act]}
    return str(words["turn"].format(**told, **marks))


def _plan(rng: Random, modalities: Sequence[str]) -> list[Plan]:
    """What happens in each turn; media change their modality from one to the next."""
    acts, wishes, last = [*wordings()["acts"]], [*wordings()["wishes"]], ""

    def another() -> str:
        nonlocal last
        last = rng.choice([m for m in modalities if m != last] or [*modalities])
        return last

    turns = []
    for number in range(rng.randint(*TURNS)):
        what = rng.choices([*MEDIA], [*MEDIA.values()])[0]
        if number < 2:  # a dialogue begins with media
            what = rng.choice(["shown", "made"])
        given = another() if what in ("shown", "both") else ""
        act = "perception" if given and rng.random() < 0.5 else rng.choice(acts)
        made = another() if what in ("made", "both") else ""
        turns.append((given, rng.choice(wishes), act, made))
    return turns


def _plan_of(example: dict[str, Any]) -> Iterator[Plan]:
    turns = script.read(example["dialogue"])
    for said, asked, replied in zip(example["plan"], turns[::2], turns[1::2], strict=True):
        wish, act = said.split()
        given, made = (
            " and ".join(p["type"] for p in parts_of(turn) if p["type"] != "text")
            for turn in (asked, replied)
        )
        yield given, wish, act, made


def _media(text: str) -> list[Part]:
    return [p for message in script.read(text) for p in parts_of(message) if p["type"] != "text"]


def _kinds(text: str) -> set[str]:
    return {part["type"] for part in _media(text)}


def _an(modality: str) -> str:
    return f"an {modality}" if modality[0] in "aeiou" else f"a {modality}"
