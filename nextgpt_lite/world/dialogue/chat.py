"""Talk that needs no media: greetings, what the model can do, knowledge of the world, sums.

Knows: questions with their only right answers, in words.
Leaves to others: weaving them into conversations (`records`, `turns`).
"""

from __future__ import annotations

from random import Random
from typing import Final, NamedTuple

from nextgpt_lite.world import phrases
from nextgpt_lite.world.describe import article, noun
from nextgpt_lite.world.dialogue.looks import NUMBERS
from nextgpt_lite.world.dialogue.parts import DEFAULTS, free, sentence
from nextgpt_lite.world.dialogue.requests import story
from nextgpt_lite.world.dialogue.wordings import say
from nextgpt_lite.world.scene import COLOURS, KINDS, OPPOSITE, RELATIONS, SIZES, Split

ANSWERS: Final = {
    "hello": "Hello! What would you like to see or hear?",
    "thanks": "You are welcome.",
    "bye": "Goodbye!",
    "skills": "I can look at pictures and clips, listen to sounds, and make pictures, clips and "
    "sounds.",
}
OPPOSITES: Final = {
    "left": "right", "up": "down", "small": "large", "high": "low", "above": "below",
    "first": "second", "more": "less", "yes": "no",
}  # fmt: skip


class Exchange(NamedTuple):
    """One question and its answer, both in words alone."""

    text: str
    answer: str


def greeting(rng: Random, split: Split) -> Exchange:
    """The beginning of a conversation."""
    return Exchange(say("hello", split, rng), ANSWERS["hello"])


def aside(rng: Random, split: Split) -> Exchange:
    """Something said between requests: thanks, or what the model can do."""
    key = "thanks" if rng.random() < 0.6 else "skills"
    return Exchange(say(key, split, rng), ANSWERS[key])


def farewell(rng: Random, split: Split) -> Exchange:
    """The end of a conversation."""
    return Exchange(say("bye", split, rng), ANSWERS["bye"])


def knowledge(rng: Random, split: Split) -> Exchange:
    """A question about the world, a sum or a riddle in words."""
    topic = rng.choice((_sum, _sum, _story, _story, _noise, _who, _opposite, _counting, _more,
                        _relation, _lists, _default))  # fmt: skip
    return topic(rng, split)


def _sum(rng: Random, split: Split) -> Exchange:
    plus = rng.random() < 0.5
    first, second = rng.randint(1, 7), rng.randint(0, 7)
    if not plus:
        first, second = max(first, second), min(first, second)
    result = first + second if plus else first - second
    sign = "plus" if plus else "minus"
    a, b = (str(n) if rng.random() < 0.4 else NUMBERS[n] for n in (first, second))
    text = say("sum", split, rng, a=a, A=a.title(), b=b, sign=sign)
    answer = f"{NUMBERS[first]} {sign} {NUMBERS[second]} is {NUMBERS[result]}"
    return Exchange(text, sentence(answer))


def _story(rng: Random, split: Split) -> Exchange:
    told = story(rng, split)
    kind, count = told.after.kind, told.after.count
    number = NUMBERS[count] if count else "no"
    text = f"{told.text} {say('story_ask', split, rng)}"
    be = "is" if count == 1 else "are"
    return Exchange(text, f"There {be} {number} {noun(kind, count)} now.")


def _noise(rng: Random, split: Split) -> Exchange:
    kind = rng.choice(KINDS)
    answer = sentence(f"{article(kind)} {phrases.VERBS[kind]}")
    return Exchange(say("noise_words", split, rng, thing=article(kind)), answer)


def _who(rng: Random, split: Split) -> Exchange:
    kind = rng.choice(KINDS)
    verb = phrases.VERBS[kind]
    return Exchange(say("who", split, rng, verb=verb), sentence(f"{article(kind)} {verb}"))


def _opposite(rng: Random, split: Split) -> Exchange:
    pair = list(rng.choice(list(OPPOSITES.items())))
    rng.shuffle(pair)
    text = say("opposite", split, rng, word=pair[0])
    return Exchange(text, f"The opposite of {pair[0]} is {pair[1]}.")


def _counting(rng: Random, split: Split) -> Exchange:
    number = rng.randint(2, 7)
    name = NUMBERS[number]
    if rng.random() < 0.5:
        listed = sentence(", ".join(NUMBERS[1 : number + 1]))
        return Exchange(say("count_to", split, rng, n=name), listed)
    step, word = rng.choice(((1, "after"), (-1, "before")))
    answer = sentence(f"{NUMBERS[number + step]} comes {word} {name}")
    return Exchange(say("neighbour", split, rng, word=word, n=name), answer)


def _more(rng: Random, split: Split) -> Exchange:
    first, second = rng.sample(range(8), 2)
    text = say("more", split, rng, a=NUMBERS[first], b=NUMBERS[second])
    low, high = sorted((first, second))
    return Exchange(text, sentence(f"{NUMBERS[high]} is more than {NUMBERS[low]}"))


def _relation(rng: Random, split: Split) -> Exchange:
    first, second = rng.sample(KINDS, 2)
    relation = rng.choice(RELATIONS)
    asked = rng.choice(phrases.RELATION_WORDS[relation])
    text = say("relation", split, rng, first=first, second=second, asked=asked)
    return Exchange(text, f"The {second} is {OPPOSITE[relation]} the {first}.")


def _lists(rng: Random, split: Split) -> Exchange:
    name, words = rng.choice(
        (("colours", COLOURS), ("things", tuple(noun(k, 2) for k in KINDS)), ("sizes", SIZES))
    )
    listed = f"{', '.join(words[:-1])} and {words[-1]}"
    return Exchange(say("known", split, rng, name=name), f"I know {listed}.")


def _default(rng: Random, split: Split) -> Exchange:
    kind = rng.choice(KINDS)
    text = say("default", split, rng, kind=kind, thing=article(kind))
    if not free(kind, DEFAULTS.colours[kind], "train"):
        raise AssertionError(f"DEFAULTS: {kind} has a held-out colour; choose another.")
    return Exchange(text, f"I draw {article(kind)} in {DEFAULTS.colours[kind]}.")
