"""Text-conditioned editing of pictures, clips and sounds: Tables 8, 9 and 10 of the paper.

Knows: the lite world's edits with their truth, the rows (both messengers, and the two ways to do
no editing) and each table's metrics. Leaves to others: the editing itself (`decoders.editing`),
features and distances.

The paper edits COCO, DAVIS and VCTK by protocols of its baselines that it does not print; none of
these files says what to change, so that these tables are measured on the lite world alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from scipy.ndimage import binary_dilation, binary_erosion
from torch import Tensor
from tqdm.auto import tqdm

from nextgpt_lite.chat import signal_condition
from nextgpt_lite.evaluation.metrics.distances import (
    frechet_distance,
    mel_cepstral_distortion,
    similarities,
)
from nextgpt_lite.evaluation.metrics.features import Features
from nextgpt_lite.evaluation.score import Score
from nextgpt_lite.evaluation.tables.generating import BATCH, clip_similarity, decode
from nextgpt_lite.evaluation.tables.sheet import Sheet, Values
from nextgpt_lite.model import NextGPT
from nextgpt_lite.world.describe import caption
from nextgpt_lite.world.dialogue_looks import PLACE_ANSWERS
from nextgpt_lite.world.render import render
from nextgpt_lite.world.scene import (
    COLOURS,
    HELD_OUT_COLOURS,
    PLACES,
    Clip,
    Scene,
    Sound,
    sample_clip,
    sample_picture,
    sample_sound,
)
from nextgpt_lite.world.sprites import background
from nextgpt_lite.world.verify import verify

if TYPE_CHECKING:
    from nextgpt_lite.evaluation.tables.run import Setting

MODALITY = {8: "image", 9: "video", 10: "audio"}
STRENGTH = {"image": 0.7, "audio": 0.7, "video": 0.7}
GREY = 127  # laid over what is edited, so that only what should stay is compared
MARGIN = 2  # pixels around a thing that belong to it: its blur


@dataclass(frozen=True)
class Edit:
    """One wish: a scene rendered, what to say, and the scene that should come of it."""

    given: Scene
    wanted: Scene
    words: str
    seed: int

    @property
    def medium(self) -> Any:
        return render(self.given, self.seed)

    @property
    def caption(self) -> str:
        """Of the result."""
        return caption(self.wanted)


def edits(modality: str, count: int, what: str = "object", seed: int = 3_000_000) -> list[Edit]:
    """Wishes of the lite world, no held-out pair among them.

    Args:
        what: "object" gives a thing another colour, a sound the other pitch; "background" puts the
            things of a picture in another place.
    """
    rng = Random(f"{seed}/{modality}/{what}")
    makers: dict[str, Callable[[Random], tuple[Scene, Scene, str]]] = {
        "image": _recoloured_picture if what == "object" else _moved_picture,
        "video": _recoloured_clip,
        "audio": _repitched,
    }
    return [Edit(*makers[modality](rng), seed=seed + index) for index in range(count)]


def mask_of(edit: Edit) -> np.ndarray:
    """Where an edit of a picture or clip may change it: the thing, or all but the thing.

    (H, W) of a picture, (T, H, W) of a clip; read off the render, which differs from the bare place
    only where a thing is.
    """
    given: Any = edit.given
    medium = edit.medium
    pixels = medium.frames if isinstance(given, Clip) else np.asarray(medium)[None]
    things = (pixels != background(given.place)).any(-1)  # (T, H, W)
    if given.place != edit.wanted.place:  # type: ignore[union-attr]
        return ~binary_erosion(things[0])  # a thing's rim has something of the place behind it
    grown = np.stack([binary_dilation(each, iterations=MARGIN) for each in things])
    return grown if isinstance(given, Clip) else grown[0]


def measure(number: int, model: NextGPT, setting: Setting) -> Sheet:
    """Table 8, 9 or 10.

    Raises:
        ValueError: data are given; see above.
    """
    if setting.data is not None:
        raise ValueError(f"Table {number} is measured on the lite world: leave out --data.")
    modality = MODALITY[number]
    features = Features.of(model)
    rows: dict[str, Values] = {}
    right: dict[str, list[bool]] = {}
    for what in ("object", "background") if number == 8 else ("object",):
        wishes = edits(modality, setting.count, what, 3_000_000 + setting.seed)
        for name, made in _sets(model, modality, wishes, setting).items():
            rows[name] = rows.get(name, ()) + _values(number, features, wishes, made)
            right.setdefault(name, []).extend(
                verify(wish.wanted, medium).correct
                for wish, medium in zip(wishes, made, strict=True)
            )
    notes = ["Every attribute as wished, by the world's verifiers:"]
    notes += [f"- {name}: {Score.of(found)}" for name, found in right.items()]
    return Sheet(number, rows, _protocol(number, features, setting), notes=notes)


def edited(
    model: NextGPT,
    modality: str,
    wishes: Sequence[Edit],
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
    model: NextGPT, modality: str, wishes: Sequence[Edit], setting: Setting
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
    if modality != "audio":
        masks = [mask_of(wish) for wish in wishes]
        made = edited(model, modality, wishes, captions, setting, masks)
        sets["caption of the result, masked"] = made
    sets["nothing changed"] = [wish.medium for wish in wishes]
    sets["made anew from the caption"] = decode(decoder, captions, setting)
    return sets


def _values(number: int, features: Features, wishes: Sequence[Edit], made: list[Any]) -> Values:
    texts = [wish.caption for wish in wishes]
    if number == 8:
        pictures = features.media("image", made)
        clip = 100 * float(similarities(pictures, features.texts(texts)).mean())
        return clip, masked_distance(features, wishes, made)
    if number == 9:
        frames = [features.frames(clip) for clip in made]
        steady = torch.stack([similarities(f[:-1], f[1:]).mean() for f in frames]).mean()
        return clip_similarity(features, made, texts), float(steady)
    truths: list[Any] = [render(wish.wanted, wish.seed) for wish in wishes]
    pairs = zip(truths, made, strict=True)
    return (float(np.mean([mel_cepstral_distortion(truth, sound) for truth, sound in pairs])),)


def masked_distance(features: Features, wishes: Sequence[Edit], made: Sequence[Any]) -> float:
    """Masked FID: Frechet distance of inputs and edits, both grey where the edit may change them.

    0 where nothing changed that should not have.
    """
    masks = [mask_of(wish) for wish in wishes]
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


def _protocol(number: int, features: Features, setting: Setting) -> str:
    metrics = {
        8: "CLIP: 100 times the cosine of edit and caption; FID: masked, over what should stay, of "
        f"N = {setting.count} edits a column pair; features: {features.name}",
        9: "CLIP-T: cosine of each frame and the caption; CLIP-I: of each frame and the next; "
        f"N = {setting.count}; features: {features.name}",
        10: f"MCD in decibels to the render of what was wished; N = {setting.count}",
    }
    wishes = {8: "another colour (object) or place (background)", 9: "another colour",
              10: "the other pitch"}  # fmt: skip
    strength = STRENGTH[MODALITY[number]]
    return f"{metrics[number]}; wished: {wishes[number]}; strength {strength}, the lite world."


def _recoloured_picture(rng: Random) -> tuple[Scene, Scene, str]:
    scene = sample_picture(rng, groups=1)
    group = scene.groups[0]
    colour = _other_colour(group.kind, group.colour, rng)
    it = "it" if group.count == 1 else "them"
    wanted = replace(scene, groups=(replace(group, colour=colour),))
    return scene, wanted, f"Make {it} {colour}."


def _moved_picture(rng: Random) -> tuple[Scene, Scene, str]:
    scene = sample_picture(rng, groups=1)
    place = rng.choice([p for p in PLACES if p not in ("plain", scene.place)])
    it = "it" if scene.groups[0].count == 1 else "them"
    return scene, replace(scene, place=place), f"Put {it} {PLACE_ANSWERS[place]}."


def _recoloured_clip(rng: Random) -> tuple[Scene, Scene, str]:
    clip = sample_clip(rng)
    colour = _other_colour(clip.kind, clip.colour, rng)
    return clip, replace(clip, colour=colour), f"Make it {colour}."


def _repitched(rng: Random) -> tuple[Scene, Scene, str]:
    sound: Sound = sample_sound(rng)
    pitch, word = ("high", "higher") if sound.pitch == "low" else ("low", "lower")
    return sound, replace(sound, pitch=pitch), f"Make it {word}."


def _other_colour(kind: str, colour: str, rng: Random) -> str:
    return rng.choice([c for c in COLOURS if c != colour and (kind, c) not in HELD_OUT_COLOURS])
