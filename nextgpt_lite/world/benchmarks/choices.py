"""The lite world's own questions in the formats of MME, MMBench and SEED-Bench.

Knows: which question of the world stands for which subtask, and how each benchmark is laid out in
files. Leaves to others: reading them back (`choices`), which is how they are used.
"""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from nextgpt_lite.evaluation.benchmarks.choices import LETTERS
from nextgpt_lite.model.modality import get_modality
from nextgpt_lite.world import phrases
from nextgpt_lite.world.describe import article, noun
from nextgpt_lite.world.dialogue.looks import PLACE_ANSWERS
from nextgpt_lite.world.render import render
from nextgpt_lite.world.scene import (
    COLOURS,
    KINDS,
    MAX_COUNT,
    MOTIONS,
    PLACES,
    RELATIONS,
    Clip,
    Picture,
    Scene,
    sample_clip,
    sample_picture,
)

MME_TASKS = {"existence": "kind", "count": "count", "color": "colour", "scene": "place"}
ABILITIES = {  # MMBench's level 2, as its TSV spells it -> a question of the world
    "coarse_perception": "place",
    "finegrained_perception (instance-level)": "colour",
    "finegrained_perception (cross-instance)": "count",
    "relation_reasoning": "relation",
}
TYPES = {"Scene Understanding": "place", "Instance Attributes": "colour",
         "Instances Counting": "count", "Spatial Relation": "relation",
         "Action Recognition": "motion"}  # fmt: skip


class Asked(NamedTuple):
    """A question with the right answer first, then wrong ones."""

    scene: Scene
    question: str
    answers: list[str]


def write_questions(benchmark: str, folder: Path, count: int, seed: int = 0) -> Path:
    """The file or folder of "mme", "mmbench" or "seed_bench", written into a folder."""
    if benchmark == "mme":
        return write_mme(folder, count, seed)
    if benchmark == "mmbench":
        return write_mmbench(folder / "mmbench.tsv", count, seed)
    return write_seed_bench(folder / "seed_bench.json", count, seed)


def write_mme(folder: Path, count: int, seed: int = 0) -> Path:
    """`count` pictures a subtask with one question to be answered yes and one no."""
    for task in MME_TASKS:
        (folder / task).mkdir(parents=True, exist_ok=True)
        rng = Random(f"mme/{task}/{seed}")
        for index in range(count):
            scene = sample_picture(rng, groups=1)
            questions = _yes_and_no(task, scene, rng)
            picture = render(scene, seed + index)
            get_modality("image").save(picture, folder / task / f"{index:04d}.png")
            lines = [
                f"{text}\t{truth}\n" for text, truth in zip(questions, ("Yes", "No"), strict=True)
            ]
            (folder / task / f"{index:04d}.txt").write_text("".join(lines), encoding="utf-8")
    return folder


def write_mmbench(path: Path, count: int, seed: int = 0) -> Path:
    """`count` questions for each of `ABILITIES`."""
    columns = ["index", "question", "hint", *LETTERS, "answer", "category", "l2-category", "image"]
    rng = Random(f"mmbench/{seed}")
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, delimiter="\t", restval="")
        writer.writeheader()
        for number, about in enumerate(list(ABILITIES.values()) * count):
            asked = ask(about, rng)
            letters, answer = _shuffled(asked.answers, rng)
            ability = next(name for name, what in ABILITIES.items() if what == about)
            picture = io.BytesIO()
            render(asked.scene, seed + number).save(picture, "PNG")  # type: ignore[union-attr]
            row = {
                "index": number, "question": asked.question, "answer": answer, "category": about,
                "l2-category": ability, "image": base64.b64encode(picture.getvalue()).decode(),
            }  # fmt: skip
            writer.writerow({**row, **letters})
    return path


def write_seed_bench(path: Path, count: int, seed: int = 0) -> Path:
    """`count` questions for each of `TYPES`, media beside the file."""
    rng = Random(f"seed_bench/{seed}")
    numbers = {name: number for number, name in enumerate(TYPES, start=1)}
    questions: list[dict[str, Any]] = []
    for index, (name, about) in enumerate(list(TYPES.items()) * count):
        asked = ask(about, rng)
        letters, answer = _shuffled(asked.answers, rng)
        modality = "video" if isinstance(asked.scene, Clip) else "image"
        file = f"{index:05d}" + (".mp4" if modality == "video" else ".png")
        medium = render(asked.scene, seed + index)
        get_modality(modality).save(medium, path.parent / file)
        choices = {f"choice_{letter.lower()}": text for letter, text in letters.items()}
        questions.append(
            {
                "question_id": str(index), "question": asked.question, **choices, "answer": answer,
                "data_type": modality, "data_id": file, "question_type_id": numbers[name],
                **({"segment": [0.0, medium.duration]} if modality == "video" else {}),  # type: ignore[union-attr]
            }
        )  # fmt: skip
    path.write_text(
        json.dumps({"questions": questions, "question_type": numbers}), encoding="utf-8"
    )
    return path


def ask(about: str, rng: Random) -> Asked:
    """A question of the lite world with four answers, in the words its dialogues use."""
    if about == "motion":
        clip = sample_clip(rng)
        ways = [clip.motion, *_others(clip.motion, MOTIONS, rng)]
        said = [f"The {clip.kind} {phrases.MOTION_WORDS[way][0][0]}." for way in ways]
        return Asked(clip, f"What does the {clip.kind} do?", said)
    if about == "relation":
        picture = sample_picture(rng, groups=2)
        while picture.relation is None:
            picture = sample_picture(rng, groups=2)
        first, second = (group.kind for group in picture.groups)
        ways = [picture.relation, *_others(picture.relation, RELATIONS, rng)]
        question = f"Where is the {first}, seen from the {second}?"
        return Asked(picture, question, [f"The {first} is {way} the {second}." for way in ways])
    picture = sample_picture(rng, groups=1)
    group, ways = picture.groups[0], _ways(picture, about, rng)
    be, thing = "is" if group.count == 1 else "are", f"the {noun(group.kind, group.count)}"
    if about == "count":
        said = [
            f"There {'is' if n == 1 else 'are'} {phrases.NUMBER_WORDS[n]} {noun(group.kind, n)}."
            for n in ways
        ]
        return Asked(picture, f"How many {noun(group.kind, 2)} are there?", said)
    if about == "colour":
        said = [f"T{thing[1:]} {be} {colour}." for colour in ways]
        return Asked(picture, f"What colour {be} {thing}?", said)
    said = [f"T{thing[1:]} {be} {PLACE_ANSWERS[place]}." for place in ways]
    return Asked(picture, f"Where {be} {thing}?", said)


def _yes_and_no(task: str, scene: Picture, rng: Random) -> list[str]:
    """The same question asked so that it is true, and so that it is not."""
    group, ways = scene.groups[0], _ways(scene, MME_TASKS[task], rng)[:2]
    be, thing = ("Is", "Are")[group.count > 1], f"the {noun(group.kind, group.count)}"
    match task:
        case "existence":
            return [f"Is there {article(kind)}?" for kind in ways]
        case "count":
            return [
                f"{'Is' if n == 1 else 'Are'} there {phrases.NUMBER_WORDS[n]} "
                f"{noun(group.kind, n)}?" for n in ways
            ]  # fmt: skip
        case "color":
            return [f"{be} {thing} {colour}?" for colour in ways]
        case _:
            return [f"{be} {thing} {PLACE_ANSWERS[place]}?" for place in ways]


def _ways(picture: Picture, about: str, rng: Random) -> list[Any]:
    """What is true of a picture, and three other values."""
    group = picture.groups[0]
    value, values = {
        "kind": (group.kind, KINDS),
        "colour": (group.colour, COLOURS),
        "count": (group.count, range(1, MAX_COUNT + 1)),
        "place": (picture.place, PLACES),
    }[about]
    return [value, *_others(value, values, rng)]


def _others(value: Any, values: Sequence[Any], rng: Random) -> list[Any]:
    """Three other values."""
    return rng.sample([v for v in values if v != value], 3)


def _shuffled(answers: list[str], rng: Random) -> tuple[dict[str, str], str]:
    """(answers by letter, the letter of the first one)."""
    order = rng.sample(answers, len(answers))
    return dict(zip(LETTERS, order, strict=True)), LETTERS[order.index(answers[0])]
