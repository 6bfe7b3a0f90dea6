"""Text-conditioned editing of pictures, clips and sounds: Tables 8, 9 and 10 of the paper.

Knows: the rows (both messengers, and the two ways to do no editing) and each table's metrics.
Leaves to others: wishes (`benchmarks.edits`, `benchmarks.edit_files`), the editing itself
(`decoders.editing`), features and distances (`evaluation.metrics`).

The paper edits COCO, DAVIS and VCTK by protocols of its baselines, and prints none of its prompts.
Clips of DAVIS and recordings of VCTK are therefore edited by wishes of our own, which `edit_files`
states. COCO's files say neither what to change nor where: Table 8 is measured on the lite world.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm.auto import tqdm

from nextgpt_lite.chat import signal_condition
from nextgpt_lite.evaluation.benchmarks.edit_files import FILE_WISHES, read_davis, read_vctk
from nextgpt_lite.evaluation.metrics.distances import (
    frechet_distance,
    mel_cepstral_distortion,
    similarities,
)
from nextgpt_lite.evaluation.metrics.features import Features
from nextgpt_lite.evaluation.statistics import Score
from nextgpt_lite.evaluation.tables.generating import BATCH, clip_similarity, decode
from nextgpt_lite.evaluation.tables.sheet import Sheet, Values
from nextgpt_lite.model.nextgpt import NextGPT
from nextgpt_lite.world.benchmarks.edits import Edit, Wish, edits
from nextgpt_lite.world.verify import verify

if TYPE_CHECKING:
    from nextgpt_lite.evaluation.tables.run import Setting

MODALITY = {8: "image", 9: "video", 10: "audio"}
STRENGTH = {"image": 0.7, "audio": 0.7, "video": 0.7}
GREY = 127  # laid over what is edited, so that only what should stay is compared


def measure(number: int, model: NextGPT, setting: Setting) -> Sheet:
    """Table 8, 9 or 10.

    Raises:
        ValueError: data are given for Table 8, or are not DAVIS (9) or VCTK (10).
    """
    modality = MODALITY[number]
    features = Features.of(model)
    rows: dict[str, Values] = {}
    right: dict[str, list[bool]] = {}
    for what in ("object", "background") if number == 8 else ("object",):
        wishes = _wishes(number, model, what, setting)
        for name, made in _sets(model, modality, wishes, setting).items():
            rows[name] = rows.get(name, ()) + _values(number, features, wishes, made)
            for wish, medium in zip(wishes, made, strict=True):
                if isinstance(wish, Edit):
                    correct = verify(wish.wanted, medium).correct
                    right.setdefault(name, []).append(correct)
    notes = ["Every attribute as wished, by the world's verifiers:"] if right else []
    notes += [f"- {name}: {Score.of(found)}" for name, found in right.items()]
    return Sheet(number, rows, _protocol(number, features, len(wishes), setting), notes=notes)


def _wishes(number: int, model: NextGPT, what: str, setting: Setting) -> Sequence[Wish]:
    """`count` wishes of the lite world, or of the benchmark at hand."""
    modality = MODALITY[number]
    if setting.data is None:
        return edits(modality, setting.count, what, 3_000_000 + setting.seed)
    decoder: Any = model.decoder(modality)
    if number == 9:
        return read_davis(setting.data, decoder.frames)[: setting.count]
    if number == 10:
        return read_vctk(setting.data, setting.count, decoder.seconds, setting.seed)
    raise ValueError("Table 8 is measured on the lite world: leave out --data.")


def edited(
    model: NextGPT,
    modality: str,
    wishes: Sequence[Wish],
    conditions: Tensor,
    setting: Setting,
    masks: Sequence[Any] | None = None,
) -> list[Any]:
    """Each wish's medium, edited under its condition (N, L, C), a few at a time."""
    made: list[Any] = []
    for start in tqdm(range(0, len(wishes), BATCH), desc=f"editing, {modality}", leave=False):
        part = range(start, min(start + BATCH, len(wishes)))
        made += model.decoder(modality).edit(
            [wishes[i].medium for i in part],
            conditions[part.start : part.stop],
            strength=STRENGTH[modality],
            masks=None if masks is None else [masks[i] for i in part],
            num_inference_steps=setting.steps,
            generator=[torch.Generator().manual_seed(setting.seed + i) for i in part],
        )
    return made


def _sets(
    model: NextGPT, modality: str, wishes: Sequence[Wish], setting: Setting
) -> dict[str, list[Any]]:
    """Each row's media."""
    decoder = model.decoder(modality)
    captions = decoder.encode_text([wish.caption for wish in wishes])
    signals = torch.stack(
        [signal_condition(model, wish.words, modality, [wish.medium]) for wish in wishes]
    )
    sets = {
        "NExT-GPT, signal tokens": edited(model, modality, wishes, signals, setting),
        "caption of the result": edited(model, modality, wishes, captions, setting),
    }
    masks = [wish.mask for wish in wishes]
    if masks[0] is not None:
        made = edited(model, modality, wishes, captions, setting, masks)
        sets["caption of the result, masked"] = made
    sets["nothing changed"] = [wish.medium for wish in wishes]
    sets["made anew from the caption"] = decode(decoder, captions, setting)
    return sets


def _values(number: int, features: Features, wishes: Sequence[Wish], made: list[Any]) -> Values:
    texts = [wish.caption for wish in wishes]
    if number == 8:
        pictures = features.media("image", made)
        clip = 100 * float(similarities(pictures, features.texts(texts)).mean())
        return clip, masked_distance(features, wishes, made)
    if number == 9:
        frames = [features.frames(clip) for clip in made]
        steady = torch.stack([similarities(f[:-1], f[1:]).mean() for f in frames]).mean()
        return clip_similarity(features, made, texts), float(steady)
    pairs = zip(wishes, made, strict=True)
    return (float(np.mean([mel_cepstral_distortion(wish.truth, sound) for wish, sound in pairs])),)


def masked_distance(features: Features, wishes: Sequence[Wish], made: Sequence[Any]) -> float:
    """Masked FID: Frechet distance of inputs and edits, both grey where the edit may change them.

    0 where nothing changed that should not have.
    """
    masks = [wish.mask for wish in wishes]
    sets = ([wish.medium for wish in wishes], made)
    vectors = [
        features.media("image", [_grey(p, m) for p, m in zip(pictures, masks, strict=True)])
        for pictures in sets
    ]
    return frechet_distance(*vectors)


def _grey(picture: Image.Image, mask: np.ndarray) -> Image.Image:
    pixels = np.asarray(picture.convert("RGB")).copy()
    pixels[mask] = GREY
    return Image.fromarray(pixels)


def _protocol(number: int, features: Features, count: int, setting: Setting) -> str:
    metrics = {
        8: "CLIP: 100 times the cosine of edit and caption; FID: masked, over what should stay, of "
        f"N = {count} edits a column pair; features: {features.name}",
        9: "CLIP-T: cosine of each frame and the caption; CLIP-I: of each frame and the next; "
        f"N = {count}; features: {features.name}",
        10: f"MCD in decibels to the sound as it should be; N = {count}",
    }
    wished = {8: "another colour (object) or place (background)", 9: "another colour",
              10: "the other pitch"}[number]  # fmt: skip
    where = "the lite world"
    if setting.data is not None:
        where, wished = str(setting.data), f"{FILE_WISHES[MODALITY[number]]}, not the paper's"
    return f"{metrics[number]}; wished: {wished}; strength {STRENGTH[MODALITY[number]]}, {where}."
