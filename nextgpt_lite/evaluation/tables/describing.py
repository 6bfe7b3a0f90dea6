"""Image, clip and sound to text: Tables 5, 6, 7 and 11 of the paper.

Knows: the question, each table's metrics, and what stands for SPICE in the lite world. Leaves to
others: items (`benchmarks.items`), the metrics themselves (`metrics.captioning`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tqdm.auto import tqdm

from nextgpt_lite.evaluation.benchmarks.items import Item, lite_items
from nextgpt_lite.evaluation.metrics import captioning
from nextgpt_lite.evaluation.metrics.distances import frechet_distance
from nextgpt_lite.evaluation.metrics.features import Features
from nextgpt_lite.evaluation.tables.generating import caption_items, from_signals
from nextgpt_lite.evaluation.tables.sheet import Sheet, Values
from nextgpt_lite.model.modality import MODALITIES
from nextgpt_lite.model.nextgpt import NextGPT
from nextgpt_lite.world.describe import parse
from nextgpt_lite.world.scene import Clip, Group, Picture, Scene, Sound

if TYPE_CHECKING:
    from nextgpt_lite.evaluation.tables.run import Setting

MODALITY = {5: "audio", 6: "image", 7: "video"}
QUESTION = {
    "image": "Describe the picture.", "audio": "Describe the sound.", "video": "Describe the clip.",
}  # fmt: skip
MAX_WORDS = 48
Facts = frozenset[tuple[str, ...]]


def measure(number: int, model: NextGPT, setting: Setting) -> Sheet:
    """Table 5, 6, 7 or 11."""
    if number == 11:
        return _zero_shot(model, setting)
    items = caption_items(MODALITY[number], setting)
    candidates = describe(model, items)
    references = [item.captions for item in items]
    java = captioning.has_java()
    meteor = captioning.meteor_1_5 if java else captioning.meteor_2005
    meaning = lite_spice if setting.data is None else captioning.spice
    metrics = {
        5: {
            "SPIDEr": lambda: captioning.spider(candidates, references, meaning),
            "CIDEr": lambda: captioning.cider(candidates, references),
        },
        6: {
            "B@4": lambda: 100 * captioning.bleu_4(candidates, references),
            "METEOR": lambda: 100 * meteor(candidates, references),
            "CIDEr": lambda: 100 * captioning.cider(candidates, references),
        },
        7: {
            "B@4": lambda: 100 * captioning.bleu_4(candidates, references),
            "METEOR": lambda: 100 * meteor(candidates, references),
        },
    }[number]
    values: list[float | None] = []
    notes: list[str] = []
    for name, metric in metrics.items():
        try:
            values.append(metric())
        except ModuleNotFoundError as error:  # a Java part: the rest of the row is worth having
            values.append(None)
            notes.append(f"{name}: {error}")
    protocol = f"{_items(setting, len(items))}, up to {MAX_WORDS} tokens, greedy"
    if "METEOR" in metrics:
        which = "METEOR 1.5 (Java)" if java else "METEOR of 2005 with equal words only"
        protocol += f"; METEOR: {which}"
    if number == 5 and setting.data is None:
        protocol += "; SPICE's place is taken by the F of facts that the world's own parser reads"
    return Sheet(number, {"NExT-GPT": tuple(values)}, protocol + ".", notes=notes)


def describe(model: NextGPT, items: Sequence[Item]) -> list[str]:
    """What the model says of each medium, asked in one turn, media forbidden."""
    said = []
    for item in tqdm(items, desc="captions", leave=False):
        media: dict[str, Any] = {MODALITIES[item.modality].plural: [item.media()]}
        question = QUESTION[item.modality]
        reply = model.chat(question, output_modalities=[], max_new_tokens=MAX_WORDS, **media)
        said.append(reply.text)
    return said


def lite_spice(candidates: Sequence[str], references: captioning.References) -> list[float]:
    """F of the facts in a caption against those of its scene: what SPICE is to free text.

    Facts are a thing, and its colour, size, number, place, motion, voice or relation, read by the
    lite world's parser from the candidate and from the first reference (the canonical caption). A
    caption that does not parse has no facts and scores 0.
    """
    return [
        _overlap(facts(parse(candidate)), facts(parse(texts[0])))
        for candidate, texts in zip(candidates, references, strict=True)
    ]


def facts(scene: Scene | None) -> Facts:
    """What is said of a scene, as SPICE's tuples."""
    match scene:
        case Picture(groups, relation, place):
            first, *rest = [_of_group(group) for group in groups]
            related = {(groups[0].kind, relation, groups[1].kind)} if relation else set()
            return frozenset().union(first, *rest, {("place", place)}, related)
        case Sound(kind, times, pitch):
            return frozenset({(kind,), (kind, "times", str(times)), (kind, "pitch", pitch)})
        case Clip(kind, colour, motion, size, place):
            return _of_group(Group(kind, colour, size)) | {("place", place), (kind, "does", motion)}
    return frozenset()


def _of_group(group: Group) -> Facts:
    kind = group.kind
    return frozenset(
        {(kind,), (kind, group.colour), (kind, group.size), (kind, "count", str(group.count))}
    )


def _overlap(said: Facts, true: Facts) -> float:
    return 2 * len(said & true) / max(1, len(said) + len(true))


def _zero_shot(model: NextGPT, setting: Setting) -> Sheet:
    """Table 11: captioning by CIDEr on data never trained on, and FID on it.

    In the lite world the three test sets become pairs and wordings seen in training, held-out ones,
    and clips held out.
    """
    if setting.data is not None:
        items = caption_items("image", setting)
        sets = {f"CIDEr, {setting.data.stem}": items}
    else:
        sets = {
            "CIDEr, pictures held out": lite_items("image", setting.count, "held_out"),
            "CIDEr, clips held out": lite_items("video", setting.count, "held_out"),
            "CIDEr, pictures seen": lite_items("image", setting.count),
        }
        items = sets["CIDEr, pictures held out"]
    values: list[float] = [
        100 * captioning.cider(describe(model, part), [i.captions for i in part])
        for part in sets.values()
    ]
    features = Features.of(model)
    made = from_signals(model, "image", [i.captions[0] for i in items], setting)
    real = [item.media() for item in items]
    distance = frechet_distance(features.media("image", real), features.media("image", made))
    row: Values = (*values, distance)
    protocol = (
        f"CIDEr times 100; {_items(setting, len(items))}; FID of the first set's captions, "
        f"features: {features.name}."
    )
    return Sheet(11, {"NExT-GPT": row}, protocol, columns=(*sets, "FID"))


def _items(setting: Setting, count: int) -> str:
    where = "the lite world" if setting.data is None else str(setting.data)
    return f"N = {count} items of {where}, all their captions as references, one turn each"
