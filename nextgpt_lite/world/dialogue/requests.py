"""Requests for pictures, sounds and clips, with what they leave open filled in.

Knows: how a wish is worded with some attributes unsaid, and which scene it then means.
Leaves to others: the frames (`wordings`) and the reply (`parts`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import NamedTuple, TypeVar

from nextgpt_lite.world import phrases
from nextgpt_lite.world.describe import article, join_groups, noun, place_words, tidy
from nextgpt_lite.world.dialogue.parts import DEFAULTS, clip_of, default_sound, free, permitted
from nextgpt_lite.world.dialogue.wordings import say
from nextgpt_lite.world.scene import (
    MAX_COUNT,
    Clip,
    Group,
    Picture,
    Scene,
    Sound,
    Split,
    fits,
    sample_clip,
    sample_picture,
    sample_sound,
    swapped,
)

ALIVE = ("dog", "cat", "bird", "man", "woman")
LOSSES = (("lose", "lost"), ("give away", "gave away"), ("sell", "sold"))
EATING = (("eat", "ate"),)
GAINS = (("get", "got"), ("buy", "bought"), ("find", "found"))
# What can be wished for together, in the order of the answer.
SEVERAL = (
    ("image", "video", "audio"), ("image", "audio"), ("image", "video"), ("video", "audio"),
)  # fmt: skip


class Request(NamedTuple):
    """What is said, and the scenes to answer with (none: the answer is `reply` alone)."""

    text: str
    scenes: tuple[Scene, ...]
    reply: str = ""


class Story(NamedTuple):
    """A sum told as a story: "I have 7 red apples and eat one."; `after` may count zero."""

    text: str
    sign: str
    before: Group
    after: Group


def some_group(group: Group, rng: Random) -> tuple[Group, str]:
    """The group with some attributes left to their defaults, and the words that remain."""
    says_size, says_colour = rng.random() < 0.6, rng.random() < 0.8
    meant = Group(
        group.kind,
        group.colour if says_colour else DEFAULTS.colours[group.kind],
        group.size if says_size else DEFAULTS.size,
        group.count,
    )
    size = rng.choice(phrases.SIZE_WORDS[group.size]) if says_size else ""
    words = tidy(f"{size} {group.colour if says_colour else ''} {noun(group.kind, group.count)}")
    if group.count == 1:
        return meant, article(words) if rng.random() < 0.9 else f"one {words}"
    return meant, f"{number(group.count, rng)} {words}"


def number(value: int, rng: Random) -> str:
    """A number in words, or now and then in digits."""
    return str(value) if rng.random() < 0.3 else phrases.NUMBER_WORDS[value]


def somewhere(place: str, rng: Random, moving: bool = False) -> str:
    """Words for a place; empty for the plain one."""
    return rng.choice(place_words(place, moving))


def draw(rng: Random, split: Split, groups: int | None = None) -> Request:
    """A wish for a picture of one to three groups."""
    picture, words = _until_split(lambda: _some_picture(rng, split, groups), split)
    one = picture.groups[0].count == 1 and (len(picture.groups) == 1 or picture.relation)
    text = say(
        "draw", split, rng, things=words,
        look="looks" if one else "look", do="does" if one else "do",
    )  # fmt: skip
    return Request(text, (picture,))


def hear(rng: Random, split: Split) -> Request:
    """A wish for a sound."""
    sound = sample_sound(rng)
    kind = sound.kind
    thing = article(kind)
    if rng.random() < 0.3:
        return Request(say("hear_bare", split, rng, thing=thing), (default_sound(kind),))
    says_times, says_pitch = rng.random() < 0.7, rng.random() < 0.5
    sound = Sound(
        kind,
        sound.times if says_times else DEFAULTS.times,
        sound.pitch if says_pitch else DEFAULTS.pitch,
    )
    times = rng.choice(phrases.TIMES_PHRASES[sound.times]) if says_times else ""
    pitch = rng.choice(phrases.PITCH_PHRASES).format(pitch=sound.pitch) if says_pitch else ""
    count = number(sound.times, rng) if says_times else "one"
    high = sound.pitch if says_pitch else ""
    noises = phrases.NOISES[kind][0 if sound.times == 1 else 1]
    text = say(
        "hear", split, rng,
        infinitive=tidy(f"{thing} {phrases.INFINITIVES[kind]} {times} {pitch}"),
        gerund=tidy(f"{thing} {phrases.GERUNDS[kind]} {times} {pitch}"),
        finite=tidy(f"{thing} {phrases.VERBS[kind]} {times} {pitch}"),
        noises=tidy(f"{count} {high} {noises} of {thing}"),
    )  # fmt: skip
    return Request(text, (sound,))


def film(rng: Random, split: Split) -> Request:
    """A wish for a clip."""

    def some_clip() -> tuple[Clip, tuple[str, str, bool]]:
        clip = sample_clip(rng, split)
        group, words = some_group(Group(clip.kind, clip.colour, clip.size), rng)
        bare = rng.random() < 0.15
        motion = DEFAULTS.motion if bare else clip.motion
        place = somewhere(clip.place, rng, moving=True)
        return clip_of(group, clip.place, motion), (words, place, bare)

    clip, (words, place, bare) = _until_split(some_clip, split)
    if bare:
        text = say("film_bare", split, rng, thing=tidy(f"{words} {place}"))
        return Request(text, (clip,))
    moves, move, moving = rng.choice(phrases.MOTION_WORDS[clip.motion])
    text = say(
        "film", split, rng,
        infinitive=tidy(f"{words} {move} {place}"),
        gerund=tidy(f"{words} {moving} {place}"),
        finite=tidy(f"{words} {moves} {place}"),
    )  # fmt: skip
    return Request(text, (clip,))


def several(rng: Random, split: Split) -> Request:
    """A wish for two or three media of one thing at once."""

    def single() -> tuple[Picture, str]:
        picture = sample_picture(rng, split, groups=1)
        group, words = some_group(one_of(picture.groups[0]), rng)
        place = somewhere(picture.place, rng)
        return Picture((group,), None, picture.place), tidy(f"{words} {place}")

    picture, words = _until_split(single, split)
    wanted = rng.choice(SEVERAL)
    text = say(f"several_{'_'.join(wanted)}", split, rng, thing=words)
    return Request(text, media_of(picture.groups[0], picture.place, wanted))


def media_of(group: Group, place: str, wanted: tuple[str, ...]) -> tuple[Scene, ...]:
    """The same thing as picture, clip and sound, as far as wanted and in that order."""
    every: dict[str, Scene] = {
        "image": Picture((group,), None, place),
        "video": clip_of(group, place),
        "audio": default_sound(group.kind),
    }
    return tuple(every[modality] for modality in wanted)


def story(rng: Random, split: Split) -> Story:
    """A sum of small numbers told as a story; now and then nothing is left."""
    while True:
        group = sample_picture(rng, split, groups=1).groups[0]
        sign = rng.choice(("minus", "plus"))
        before, change = rng.randint(1, MAX_COUNT), rng.randint(1, MAX_COUNT - 1)
        after = before - change if sign == "minus" else before + change
        if (before == 1 and sign == "minus") or not 0 <= after <= MAX_COUNT:
            continue
        if after == 0 and rng.random() < 0.5:
            continue
        meant, words = some_group(replace(group, count=before), rng)
        final = replace(meant, count=after)
        if after and not fits(Picture((final,)), split):
            continue
        if not (free(group.kind, before, split) and permitted(Picture((meant,)), split)):
            continue
        if before == 1 and not words.startswith("one "):
            words = f"one {words.split(' ', 1)[1]}"
        return Story(_tell_story(words, sign, meant, change, rng, split), sign, meant, final)


def _tell_story(
    words: str, sign: str, before: Group, change: int, rng: Random, split: Split
) -> str:
    alive = before.kind in ALIVE
    losses = LOSSES + EATING * 2 * (before.kind == "apple")
    lose, lost = rng.choice(losses)
    gain, gained = rng.choice(GAINS)
    one = change == 1
    return say(
        f"story_{'alive' if alive else 'owned'}_{sign}", split, rng,
        many=words, n=number(change, rng), be="is" if before.count == 1 else "are",
        lose=lose, lost=lost, gain=gain, gained=gained,
        leave=rng.choice(("leaves", "goes away") if one else ("leave", "go away")),
        come=rng.choice(("comes", "arrives") if one else ("come", "arrive")),
    )  # fmt: skip


def arithmetic(rng: Random, split: Split) -> Request:
    """A story, and the wish to see how it ends."""
    told = story(rng, split)
    text = f"{told.text} {say(f'story_draw_{told.sign}', split, rng)}"
    if told.after.count == 0:
        return Request(text, (), "There is nothing left to draw.")
    return Request(text, (Picture((told.after,)),))


def reworded(rng: Random, split: Split) -> Request:
    """A relation, to be drawn beginning with the one or the other of its two things."""

    def related() -> tuple[Picture, tuple[str, str, str]]:
        picture = sample_picture(rng, split, groups=2)
        if picture.relation is None:
            return related()
        told = [some_group(g, rng) for g in picture.groups]
        groups = tuple(group for group, _ in told)
        return Picture(groups, picture.relation), (told[0][1], told[1][1], picture.relation)

    picture, (first, second, relation) = _until_split(related, split)
    begin = rng.choice((0, 1, 1, 1))  # mostly the one that asks for rewording
    text = say(
        "reword", split, rng, First=first[0].upper() + first[1:], first=first,
        second=second, relation=rng.choice(phrases.RELATION_WORDS[relation]),
        kind=picture.groups[begin].kind,
    )  # fmt: skip
    return Request(text, (swapped(picture) if begin else picture,))


def one_of(group: Group) -> Group:
    """A single one of the things."""
    return replace(group, count=1)


def _some_picture(rng: Random, split: Split, groups: int | None) -> tuple[Picture, str]:
    picture = sample_picture(rng, split, groups)
    told = [some_group(g, rng) for g in picture.groups]
    relation = rng.choice(phrases.RELATION_WORDS[picture.relation]) if picture.relation else None
    things = join_groups(tuple(words for _, words in told), relation)
    meant = Picture(tuple(g for g, _ in told), picture.relation, picture.place)
    return meant, tidy(f"{things} {somewhere(picture.place, rng)}")


S = TypeVar("S", Picture, Clip)
W = TypeVar("W")


def _until_split(make: Callable[[], tuple[S, W]], split: Split) -> tuple[S, W]:
    """Draws again until what is meant, defaults filled in, belongs to the split."""
    while True:
        scene, words = make()
        if fits(scene, split):
            return scene, words
