"""The world's own user phrases, read back into what they say.

Knows: the regular language that `dialogue.requests` and its neighbours write. Leaves to others:
saying the same as people do (`phrasing`), whole sentences (`reword`).
"""

from __future__ import annotations

import re
from functools import cache

from nextgpt_lite.world import phrases
from nextgpt_lite.world.dialogue.typed.phrasing import Deed, Said, Things
from nextgpt_lite.world.scene import COLOURS, KINDS, PITCHES

NUMBERS = {
    **{word: n for n, word in enumerate(phrases.NUMBER_WORDS)},
    **{str(n): n for n in range(8)},
    "a": 1,
    "an": 1,
}
NOUNS = {
    **{kind: (kind, 1) for kind in KINDS},
    **{many: (kind, 2) for kind, many in phrases.PLURALS.items()},
}
SIZES_OF = {word: size for size, ways in phrases.SIZE_WORDS.items() for word in ways}
SIDES_OF = {way: name for name, ways in phrases.RELATION_WORDS.items() for way in ways}
PLACES_OF = {way: place for place, ways in phrases.PLACE_PHRASES.items() for way in ways if way}
TIMES_OF = {way: n for n, ways in phrases.TIMES_PHRASES.items() for way in ways}
MOTIONS_OF = {
    form: motion
    for motion, ways in phrases.MOTION_WORDS.items()
    for forms in ways
    for form in forms
}
_VERB_FORMS = (phrases.VERBS, phrases.INFINITIVES, phrases.GERUNDS)


def one_of(ways: object) -> str:
    """A pattern for any of the ways, the longest first."""
    return "|".join(sorted(map(re.escape, ways), key=len, reverse=True))  # type: ignore[call-overload]


def _group(index: int) -> str:
    return (
        rf"(?:(?P<n{index}>{one_of(NUMBERS)}) )(?:(?P<s{index}>{one_of(SIZES_OF)}) )?"
        rf"(?:(?P<c{index}>{one_of(COLOURS)}) )?(?P<k{index}>{one_of(NOUNS)})"
    )


@cache
def _things() -> re.Pattern[str]:
    place = rf"(?: (?P<place>{one_of(PLACES_OF)}))?"
    related = rf" (?P<relation>{one_of(SIDES_OF)}) {_group(1)}(?:, and {_group(2)})?"
    return re.compile(rf"{_group(0)}(?:{related}| and {_group(3)})?{place}", re.I)


@cache
def _deed() -> re.Pattern[str]:
    verbs = one_of({verb for table in _VERB_FORMS for verb in table.values()})
    ways = one_of(p.format(pitch="~") for p in phrases.PITCH_PHRASES).replace("\\~", "~")
    pitch = ways.replace("~", f"(?:{one_of(PITCHES)})")
    return re.compile(
        rf"an? (?P<kind>{one_of(KINDS)}) (?:{verbs})(?: (?P<times>{one_of(TIMES_OF)}))?"
        rf"(?: (?P<pitch>{pitch}))?",
        re.I,
    )


@cache
def _noises() -> re.Pattern[str]:
    names = one_of({name for pair in phrases.NOISES.values() for name in pair})
    return re.compile(
        rf"(?P<n>{one_of(NUMBERS)}) (?:(?P<pitch>{one_of(PITCHES)}) )?(?:{names}) of an? "
        rf"(?P<kind>{one_of(KINDS)})",
        re.I,
    )


@cache
def _moving() -> re.Pattern[str]:
    place = rf"(?: (?P<place>{one_of(PLACES_OF)}))?"
    return re.compile(rf"{_group(0)} (?P<motion>{one_of(MOTIONS_OF)}){place}", re.I)


def things(text: str) -> Things | None:
    """What is said of things; None for anything else."""
    found = _things().fullmatch(text)
    if found is None:
        return None
    part = found.groupdict()
    groups = tuple(_said(part, index) for index in range(4) if part[f"k{index}"])
    relation = SIDES_OF[part["relation"].lower()] if part["relation"] else None
    return Things(groups, relation, PLACES_OF[part["place"].lower()] if part["place"] else "plain")


def _said(part: dict[str, str | None], index: int) -> Said:
    size, colour = part[f"s{index}"], part[f"c{index}"]
    return Said(
        NOUNS[str(part[f"k{index}"]).lower()][0],
        NUMBERS[str(part[f"n{index}"]).lower()],
        SIZES_OF[size.lower()] if size else None,
        colour.lower() if colour else None,
    )


def moving(text: str) -> tuple[Things, str] | None:
    """One thing with its place, and its motion."""
    found = _moving().fullmatch(text)
    if found is None:
        return None
    part = found.groupdict()
    place = PLACES_OF[part["place"].lower()] if part["place"] else "plain"
    return Things((_said(part, 0),), None, place), MOTIONS_OF[part["motion"].lower()]


def deed(text: str) -> Deed | None:
    """A thing that is heard."""
    if found := _noises().fullmatch(text):
        return Deed(found["kind"].lower(), NUMBERS[found["n"].lower()], found["pitch"])
    if found := _deed().fullmatch(text):
        pitch = next((p for p in PITCHES if p in (found["pitch"] or "").split()), None)
        return Deed(found["kind"].lower(), TIMES_OF.get(found["times"] or "", 0), pitch)
    return None


def definite(text: str) -> Said | None:
    """ "the dog" or "the dogs"."""
    found = re.fullmatch(rf"the (?P<noun>{one_of(NOUNS)})", text, re.I)
    if found is None:
        return None
    kind, count = NOUNS[found["noun"].lower()]
    return Said(kind, count, definite=True)
