"""The bricks of every conversation: messages, replies, and what a request leaves open.

Knows: the defaults, how a scene becomes a media part, and how a reply presents media.
Leaves to others: what is asked (`requests`, `questions`, `turns`).
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final

from nextgpt_lite.messages import Message, Part
from nextgpt_lite.world.describe import caption
from nextgpt_lite.world.rendered import Rendered
from nextgpt_lite.world.scene import (
    HELD_OUT_COLOURS,
    HELD_OUT_COUNTS,
    MODALITY_OF,
    Clip,
    Group,
    Picture,
    Scene,
    Sound,
    Split,
    is_held_out,
)


@dataclass(frozen=True)
class Defaults:
    """What a reply shows where the request says nothing."""

    colours: dict[str, str]
    size: str
    count: int
    place: str
    times: int
    pitch: str
    motion: str


# The one table of it; none of the colours belongs to a held-out pair.
DEFAULTS: Final = Defaults(
    colours={
        "apple": "red", "car": "blue", "dog": "orange", "cat": "black", "bird": "yellow",
        "bell": "yellow", "drum": "red", "train": "green", "man": "blue", "woman": "purple",
    },
    size="large", count=1, place="plain", times=1, pitch="low", motion="right",
)  # fmt: skip
BRIEF: Final = {
    "image": "Here is the picture.", "audio": "Here is the sound.", "video": "Here is the clip.",
    "several": "Here they are.",
}  # fmt: skip


def default_group(kind: str) -> Group:
    """The thing as it is drawn when only its name is said."""
    return Group(kind, DEFAULTS.colours[kind], DEFAULTS.size, DEFAULTS.count)


def default_sound(kind: str) -> Sound:
    """The thing as it is heard when only its name is said."""
    return Sound(kind, DEFAULTS.times, DEFAULTS.pitch)


def clip_of(group: Group, place: str, motion: str = DEFAULTS.motion) -> Clip:
    """One thing of the group, set in motion."""
    return Clip(group.kind, group.colour, motion, group.size, place)


def free(kind: str, value: str | int, split: Split) -> bool:
    """True when the pair of a kind and a colour, or a kind and a count, may occur in the split."""
    held_out = (kind, value) in HELD_OUT_COLOURS or (kind, value) in HELD_OUT_COUNTS
    return split != "train" or not held_out


def permitted(scene: Scene, split: Split) -> bool:
    """True when a scene on the way may occur in the split; only "train" leaves any out."""
    return split != "train" or not is_held_out(scene)


def modality_of(scene: Scene) -> str:
    """ "image", "audio" or "video"."""
    return MODALITY_OF[type(scene)]


def sentence(text: str) -> str:
    """With a capital at its beginning and a full stop at its end."""
    text = text[0].upper() + text[1:]
    return text if text[-1] in ".?!" else f"{text}."


def media_part(scene: Scene) -> Part:
    """A part without its data: rendering happens when the data are wanted."""
    return {
        "type": modality_of(scene),
        "caption": caption(scene),
        "scene": scene,
        "source": Rendered(scene),
    }


def text_part(text: str) -> Part:
    """A part that is words."""
    return {"type": "text", "text": text}


def user(text: str, *scenes: Scene, text_first: bool = False) -> Message:
    """What the user says, behind (or before) the media given with it."""
    media = [media_part(s) for s in scenes]
    words = [text_part(text)]
    return {"role": "user", "content": words + media if text_first else media + words}


def assistant(*parts: str | Scene) -> Message:
    """A reply; strings become text parts, scenes media parts."""
    content = [text_part(p) if isinstance(p, str) else media_part(p) for p in parts]
    return {"role": "assistant", "content": content}


def telling(scene: Scene) -> str:
    """A sentence that tells what the medium after it shows, in the words of its caption."""
    match scene:
        case Picture(groups):
            be = "is" if groups[0].count == 1 else "are"
            return sentence(f"Here {be} {caption(scene)}")
        case Sound():
            return sentence(f"Listen: {caption(scene)}")
        case Clip():
            return sentence(f"Watch: {caption(scene)}")


def present(scenes: tuple[Scene, ...], rng: Random, tells: bool) -> Message:
    """The reply that shows scenes: each told in words before it, or all behind a brief sentence."""
    if tells:
        return assistant(*(p for scene in scenes for p in (telling(scene), scene)))
    key = modality_of(scenes[0]) if len(scenes) == 1 else "several"
    return assistant(rng.choice((BRIEF[key], "Here you are.")), *scenes)
