"""What is outside the lite world, and the one honest sentence it is answered with.

Knows: unknown things, colours, places, deeds and numbers; questions of knowledge, other languages,
gibberish; what is asked about when nothing was given. Leaves to others: the lists (YAML), fingers.

The sentence says what was not understood, as typed, and what there is instead. Words come from
lists and are also made up, so that it is the *unknownness* that is learnt and not the lists.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

from nextgpt_lite.model.modality import MODALITIES
from nextgpt_lite.world.describe import noun
from nextgpt_lite.world.dialogue.looks import about_picture
from nextgpt_lite.world.dialogue.typed import phrasing
from nextgpt_lite.world.dialogue.typed.keyboard import typed
from nextgpt_lite.world.dialogue.typed.lexicon import (
    article,
    bend,
    choose,
    frame,
    held_out,
    known_words,
    load,
    pick,
    plural,
    unknown,
    words,
)
from nextgpt_lite.world.dialogue.typed.phrasing import Said
from nextgpt_lite.world.dialogue.typed.reword import put
from nextgpt_lite.world.scene import COLOURS, KINDS, SIZES, Split, sample_picture


def _listed(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


UNKNOWN_THING: Final = f'I do not know "{{}}": I know {_listed(tuple(noun(k, 2) for k in KINDS))}.'
UNKNOWN_COLOUR: Final = f'I do not know the colour "{{}}": I know {_listed(COLOURS)}.'
UNKNOWN_PLACE: Final = (
    'I do not know the place "{}": I know a garden, a street, a table and the sky.'
)
UNKNOWN_MOTION: Final = (
    'I cannot make it "{}": things move left, right, up or down, grow or shrink.'
)
TOO_MANY: Final = 'I cannot show "{}": I can show one to seven things.'
TOO_OFTEN: Final = 'I cannot play it "{}": I can play a sound one to four times.'
TOO_MIXED: Final = "I cannot show so many kinds of things: I can show three at once."
UNKNOWN_FACT: Final = (
    "I do not know that: I can only show, play and describe the things of my small world."
)
NOT_UNDERSTOOD: Final = (
    "I do not understand that: I can only show, play and describe the things of my small world."
)
NOTHING_GIVEN: Final = (
    "I cannot see or hear anything yet: please give me a picture, a sound or a clip."
)
NOT_OF_THIS_WORLD: Final = "I do not know what this is: it shows nothing of my small world."

Exchange = tuple[str, str]


def made_up(rng: Random, split: Split) -> str:
    """A word that nobody knows: "glimbor"."""
    while True:
        word = "".join(
            "".join(rng.choice((*unknown(part), "")) for part in ("onsets", "nuclei", "codas"))
            for _ in range(rng.choice((1, 2, 2, 2, 3)))
        )
        if (
            3 < len(word) < 12
            and word not in known_words()
            and held_out(word) == (split == "held_out")
        ):
            return word


def unknown_noun(rng: Random, split: Split) -> str:
    """A real noun, a compound (often of a known one) or a made-up word."""
    sort = rng.choices(("things", "compounds", "made up"), (68, 8, 24))[0]
    if sort == "made up":
        return made_up(rng, split)
    return choose(unknown(sort), split, rng).replace("-", " ")


def outside(rng: Random, split: Split = "train") -> Exchange:
    """One message that cannot be answered, as typed, and the honest reply."""
    makers: tuple[Callable[[Random, Split], Exchange], ...] = (
        _thing,
        _mixed_thing,
        _colour,
        _place,
        _motion,
        _sound,
        _many,
        _often,
        _kinds,
        _fact,
        _language,
        _gibberish,
        _empty,
        nothing_given,
    )
    return rng.choices(makers, (30, 9, 8, 6, 5, 6, 7, 3, 2, 10, 4, 4, 2, 5))[0](rng, split)


def _type(text: str, rng: Random, split: Split, keep: str = "") -> str:
    return typed(phrasing.tidy(text), rng, split, keep=keep)


def _strange(rng: Random, split: Split) -> tuple[str, str]:
    """An unknown thing behind its article, perhaps with a size and a colour, and its name."""
    name = unknown_noun(rng, split)
    count = rng.choice((1, 1, 1, 1, 2, 3))
    if count > 1 and " " not in name:
        name = plural(name)
    size = pick(words("sizes", rng.choice(SIZES)), rng) if rng.random() < 0.2 else ""
    colour = pick(words("colours", rng.choice(COLOURS)), rng) if rng.random() < 0.25 else ""
    idle = rng.choice(words("idle")) if rng.random() < 0.06 else ""
    text = " ".join(filter(None, (idle, size, colour, name)))
    if count > 1:
        return f"{phrasing.number(count, rng)} {text}" if rng.random() < 0.8 else text, name
    chance = rng.random()
    return (article(text) if chance < 0.75 else text if chance < 0.9 else f"the {text}"), name


def _known(rng: Random) -> str:
    """Some thing of the world in words."""
    return phrasing.thing(
        Said(
            rng.choice(KINDS),
            rng.choice((1, 1, 1, 2, 3)),
            rng.choice((None, None, *SIZES)),
            rng.choice((None, *COLOURS)),
        ),
        rng,
    )


def _asking(key: str, text: str, rng: Random, split: Split, name: str = "") -> str:
    """A frame of the world's own, with something else in its slot."""
    slots = dict.fromkeys(("things", "thing", "ger", "inf", "fin", "noises", "call"), text)
    slots["things_s"] = name or text
    return frame(key, split, rng).format(**phrasing.media_slots(rng), **slots)


def _thing(rng: Random, split: Split) -> Exchange:
    text, name = _strange(rng, split)
    key = rng.choices(
        (
            "draw",
            "hear_bare",
            "film_bare",
            "several_image_audio",
            "several_image_video",
            "several_video_audio",
            "several_image_video_audio",
            "add_thing",
            "replace",
        ),
        (55, 14, 12, 4, 3, 3, 2, 3, 4),
    )[0]
    while "{call}" in (template := frame(key, split, rng)):
        pass
    slots = {"things": text, "thing": text, "things_s": name, **phrasing.media_slots(rng)}
    if rng.random() < 0.25 and key == "draw":  # somewhere in the world
        slots["things"] = (
            f"{text} {phrasing.place(rng.choice(('garden', 'street', 'table', 'sky')), rng)}"
        )
    return _type(template.format(**slots), rng, split, name), UNKNOWN_THING.format(name)


def _mixed_thing(rng: Random, split: Split) -> Exchange:
    """Of two things one is unknown."""
    (text, name), known = _strange(rng, split), _known(rng)
    pair = [text, known]
    rng.shuffle(pair)
    joint = rng.choice(
        (
            " and ",
            ", ",
            " next to ",
            " above ",
            " under ",
            " on ",
            " with ",
            " left of ",
            " to the right of ",
            " behind ",
            " inside ",
            " in front of ",
            " riding ",
            " eating ",
            " holding ",
            " between two of ",
            " chasing ",
        )
    )
    return _type(
        _asking("draw", joint.join(pair), rng, split), rng, split, name
    ), UNKNOWN_THING.format(name)


def _colour(rng: Random, split: Split) -> Exchange:
    colour = choose(unknown("colours"), split, rng).replace("-", " ")
    behind = rng.random() < 0.2
    if behind and rng.random() < 0.5:  # before the noun a made-up word could mean anything
        colour = made_up(rng, split)
    kind = rng.choice(KINDS)
    count = rng.choice((1, 1, 1, 2))
    size = pick(words("sizes", rng.choice(SIZES)), rng) + " " if rng.random() < 0.25 else ""
    name = phrasing.noun(kind, count, rng)
    if behind:
        text = rng.choice(
            (f"{name} in {colour}", f"{name} in the colour {colour}", f"{name} painted {colour}")
        )
        text = article(text) if count == 1 else text
    else:
        text = f"{size}{colour} {name}"
        text = article(text) if count == 1 else f"{phrasing.number(count, rng)} {text}"
    key = rng.choices(("draw", "film_bare", "recolour_alone", "recolour"), (60, 20, 12, 8))[0]
    if key == "recolour_alone" or key == "recolour":
        text = frame(key, split, rng).format(
            colour=colour, it=rng.choice(("it", f"the {name}", "them"))
        )
    else:
        text = _asking(key, text, rng, split)
    return _type(text, rng, split, colour), UNKNOWN_COLOUR.format(colour)


def _place(rng: Random, split: Split) -> Exchange:
    place = choose(unknown("places"), split, rng).replace("-", " ")
    if rng.random() < 0.12:
        where = rng.choice(("in a", "on a", "at the", "inside a", "under the"))
        place = f"{where} {unknown_noun(rng, split)}"
    if rng.random() < 0.15:
        text = frame("place_it", split, rng).format(
            place=place, it=rng.choice(("it", "them", "the dog"))
        )
    else:
        text = _asking(
            rng.choice(("draw", "draw", "film_bare")), f"{_known(rng)} {place}", rng, split
        )
    return _type(text, rng, split, place), UNKNOWN_PLACE.format(place)


def _motion(rng: Random, split: Split) -> Exchange:
    verb = choose(unknown("motions"), split, rng).replace("-", " ")
    gerund = bend(verb, "gerund")
    thing = phrasing.thing(Said(rng.choice(KINDS), 1, None, rng.choice((None, *COLOURS))), rng)
    template = frame("unknown_motion", split, rng)
    text = template.format(thing=thing, verb=verb, gerund=gerund, **phrasing.media_slots(rng))
    return _type(text, rng, split, f"{verb} {gerund}"), UNKNOWN_MOTION.format(verb)


def _sound(rng: Random, split: Split) -> Exchange:
    sound = choose(unknown("sounds"), split, rng).replace("-", " ")
    text = frame("unknown_sound", split, rng).format(thing=sound, **phrasing.media_slots(rng))
    return _type(text, rng, split, sound), UNKNOWN_THING.format(sound)


def _many(rng: Random, split: Split) -> Exchange:
    number = str(rng.choice(words("too_many")))
    if rng.random() < 0.3:
        number = str(rng.randint(8, 2000))
    colour = pick(words("colours", rng.choice(COLOURS)), rng) + " " if rng.random() < 0.4 else ""
    text = f"{number} {colour}{phrasing.noun(rng.choice(KINDS), 2, rng)}"
    if rng.random() < 0.3:
        text += f" {phrasing.place(rng.choice(('garden', 'street', 'table', 'sky')), rng)}"
    if rng.random() < 0.12:
        text = frame("recount", split, rng).format(n=number)
    else:
        text = _asking("draw", text, rng, split)
    return _type(text, rng, split, number), TOO_MANY.format(number)


def _often(rng: Random, split: Split) -> Exchange:
    times = rng.choice(words("too_often"))
    kind = rng.choice(KINDS)
    verb = pick(words("deeds", kind, "verbs"), rng)
    forms = {
        form: f"{phrasing.thing(Said(kind), rng)} {bend(verb, long)} {times}"  # type: ignore[arg-type]
        for form, long in (("inf", "infinitive"), ("ger", "gerund"), ("fin", "finite"))
    }
    while "{noises}" in (template := frame("hear", split, rng)):
        pass
    return _type(
        template.format(**forms, **phrasing.media_slots(rng)), rng, split, times
    ), TOO_OFTEN.format(times)


def _kinds(rng: Random, split: Split) -> Exchange:
    kinds = rng.sample(KINDS, rng.choice((4, 4, 5, 6)))
    told = [
        phrasing.thing(Said(kind, 1, None, rng.choice((None, *COLOURS))), rng) for kind in kinds
    ]
    joint = rng.choice((", ", ", ", " and ", " + "))
    text = f"{joint.join(told[:-1])}{rng.choice((' and ', ', '))}{told[-1]}"
    return _type(_asking("draw", text, rng, split), rng, split), TOO_MIXED


def _fact(rng: Random, split: Split) -> Exchange:
    template = choose(load("outside")["knowledge"], split, rng)
    x = unknown_noun(rng, split)
    return _type(template.format(x=x, k=rng.choice(KINDS)), rng, split), UNKNOWN_FACT


def _language(rng: Random, split: Split) -> Exchange:
    text = choose(load("outside")["languages"], split, rng)
    return typed(text, rng, split, decorated=False), NOT_UNDERSTOOD


def _gibberish(rng: Random, split: Split) -> Exchange:
    chance = rng.random()
    if chance < 0.25:
        return str(rng.choice(load("outside")["symbols"])), NOT_UNDERSTOOD
    if chance < 0.6:  # fingers all over the keyboard
        letters = rng.choice(
            ("asdfghjkl", "qwertyuiop", "zxcvbnm", "abcdefghijklmnopqrstuvwxyz", "asdfjkl;")
        )
        words_ = [
            "".join(rng.choice(letters) for _ in range(rng.randint(3, 9)))
            for _ in range(rng.choice((1, 1, 2, 3, 4)))
        ]
    else:
        words_ = [made_up(rng, split) for _ in range(rng.randint(2, 5))]
    return typed(" ".join(words_), rng, split, decorated=False), NOT_UNDERSTOOD


def _empty(rng: Random, split: Split) -> Exchange:
    return rng.choice(("", "", " ", "  ")).strip(), NOT_UNDERSTOOD


def nothing_given(rng: Random, split: Split) -> Exchange:
    """Something is asked about, and nothing was given."""
    if rng.random() < 0.6:
        key = rng.choice(("image", "audio", "video"))
        text = frame(f"describe_{key}", split, rng).format(**phrasing.media_slots(rng))
        return _type(text, rng, split), NOTHING_GIVEN
    picture = sample_picture(rng, "any")
    asked = rng.choice(about_picture(picture, rng, "any")).text
    return _type(put(asked, rng, split) or asked, rng, split), NOTHING_GIVEN


def strange_medium(rng: Random, split: Split) -> tuple[str, str]:
    """What a medium that is not of this world shows, in words, and a question about it."""
    shows = rng.choice(
        (
            "{a}",
            "{a} {b}",
            "a photograph of {a} and {b}",
            "noise",
            "nothing",
            "blank",
            "static",
            "{a} {b} {c}",
        )
    )
    text = shows.format(
        a=unknown_noun(rng, split), b=unknown_noun(rng, split), c=unknown_noun(rng, split)
    )
    key = rng.choice(("image", "image", "audio", "video"))
    asked = frame(f"describe_{key}", split, rng).format(**phrasing.media_slots(rng))
    row = MODALITIES[key]
    return f"{row.open} {text} {row.close}", _type(asked, rng, split)
