"""Wishes and turns that the world's own users never have, worded as people type them.

Knows: several media of different things, what is wanted "not this but that", anything at all,
corrections within a message, "double that", "no, the other one", and the wish for no medium.
Leaves to others: rewording what the world's users say (`reword`), what cannot be done (`outside`).
"""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Final

from nextgpt_lite.world.dialogue.edits import with_group
from nextgpt_lite.world.dialogue.parts import (
    DEFAULTS,
    clip_of,
    default_group,
    default_sound,
    permitted,
)
from nextgpt_lite.world.dialogue.state import State, Turn, only_group, shown
from nextgpt_lite.world.dialogue.typed import phrasing
from nextgpt_lite.world.dialogue.typed.keyboard import typed
from nextgpt_lite.world.dialogue.typed.lexicon import article, frame, pick, words
from nextgpt_lite.world.dialogue.typed.phrasing import Deed, Said, Things
from nextgpt_lite.world.scene import (
    COLOURS,
    KINDS,
    MAX_COUNT,
    SIZES,
    Group,
    Picture,
    Scene,
    Split,
    sample_clip,
    sample_picture,
    sample_sound,
)

NO_MEDIUM_ANSWER: Final = "All right, I show and play nothing."
BESIDE: Final = "left of"  # how the first of three kinds stands to the second where nothing is said
Wish = tuple[str, tuple[Scene, ...]]


def wish(rng: Random, scenes: Split, wording: Split) -> Wish:
    """One message as typed, and the scenes it wants."""
    maker = rng.choices(
        (_assorted, _not_this, _corrected, _anything, _plain, _three), (8, 4, 2, 2, 12, 6)
    )[0]
    while True:
        text, wanted = maker(rng, wording)
        if all(permitted(scene, scenes) for scene in wanted):
            return typed(phrasing.tidy(text), rng, wording), wanted


def no_medium(rng: Random, wording: Split) -> str:
    """The wish that nothing is made."""
    text = frame("no_media", wording, rng).format(**phrasing.media_slots(rng))
    return typed(text, rng, wording)


# ---- wishes


def _said(group: Group, rng: Random) -> tuple[Group, Said]:
    """The group with what is left unsaid set to what is then meant."""
    says_size, says_colour = rng.random() < 0.3, rng.random() < 0.65
    size, colour = group.size if says_size else None, group.colour if says_colour else None
    usual = DEFAULTS.colours[group.kind]
    meant = Group(group.kind, colour or usual, size or DEFAULTS.size, group.count)
    return meant, Said(group.kind, group.count, size, colour)


def _one(rng: Random, modality: str) -> tuple[str, Scene]:
    """A wish for one medium as a phrase of its own: "a photo of a red car"."""
    medium = article(phrasing.medium(modality, rng))
    if modality == "image":
        group, said = _said(sample_picture(rng, "any", groups=1).groups[0], rng)
        place = rng.choice(("plain", "plain", "garden", "street", "table", "sky"))
        told = phrasing.things(Things((said,), None, place), rng)
        return f"{medium} of {told}", Picture((group,), None, place)
    if modality == "audio":
        sound = sample_sound(rng)
        if rng.random() < 0.6:
            return f"{medium} of {phrasing.thing(Said(sound.kind), rng)}", default_sound(sound.kind)
        deed = Deed(sound.kind, sound.times, sound.pitch if rng.random() < 0.4 else None)
        told = rng.choice(
            (phrasing.noises(deed, rng), f"{medium} of {phrasing.deed(deed, 'gerund', rng)}")
        )
        return told, replace(sound, pitch=deed.pitch or DEFAULTS.pitch)
    clip = sample_clip(rng, "any")
    group, said = _said(Group(clip.kind, clip.colour, clip.size), rng)
    thing = phrasing.thing(said, rng)
    if rng.random() < 0.3:
        return f"{medium} of {thing}", clip_of(group, "plain")
    told = f"{medium} of {thing} {phrasing.motion(clip.motion, 'gerund', rng)}"
    return told, clip_of(group, "plain", clip.motion)


def _assorted(rng: Random, wording: Split) -> Wish:
    number = rng.choice((2, 2, 2, 3))
    wanted = [_one(rng, m) for m in rng.choices(("image", "audio", "video"), (4, 4, 3), k=number)]
    template = frame(f"assorted{number}", wording, rng)
    texts, scenes = zip(*wanted, strict=True)
    return template.format(**dict(zip("abc", texts, strict=False))), scenes


def _not_this(rng: Random, wording: Split) -> Wish:
    kind, other = rng.sample(KINDS, 2)
    group, said = _said(Group(kind, rng.choice(COLOURS), rng.choice(SIZES)), rng)
    text = frame("not_this", wording, rng).format(
        things=phrasing.thing(said, rng),
        other=phrasing.thing(Said(other), rng),
        other_bare=phrasing.noun(other, 1, rng),
    )
    return text, (Picture((group,)),)


def _corrected(rng: Random, wording: Split) -> Wish:
    group, said = _said(sample_picture(rng, "any", groups=1).groups[0], rng)
    colour = rng.choice([c for c in COLOURS if c != group.colour])
    text = frame("corrected", wording, rng).format(
        things=phrasing.thing(said, rng), colour=pick(words("colours", colour), rng)
    )
    return text, (Picture((replace(group, colour=colour),)),)


def _anything(rng: Random, wording: Split) -> Wish:
    """Something: a dog; anything but a dog: a cat."""
    slots = phrasing.media_slots(rng)
    key = rng.choice(
        ("anything", "anything", "play_anything", "film_anything", "anything_but", "anything_but")
    )
    kind = rng.choice(("dog", "dog", *KINDS)) if key == "anything_but" else "cat"
    template = frame(key, wording, rng)
    if key == "anything_but":
        slots |= {"thing": phrasing.thing(Said(kind), rng)}
        slots |= {"bare": phrasing.noun(kind, rng.choice((1, 2)), rng)}
    dog = default_group("cat" if kind == "dog" else "dog")
    shown: dict[str, Scene] = {
        "play_anything": default_sound("dog"), "film_anything": clip_of(dog, "plain")
    }  # fmt: skip
    return template.format(**slots), (shown.get(key, Picture((dog,))),)


def _plain(rng: Random, wording: Split) -> Wish:
    """Little said, of one to three kinds, as most people do."""
    picture = sample_picture(rng, "any", groups=rng.choice((1, 1, 2, 2, 3)))
    told = [_said(group, rng) for group in picture.groups]
    relation = picture.relation if len(told) == 3 or rng.random() < 0.5 else None
    said = Things(tuple(s for _, s in told), relation, rng.choice(("plain", picture.place)))
    text = frame("draw", wording, rng).format(
        things=phrasing.things(said, rng), **phrasing.media_slots(rng)
    )
    return text, (Picture(tuple(g for g, _ in told), relation, said.place),)


def _three(rng: Random, wording: Split) -> Wish:
    """Three kinds in a list."""
    told = [
        _said(Group(kind, rng.choice(COLOURS), rng.choice(SIZES)), rng)
        for kind in rng.sample(KINDS, 3)
    ]
    place = rng.choice(("plain", "plain", "garden", "street", "table", "sky"))
    bare = rng.random() < 0.3
    names = [phrasing.thing(said, rng, bare) for _, said in told]
    listed = rng.choice(
        ("{}, {} and {}", "{}, {}, {}", "{} and {} and {}", "{}, {}, and {}", "{} + {} + {}")
    )
    things = f"{listed.format(*names)} {phrasing.place(place, rng)}".strip()
    text = frame("draw", wording, rng).format(things=things, **phrasing.media_slots(rng))
    return text, (Picture(tuple(group for group, _ in told), BESIDE, place),)


# ---- turns behind others


def double(state: State) -> Turn | None:
    """Twice or half as many."""
    group = only_group(state)
    if group is None:
        return None
    halve = group.count % 2 == 0 and state.rng.random() < 0.5
    count = group.count // 2 if halve else group.count * 2
    if count > MAX_COUNT:
        return None
    text = frame("halve" if halve else "double", "train", state.rng)
    return shown(
        state, "arithmetic", text, Picture((replace(group, count=count),), None, state.place)
    )


def other_one(rng: Random, scenes: Split, wording: Split) -> list[Turn]:
    """Two things are asked for, one of them is changed, and then the other should have been."""
    while True:
        picture = sample_picture(rng, scenes, groups=2)
        if any(group.count > 1 for group in picture.groups):
            continue
        index, colour = rng.randrange(2), rng.choice(COLOURS)
        first, second = (
            with_group(picture, i, replace(picture.groups[i], colour=colour))
            for i in (index, 1 - index)
        )
        if picture in (first, second) or not all(permitted(s, scenes) for s in (first, second)):
            continue
        groups = tuple(Said(g.kind, g.count, g.size, g.colour) for g in picture.groups)
        said = Things(groups, picture.relation, picture.place)
        asked = frame("draw", wording, rng).format(
            things=phrasing.things(said, rng), **phrasing.media_slots(rng)
        )
        kind = picture.groups[index].kind
        change = frame("recolour", wording, rng).format(
            it=f"the {phrasing.noun(kind, 1, rng)}", colour=pick(words("colours", colour), rng)
        )
        texts = [asked, change, frame("other_one", wording, rng)]
        told = [typed(phrasing.tidy(text), rng, wording) for text in texts]
        return [
            Turn("recolour", text, shown=(scene,))
            for text, scene in zip(told, (picture, first, second), strict=True)
        ]
