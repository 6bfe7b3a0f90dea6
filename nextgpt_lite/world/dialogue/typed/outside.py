"""What is outside the lite world, and the one honest sentence it is answered with.

Knows: unknown things, colours, places, deeds and numbers; questions of knowledge, other languages,
gibberish; what is asked about when nothing was given. Leaves to others: lists and replies (YAML),
fingers (`keyboard`).

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
from nextgpt_lite.world.dialogue.typed.keyboard import ROWS, typed
from nextgpt_lite.world.dialogue.typed.lexicon import (
    FORMS,
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

PLACES: Final = ("garden", "street", "table", "sky")
_JOINTS: Final = (
    " and ", ", ", " next to ", " above ", " under ", " on ", " with ", " left of ",
    " to the right of ", " behind ", " inside ", " in front of ", " riding ", " eating ",
    " holding ", " between two of ", " chasing ",
)  # fmt: skip

Exchange = tuple[str, str]


def reply(key: str, typed_: str = "") -> str:
    """The answer of replies.yaml."""
    things, colours = (
        f"{', '.join(names[:-1])} and {names[-1]}"
        for names in ([noun(kind, 2) for kind in KINDS], COLOURS)
    )
    answer: str = load("replies")[key].format(typed_, things=things, colours=colours)
    return answer


def made_up(rng: Random, split: Split) -> str:
    """A word that nobody knows: "glimbor"."""
    while True:
        word = "".join(
            "".join(rng.choice((*unknown(part), "")) for part in ("onsets", "nuclei", "codas"))
            for _ in range(rng.choice((1, 2, 2, 2, 3)))
        )
        ours = held_out(word) == (split == "held_out")
        if 3 < len(word) < 12 and word not in known_words() and ours:
            return word


def unknown_noun(rng: Random, split: Split) -> str:
    """A real noun, a compound (often of a known one) or a made-up word."""
    sort = rng.choices(("things", "compounds", "made up"), (68, 8, 24))[0]
    return made_up(rng, split) if sort == "made up" else _unknown(sort, rng, split)


def outside(rng: Random, split: Split = "train") -> Exchange:
    """One message that cannot be answered, as typed, and the honest reply."""
    return rng.choices(tuple(_MAKERS), tuple(_MAKERS.values()))[0](rng, split)


def _unknown(sort: str, rng: Random, split: Split) -> str:
    return choose(unknown(sort), split, rng).replace("-", " ")


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


def _coloured(kind: str, rng: Random) -> str:
    """One thing, perhaps with a colour."""
    return phrasing.thing(Said(kind, 1, None, rng.choice((None, *COLOURS))), rng)


def _known(rng: Random) -> str:
    """Some thing of the world in words."""
    said = Said(
        rng.choice(KINDS),
        rng.choice((1, 1, 1, 2, 3)),
        rng.choice((None, None, *SIZES)),
        rng.choice((None, *COLOURS)),
    )
    return phrasing.thing(said, rng)


def _asking(key: str, text: str, rng: Random, split: Split) -> str:
    """A frame of the world's own, with something else in its slot."""
    slots = dict.fromkeys(("things", "thing", "things_s", "ger", "inf", "fin", "call"), text)
    return frame(key, split, rng).format(**phrasing.media_slots(rng), **slots, noises=text)


def _without(slot: str, key: str, rng: Random, split: Split) -> str:
    """A frame that lacks a slot."""
    while f"{{{slot}}}" in (template := frame(key, split, rng)):
        pass
    return template


_ASKED_FOR: Final = {
    "draw": 55, "hear_bare": 14, "film_bare": 12, "several_image_audio": 4,
    "several_image_video": 3, "several_video_audio": 3, "several_image_video_audio": 2,
    "add_thing": 3, "replace": 4,
}  # fmt: skip


def _thing(rng: Random, split: Split) -> Exchange:
    text, name = _strange(rng, split)
    key = rng.choices(tuple(_ASKED_FOR), tuple(_ASKED_FOR.values()))[0]
    template = _without("call", key, rng, split)
    slots = {"things": text, "thing": text, "things_s": name, **phrasing.media_slots(rng)}
    if rng.random() < 0.25 and key == "draw":  # somewhere in the world
        slots["things"] = f"{text} {phrasing.place(rng.choice(PLACES), rng)}"
    return _type(template.format(**slots), rng, split, name), reply("thing", name)


def _mixed_thing(rng: Random, split: Split) -> Exchange:
    """Of two things one is unknown."""
    (text, name), known = _strange(rng, split), _known(rng)
    pair = [text, known]
    rng.shuffle(pair)
    asked = _asking("draw", rng.choice(_JOINTS).join(pair), rng, split)
    return _type(asked, rng, split, name), reply("thing", name)


def _colour(rng: Random, split: Split) -> Exchange:
    colour = _unknown("colours", rng, split)
    behind = rng.random() < 0.2
    if behind and rng.random() < 0.5:  # before the noun a made-up word could mean anything
        colour = made_up(rng, split)
    kind = rng.choice(KINDS)
    count = rng.choice((1, 1, 1, 2))
    size = pick(words("sizes", rng.choice(SIZES)), rng) + " " if rng.random() < 0.25 else ""
    name = phrasing.noun(kind, count, rng)
    if behind:
        way = rng.choice(("{} in {}", "{} in the colour {}", "{} painted {}"))
        text = way.format(name, colour)
        text = article(text) if count == 1 else text
    else:
        text = f"{size}{colour} {name}"
        text = article(text) if count == 1 else f"{phrasing.number(count, rng)} {text}"
    key = rng.choices(("draw", "film_bare", "recolour_alone", "recolour"), (60, 20, 12, 8))[0]
    if key.startswith("recolour"):
        template = frame(key, split, rng)
        text = template.format(colour=colour, it=rng.choice(("it", f"the {name}", "them")))
    else:
        text = _asking(key, text, rng, split)
    return _type(text, rng, split, colour), reply("colour", colour)


def _place(rng: Random, split: Split) -> Exchange:
    place = _unknown("places", rng, split)
    if rng.random() < 0.12:
        where = rng.choice(("in a", "on a", "at the", "inside a", "under the"))
        place = f"{where} {unknown_noun(rng, split)}"
    if rng.random() < 0.15:
        template = frame("place_it", split, rng)
        text = template.format(place=place, it=rng.choice(("it", "them", "the dog")))
    else:
        key = rng.choice(("draw", "draw", "film_bare"))
        text = _asking(key, f"{_known(rng)} {place}", rng, split)
    return _type(text, rng, split, place), reply("place", place)


def _motion(rng: Random, split: Split) -> Exchange:
    verb = _unknown("motions", rng, split)
    gerund = bend(verb, "gerund")
    thing = _coloured(rng.choice(KINDS), rng)
    template = frame("unknown_motion", split, rng)
    text = template.format(thing=thing, verb=verb, gerund=gerund, **phrasing.media_slots(rng))
    return _type(text, rng, split, f"{verb} {gerund}"), reply("motion", verb)


def _sound(rng: Random, split: Split) -> Exchange:
    sound = _unknown("sounds", rng, split)
    text = frame("unknown_sound", split, rng).format(thing=sound, **phrasing.media_slots(rng))
    return _type(text, rng, split, sound), reply("thing", sound)


def _many(rng: Random, split: Split) -> Exchange:
    number = str(rng.choice(words("too_many")))
    if rng.random() < 0.3:
        number = str(rng.randint(8, 2000))
    colour = pick(words("colours", rng.choice(COLOURS)), rng) + " " if rng.random() < 0.4 else ""
    text = f"{number} {colour}{phrasing.noun(rng.choice(KINDS), 2, rng)}"
    if rng.random() < 0.3:
        text += f" {phrasing.place(rng.choice(PLACES), rng)}"
    if rng.random() < 0.12:
        text = frame("recount", split, rng).format(n=number)
    else:
        text = _asking("draw", text, rng, split)
    return _type(text, rng, split, number), reply("many", number)


def _often(rng: Random, split: Split) -> Exchange:
    times = rng.choice(words("too_often"))
    kind = rng.choice(KINDS)
    verb = pick(words("deeds", kind, "verbs"), rng)
    forms = {
        short: f"{phrasing.thing(Said(kind), rng)} {bend(verb, form)} {times}"
        for short, form in FORMS.items()
    }
    template = _without("noises", "hear", rng, split)
    text = template.format(**forms, **phrasing.media_slots(rng))
    return _type(text, rng, split, times), reply("often", times)


def _kinds(rng: Random, split: Split) -> Exchange:
    kinds = rng.sample(KINDS, rng.choice((4, 4, 5, 6)))
    told = [_coloured(kind, rng) for kind in kinds]
    joint = rng.choice((", ", ", ", " and ", " + "))
    text = f"{joint.join(told[:-1])}{rng.choice((' and ', ', '))}{told[-1]}"
    return _type(_asking("draw", text, rng, split), rng, split), reply("mixed")


def _fact(rng: Random, split: Split) -> Exchange:
    template = choose(load("outside")["knowledge"], split, rng)
    x = unknown_noun(rng, split)
    return _type(template.format(x=x, k=rng.choice(KINDS)), rng, split), reply("fact")


def _language(rng: Random, split: Split) -> Exchange:
    text = choose(load("outside")["languages"], split, rng)
    return typed(text, rng, split, decorated=False), reply("nonsense")


def _gibberish(rng: Random, split: Split) -> Exchange:
    chance = rng.random()
    if chance < 0.25:
        return str(rng.choice(load("outside")["symbols"])), reply("nonsense")
    if chance < 0.6:  # fingers all over the keyboard
        above, home, below = ROWS
        letters = rng.choice((home, above, below, "abcdefghijklmnopqrstuvwxyz", "asdfjkl;"))
        words_ = [
            "".join(rng.choice(letters) for _ in range(rng.randint(3, 9)))
            for _ in range(rng.choice((1, 1, 2, 3, 4)))
        ]
    else:
        words_ = [made_up(rng, split) for _ in range(rng.randint(2, 5))]
    return typed(" ".join(words_), rng, split, decorated=False), reply("nonsense")


def _empty(rng: Random, split: Split) -> Exchange:
    return rng.choice(("", "", " ", "  ")).strip(), reply("nonsense")


def _nothing_given(rng: Random, split: Split) -> Exchange:
    """Something is asked about, and nothing was given."""
    if rng.random() < 0.6:
        return _described(("image", "audio", "video"), rng, split)[0], reply("nothing given")
    picture = sample_picture(rng, "any")
    asked = rng.choice(about_picture(picture, rng, "any")).text
    return _type(put(asked, rng, split) or asked, rng, split), reply("nothing given")


def _described(modalities: tuple[str, ...], rng: Random, split: Split) -> tuple[str, str]:
    """The wish to have a medium described, and its modality."""
    modality = rng.choice(modalities)
    text = frame(f"describe_{modality}", split, rng).format(**phrasing.media_slots(rng))
    return _type(text, rng, split), modality


_MAKERS: Final[dict[Callable[[Random, Split], Exchange], int]] = {
    _thing: 30, _mixed_thing: 9, _colour: 8, _place: 6, _motion: 5, _sound: 6, _many: 7, _often: 3,
    _kinds: 2, _fact: 10, _language: 4, _gibberish: 4, _empty: 2, _nothing_given: 5,
}  # fmt: skip


def strange_medium(rng: Random, split: Split) -> tuple[str, str]:
    """What a medium that is not of this world shows, in words, and a question about it."""
    shows = rng.choice(
        ("{0}", "{0} {1}", "a photograph of {0} and {1}", "noise", "nothing", "blank", "static",
         "{0} {1} {2}")
    )  # fmt: skip
    text = shows.format(*(unknown_noun(rng, split) for _ in range(3)))
    asked, modality = _described(("image", "image", "audio", "video"), rng, split)
    row = MODALITIES[modality]
    return f"{row.open} {text} {row.close}", asked
