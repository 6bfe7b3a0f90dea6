"""Scenes in words: the canonical caption, its paraphrases, and the way back.

Knows: how a scene fills the frames of `phrases`, and how a canonical caption is read.
Leaves to others: the words themselves (`phrases`) and whole conversations (`dialogue`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from random import Random

from nextgpt_lite.world import phrases
from nextgpt_lite.world.scene import (
    COLOURS,
    KINDS,
    PITCHES,
    PLACES,
    RELATIONS,
    SIZES,
    Clip,
    Group,
    Picture,
    Scene,
    Sound,
    Split,
    in_order,
    wordings_of,
)


def noun(kind: str, count: int = 1) -> str:
    """ "dog" or "dogs"."""
    return kind if count == 1 else phrases.PLURALS[kind]


def article(word: str) -> str:
    """The word behind its article: "an apple", "a small car"."""
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"


def determiner(count: int) -> str:
    """ "a" for one thing (every canonical adjective begins with a consonant), else its number."""
    return "a" if count == 1 else phrases.NUMBER_WORDS[count]


def place_words(place: str, moving: bool = False) -> list[str]:
    """The wordings of a place; a moving thing is never "up in the sky", for up is a motion."""
    ways = phrases.PLACE_PHRASES[place]
    return ways[:1] if moving and place == "sky" else ways


def noun_phrase(group: Group) -> str:
    """The canonical words of a group: "two small cats" with its colour."""
    return f"{determiner(group.count)} {group.size} {group.colour} {noun(group.kind, group.count)}"


def caption(scene: Scene) -> str:
    """The one canonical caption: names every attribute, in one fixed order, in at most 22 words."""
    match scene:
        case Picture(groups, relation, place):
            things = join_groups(tuple(noun_phrase(g) for g in groups), relation)
            return tidy(f"{things} {phrases.PLACE_PHRASES[place][0]}")
        case Sound(kind, times, pitch):
            verb, times_word = phrases.VERBS[kind], phrases.TIMES_WORDS[times]
            return f"{article(kind)} {verb} {times_word} in a {pitch} pitch"
        case Clip(kind, colour, motion, size, place):
            thing = noun_phrase(Group(kind, colour, size))
            moves = phrases.MOTION_WORDS[motion][0][0]
            return tidy(f"{thing} {moves} {phrases.PLACE_PHRASES[place][0]}")


def paraphrase(scene: Scene, rng: Random, split: Split = "train") -> str:
    """Another wording that names every attribute too.

    Wordings of the two splits never meet; the held-out ones use only words of the others.
    """
    match scene:
        case Picture():
            return _paraphrase_picture(scene, rng, split)
        case Sound():
            return _paraphrase_sound(scene, rng, split)
        case Clip():
            return _paraphrase_clip(scene, rng, split)


def parse(text: str) -> Scene | None:
    """Reads a canonical caption; None for anything else.

    Letter case, commas and a final full stop do not matter, "an" or "one" stands for "a", and a
    digit for its number word.
    """
    words = re.sub(r"[,.]", " ", text.lower())
    words = re.sub(r"\s+", " ", words).strip()
    picture, sound, clip = _patterns()
    if found := picture.fullmatch(words):
        return _read_picture(found.groupdict())
    if found := sound.fullmatch(words):
        part = found.groupdict()
        times = next(n for n, ways in phrases.TIMES_PHRASES.items() if part["times"] in ways)
        return Sound(part["kind"], times, part["pitch"])
    if found := clip.fullmatch(words):
        part = found.groupdict()
        motion = next(m for m, ways in phrases.MOTION_WORDS.items() if part["moves"] == ways[0][0])
        return Clip(part["kind"], part["colour"], motion, part["size"], _read_place(part["place"]))
    return None


def description(scene: Scene) -> str:
    """The caption that one who only sees or hears the scene would give it: things in their order
    (`in_order`), since none shows that it was named first."""
    return caption(in_order(scene) if isinstance(scene, Picture) else scene)


def tells(text: str, scene: Scene) -> bool:
    """Whether a canonical caption says all there is in a scene and nothing else.

    Of things in a picture any may be told first: nobody can see which one was drawn first.
    """
    found = parse(text)
    if isinstance(found, Picture) and isinstance(scene, Picture):
        return in_order(found) == in_order(scene)
    return found == scene


@lru_cache(maxsize=1)
def vocabulary() -> list[str]:
    """Every word and punctuation mark of captions and paraphrases, lower case, sorted."""
    more = "a an and is are 234567"
    texts = (*phrases.strings(phrases.TABLES), *KINDS, *COLOURS, *PITCHES, more)
    words = re.findall(r"[a-z]+|[0-9]", re.sub(r"\{\w+\}", " ", " ".join(texts)))
    return sorted({",", ".", *words} - {"zero"})  # nobody tells of no thing


def tidy(text: str) -> str:
    """One blank between words, none before a comma, none at the ends."""
    return re.sub(r"\s+", " ", text).replace(" ,", ",").strip(" ,")


def join_groups(things: tuple[str, ...], relation: str | None) -> str:
    """The groups of a picture as one phrase, the third one behind a comma."""
    if relation is None:
        return " and ".join(things)
    related = f"{things[0]} {relation} {things[1]}"
    return f"{related}, and {things[2]}" if len(things) == 3 else related


def _loose_phrase(group: Group, rng: Random) -> str:
    """A group in free words: synonyms, digits, the colour before or after the noun."""
    one = group.count == 1
    det = rng.choice(("a", "a", "one")) if one else phrases.NUMBER_WORDS[group.count]
    if not one and rng.random() < 0.3:
        det = str(group.count)
    size = rng.choice(phrases.SIZE_WORDS[group.size])
    thing = noun(group.kind, group.count)
    if rng.random() < 0.15:
        return rng.choice(phrases.COLOUR_AFTER).format(
            det=det, size=size, noun=thing, be="is" if one else "are", colour=group.colour
        )
    return f"{det} {size} {group.colour} {thing}"


def _paraphrase_picture(scene: Picture, rng: Random, split: Split) -> str:
    things = tuple(_loose_phrase(g, rng) for g in scene.groups)
    relation = rng.choice(phrases.RELATION_WORDS[scene.relation]) if scene.relation else None
    frames = list(phrases.FRAMES["picture"][wordings_of(split)])
    if scene.place != "plain":
        frames += phrases.FRAMES["placed"][wordings_of(split)]
    if relation:
        frames += phrases.FRAMES["related"][wordings_of(split)] * 2
    third = f", and {things[2]}" if len(things) == 3 else ""
    return tidy(
        rng.choice(frames).format(
            things=join_groups(things, relation),
            be="is" if scene.groups[0].count == 1 else "are",
            place=rng.choice(phrases.PLACE_PHRASES[scene.place]),
            relation=relation,
            first=things[0],
            second=things[1] if len(things) > 1 else "",
            third=third,
        )
    )


def _paraphrase_sound(scene: Sound, rng: Random, split: Split) -> str:
    kind, one = scene.kind, scene.times == 1
    return tidy(
        rng.choice(phrases.FRAMES["sound"][wordings_of(split)]).format(
            thing=rng.choice((article(kind), article(kind), f"one {kind}")),
            verb=phrases.VERBS[kind],
            gerund=phrases.GERUNDS[kind],
            infinitive=phrases.INFINITIVES[kind],
            times=rng.choice(phrases.TIMES_PHRASES[scene.times]),
            pitch=rng.choice(phrases.PITCH_PHRASES).format(pitch=scene.pitch),
            number="one" if one else phrases.NUMBER_WORDS[scene.times],
            high=scene.pitch,
            noises=phrases.NOISES[kind][0 if one else 1],
            be="is" if one else "are",
        )
    )


def _paraphrase_clip(scene: Clip, rng: Random, split: Split) -> str:
    moves, move, moving = rng.choice(phrases.MOTION_WORDS[scene.motion])
    return tidy(
        rng.choice(phrases.FRAMES["clip"][wordings_of(split)]).format(
            thing=_loose_phrase(Group(scene.kind, scene.colour, scene.size), rng),
            moves=moves,
            move=move,
            moving=moving,
            place=rng.choice(place_words(scene.place, moving=True)),
        )
    )


@lru_cache(maxsize=1)
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    def one_of(words: Iterator[str] | tuple[str, ...]) -> str:
        return "|".join(sorted((re.escape(w) for w in words), key=len, reverse=True))

    def group(index: int) -> str:
        numbers = ("a", "an", *phrases.NUMBER_WORDS[1:], *"1234567")
        nouns = (*KINDS, *phrases.PLURALS.values())
        return (
            rf"(?P<number{index}>{one_of(numbers)}) (?P<size{index}>{one_of(SIZES)}) "
            rf"(?P<colour{index}>{one_of(COLOURS)}) (?P<noun{index}>{one_of(nouns)})"
        )

    place = rf"(?: (?P<place>{one_of(_place_words())}))?"
    relation = rf"(?P<relation>{one_of(RELATIONS)})"
    picture = rf"{group(0)}(?: {relation} {group(1)}(?: and {group(2)})?| and {group(3)})?{place}"
    times = one_of(t for ways in phrases.TIMES_PHRASES.values() for t in ways)
    deeds = one_of(f"{kind} {verb}" for kind, verb in phrases.VERBS.items())
    sound = (
        rf"(?:a|an|one) (?=(?:{deeds}) )(?P<kind>\w+) (?:{one_of(iter(phrases.VERBS.values()))}) "
        rf"(?P<times>{times}) in an? (?P<pitch>{one_of(PITCHES)}) pitch"
    )
    moves = one_of(ways[0][0] for ways in phrases.MOTION_WORDS.values())
    clip = (
        rf"(?:a|an|one) (?P<size>{one_of(SIZES)}) (?P<colour>{one_of(COLOURS)}) "
        rf"(?P<kind>{one_of(KINDS)}) (?P<moves>{moves}){place}"
    )
    return re.compile(picture), re.compile(sound), re.compile(clip)


def _place_words() -> Iterator[str]:
    return (phrases.PLACE_PHRASES[p][0] for p in PLACES if p != "plain")


def _read_place(words: str | None) -> str:
    return next(p for p in PLACES if phrases.PLACE_PHRASES[p][0] == (words or ""))


def _read_picture(part: dict[str, str | None]) -> Picture | None:
    groups = []
    for index in range(4):
        number, found = part[f"number{index}"], part[f"noun{index}"]
        if number is None or found is None:
            continue
        count = 1 if number in ("a", "an") else _read_number(number)
        kind = next((k for k in KINDS if noun(k, count) == found), None)
        if kind is None:  # "two car"
            return None
        groups.append(Group(kind, str(part[f"colour{index}"]), str(part[f"size{index}"]), count))
    relation = part["relation"]
    if relation and any(g.count != 1 for g in groups):
        return None  # a relation holds between single things
    return Picture(tuple(groups), relation, _read_place(part["place"]))


def _read_number(word: str) -> int:
    return int(word) if word.isdigit() else phrases.NUMBER_WORDS.index(word)
