"""Things, deeds and motions in the words people type.

Knows: how what is meant (what was said of it, and what was not) becomes a phrase.
Leaves to others: reading the world's own phrases (`reading`), whole sentences (`reword`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random

from nextgpt_lite.world.dialogue.parts import DEFAULTS
from nextgpt_lite.world.dialogue.typed.lexicon import (
    Form,
    article,
    bend,
    pick,
    plural,
    singular,
    words,
)

IDLE = 0.1  # share of nouns with an adjective that changes nothing
BEHIND = 0.16  # share of colours and sizes that stand behind the noun
_BEHIND = ("{0}, {1}", "{0} ({1})", "{0} that {be} {1}", "{0}, {1} {ones}", "{0} {1}")
_COLOUR_BEHIND = (
    *_BEHIND, "{0} in {1}", "{0} painted {1}", "{0} of {1} colour", "{0} of colour {1}",
    "{0} in the colour {1}",
)  # fmt: skip


@dataclass(frozen=True)
class Said:
    """What is said of a group: None for what is not. `definite` for "the dog"."""

    kind: str
    count: int = 1
    size: str | None = None
    colour: str | None = None
    definite: bool = False


@dataclass(frozen=True)
class Things:
    """What is said of a picture."""

    groups: tuple[Said, ...]
    relation: str | None = None
    place: str = "plain"


@dataclass(frozen=True)
class Deed:
    """What is said of a sound; `times` 0 and `pitch` None where nothing is."""

    kind: str
    times: int = 0
    pitch: str | None = None


def noun(kind: str, count: int, rng: Random) -> str:
    """Any name of the kind; a hypernym such as "animal" seldom."""
    name = pick(words("kinds", kind), rng)
    return singular(name) if count == 1 else plural(name)


def thing(said: Said, rng: Random, bare: bool = False) -> str:
    """One group: "a cute crimson puppy", "half a dozen bells, blue"; `bare` without article."""
    name = noun(said.kind, said.count, rng)
    before: list[str] = []
    behind: list[str] = []
    if rng.random() < IDLE:
        before.append(pick(words("idle"), rng))
    # What is meant anyway need not be said.
    says_size = said.size and not (said.size == DEFAULTS.size and rng.random() < 0.5)
    usual = said.colour == DEFAULTS.colours[said.kind]
    says_colour = said.colour and not (usual and rng.random() < 0.3)
    size = pick(words("sizes", str(said.size)), rng) if says_size else ""
    colour = pick(words("colours", str(said.colour)), rng) if says_colour else ""
    for attribute in filter(None, (size, colour)):
        (behind if rng.random() < BEHIND else before).append(attribute)
    if len(before) > 1 and rng.random() < 0.15:
        rng.shuffle(before)
    name = " ".join([*before, name])
    if said.definite:
        name = f"the {name}"
    elif said.count > 1:
        name = f"{number(said.count, rng)} {name}"
    elif not bare:
        det = "a" if rng.random() < 0.55 else rng.choice(words("ones"))
        name = article(name) if det == "a" else f"{det} {name}"
    if not behind:
        return name
    joined = rng.choice((" and ", ", ", " ")).join(behind)
    be = "is" if said.count == 1 else "are"
    ways = _COLOUR_BEHIND if behind == [colour] else _BEHIND
    ones = "one" if said.count == 1 else "ones"
    return rng.choice(ways).format(name, joined, be=be, ones=ones)


def number(count: int, rng: Random) -> str:
    """A number before a noun."""
    return str(pick(words("counts")[count], rng)) if count > 1 else rng.choice(("one", "1", "one"))


def plain_number(count: int, rng: Random) -> str:
    """A number that can stand alone."""
    named = ("zero", "one", "two", "three", "four", "five", "six", "seven")[count]
    return rng.choice((named, named, str(count)))


def place(name: str, rng: Random, moving: bool = False) -> str:
    """Words for a place, none for the plain one."""
    if name == "plain":
        return ""
    if moving and name == "sky":
        return str(pick(words("places_moving", "sky"), rng))
    return str(pick(words("places", name), rng))


def things(said: Things, rng: Random) -> str:
    """All groups, how they stand to each other, and where."""
    bare = rng.random() < 0.18
    told = [thing(group, rng, bare) for group in said.groups]
    text = told[0] if len(told) == 1 else _joined(said, told, rng)
    if len(told) == 3:
        third = (", and {}", " and {}", ", plus {}", ", {} too", " and also {}", ", {}")
        text += rng.choice(third).format(told[2])
    where = place(said.place, rng)
    if not where:
        return text
    return f"{where}, {text}" if rng.random() < 0.08 else f"{text} {where}"


def _joined(said: Things, told: list[str], rng: Random) -> str:
    first, second = said.groups[:2]
    if said.relation is None:
        return pick(words("joins"), rng).format(X=told[0], Y=told[1])
    him = {"man": ("his", "him"), "woman": ("her", "her")}.get(first.kind, ("its", "it"))
    name = singular(pick(words("kinds", second.kind)[:3], rng))
    return pick(words("relations", said.relation), rng).format(
        X=told[0], Y=told[1], its=him[0], it=him[1], Y0=f"the {name}", x=first.kind
    )


def side(relation: str, rng: Random) -> str:
    """A relation before what it holds of."""
    return str(pick(words("sides", relation), rng))


def motion(name: str, form: Form, rng: Random) -> str:
    """A motion as a verb."""
    table = words("motions", name)
    if "whole" in table and rng.random() < 0.5:
        return bend(rng.choice(table["whole"]), form)
    return f"{bend(rng.choice(table['verbs']), form)} {rng.choice(table['tails'])}"


def deed(said: Deed, form: Form, rng: Random) -> str:
    """A thing that makes its noise, as often and as high as is said."""
    verb = bend(pick(words("deeds", said.kind, "verbs"), rng), form)
    return f"{thing(Said(said.kind), rng)} {verb}{_tail(said, rng)}"


def _tail(said: Deed, rng: Random) -> str:
    parts = [pick(words("times")[said.times], rng)] if said.times else []
    if said.pitch:
        parts.append(pick(words("pitches", said.pitch), rng))
    rng.shuffle(parts)
    return "".join(f" {part}" for part in parts)


def noises(said: Deed, rng: Random) -> str:
    """ "two high pitched barks of a dog", "three dog barks"."""
    name = pick(words("deeds", said.kind, "noises"), rng)
    count = said.times or 1
    name = name if count == 1 else plural(name)
    pitch = f"{pick(words('pitch_words', said.pitch), rng)} " if said.pitch else ""
    many = number(count, rng) if said.times else rng.choice(("a", "one", "a single"))
    owner = noun(said.kind, 1, rng)
    rest = pitch + rng.choice(("{0} of {1}", "{2} {0}", "{0} from {1}", "{0} of the {2}"))
    rest = rest.format(name, article(owner), owner)
    return article(rest) if many == "a" else f"{many} {rest}"


def medium(modality: str, rng: Random) -> str:
    """A word for the medium: "photo", "noise", "gif"."""
    return str(pick(words("media", modality), rng))


def media_slots(rng: Random) -> dict[str, str]:
    """Words for all three media, with and without article."""
    slots = {}
    for name, modality in (("pic", "image"), ("sound", "audio"), ("clip", "video")):
        word = medium(modality, rng)
        slots[name] = article(word) if rng.random() < 0.85 else f"the {word}"
        slots[f"{name}s"] = medium(modality, rng)
    return slots


def tidy(text: str) -> str:
    """One blank between words, none before a mark."""
    return re.sub(r"\s+([,.?!;:])", r"\1", re.sub(r"\s+", " ", text)).strip()
