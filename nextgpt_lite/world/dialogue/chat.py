"""Talk that needs no media: greetings, what the model can do, knowledge of the world, sums.

Knows: questions with their only right answers, in words.
Leaves to others: weaving them into conversations (`dialogue`, `dialogue_turns`).
"""

from __future__ import annotations

from random import Random
from typing import Final, NamedTuple

from nextgpt_lite.world import phrases
from nextgpt_lite.world.describe import article, noun
from nextgpt_lite.world.dialogue import wordings
from nextgpt_lite.world.dialogue.looks import NUMBERS
from nextgpt_lite.world.dialogue.parts import DEFAULTS, free, sentence
from nextgpt_lite.world.dialogue.requests import story
from nextgpt_lite.world.dialogue.wordings import Frames, say
from nextgpt_lite.world.scene import (
    COLOURS,
    KINDS,
    OPPOSITE,
    RELATIONS,
    SIZES,
    Split,
)

HELLO_ANSWER: Final = "Hello! What would you like to see or hear?"
THANKS_ANSWER: Final = "You are welcome."
BYE_ANSWER: Final = "Goodbye!"
SKILLS_ANSWER: Final = (
    "I can look at pictures and clips, listen to sounds, and make pictures, clips and sounds."
)

HELLO: Final[Frames] = {
    "train": ("Hello!", "Hi!", "Good morning!", "Hello there!", "Hi, how are you?"),
    "held_out": ("Hi there!", "Good day!"),
}
THANKS: Final[Frames] = {
    "train": ("Thank you!", "Thanks!", "Thanks a lot.", "Well done!", "Very nice, thank you."),
    "held_out": ("Thank you a lot!", "Very well done, thanks!"),
}
BYE: Final[Frames] = {
    "train": ("Goodbye!", "Bye!", "See you!"),
    "held_out": ("Bye, see you!",),
}
SKILLS: Final[Frames] = {
    "train": ("What can you do?", "How can you help me?", "What are you able to do?"),
    "held_out": ("Tell me what you can do.", "What can you help me with?"),
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
    return Exchange(say(HELLO, split, rng), HELLO_ANSWER)


def aside(rng: Random, split: Split) -> Exchange:
    """Something said between requests: thanks, or what the model can do."""
    if rng.random() < 0.6:
        return Exchange(say(THANKS, split, rng), THANKS_ANSWER)
    return Exchange(say(SKILLS, split, rng), SKILLS_ANSWER)


def farewell(rng: Random, split: Split) -> Exchange:
    """The end of a conversation."""
    return Exchange(say(BYE, split, rng), BYE_ANSWER)


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
    names = [str(n) if rng.random() < 0.4 else NUMBERS[n] for n in (first, second)]
    frames: Frames = {
        "train": ("What is {a} {sign} {b}?", "How much is {a} {sign} {b}?", "{A} {sign} {b}?"),
        "held_out": (
            "Tell me what {a} {sign} {b} is.",
            "Can you tell me how much {a} {sign} {b} is?",
        ),
    }
    text = say(frames, split, rng, a=names[0], A=names[0].title(), b=names[1], sign=sign)
    return Exchange(
        text, sentence(f"{NUMBERS[first]} {sign} {NUMBERS[second]} is {NUMBERS[result]}")
    )


def _story(rng: Random, split: Split) -> Exchange:
    told = story(rng, split)
    kind, count = told.after.kind, told.after.count
    be = "is" if count == 1 else "are"
    number = NUMBERS[count] if count else "no"
    text = f"{told.text} {say(wordings.STORY_ASK, split, rng)}"
    return Exchange(text, f"There {be} {number} {noun(kind, count)} now.")


def _noise(rng: Random, split: Split) -> Exchange:
    kind = rng.choice(KINDS)
    frames: Frames = {
        "train": ("Which sound does {thing} make?", "What sound does {thing} make?",
                  "Tell me what sound {thing} makes."),
        "held_out": ("Can you tell me what sound {thing} makes?",),
    }  # fmt: skip
    answer = sentence(f"{article(kind)} {phrases.VERBS[kind]}")
    return Exchange(say(frames, split, rng, thing=article(kind)), answer)


def _who(rng: Random, split: Split) -> Exchange:
    kind = rng.choice(KINDS)
    frames: Frames = {
        "train": ("Who or what {verb}?", "Which thing {verb}?"),
        "held_out": ("Tell me which thing {verb}.",),
    }
    verb = phrases.VERBS[kind]
    return Exchange(say(frames, split, rng, verb=verb), sentence(f"{article(kind)} {verb}"))


def _opposite(rng: Random, split: Split) -> Exchange:
    pair = list(rng.choice(list(OPPOSITES.items())))
    rng.shuffle(pair)
    frames: Frames = {
        "train": ("What is the opposite of {word}?", "Tell me the opposite of {word}."),
        "held_out": ("Can you tell me the opposite of {word}?",),
    }
    text = say(frames, split, rng, word=pair[0])
    return Exchange(text, f"The opposite of {pair[0]} is {pair[1]}.")


def _counting(rng: Random, split: Split) -> Exchange:
    number = rng.randint(2, 7)
    if rng.random() < 0.5:
        frames: Frames = {
            "train": ("Count to {n}.", "Can you count to {n}?"),
            "held_out": ("Please count to {n}.",),
        }
        return Exchange(
            say(frames, split, rng, n=NUMBERS[number]),
            sentence(", ".join(NUMBERS[1 : number + 1])),
        )
    step, word = rng.choice(((1, "after"), (-1, "before")))
    frames = {
        "train": ("What comes {word} {n}?", "Which number comes {word} {n}?"),
        "held_out": ("Tell me what comes {word} {n}.",),
    }
    text = say(frames, split, rng, word=word, n=NUMBERS[number])
    return Exchange(text, sentence(f"{NUMBERS[number + step]} comes {word} {NUMBERS[number]}"))


def _more(rng: Random, split: Split) -> Exchange:
    first, second = rng.sample(range(8), 2)
    frames: Frames = {
        "train": ("Which is more, {a} or {b}?", "What is more, {a} or {b}?"),
        "held_out": ("Tell me which is more, {a} or {b}.",),
    }
    high, low = max(first, second), min(first, second)
    text = say(frames, split, rng, a=NUMBERS[first], b=NUMBERS[second])
    return Exchange(text, sentence(f"{NUMBERS[high]} is more than {NUMBERS[low]}"))


def _relation(rng: Random, split: Split) -> Exchange:
    first, second = rng.sample(KINDS, 2)
    relation = rng.choice(RELATIONS)
    asked = rng.choice(phrases.RELATION_WORDS[relation])
    frames: Frames = {
        "train": ("The {first} is {asked} the {second}. Where is the {second}?",
                  "If the {first} is {asked} the {second}, where is the {second}?"),
        "held_out": ("The {first} is {asked} the {second}. So where is the {second}?",),
    }  # fmt: skip
    text = say(frames, split, rng, first=first, second=second, asked=asked)
    return Exchange(text, f"The {second} is {OPPOSITE[relation]} the {first}.")


def _lists(rng: Random, split: Split) -> Exchange:
    name, words = rng.choice(
        (("colours", COLOURS), ("things", tuple(noun(k, 2) for k in KINDS)), ("sizes", SIZES))
    )
    frames: Frames = {
        "train": (
            "Which {name} do you know?",
            "What {name} are there?",
            "Which {name} can you draw?",
        ),
        "held_out": ("Tell me the {name} you know.", "What {name} can you draw?"),
    }
    listed = f"{', '.join(words[:-1])} and {words[-1]}"
    return Exchange(say(frames, split, rng, name=name), f"I know {listed}.")


def _default(rng: Random, split: Split) -> Exchange:
    kind = rng.choice(KINDS)
    frames: Frames = {
        "train": ("What colour is your {kind}?", "In what colour do you draw {thing}?"),
        "held_out": ("Tell me the colour of your {kind}.",),
    }
    text = say(frames, split, rng, kind=kind, thing=article(kind))
    if not free(kind, DEFAULTS.colours[kind], "train"):
        raise AssertionError(f"DEFAULTS: {kind} has a held-out colour; choose another.")
    return Exchange(text, f"I draw {article(kind)} in {DEFAULTS.colours[kind]}.")
