"""Image, video and audio to text: Tables 5, 6, 7 and 11 of the paper.

Knows: the question, and the sets of Table 11. Leaves to others: items (a plugin,
`benchmarks.items`), metrics (`metrics.named`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.evaluation.metrics.captioning import has_java
from nextgpt_lite.evaluation.metrics.features import Features
from nextgpt_lite.evaluation.metrics.named import Outcome
from nextgpt_lite.evaluation.protocols import Item, noun
from nextgpt_lite.evaluation.registry import find, has, register
from nextgpt_lite.evaluation.tables.generating import from_signals
from nextgpt_lite.evaluation.tables.kept import in_parts
from nextgpt_lite.evaluation.tables.sheet import TABLES, Setting, Sheet
from nextgpt_lite.messages import Message, Part

MODALITY = {5: "audio", 6: "image", 7: "video"}
MAX_WORDS = 48
GROUP = 64  # media in memory at once


@register("table", "5", "6", "7")
def measure(number: int, model: NextGPT, setting: Setting) -> Sheet:
    """Table 5, 6 or 7."""
    number = int(number)
    items = setting.items(MODALITY[number])
    columns = (*TABLES[number].columns, *setting.metrics)
    sheet = Sheet(number, columns=columns)
    sheet.add("NExT-GPT", _described(model, items, setting), columns)
    protocol = f"{_items(setting, len(items))}, up to {MAX_WORDS} tokens, greedy"
    if "METEOR" in columns:
        which = "METEOR 1.5 (Java)" if has_java() else "METEOR of 2005 with equal words only"
        protocol += f"; METEOR: {which}"
    if "SPIDEr" in columns and has("facts", setting.source):
        protocol += "; SPICE's place is taken by the F of facts that the world's own parser reads"
    sheet.protocol = protocol + "."
    return sheet


@register("table", "11")
def measure_zero_shot(number: int, model: NextGPT, setting: Setting) -> Sheet:
    """Table 11: captioning by CIDEr on data never trained on, and FID of the first set's captions.

    A plugin has sets of its own in the place of the paper's three, by name.
    """
    sets: dict[str, list[Item]] = {p.stem: setting.read(p, "image") for p in setting.data}
    if not setting.data:
        sets = find("unseen", setting.plugin)(setting.count)
    names = [f"CIDEr, {name}" for name in sets]
    sheet = Sheet(11, columns=(*names, "FID", *setting.metrics))
    values = [
        100 * find("metric", "CIDEr")(_described(model, part, setting, f"words, {name}"))
        for name, part in sets.items()
    ]
    sheet.rows["NExT-GPT"] = tuple(values)
    items = next(iter(sets.values()))
    made = from_signals(model, "image", [item.captions[0] for item in items], setting)
    features, truth = Features.of(model), [item.media() for item in items]
    outcome = Outcome("image", made, [item.captions for item in items], features, truth)
    sheet.add("NExT-GPT", outcome, ("FID", *setting.metrics))
    sheet.protocol = (
        f"CIDEr times 100; {_items(setting, len(items))}; FID of the first set's captions, "
        f"features: {features.name}."
    )
    return sheet


def describe(
    model: NextGPT, items: Sequence[Item], parts: Path | None = None, name: str = "words"
) -> list[str]:
    """What the model says of each medium, asked in one turn, media forbidden.

    Args:
        parts, name: where it is kept (see `kept`).
    """

    def make(part: range) -> list[str]:
        asked = [_asked(items[i]) for i in part]
        replies = model.chat_batch(asked, output_modalities=[], max_new_tokens=MAX_WORDS)
        return [reply.text for reply in replies]

    return in_parts(parts, name, len(items), GROUP, make)


def _asked(item: Item) -> list[Message]:
    question: Part = {"type": "text", "text": f"Describe the {noun(item.modality)}."}
    return [{"role": "user", "content": [{"type": item.modality, "data": item.media()}, question]}]


def _described(
    model: NextGPT, items: Sequence[Item], setting: Setting, name: str = "words"
) -> Outcome:
    captions = [item.captions for item in items]
    made = describe(model, items, setting.parts, name)
    return Outcome("text", made, captions, Features.of(model), plugin=setting.source)


def _items(setting: Setting, count: int) -> str:
    return f"N = {count} items of {setting.where}, all their captions as references, one turn each"
