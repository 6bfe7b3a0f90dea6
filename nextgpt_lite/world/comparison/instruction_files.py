"""Instructions as JSON lines in the schema of GenEval, written and read back.

Knows: GenEval's fields (tag, include, exclude, prompt), what of a scene they cannot say and how
it is added, and that a mistake in a file is one sentence. Leaves to others: what instructions there
are (`instructions`).

A line is `{"tag": "position", "include": [{"class": "car", "count": 1, "color": "red", ...},
{"class": "dog", "count": 1, "position": ["right of", 0], ...}], "exclude": [...], "prompt": ...}`
and can be read by GenEval's own evaluation. A thing's size, a picture's place, and what sounds and
clips are like stand in fields that GenEval does not have. `also` holds further wanted scenes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any

from nextgpt_lite.errors import DataError
from nextgpt_lite.evaluation.protocols import Instruction
from nextgpt_lite.world.comparison.instructions import GROUPS, LEVELS, instruction
from nextgpt_lite.world.dialogue.parts import assistant, modality_of, present
from nextgpt_lite.world.plain import plain_messages, read_messages
from nextgpt_lite.world.scene import (
    COLOURS,
    KINDS,
    MOTIONS,
    OPPOSITE,
    PITCHES,
    PLACES,
    RELATIONS,
    SIZES,
    Clip,
    Group,
    Picture,
    Scene,
    Sound,
)

_FIELDS = ("id", "group", "level", "skill", "split", "messages", "words")
_KNOWN = {
    "class": KINDS, "color": COLOURS, "size": SIZES, "motion": MOTIONS, "pitch": PITCHES,
}  # fmt: skip


def scene_record(scene: Scene) -> dict[str, Any]:
    """A scene in GenEval's fields: tag, include, exclude, and ours."""
    match scene:
        case Picture(groups, relation, place):
            include: list[dict[str, Any]] = [
                {"class": g.kind, "count": g.count, "color": g.colour, "size": g.size}
                for g in groups
            ]
            if relation is not None:  # the second stands to the first, which is number 0
                include[1]["position"] = [OPPOSITE[relation], 0]
            tag = "position" if relation else "color_attr" if len(groups) > 1 else "colors"
            if len(groups) == 1 and groups[0].count > 1:
                tag = "counting"
            extra: dict[str, Any] = {"place": place}
        case Clip(kind, colour, motion, size, place):
            thing = {"class": kind, "count": 1, "color": colour, "size": size, "motion": motion}
            tag, include, extra = "motion", [thing], {"place": place}
        case Sound(kind, times, pitch):
            tag, extra = "sound", {}
            include = [{"class": kind, "count": times, "pitch": pitch}]
    exclude = [{"class": thing["class"], "count": thing["count"] + 1} for thing in include]
    return {"modality": modality_of(scene), "tag": tag, "include": include, "exclude": exclude,
            **extra}  # fmt: skip


def scene_of(record: dict[str, Any]) -> Scene:
    """Inverts `scene_record`.

    Raises:
        DataError: naming the field that is missing or unknown.
    """
    try:
        things = record["include"]
        for thing in things:
            for name, known in _KNOWN.items():
                if name in thing and thing[name] not in known:
                    raise DataError(f"field {name!r} is {thing[name]!r}: use one of {known}")
        first = things[0]
        if record["modality"] == "audio":
            return Sound(first["class"], int(first["count"]), first["pitch"])
        place = record["place"]
        if place not in PLACES:
            raise DataError(f"field 'place' is {place!r}: use one of {PLACES}")
        if record["modality"] == "video":
            return Clip(first["class"], first["color"], first["motion"], first["size"], place)
        groups = tuple(Group(t["class"], t["color"], t["size"], int(t["count"])) for t in things)
        relation = None
        if len(things) > 1 and "position" in things[1]:
            word, at = things[1]["position"]
            if word not in RELATIONS or at != 0:
                raise DataError(f"field 'position' is {[word, at]!r}: give a relation to thing 0")
            relation = OPPOSITE[word]
        return Picture(groups, relation, place)
    except (KeyError, IndexError, TypeError) as error:
        raise DataError(f"field {error} is missing or no thing is included") from error


def write_instructions(path: str | Path, instructions: Iterable[Instruction]) -> None:
    """One line each; equal instructions give equal bytes."""
    with Path(path).open("w", encoding="utf-8", newline="\n") as file:
        for one in instructions:
            scenes = [scene_record(part["scene"]) for part in one.wanted]
            first = scenes[0] if scenes else {"tag": "none", "include": [], "exclude": []}
            about = {"id": one.id, "group": one.group, "level": one.level}
            about |= {name: one.about[name] for name in ("skill", "split")} | {"words": one.words}
            told = plain_messages(one.messages)
            line = {**first, "prompt": one.prompt, **about, "also": scenes[1:], "messages": told}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def read_instructions(path: str | Path) -> list[Instruction]:
    """What `write_instructions` wrote.

    Raises:
        MissingError: there is no such file.
        DataError: naming file, line and field.
    """
    found = []
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), start=1):
        try:
            found.append(_read(json.loads(line)))
        except ValueError as error:  # JSONDecodeError is one
            raise DataError(f"{path}, line {number}: {error}.") from error
    return found


def _read(line: Any) -> Instruction:
    if not isinstance(line, dict):
        raise DataError("it is no JSON object")
    if missing := [name for name in (*_FIELDS, "include") if name not in line]:
        raise DataError(f"field {missing[0]!r} is missing")
    for name, known in (("group", GROUPS), ("level", LEVELS), ("split", ("train", "held_out"))):
        if line[name] not in known:
            raise DataError(f"field {name!r} is {line[name]!r}: use one of {', '.join(known)}")
    scenes = [scene_of(line)] if line["include"] else []
    scenes += [scene_of(other) for other in line.get("also", [])]
    answer = present(tuple(scenes), Random(), True) if scenes else assistant(line["words"])
    return instruction(
        line["id"], line["group"], line["level"], line["skill"], line["split"],
        read_messages(line["messages"]), answer,
    )  # fmt: skip
