"""How well a model does in the lite world, read by the world's own verifiers.

Knows: the tasks - describe a medium, make one from words, hold a dialogue - and when an answer is
right. Leaves to others: the truth about a scene (`world.verify`, `world.describe.tells`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.data.records import Record
from nextgpt_lite.evaluation.statistics import Score
from nextgpt_lite.messages import Message, parts_of
from nextgpt_lite.reply import Reply
from nextgpt_lite.world.describe import tells
from nextgpt_lite.world.dialogue import records as dialogue
from nextgpt_lite.world.render import render
from nextgpt_lite.world.scene import Scene, Split
from nextgpt_lite.world.verify import verify


def described(model: NextGPT, scene: Scene, modality: str, seed: int = 0) -> tuple[str, bool]:
    """What the model says about a medium, and whether it is the whole truth about its scene.

    A caption of another wording than the canonical one counts when it parses to the same scene,
    whichever thing it tells first.
    """
    media = render(scene, seed)
    record = dialogue.pair(Random(seed), modality)
    question = next(p["text"] for p in parts_of(record.messages[0]) if p["type"] == "text")
    messages: list[Message] = [
        {
            "role": "user",
            "content": [{"type": modality, "data": media}, {"type": "text", "text": question}],
        }
    ]
    reply: Reply = model.chat(messages, output_modalities=[], max_new_tokens=48)
    return reply.text, tells(reply.text, scene)


def answered(model: NextGPT, record: Record, **options: Any) -> Iterator[tuple[Reply, Message]]:
    """Holds a record's dialogue turn by turn: (the model's reply, the reply it should have given).

    Earlier turns are the record's own, so that one slip does not spoil the rest.
    """
    for index, message in enumerate(record.messages):
        if message["role"] != "assistant":
            continue
        history = [with_media(turn) for turn in record.messages[:index]]
        yield model.chat(history, **options), message


def judge(reply: Reply, expected: Message) -> dict[str, bool]:
    """Compares a reply with the truth of its turn.

    Returns:
        "modalities" (the right media, none included), "media" (each shows its scene) and "text"
        (equal words; asked only of turns without media).
    """
    wanted = [part for part in parts_of(expected) if part["type"] != "text"]
    given = reply.media
    result = {"modalities": [p["type"] for p in given] == [p["type"] for p in wanted]}
    if wanted:
        result["media"] = result["modalities"] and all(
            verify(want["scene"], have["data"]).correct
            for want, have in zip(wanted, given, strict=True)
        )
    else:
        words = " ".join(part["text"] for part in parts_of(expected))
        result["text"] = reply.text.strip() == words.strip()
    return result


def score_dialogues(
    model: NextGPT,
    make: Callable[[Random, Split], Record],
    count: int,
    *,
    split: Split = "train",
    seed: int = 1_000_000,
    **options: Any,
) -> dict[str, Score]:
    """Scores `count` dialogues of one form; seeds apart from those of training."""
    answers: dict[str, list[bool]] = {}
    for index in range(count):
        record = make(Random(f"{seed}/{index}"), split)
        for reply, expected in answered(model, record, **options):
            for name, right in judge(reply, expected).items():
                answers.setdefault(name, []).append(right)
    return {name: Score.of(values) for name, values in answers.items()}


def with_media(turn: Any) -> Message:
    """The same turn with a render for every medium a person shows."""
    if turn["role"] != "user" or isinstance(turn["content"], str):
        told: Message = turn
        return told
    content: list[Any] = [
        {"type": part["type"], "data": render(part["scene"])} if "scene" in part else part
        for part in turn["content"]
    ]
    return {"role": turn["role"], "content": content}
