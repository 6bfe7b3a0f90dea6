"""Questions about what a picture shows, and their only right answers.

Knows: what can be asked of things that are seen, and the answer, a short full sentence.
Leaves to others: sounds, motion, and two media together (`dialogue_questions`).
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final, NamedTuple

from nextgpt_lite.world import phrases
from nextgpt_lite.world.describe import article, caption, noun
from nextgpt_lite.world.dialogue.parts import free, sentence
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


def word(frames: tuple[Sequence[str], Sequence[str]], rng: Random, split: Split) -> str:
    """A wording of the split: (train, held out)."""
    return rng.choice(frames[split == "held_out"])


def _number_things(count: int, kind: str) -> str:
    """ "is one dog", "are two dogs" or "are no dogs"."""
    number = NUMBERS[count] if count else "no"
    return f"{'is' if count == 1 else 'are'} {number} {noun(kind, count)}"


def other_than(value: str, values: Sequence[str], rng: Random) -> str:
    return rng.choice([v for v in values if v != value])


def looks(group: Group, place: str, rng: Random, split: Split) -> list[Question]:
    """Colour, size and place of a group that is named by its kind."""
    kind, one = group.kind, group.count == 1
    thing, be = f"the {noun(kind, group.count)}", "is" if one else "are"
    colours = [c for c in COLOURS if c != group.colour and free(kind, c, split)]
    guess = rng.choice([group.colour, rng.choice(colours)])
    size_guess = rng.choice(SIZES)
    colour_text = word(
        (
            (f"What colour {be} {thing}?", f"What is the colour of {thing}?",
             f"Tell me the colour of {thing}."),
            (f"Which colour {be} {thing}?", f"Please tell me the colour of {thing}."),
        ), rng, split,
    )  # fmt: skip
    size_text = word(
        (
            (f"How big {be} {thing}?", f"{be.title()} {thing} small or large?",
             f"What size {be} {thing}?"),
            (f"Which size {be} {thing}?", f"{be.title()} {thing} large or small?"),
        ), rng, split,
    )  # fmt: skip
    place_text = word(
        ((f"Where {be} {thing}?", f"What place {be} {thing} in?"),
         (f"Which place {be} {thing} in?", f"Please tell me where {thing} {be}.")),
        rng, split,
    )  # fmt: skip
    is_it = word(
        ((f"{be.title()} {thing} {guess}?",), (f"Tell me, {be} {thing} {guess}?",)), rng, split
    )
    is_big = word(
        ((f"{be.title()} {thing} {size_guess}?",), (f"Tell me, {be} {thing} {size_guess}?",)),
        rng, split,
    )  # fmt: skip
    yes = "Yes" if guess == group.colour else "No"
    yes_size = "Yes" if size_guess == group.size else "No"
    return [
        Question(colour_text, sentence(f"{thing} {be} {group.colour}"), "colour"),
        Question(is_it, f"{yes}, {thing} {be} {group.colour}.", "colour"),
        Question(size_text, sentence(f"{thing} {be} {group.size}"), "size"),
        Question(is_big, f"{yes_size}, {thing} {be} {group.size}.", "size"),
        Question(place_text, sentence(f"{thing} {be} {PLACE_ANSWERS[place]}"), "place"),
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
        thing = f"the {noun(group.kind, group.count)}"
        does = "does" if group.count == 1 else "do"
        text = word(
            ((f"Describe {thing}.", f"What {does} {thing} look like?"),
             (f"Please describe {thing}.",)),
            rng, split,
        )  # fmt: skip
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
    text = word(
        ((f"What is {look}?", f"Which thing is {look}?"), (f"Tell me what is {look}.",)), rng, split
    )
    be = "is" if group.count == 1 else "are"
    return Question(text, f"The {noun(group.kind, group.count)} {be} {look}.", "kind")


def what_is_it(group: Group, rng: Random, split: Split) -> Question:
    if group.count == 1:
        frames = (("What is it?", "What thing is it?"), ("What kind of thing is it?",))
        return Question(word(frames, rng, split), f"It is {article(group.kind)}.", "kind")
    many = (("What are they?", "What things are they?"), ("What kind of things are they?",))
    return Question(word(many, rng, split), f"They are {noun(group.kind, 2)}.", "kind")


def _how_many(kind: str, rng: Random, split: Split) -> str:
    return word(
        (
            (f"How many {noun(kind, 2)} are there?", f"How many {noun(kind, 2)} do you see?",
             f"Count the {noun(kind, 2)}."),
            (f"How many {noun(kind, 2)} can you see?", f"Please count the {noun(kind, 2)}."),
        ), rng, split,
    )  # fmt: skip


def _counts(picture: Picture, group: Group, rng: Random, split: Split) -> list[Question]:
    kind = rng.choice([group.kind, group.kind, rng.choice(KINDS)])
    count = sum(g.count for g in picture.groups if g.kind == kind)
    many = _how_many(kind, rng, split)
    total = sum(g.count for g in picture.groups)
    every = word(
        (("How many things are there?", "How many things do you see?"),
         ("How many things can you see?",)),
        rng, split,
    )  # fmt: skip
    guesses = [n for n in range(1, MAX_COUNT + 1) if free(group.kind, n, split)]
    guess = group.count if rng.random() < 0.5 else rng.choice(guesses)
    be = "Is" if guess == 1 else "Are"
    is_it = f"{be} there {NUMBERS[guess]} {noun(group.kind, guess)}?"
    is_it = is_it if split != "held_out" else f"Tell me, {is_it[0].lower()}{is_it[1:]}"
    yes = "Yes" if guess == group.count else "No"
    there = word(
        ((f"Is there {article(kind)}?", f"Do you see {article(kind)}?"),
         (f"Can you see {article(kind)}?",)),
        rng, split,
    )  # fmt: skip
    things = "is one thing" if total == 1 else f"are {NUMBERS[total]} things"
    if count == 0:
        present = f"No, there is no {kind}."
    else:
        present = f"Yes, there {_number_things(count, kind)}."
    return [
        Question(many, f"There {_number_things(count, kind)}.", "count"),
        Question(many, f"There {_number_things(count, kind)}.", "count"),
        Question(every, f"There {things}.", "count"),
        Question(is_it, f"{yes}, there {_number_things(group.count, group.kind)}.", "count"),
        Question(there, present, "presence"),
    ]


def _relations(picture: Picture, rng: Random, split: Split) -> list[Question]:
    first, second = (g.kind for g in picture.groups[:2])
    relation = picture.relation or ""
    if rng.random() < 0.5:  # the same fact, seen from the second thing
        first, second, relation = second, first, OPPOSITE[relation]
    asked = rng.choice(phrases.RELATION_WORDS[relation])
    what = word(
        ((f"What is {asked} the {second}?", f"Which thing is {asked} the {second}?"),
         (f"Tell me what is {asked} the {second}.", f"What can you see {asked} the {second}?")),
        rng, split,
    )  # fmt: skip
    where = word(
        ((f"Where is the {first}, seen from the {second}?",
          f"Is the {first} {' or '.join(_pair(relation))} the {second}?"),
         (f"Seen from the {second}, where is the {first}?",)),
        rng, split,
    )  # fmt: skip
    guess = rng.choice([relation, relation, rng.choice(RELATIONS)])
    whether = _whether(first, guess, second, relation, rng, split)
    fact = f"the {first} is {relation} the {second}"
    questions = [
        Question(what, sentence(fact), "relation"),
        Question(where, sentence(fact), "relation"),
        whether,
    ]
    if len(picture.groups) == 2:
        empty = rng.choice([r for r in RELATIONS if r != relation])
        questions.append(_nothing(empty, second, rng, split))
    return questions


def _whether(
    thing: str, side: str, other: str, relation: str, rng: Random, split: Split
) -> Question:
    """Whether one thing is on a side of another; in truth it is in this relation to it."""
    text = word(
        ((f"Is the {thing} {side} the {other}?",),
         (f"Tell me, is the {thing} {side} the {other}?",)),
        rng, split,
    )  # fmt: skip
    yes = "Yes" if side == relation else "No"
    return Question(text, f"{yes}, the {thing} is {relation} the {other}.", "relation")


def _nothing(side: str, thing: str, rng: Random, split: Split) -> Question:
    """What is on the empty side of a thing."""
    text = word(
        ((f"What is {side} the {thing}?",), (f"Tell me what is {side} the {thing}.",)), rng, split
    )
    return Question(text, f"Nothing is {side} the {thing}.", "relation")


def _pair(relation: str) -> tuple[str, str]:
    """Both ends of a direction, in one fixed order."""
    return ("left of", "right of") if relation.endswith(" of") else ("above", "below")
