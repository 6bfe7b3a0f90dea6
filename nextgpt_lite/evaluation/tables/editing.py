"""Text-conditioned editing of images, videos and audio clips: Tables 8, 9 and 10 of the paper.

Knows: the rows: both messengers, and the two ways to do no editing. Leaves to others: wishes (a
plugin, `benchmarks.edits`), the editing itself (`decoders.editing`), metrics (`metrics.named`).

The paper edits COCO, DAVIS and VCTK by protocols of its baselines, and prints none of its prompts.
Videos of DAVIS and recordings of VCTK are therefore edited by wishes of our own, which
`benchmarks.edits` states. COCO's files say neither what to change nor where: Table 8 is measured on
a plugin's wishes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.errors import ConfigError
from nextgpt_lite.evaluation.benchmarks.edits import FILE_WISHES, read_davis, read_vctk
from nextgpt_lite.evaluation.metrics.features import Features
from nextgpt_lite.evaluation.metrics.named import Outcome
from nextgpt_lite.evaluation.protocols import Wish
from nextgpt_lite.evaluation.registry import find, register
from nextgpt_lite.evaluation.statistics import Score
from nextgpt_lite.evaluation.tables.generating import BATCH, decode
from nextgpt_lite.evaluation.tables.kept import in_parts
from nextgpt_lite.evaluation.tables.sheet import TABLES, Setting, Sheet
from nextgpt_lite.messages import Message, Part
from nextgpt_lite.turn import signal_conditions

MODALITY = {8: "image", 9: "video", 10: "audio"}
STRENGTH = 0.7
MEASURED = {
    8: "CLIP: 100 times the cosine of edit and caption; FID: masked, over what should stay, of "
    "N = {count} edits a column pair; features: {features}",
    9: "CLIP-T: cosine of each frame and the caption; CLIP-I: of each frame and the next; "
    "N = {count}; features: {features}",
    10: "MCD in decibels to the sound as it should be; N = {count}",
}
WISHED = {8: "another colour (object) or place (background)", 9: "another colour",
          10: "the other pitch"}  # fmt: skip


@register("table", "8", "9", "10")
def measure(number: int, model: NextGPT, setting: Setting) -> Sheet:
    """Table 8, 9 or 10.

    Raises:
        ConfigError: data are given for Table 8.
        DataError: they are not DAVIS (9) or VCTK (10).
    """
    number = int(number)
    modality, features = MODALITY[number], Features.of(model)
    sheet = Sheet(number, columns=(*TABLES[number].columns, *setting.metrics))
    granted: dict[str, list[bool]] = {}
    for what in ("object", "background") if number == 8 else ("object",):
        metrics = ("CLIP", "masked FID") if number == 8 else tuple(TABLES[number].columns)
        last = number != 8 or what == "background"
        wishes = _wishes(number, model, what, setting)
        captions = [[wish.caption] for wish in wishes]
        given, truth = [wish.medium for wish in wishes], [wish.truth for wish in wishes]
        masks = [wish.mask for wish in wishes]
        for name, made in _rows(model, modality, wishes, what, setting).items():
            found = Outcome(modality, made, captions, features, truth, given, masks, setting.source)
            sheet.add(name, found, (*metrics, *(setting.metrics if last else ())))
            for wish, medium in zip(wishes, made, strict=True):
                if (right := wish.granted(medium)) is not None:
                    granted.setdefault(name, []).append(right)
    if granted:
        sheet.notes = ["Every attribute as wished, by the world's verifiers:"]
        sheet.notes += [f"- {name}: {Score.of(some)}" for name, some in granted.items()]
    wished = WISHED[number]
    if setting.data:
        wished = f"{FILE_WISHES[modality]}, not the paper's"
    measured = MEASURED[number].format(count=len(wishes), features=features.name)
    sheet.protocol = f"{measured}; wished: {wished}; strength {STRENGTH}, {setting.where}."
    return sheet


def _wishes(number: int, model: NextGPT, what: str, setting: Setting) -> Sequence[Wish]:
    """`count` wishes of the plugin, or of the benchmark at hand."""
    modality = MODALITY[number]
    if setting.file is None:
        made: Sequence[Wish] = find("wishes", setting.plugin)(
            modality, setting.count, what, seed=setting.seed
        )
        return made
    decoder: Any = model.decoder(modality)
    if number == 9:
        return read_davis(setting.file, decoder.frames)[: setting.count]
    if number == 10:
        return read_vctk(setting.file, setting.count, decoder.seconds, setting.seed)
    raise ConfigError("Table 8 is measured on a plugin's wishes: leave out --data.")


def _rows(
    model: NextGPT, modality: str, wishes: Sequence[Wish], what: str, setting: Setting
) -> dict[str, list[Any]]:
    """Each row's media."""
    decoder = model.decoder(modality)
    captions = decoder.encode_text([wish.caption for wish in wishes])
    asked = [_said(modality, wish) for wish in wishes]
    signals = signal_conditions(model, asked, modality)
    rows = {
        name: edited(model, modality, wishes, conditions, setting, name=f"{what}, {name}")
        for name, conditions in (
            ("NExT-GPT, signal tokens", signals), ("caption of the result", captions)
        )
    }  # fmt: skip
    masks = [wish.mask for wish in wishes]
    if masks[0] is not None:
        name = "caption of the result, masked"
        rows[name] = edited(
            model, modality, wishes, captions, setting, masks, name=f"{what}, {name}"
        )
    rows["nothing changed"] = [wish.medium for wish in wishes]
    rows["made anew from the caption"] = decode(decoder, captions, setting, f"{what}, anew")
    return rows


def _said(modality: str, wish: Wish) -> list[Message]:
    """The medium, and what a person says of it."""
    words: Part = {"type": "text", "text": wish.words}
    return [{"role": "user", "content": [{"type": modality, "data": wish.medium}, words]}]


def edited(
    model: NextGPT,
    modality: str,
    wishes: Sequence[Wish],
    conditions: Tensor,
    setting: Setting,
    masks: Sequence[Any] | None = None,
    name: str = "editing",
) -> list[Any]:
    """Each wish's medium, edited under its condition (N, L, C), a few at a time."""

    def make(part: range) -> list[Any]:
        return model.decoder(modality).edit(
            [wishes[i].medium for i in part],
            conditions[part.start : part.stop],
            strength=STRENGTH,
            masks=None if masks is None else [masks[i] for i in part],
            num_inference_steps=setting.steps,
            generator=[torch.Generator().manual_seed(setting.seed + i) for i in part],
        )

    return in_parts(setting.parts, name, len(wishes), BATCH, make)
