"""Questions about one scene or two, and their only right answers.

Knows: what can be asked of a picture, a sound and a clip, and the answer, a short full sentence.
Leaves to others: how question, media and answer make a conversation (`dialogue`).
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final, NamedTuple

from nextgpt_lite.world import phrases
from nextgpt_lite.world.describe import article, noun
from nextgpt_lite.world.dialogue_parts import free, sentence
from nextgpt_lite.world.scene import (
    COLOURS,
    KINDS,
    MAX_COUNT,
    MAX_TIMES,
    MOTIONS,
    OPPOSITE,
    PITCHES,
    RELATIONS,
    SIZES,
    Clip,
    Group,
    Picture,
    Scene,
    Sound,
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


def ask(scene: Scene, rng: Random, split: Split) -> Question:
    """One question that the scene answers; its wording belongs to the split."""
    match scene:
        case Picture():
            choices = _about_picture(scene, rng, split)
        case Sound():
            choices = _about_sound(scene, rng, split)
        case Clip():
            choices = _about_clip(scene, rng, split)
    # First the subject, so that one with many wordings is not asked more often.
    about = rng.choice(sorted({q.about for q in choices}))
    return rng.choice([q for q in choices if q.about == about])


def ask_of_two(first: Scene, second: Scene, rng: Random, split: Split) -> Question:
    """One question about two media given together, in this order."""
    if isinstance(first, Picture) and isinstance(second, Picture):
        return rng.choice(_about_two_pictures(first, second, rng, split))
    return _same_thing(first, second, split, rng)


def _word(frames: tuple[Sequence[str], Sequence[str]], rng: Random, split: Split) -> str:
    """A wording of the split: (train, held out)."""
    return rng.choice(frames[split == "held_out"])


def _number_things(count: int, kind: str) -> str:
    """ "is one dog", "are two dogs" or "are no dogs"."""
    number = NUMBERS[count] if count else "no"
    return f"{'is' if count == 1 else 'are'} {number} {noun(kind, count)}"


def _other(value: str, values: Sequence[str], rng: Random) -> str:
    return rng.choice([v for v in values if v != value])


def _looks(group: Group, place: str, rng: Random, split: Split) -> list[Question]:
    """Colour, size and place of a group that is named by its kind."""
    kind, one = group.kind, group.count == 1
    thing, be = f"the {noun(kind, group.count)}", "is" if one else "are"
    colours = [c for c in COLOURS if c != group.colour and free(kind, c, split)]
    guess = rng.choice([group.colour, rng.choice(colours)])
    size_guess = rng.choice(SIZES)
    colour_text = _word(
        (
            (f"What colour {be} {thing}?", f"Which colour {'has' if one else 'have'} {thing}?",
             f"Tell me the colour of {thing}."),
            (f"Which colour {be} {thing}?", f"Please tell me the colour of {thing}."),
        ), rng, split,
    )  # fmt: skip
    size_text = _word(
        (
            (f"How big {be} {thing}?", f"{be.title()} {thing} small or large?",
             f"What size {be} {thing}?"),
            (f"Which size {be} {thing}?", f"{be.title()} {thing} large or small?"),
        ), rng, split,
    )  # fmt: skip
    place_text = _word(
        ((f"Where {be} {thing}?", f"In what place {be} {thing}?"),
         (f"In which place {be} {thing}?", f"Please tell me where {thing} {be}.")),
        rng, split,
    )  # fmt: skip
    is_it = _word(
        ((f"{be.title()} {thing} {guess}?",), (f"Tell me, {be} {thing} {guess}?",)), rng, split
    )
    is_big = _word(
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


def _about_picture(picture: Picture, rng: Random, split: Split) -> list[Question]:
    group = rng.choice(picture.groups)
    questions = _looks(group, picture.place, rng, split)
    questions += _counts(picture, group, rng, split)
    if len(picture.groups) == 1:
        questions.append(_what_is_it(group, rng, split))
    if sum(g.colour == group.colour for g in picture.groups) == 1 and len(picture.groups) > 1:
        be = "is" if group.count == 1 else "are"
        text = _word(
            ((f"What is {group.colour}?", f"Which thing is {group.colour}?"),
             (f"Tell me what is {group.colour}.",)),
            rng, split,
        )  # fmt: skip
        answer = f"The {noun(group.kind, group.count)} {be} {group.colour}."
        questions.append(Question(text, answer, "kind"))
    if picture.relation:
        questions += _relations(picture, rng, split) * 2
    return questions


def _what_is_it(group: Group, rng: Random, split: Split) -> Question:
    if group.count == 1:
        frames = (("What is it?", "What thing is it?"), ("What kind of thing is it?",))
        return Question(_word(frames, rng, split), f"It is {article(group.kind)}.", "kind")
    many = (("What are they?", "What things are they?"), ("What kind of things are they?",))
    return Question(_word(many, rng, split), f"They are {noun(group.kind, 2)}.", "kind")


def _counts(picture: Picture, group: Group, rng: Random, split: Split) -> list[Question]:
    kind = rng.choice([group.kind, group.kind, rng.choice(KINDS)])
    count = sum(g.count for g in picture.groups if g.kind == kind)
    many = _word(
        (
            (f"How many {noun(kind, 2)} are there?", f"How many {noun(kind, 2)} do you see?",
             f"Count the {noun(kind, 2)}."),
            (f"How many {noun(kind, 2)} can you see?", f"Please count the {noun(kind, 2)}."),
        ), rng, split,
    )  # fmt: skip
    total = sum(g.count for g in picture.groups)
    every = _word(
        (("How many things are there?", "How many things do you see?"),
         ("How many things can you see?",)),
        rng, split,
    )  # fmt: skip
    guesses = [n for n in range(1, MAX_COUNT + 1) if free(group.kind, n, split)]
    guess = group.count if rng.random() < 0.5 else rng.choice(guesses)
    be = "Is" if guess == 1 else "Are"
    is_it = f"{be} there {NUMBERS[guess]} {noun(group.kind, guess)}?"
    is_it = is_it if split == "train" else f"Tell me, {is_it[0].lower()}{is_it[1:]}"
    yes = "Yes" if guess == group.count else "No"
    there = _word(
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
    what = _word(
        ((f"What is {asked} the {second}?", f"Which thing is {asked} the {second}?"),
         (f"Tell me what is {asked} the {second}.", f"What can you see {asked} the {second}?")),
        rng, split,
    )  # fmt: skip
    where = _word(
        ((f"Where is the {first}, seen from the {second}?",
          f"Is the {first} {' or '.join(_pair(relation))} the {second}?"),
         (f"Seen from the {second}, where is the {first}?",)),
        rng, split,
    )  # fmt: skip
    guess = rng.choice([relation, relation, rng.choice(RELATIONS)])
    is_it = _word(
        ((f"Is the {first} {guess} the {second}?",),
         (f"Tell me, is the {first} {guess} the {second}?",)),
        rng, split,
    )  # fmt: skip
    fact = f"the {first} is {relation} the {second}"
    questions = [
        Question(what, sentence(fact), "relation"),
        Question(where, sentence(fact), "relation"),
        Question(is_it, f"{'Yes' if guess == relation else 'No'}, {fact}.", "relation"),
    ]
    if len(picture.groups) == 2:
        empty = rng.choice([r for r in RELATIONS if r != relation])
        text = _word(
            ((f"What is {empty} the {second}?",), (f"Tell me what is {empty} the {second}.",)),
            rng, split,
        )  # fmt: skip
        questions.append(Question(text, f"Nothing is {empty} the {second}.", "relation"))
    return questions


def _pair(relation: str) -> tuple[str, str]:
    """Both ends of a direction, in one fixed order."""
    return ("left of", "right of") if relation.endswith(" of") else ("above", "below")


def _about_sound(sound: Sound, rng: Random, split: Split) -> list[Question]:
    kind = sound.kind
    infinitive, verb = phrases.INFINITIVES[kind], phrases.VERBS[kind]
    times = phrases.TIMES_WORDS[sound.times]
    guess = rng.choice([kind, _other(kind, KINDS, rng)])
    pitch_guess = rng.choice(PITCHES)
    times_guess = rng.choice([sound.times, rng.randint(1, MAX_TIMES)])
    what = _word(
        (("What makes this sound?", "What makes the sound?", "What is it?"),
         ("Tell me what makes this sound.", "What can it be?")),
        rng, split,
    )  # fmt: skip
    is_it = _word(
        ((f"Is it {article(guess)}?", f"Is this {article(guess)}?"),
         (f"Tell me, is it {article(guess)}?",)),
        rng, split,
    )  # fmt: skip
    often = _word(
        ((f"How many times does the {kind} {infinitive}?",
          f"How often does the {kind} {infinitive}?"),
         (f"Tell me how often the {kind} {verb}.",)),
        rng, split,
    )  # fmt: skip
    does = f"oes the {kind} {infinitive} {phrases.TIMES_WORDS[times_guess]}?"
    does = f"D{does}" if split == "train" else f"Tell me, d{does}"
    pitch = _word(
        (("Is the pitch high or low?", "Is it high or low?", "What pitch is it?"),
         ("Is it low or high?", "Which pitch is it?")),
        rng, split,
    )  # fmt: skip
    is_pitch = _word(
        ((f"Is the pitch {pitch_guess}?",), (f"Tell me, is the pitch {pitch_guess}?",)), rng, split
    )
    yes = "Yes" if guess == kind else "No"
    yes_times = "Yes" if times_guess == sound.times else "No"
    yes_pitch = "Yes" if pitch_guess == sound.pitch else "No"
    return [
        Question(what, f"It is {article(kind)}.", "kind"),
        Question(is_it, f"{yes}, it is {article(kind)}.", "kind"),
        Question(often, f"The {kind} {verb} {times}.", "times"),
        Question(does, f"{yes_times}, the {kind} {verb} {times}.", "times"),
        Question(pitch, f"The pitch is {sound.pitch}.", "pitch"),
        Question(is_pitch, f"{yes_pitch}, the pitch is {sound.pitch}.", "pitch"),
    ]


def _about_clip(clip: Clip, rng: Random, split: Split) -> list[Question]:
    kind = clip.kind
    moves = phrases.MOTION_WORDS[clip.motion][0][0]
    guess = rng.choice([clip.motion, clip.motion, rng.choice(MOTIONS)])
    move = phrases.MOTION_WORDS[guess][0][1]
    does = _word(
        ((f"What does the {kind} do?", f"How does the {kind} move?",
          f"What happens to the {kind}?"),
         (f"Tell me what the {kind} does.", f"What happens with the {kind}?")),
        rng, split,
    )  # fmt: skip
    does_it = _word(
        ((f"Does the {kind} {move}?",), (f"Tell me, does the {kind} {move}?",)), rng, split
    )
    yes = "Yes" if guess == clip.motion else "No"
    return [
        *_looks(Group(kind, clip.colour, clip.size), clip.place, rng, split),
        Question(does, f"The {kind} {moves}.", "motion"),
        Question(does_it, f"{yes}, the {kind} {moves}.", "motion"),
        _what_is_it(Group(kind, clip.colour), rng, split),
    ]


def _about_two_pictures(
    first: Picture, second: Picture, rng: Random, split: Split
) -> list[Question]:
    please = "" if split == "train" else "Look at both pictures. "
    index = rng.randrange(2)
    picture, which = (first, second)[index], ("first", "second")[index]
    asked = ask(picture, rng, split)
    questions = [Question(f"Look at the {which} picture. {please}{asked.text}", *asked[1:])] * 2
    counts = [sum(g.count for g in p.groups) for p in (first, second)]
    if counts[0] == counts[1]:
        more = "Both pictures show the same number of things."
    else:
        more = f"The {'first' if counts[0] > counts[1] else 'second'} picture has more things."
    questions.append(Question(f"{please}Which picture has more things?", more, "count"))
    total = sum(counts)
    text = f"{please}How many things are there in both pictures together?"
    questions.append(Question(text, f"There are {NUMBERS[total]} things.", "count"))
    return questions


def _same_thing(first: Scene, second: Scene, split: Split, rng: Random) -> Question:
    names = [_kind_of(s) for s in (first, second)]
    text = _word(
        (("Is it the same kind of thing?", "Do both belong to the same kind of thing?"),
         ("Are both of the same kind?",)),
        rng, split,
    )  # fmt: skip
    if names[0] == names[1]:
        return Question(text, f"Yes, it is {article(names[0])}.", "kind")
    answer = f"No, first there is {article(names[0])}, and then {article(names[1])}."
    return Question(text, answer, "kind")


def _kind_of(scene: Scene) -> str:
    return scene.groups[0].kind if isinstance(scene, Picture) else scene.kind
