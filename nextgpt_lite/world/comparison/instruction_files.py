"""Instructions as JSON lines in the schema of GenEval.

Knows: GenEval's fields (tag, include, exclude, prompt), what of a scene they cannot say and how
it is added. Leaves to others: what instructions there are (`instructions`).

A line is `{"tag": "position", "include": [{"class": "car", "count": 1, "color": "red", ...},
{"class": "dog", "count": 1, "position": ["right of", 0], ...}], "exclude": [...], "prompt": ...}`
and can be read by GenEval's own evaluation. A thing's size, a picture's place, and what sounds and
clips are like stand in fields that GenEval does not have. `also` holds further wanted scenes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nextgpt_lite.evaluation.protocols import Instruction
from nextgpt_lite.world.dialogue.parts import modality_of
from nextgpt_lite.world.plain import plain_messages
from nextgpt_lite.world.scene import OPPOSITE, Clip, Picture, Scene, Sound


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
