"""Questions about what a picture shows, and their only right answers.

Knows: what can be asked of things that are seen, and the answer, a short full sentence.
Leaves to others: their wordings (`wordings`), sounds, motion, and two media together (`questions`).
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final, NamedTuple

from nextgpt_lite.world import phrases
from nextgpt_lite.world.describe import article, caption, noun
from nextgpt_lite.world.dialogue.parts import free, sentence
from nextgpt_lite.world.dialogue.wordings import say
from nextgpt_lite.world.scene import (
    COLOURS,
    KINDS,
    MAX_COUNT,
    OPPOSITE,
    RELATIONS,
    SIZES,
    Group,
    Picture,
    Split,
)

NUMBERS: Final = (*phrases.NUMBER_WORDS, "eight", "nine", "ten", "eleven", "twelve", "thirteen",
                  "fourteen")  # fmt: skip
PLACE_ANSWERS: Final = {
    p: ways[0] or "in a plain place" for p, ways in phrases.PLACE_PHRASES.items()
}


class Question(NamedTuple):
    """A question, its answer, and what it is about ("colour", "count", ...)."""

    text: str
    answer: str
    about: str


def yes(guess: object, truth: object) -> str:
    """ "Yes" or "No"."""
    return "Yes" if guess == truth else "No"


def _number_things(count: int, kind: str) -> str:
    """ "is one dog", "are two dogs" or "are no dogs"."""
    number = NUMBERS[count] if count else "no"
    return f"{'is' if count == 1 else 'are'} {number} {noun(kind, count)}"


def _named(group: Group) -> tuple[str, str]:
    """The thing and its verb: "the dogs", "are"."""
    return f"the {noun(group.kind, group.count)}", "is" if group.count == 1 else "are"


def other_than(value: str, values: Sequence[str], rng: Random) -> str:
    return rng.choice([v for v in values if v != value])


def looks(group: Group, place: str, rng: Random, split: Split) -> list[Question]:
    """Colour, size and place of a group that is named by its kind."""
    thing, be = _named(group)
    colours = [c for c in COLOURS if c != group.colour and free(group.kind, c, split)]
    guess = rng.choice([group.colour, rng.choice(colours)])
    size_guess = rng.choice(SIZES)
    slots = {"thing": thing, "be": be, "Be": be.title()}
    colour, size, where = (
        say(f"ask_{k}", split, rng, **slots) for k in ("colour", "size", "place")
    )
    is_it, is_big = (say("ask_whether", split, rng, look=g, **slots) for g in (guess, size_guess))
    is_colour, is_size = f"{thing} {be} {group.colour}", f"{thing} {be} {group.size}"
    return [
        Question(colour, sentence(is_colour), "colour"),
        Question(is_it, f"{yes(guess, group.colour)}, {is_colour}.", "colour"),
        Question(size, sentence(is_size), "size"),
        Question(is_big, f"{yes(size_guess, group.size)}, {is_size}.", "size"),
        Question(where, sentence(f"{thing} {be} {PLACE_ANSWERS[place]}"), "place"),
    ]


def about_picture(picture: Picture, rng: Random, split: Split) -> list[Question]:
    group = rng.choice(picture.groups)
    questions = looks(group, picture.place, rng, split)
    questions += _counts(picture, group, rng, split)
    if len(picture.groups) == 1:
        questions.append(what_is_it(group, rng, split))
    if sum(g.colour == group.colour for g in picture.groups) == 1 and len(picture.groups) > 1:
        questions.append(_whose(group, group.colour, rng, split))
    if picture.relation:
        questions += _relations(picture, rng, split) * 2
    return questions


def which_things(picture: Picture, rng: Random, split: Split) -> list[Question]:
    """From a look to the thing: one question for every look that no other thing has.

    Of a picture of several kinds; empty where all look alike.
    """
    questions = []
    for group in picture.groups:
        others = [g for g in picture.groups if g is not group]
        colour, size = group.colour, group.size
        if all(g.colour != colour for g in others):
            questions.append(_whose(group, colour, rng, split))
        if all(g.size != size for g in others):
            questions.append(_whose(group, size, rng, split))
        elif all((g.size, g.colour) != (size, colour) for g in others):
            questions.append(_whose(group, f"{size} and {colour}", rng, split))
    return questions


def each_thing(picture: Picture, rng: Random, split: Split) -> list[Question]:
    """From each thing to its whole look."""
    questions = []
    for group in picture.groups:
        does = "does" if group.count == 1 else "do"
        text = say("ask_look", split, rng, thing=_named(group)[0], does=does)
        questions.append(Question(text, sentence(caption(Picture((group,)))), "look"))
    return questions


def every_side(picture: Picture, rng: Random, split: Split) -> list[Question]:
    """What is on each side of both related things, and whether each is there, seen from the other.

    Empty for a picture without a relation; of three things, no side is called empty.
    """
    if picture.relation is None:
        return []
    first, second = (g.kind for g in picture.groups[:2])
    questions = []
    for thing, other, relation in (
        (first, second, picture.relation),
        (second, first, OPPOSITE[picture.relation]),
    ):
        fact = f"the {thing} is {relation} the {other}"
        for side in RELATIONS:
            empty = _nothing(side, other, rng, split)
            if side == relation:
                questions.append(Question(empty.text, sentence(fact), "relation"))
            elif len(picture.groups) == 2:
                questions.append(empty)
            questions.append(_whether(thing, side, other, relation, rng, split))
    return questions


def every_number(picture: Picture, rng: Random, split: Split) -> list[Question]:
    """How many there are of each kind that the picture shows, and of one that it does not."""
    shown = {group.kind: group.count for group in picture.groups}
    absent = rng.choice([kind for kind in KINDS if kind not in shown])
    return [
        Question(_how_many(kind, rng, split), f"There {_number_things(count, kind)}.", "count")
        for kind, count in {**shown, absent: 0}.items()
    ]


def _whose(group: Group, look: str, rng: Random, split: Split) -> Question:
    """Which thing has a look that is the group's alone."""
    thing, be = _named(group)
    text = say("ask_whose", split, rng, look=look)
    return Question(text, sentence(f"{thing} {be} {look}"), "kind")


def what_is_it(group: Group, rng: Random, split: Split) -> Question:
    if group.count == 1:
        return Question(say("ask_kind", split, rng), f"It is {article(group.kind)}.", "kind")
    return Question(say("ask_kinds", split, rng), f"They are {noun(group.kind, 2)}.", "kind")


def _how_many(kind: str, rng: Random, split: Split) -> str:
    return say("ask_count", split, rng, things=noun(kind, 2))


def _counts(picture: Picture, group: Group, rng: Random, split: Split) -> list[Question]:
    kind = rng.choice([group.kind, group.kind, rng.choice(KINDS)])
    count = sum(g.count for g in picture.groups if g.kind == kind)
    many = _how_many(kind, rng, split)
    total = sum(g.count for g in picture.groups)
    every = say("ask_total", split, rng)
    guesses = [n for n in range(1, MAX_COUNT + 1) if free(group.kind, n, split)]
    guess = group.count if rng.random() < 0.5 else rng.choice(guesses)
    is_it = f"{'Is' if guess == 1 else 'Are'} there {NUMBERS[guess]} {noun(group.kind, guess)}?"
    is_it = is_it if split != "held_out" else f"Tell me, {is_it[0].lower()}{is_it[1:]}"
    there = say("ask_presence", split, rng, thing=article(kind))
    things = "is one thing" if total == 1 else f"are {NUMBERS[total]} things"
    counted = f"There {_number_things(count, kind)}."
    guessed = f"{yes(guess, group.count)}, there {_number_things(group.count, group.kind)}."
    present = f"Yes, t{counted[1:]}" if count else f"No, there is no {kind}."
    return [
        Question(many, counted, "count"),
        Question(many, counted, "count"),
        Question(every, f"There {things}.", "count"),
        Question(is_it, guessed, "count"),
        Question(there, present, "presence"),
    ]


def _relations(picture: Picture, rng: Random, split: Split) -> list[Question]:
    first, second = (g.kind for g in picture.groups[:2])
    relation = picture.relation or ""
    if rng.random() < 0.5:  # the same fact, seen from the second thing
        first, second, relation = second, first, OPPOSITE[relation]
    asked = rng.choice(phrases.RELATION_WORDS[relation])
    # Both ends of a direction, in one fixed order.
    ends = "left of or right of" if relation.endswith(" of") else "above or below"
    what = say("ask_what_side", split, rng, side=asked, thing=second)
    where = say("ask_where", split, rng, first=first, second=second, ends=ends)
    guess = rng.choice([relation, relation, rng.choice(RELATIONS)])
    fact = sentence(f"the {first} is {relation} the {second}")
    questions = [
        Question(what, fact, "relation"),
        Question(where, fact, "relation"),
        _whether(first, guess, second, relation, rng, split),
    ]
    if len(picture.groups) == 2:
        empty = rng.choice([r for r in RELATIONS if r != relation])
        questions.append(_nothing(empty, second, rng, split))
    return questions


def _whether(
    thing: str, side: str, other: str, relation: str, rng: Random, split: Split
) -> Question:
    """Whether one thing is on a side of another; in truth it is in this relation to it."""
    text = say("ask_side", split, rng, thing=thing, side=side, other=other)
    answer = f"{yes(side, relation)}, the {thing} is {relation} the {other}."
    return Question(text, answer, "relation")


def _nothing(side: str, thing: str, rng: Random, split: Split) -> Question:
    """What is on the empty side of a thing."""
    text = say("ask_nothing", split, rng, side=side, thing=thing)
    return Question(text, f"Nothing is {side} the {thing}.", "relation")
