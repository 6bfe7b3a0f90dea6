"""What the world's own users say, said again as people type it; what is meant stays.

Knows: which sentence of `dialogue.wordings` (or which question) a text is, what stands in its
slots, and how frames.yaml and questions.yaml put the same. Leaves to others: phrases (`phrasing`),
typing (`keyboard`).

A text that is none of them is left as it is, but for how it is typed.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from functools import cache
from random import Random

from nextgpt_lite.world.dialogue import wordings
from nextgpt_lite.world.dialogue.typed import phrasing, reading
from nextgpt_lite.world.dialogue.typed.keyboard import typed
from nextgpt_lite.world.dialogue.typed.lexicon import (
    FORMS,
    choose,
    frame,
    load,
    pick,
    singular,
    words,
)
from nextgpt_lite.world.dialogue.typed.phrasing import Said
from nextgpt_lite.world.dialogue.typed.reading import one_of
from nextgpt_lite.world.scene import COLOURS, SIZES, Split

Slots = dict[str, str]
# What stands in a slot: a pattern where it is a word of few, a reader where it is a phrase.
_ANY = r".+?"
_LOOKS = (
    "in the {} picture: {}", "{} picture: {}", "about the {} picture, {}", "look at the {} one. {}",
    "in the {} one, {}", "{} image, {}",
)  # fmt: skip
_PATTERNS: dict[str, str] = {
    "colour": one_of(COLOURS),
    "size": one_of(SIZES),
    "place": one_of(reading.PLACES_OF),
    "relation": one_of(reading.SIDES_OF),
    "times": one_of(reading.TIMES_OF),
    "kind": r"\w+",
    "move": one_of(reading.MOTIONS_OF),
    "higher": "higher|lower",
    "high": "high|low",
    "look": "looks?",
    "do": "do|does",
    "does": "do|does",
    "make": "makes?",
    "go": "go|goes",
    "number": one_of(reading.NUMBERS),
    "n": one_of(reading.NUMBERS),
    "it": r"one of them|one of the \w+|the \w+|everything|them|they|it",
}
_READERS: dict[str, Callable[[str], object]] = {
    **dict.fromkeys(("things", "thing", "many", "first", "second"), reading.things),
    **dict.fromkeys(
        ("infinitive", "gerund", "finite", "noises"),
        lambda text: reading.deed(text) or reading.moving(text),
    ),
}


def reword(text: str, rng: Random, split: Split = "train") -> str:
    """The same wish, question or remark, worded and typed by someone else."""
    said = put(text, rng, split)
    return typed(said if said else text, rng, split)


def put(text: str, rng: Random, split: Split = "train") -> str | None:
    """Worded otherwise, all letters as they should be; None where it is not understood."""
    text = text.strip()
    if (story := _story(text, rng, split)) is not None:
        return story
    if (found := _recognise(text)) is not None:
        key, slots = found
        return _say(key, slots, rng, split)
    return _question(text, rng, split)


# ---- which frame it is


@cache
def _frames() -> list[tuple[str, re.Pattern[str], int]]:
    """(key, pattern, letters that are not slots) of every frame, the most telling first."""
    found = [
        (key, re.compile(_pattern(sentence), re.I), len(re.sub(r"\{\w+\}", "", sentence)))
        for key in wordings.FRAMES
        if key in load("frames") and not key.startswith("story")
        for sentence in _ways(key)
    ]
    return sorted(found, key=lambda entry: -entry[2])


def _pattern(sentence: str) -> str:
    """A frame as a pattern; the mark at the end may be missing."""
    escaped = re.escape(sentence.rstrip(".?!"))
    counted: set[str] = set()

    def slot(found: re.Match[str]) -> str:
        name = found[1]
        if name in counted:
            return rf"(?P={name})"
        counted.add(name)
        return rf"(?P<{name}>{_PATTERNS.get(name.lower(), _ANY)})"

    return re.sub(r"\\\{(\w+)\\\}", slot, escaped) + r"[.?!]*"


@cache
def _recognise_cached(text: str) -> tuple[str, tuple[tuple[str, str], ...]] | None:
    for key, pattern, _ in _frames():
        found = pattern.fullmatch(text)
        if found and all(_READERS.get(n.lower(), bool)(v) for n, v in found.groupdict().items()):
            return key, tuple(found.groupdict().items())
    return None


def _recognise(text: str) -> tuple[str, Slots] | None:
    found = _recognise_cached(text) if len(text) < 40 else _recognise_cached.__wrapped__(text)
    return (found[0], dict(found[1])) if found else None


# ---- how it is put


def _say(key: str, slots: Slots, rng: Random, split: Split) -> str:
    if key == "resize" and slots.get("it", "") == "it" and rng.random() < 0.6:
        key = "resize_alone"
    template = frame(key, split, rng)
    filled = {**phrasing.media_slots(rng), **_slots(key, slots, rng)}
    return phrasing.tidy(template.format(**filled))


def _slots(key: str, slots: Slots, rng: Random) -> Slots:
    """What stands in the slots of the new frame."""
    new: Slots = {name: value.lower() for name, value in slots.items()}
    for name in ("things", "thing", "many", "first", "second"):
        value = slots.get(name) or slots.get(name.title())
        if value and (told := reading.things(value)):
            new[name] = phrasing.things(told, rng)
    content = next(
        (slots[n] for n in ("infinitive", "gerund", "finite", "noises") if n in slots), ""
    )
    if key == "hear" and (heard := reading.deed(content)):
        new |= {name: phrasing.deed(heard, form, rng) for name, form in FORMS.items()}
        new["noises"] = phrasing.noises(heard, rng)
    if key == "film" and (seen := reading.moving(content)):
        told, motion = seen
        thing = phrasing.thing(told.groups[0], rng)
        place = phrasing.place(told.place, rng, moving=True)
        for name, form in FORMS.items():
            new[name] = f"{thing} {phrasing.motion(motion, form, rng)} {place}".strip()
    if key == "hear_bare" and (told_ := reading.things(slots["thing"])):
        kind = told_.groups[0].kind
        new["things_s"] = phrasing.noun(kind, 1, rng) + rng.choice(("", "", "'s"))
        new["call"] = pick(words("calls", kind), rng)
    if "move" in slots:
        name = reading.MOTIONS_OF[new["move"]]
        new |= {
            "move": phrasing.motion(name, "infinitive", rng),
            "moving": phrasing.motion(name, "gerund", rng),
            "moves": phrasing.motion(name, "finite", rng),
        }
    if "colour" in slots:
        new["colour"] = pick(words("colours", new["colour"]), rng)
    if "size" in slots:
        size = new["size"]
        other = next(s for s in SIZES if s != size)
        new |= {
            "size": pick(words("sizes", size), rng),
            "sizer": pick(words("size_more", size), rng),
            "other_size": pick(words("sizes", other)[:6], rng),
        }
    for name in ("number", "Number", "n"):
        if name in slots:
            new["n"] = phrasing.plain_number(reading.NUMBERS[slots[name].lower()], rng)
    if "place" in slots:
        new["place"] = phrasing.place(reading.PLACES_OF[new["place"]], rng)
    if "relation" in slots:
        new["relation"] = phrasing.side(reading.SIDES_OF[new["relation"]], rng)
    if "times" in slots:
        new["times"] = rng.choice(words("times")[reading.TIMES_OF[new["times"]]])
    if key == "hear_pitch":
        pitch = "high" if "high" in " ".join(new.values()) else "low"
        other = "low" if pitch == "high" else "high"
        new |= {
            "higher": pick(words("pitch_more", pitch), rng),
            "high": pick(words("pitch_words", pitch), rng),
            "other_high": other,
        }
    return new | _it(slots.get("it", "it"), rng)


def _it(text: str, rng: Random) -> Slots:
    """The words for what was shown, and the same without "the"."""
    text = text.lower()
    said = reading.definite(text)
    if said:
        named = phrasing.noun(said.kind, said.count, rng) if rng.random() < 0.5 else text[4:]
        return {"it": f"the {named}", "bare": named}
    if found := re.fullmatch(r"one of (the (\w+)|them)", text):
        kind = reading.NOUNS[found[2]][0] if found[2] else None
        ways = ("one of them", "one") if kind is None else (text, f"one {kind}")
        it = rng.choice(ways)
        return {"it": it, "bare": it}
    if text == "everything":
        text = rng.choice(("everything", "it all", "them", "both", "all of it", "the whole thing"))
    if text == "it" and rng.random() < 0.15:
        text = rng.choice(("that", "this", "that one", "this one"))
    return {"it": text, "bare": text}


# ---- stories


@cache
def _stories() -> list[tuple[str, bool, re.Pattern[str]]]:
    """(sign, whether a picture is asked for, pattern) of each whole story."""
    found = []
    for owner, sign in itertools.product(("owned", "alive"), ("minus", "plus")):
        ends = [(True, end) for end in _ways(f"story_draw_{sign}")]
        ends += [(False, end) for end in _ways("story_ask")]
        for told, (draws, end) in itertools.product(_ways(f"story_{owner}_{sign}"), ends):
            found.append((sign, draws, re.compile(_pattern(f"{told} {end}"), re.I)))
    return found


def _ways(key: str) -> list[str]:
    return [way for ways in wordings.FRAMES[key].values() for way in ways]


def _story(text: str, rng: Random, split: Split) -> str | None:
    if not re.match(r"(I (have|had|own|see|count)|There|Here) ", text, re.I):
        return None
    wanted = "plus" if " more" in text else "minus"  # "and {n} {leave}" fits "and 2 more come", too
    for sign, draws, pattern in _stories():
        found = pattern.fullmatch(text)
        if found is None or sign != wanted:
            continue
        told = reading.things(found["many"])
        if told is None or found["n"].lower() not in reading.NUMBERS:
            continue
        eaten = bool({"eat", "ate"} & {found.groupdict().get(name) for name in ("lose", "lost")})
        number = reading.NUMBERS[found["n"].lower()]
        return tell_story(told.groups[0], sign, number, draws, rng, split, eaten)
    return None


def tell_story(
    before: Said,
    sign: str,
    change: int,
    draws: bool,
    rng: Random,
    split: Split,
    eaten: bool = False,
) -> str:
    """A sum of things and the wish to see its end, or to be told it."""
    kind = before.kind
    eaten = sign == "minus" and (eaten or (kind == "apple" and rng.random() < 0.4))
    key = "eat_minus" if eaten else f"story_{sign}"
    many = phrasing.thing(before, rng, bare=before.count > 1)
    if before.count == 1:
        many = re.sub(r"^(an?|any|some kind of|this one) ", "one ", many)
    n, bare = phrasing.plain_number(change, rng), re.sub(r"^(one|1|an?) ", "", many)
    told = frame(key, split, rng).format(many=many, n=n, many_bare=bare)
    asked = frame(f"story_draw_{sign}" if draws else "story_ask", split, rng)
    asked = asked.format(**phrasing.media_slots(rng))
    joint = "" if told[-1] == "?" else rng.choice((".", ".", ",", " -", ";", ""))
    if rng.random() < 0.9:
        return phrasing.tidy(f"{told}{joint} {asked}")
    return phrasing.tidy(f"{asked.rstrip('?')}: {told}")


# ---- questions


@cache
def _questions() -> list[tuple[re.Pattern[str], tuple[str, ...]]]:
    which = r"(?:Look at the (?P<which>first|second) picture\. )?"
    return [
        (re.compile(rf"{which}(?:{entry['match']})[.?!]*", re.I), tuple(entry["say"]))
        for entry in load("questions")
    ]


def _question(text: str, rng: Random, split: Split) -> str | None:
    for pattern, ways in _questions():
        found = pattern.fullmatch(text)
        if found is None:
            continue
        given = {name: value for name, value in found.groupdict().items() if value}
        slots = {re.sub(r"\d$", "", name): value for name, value in given.items()}
        which = slots.pop("which", None)
        said = choose(ways, split, rng).format(**_asked(slots, rng))
        if which:
            said = rng.choice(_LOOKS).format(which.lower(), said)
        return phrasing.tidy(said)
    return None


def _renamed(kind: str, count: int, name: str, rng: Random) -> str:
    return phrasing.noun(kind, count, rng) if rng.random() < 0.35 else name


def _asked(slots: Slots, rng: Random) -> Slots:
    new = {name: value.lower() for name, value in slots.items()}
    for name in ("the", "other"):
        said = reading.definite(new.get(name, ""))
        if said:
            named = _renamed(said.kind, said.count, new[name][4:], rng)
            new[name] = f"the {named}"
            if name == "the":
                new["noun"] = named
                new.setdefault("be", "is" if said.count == 1 else "are")
    if "a" in new and (told := reading.things(new["a"])):
        named = _renamed(told.groups[0].kind, 1, told.groups[0].kind, rng)
        new |= {"a": phrasing.article(named), "noun": named}
    if "nouns" in new and new["nouns"] in reading.NOUNS:
        kind, count = reading.NOUNS[new["nouns"]]
        new["nouns"] = _renamed(kind, count, new["nouns"], rng)
    if "relation" in new:
        new["relation"] = phrasing.side(reading.SIDES_OF[new["relation"]], rng)
    if "colour" in new and rng.random() < 0.5:
        new["colour"] = singular(pick(words("colours", new["colour"]), rng))
    if "sign" in new:
        new["mark"] = {"plus": "+", "minus": "-"}[new["sign"]]
    return new
