"""Batches for the encoder: pictures, clips and sounds, their captions, and captions that are off.

Knows: what of a scene an embedding must tell (`ATTRIBUTES`), which thing covers which patch, and
how to change one attribute of a scene. Leaves to others: losses and scores (`encoder`).

Letters: B items of a batch, A attributes, G patches along a side.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from nextgpt_lite.encoders import PreprocessConfig
from nextgpt_lite.encoders.preprocess import (
    normalised_filter_bank,
    preprocess_image,
    preprocess_video,
)
from nextgpt_lite.media import Video
from nextgpt_lite.world.describe import caption, paraphrase
from nextgpt_lite.world.pretraining.labels import SLOTS, VALUES, facts
from nextgpt_lite.world.render import layout, render, track
from nextgpt_lite.world.scene import (
    COLOURS,
    KINDS,
    MAX_COUNT,
    MAX_TIMES,
    MOTIONS,
    PITCHES,
    PLACES,
    RELATIONS,
    SIZES,
    Clip,
    Group,
    Picture,
    Scene,
    Sound,
    in_order,
    is_held_out,
    sample_clip,
    sample_picture,
    sample_sound,
)
from nextgpt_lite.world.sounds import render_sound
from nextgpt_lite.world.sprites import SIDE

T = TypeVar("T", bound=Group | Sound | Clip)
IGNORE = -100  # no such attribute here; torch's cross-entropy skips it
ATTRIBUTES = {name: len(values) for name, values in VALUES.items()}

# The values that a field can be changed to.
FIELDS: dict[type, dict[str, Sequence[Any]]] = {
    Group: {"kind": KINDS, "colour": COLOURS, "size": SIZES, "count": range(1, MAX_COUNT + 1)},
    Sound: {"kind": KINDS, "times": range(1, MAX_TIMES + 1), "pitch": PITCHES},
    Clip: {"kind": KINDS, "colour": COLOURS, "size": SIZES, "motion": MOTIONS, "place": PLACES},
}
# What is under a patch; `cover` says nothing, part of a thing, or the middle of one.
PATCH_LABELS = {"kind": len(KINDS), "colour": len(COLOURS), "size": len(SIZES), "cover": 3}


@dataclass(frozen=True)
class Batch:
    """Tensors of one step; items are pictures, then clips, then sounds.

    Attributes:
        pictures: (pictures, 3, 64, 64); clips: (clips, 3, 2, 64, 64); sounds: (sounds, 1, M, F).
        tokens: (2B, context): a caption of each item, then one with an attribute changed.
        targets: (2B, A) attributes of the scenes behind `tokens`.
        crowds: (crowds, 3, 64, 64) pictures of nine unlike things, only to learn patches from.
        patches: (pictures + crowds, labels, G * G) what lies under each patch.
        scenes: B scenes, to tell equal ones.
    """

    pictures: Tensor
    clips: Tensor
    sounds: Tensor
    tokens: Tensor
    targets: Tensor
    crowds: Tensor
    patches: Tensor
    scenes: tuple[Scene, ...]

    def to(self, device: torch.device) -> Batch:
        """The batch with its tensors on the device."""
        tensors: dict[str, Any] = {
            k: v.to(device) for k, v in vars(self).items() if isinstance(v, Tensor)
        }
        return replace(self, **tensors)


@dataclass(frozen=True)
class EncoderData:
    """Makes the batch of a generator: `data(generator) -> Batch`, as `PartTrainer` asks for it."""

    tokenize: Callable[[Sequence[str]], Tensor]
    config: PreprocessConfig
    pictures: int = 64
    clips: int = 16
    sounds: int = 8
    crowds: int = 32
    patch: int = 8

    def __call__(self, generator: torch.Generator) -> Batch:
        rng = Random(int(torch.randint(2**62, (1,), generator=generator)))
        groups = rng.choices((1, 2, 3), (55, 37, 8), k=self.pictures)
        pictures = [sample_picture(rng, groups=number) for number in groups]
        clips = [sample_clip(rng) for _ in range(self.clips)]
        sounds = [sample_sound(rng) for _ in range(self.sounds)]
        scenes: list[Scene] = [*pictures, *clips, *sounds]
        altered = [alter(scene, rng) for scene in scenes]
        texts = [wording(scene, rng) for scene in (*scenes, *altered)]
        seeds = [rng.randrange(2**31) for _ in scenes]
        crowds = [crowd(rng) for _ in range(self.crowds)]
        crowd_seeds = [rng.randrange(2**31) for _ in crowds]
        labelled = [*zip(pictures, seeds, strict=False), *zip(crowds, crowd_seeds, strict=True)]
        tokens = self.tokenize(texts)
        longest = int((tokens != 0).sum(dim=1).max())
        return Batch(
            roughen(vision_inputs(pictures, seeds, self.config), rng),
            roughen(vision_inputs(clips, seeds[self.pictures :], self.config), rng),
            sound_inputs(sounds, seeds[self.pictures + self.clips :], self.config, rng),
            tokens[:, :longest].cpu(),
            torch.tensor([attributes(scene) for scene in (*scenes, *altered)]),
            roughen(vision_inputs(crowds, crowd_seeds, self.config), rng),
            torch.stack(
                [patch_labels(p, i, self.config.image_size, self.patch) for p, i in labelled]
            ),
            tuple(scenes),
        )


def roughen(pixels: Tensor, rng: Random) -> Tensor:
    """Slight noise, contrast and brightness, as drawn or compressed pictures have them."""
    numbers = np.random.default_rng(rng.randrange(2**63))
    shape = (len(pixels), *[1] * (pixels.ndim - 1))
    noise = torch.from_numpy(numbers.standard_normal(pixels.shape, dtype=np.float32))
    gain, shift, strength = (
        torch.from_numpy(numbers.uniform(low, high, shape).astype(np.float32))
        for low, high in ((0.9, 1.1), (-0.1, 0.1), (0.0, 0.12))
    )
    return pixels * gain + shift + noise * strength


def vision_inputs(
    scenes: Sequence[Scene], seeds: Sequence[int], config: PreprocessConfig
) -> Tensor:
    """Rendered pictures (B, 3, H, W) or clips (B, 3, T, H, W) as the vision trunk reads them."""
    media: list[Any] = [render(scene, seed) for scene, seed in zip(scenes, seeds, strict=False)]
    return torch.stack(
        [
            preprocess_video(m, config)[0] if isinstance(m, Video) else preprocess_image(m, config)
            for m in media
        ]
    )


def sound_inputs(
    scenes: Sequence[Sound],
    seeds: Sequence[int],
    config: PreprocessConfig,
    rng: Random | None = None,
) -> Tensor:
    """Rendered sounds as the audio trunk reads them (B, 1, M, F); `rng` varies their loudness."""
    waves = [render_sound(s, i).samples[0] for s, i in zip(scenes, seeds, strict=False)]
    gains = [10 ** rng.uniform(-0.6, 0.1) if rng else 1.0 for _ in waves]
    batch = torch.from_numpy(np.stack([w * g for w, g in zip(waves, gains, strict=True)]))
    return normalised_filter_bank((batch - batch.mean(dim=1, keepdim=True)).float(), config)


def wording(scene: Scene, rng: Random) -> str:
    """The canonical caption or, as often, another wording."""
    return caption(scene) if rng.random() < 0.5 else paraphrase(scene, rng)


def attributes(scene: Scene) -> list[int]:
    """The class of each of `ATTRIBUTES`, IGNORE where the scene says nothing.

    Two things beside each other look the same whichever is named first, so the groups of a
    picture are put in the order of KINDS (`in_order`) and the relation is read in that order.
    """
    told = facts(in_order(scene) if isinstance(scene, Picture) else scene)
    return [values.index(told[name]) if name in told else IGNORE for name, values in VALUES.items()]


def patch_labels(scene: Picture | Clip, seed: int, size: int, patch: int) -> Tensor:
    """PATCH_LABELS of each patch: (labels, G * G); IGNORE where there is nothing to name.

    A clip is labelled where its thing lies in the first or the last frame.
    """
    side = size // patch
    labels = torch.full((len(PATCH_LABELS), side, side), IGNORE)
    labels[3] = 0
    middles = (np.arange(side) + 0.5) * patch
    for group, x, y, radius in _lying(scene, seed):
        near = (middles[:, None] - y) ** 2 + (middles[None] - x) ** 2 < radius**2
        near[y // patch, x // patch] = True
        values = (KINDS.index(group.kind), COLOURS.index(group.colour), SIZES.index(group.size))
        for label, value in enumerate(values):
            labels[label][torch.from_numpy(near)] = value
        labels[3][torch.from_numpy(near)] = 1
        labels[3, y // patch, x // patch] = 2
    return labels.flatten(1)


def _lying(scene: Picture | Clip, seed: int) -> list[tuple[Group, int, int, float]]:
    """Each thing seen, with the pixel (x, y) at its centre and the radius it fills."""
    if isinstance(scene, Clip):
        group, places = Group(scene.kind, scene.colour, scene.size), track(scene, seed)
        return [(group, x, y, diameter / 2) for x, y, diameter in (places[0], places[-1])]
    return [
        (group, x, y, 4 if group.size == "small" else 7)
        for group, centres in zip(scene.groups, layout(scene, seed), strict=True)
        for x, y in centres
    ]


def centres(picture: Picture, seed: int) -> list[float]:
    """Where each of the things of `attributes` lies: the mean (x, y) of each slot, -1 to 1.

    NaN for what is not there.
    """
    middles = {
        group.kind: [
            2 * float(sum(axis)) / len(places) / SIDE - 1 for axis in zip(*places, strict=True)
        ]
        for group, places in zip(picture.groups, layout(picture, seed), strict=True)
    }
    told = [value for group in in_order(picture).groups for value in middles[group.kind]]
    return told + [math.nan] * (2 * SLOTS - len(told))


def crowd(rng: Random) -> Picture:
    """Nine things of any kind, colour and size: as many lessons in one picture as it can hold."""
    groups: list[Group] = []
    while len(groups) < 9:
        group = Group(rng.choice(KINDS), rng.choice(COLOURS), rng.choice(SIZES))
        if not is_held_out(Picture((group,))):
            groups.append(group)
    return Picture(tuple(groups), None, rng.choice(PLACES))


def alter(scene: Scene, rng: Random) -> Scene:
    """The scene with one attribute changed, or two groups' attributes exchanged; never held out."""
    while True:
        changed = _alter(scene, rng)
        if not is_held_out(changed) and attributes(changed) != attributes(scene):
            return changed


def _alter(scene: Scene, rng: Random) -> Scene:
    match scene:
        case Picture(groups, relation, _):
            ways = ["group"] * 4 + ["place"] + ["relation", "exchange"] * 2 * (relation is not None)
            match rng.choice(ways):
                case "place":
                    return replace(scene, place=rng.choice(PLACES))
                case "relation":
                    return replace(scene, relation=rng.choice(RELATIONS))
                case "exchange":
                    first, second = groups[:2]
                    name = rng.choice(("kind", "colour", "size"))
                    swapped = (
                        replace(first, **{name: getattr(second, name)}),
                        replace(second, **{name: getattr(first, name)}),
                    )
                    return replace(scene, groups=(*swapped, *groups[2:]))
            index = rng.randrange(len(groups))
            changed = _alter_group(groups[index], rng, single=relation is not None)
            kinds = {g.kind for i, g in enumerate(groups) if i != index}
            if changed.kind in kinds:
                return scene
            return replace(scene, groups=(*groups[:index], changed, *groups[index + 1 :]))
        case Sound() | Clip():
            return _redraw(scene, FIELDS[type(scene)], rng)


def _alter_group(group: Group, rng: Random, single: bool) -> Group:
    fields = FIELDS[Group]
    return _redraw(group, {k: v for k, v in fields.items() if k != "count" or not single}, rng)


def _redraw(thing: T, options: dict[str, Sequence[Any]], rng: Random) -> T:
    """The same thing with one of its fields drawn anew."""
    name = rng.choice(list(options))
    return replace(thing, **{name: rng.choice(options[name])})
