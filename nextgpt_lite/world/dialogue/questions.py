"""Questions about one scene or two, and their only right answers.

Knows: which question fits which scene; sounds, motion and two media together.
Leaves to others: what is seen (`dialogue_looks`), and how question, media and answer make a
conversation (`dialogue`).
"""

from __future__ import annotations

from random import Random

from nextgpt_lite.world import phrases
from nextgpt_lite.world.describe import article
from nextgpt_lite.world.dialogue.looks import (
    NUMBERS,
    Question,
    about_picture,
    looks,
    other_than,
    what_is_it,
    word,
)
from nextgpt_lite.world.scene import (
    KINDS,
    MAX_TIMES,
    MOTIONS,
    PITCHES,
    Clip,
    Group,
    Picture,
    Scene,
    Sound,
    Split,
)


def ask(scene: Scene, rng: Random, split: Split) -> Question:
    """One question that the scene answers; its wording belongs to the split."""
    match scene:
        case Picture():
            choices = about_picture(scene, rng, split)
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


def _about_sound(sound: Sound, rng: Random, split: Split) -> list[Question]:
    kind = sound.kind
    infinitive, verb = phrases.INFINITIVES[kind], phrases.VERBS[kind]
    times = phrases.TIMES_WORDS[sound.times]
    guess = rng.choice([kind, other_than(kind, KINDS, rng)])
    pitch_guess = rng.choice(PITCHES)
    times_guess = rng.choice([sound.times, rng.randint(1, MAX_TIMES)])
    what = word(
        (("What makes this sound?", "What makes the sound?", "What is it?"),
         ("Tell me what makes this sound.", "What thing makes this sound?")),
        rng, split,
    )  # fmt: skip
    is_it = word(
        ((f"Is it {article(guess)}?", f"Is this {article(guess)}?"),
         (f"Tell me, is it {article(guess)}?",)),
        rng, split,
    )  # fmt: skip
    often = word(
        ((f"How many times does the {kind} {infinitive}?",
          f"How often does the {kind} {infinitive}?"),
         (f"Tell me how often the {kind} {verb}.",)),
        rng, split,
    )  # fmt: skip
    does = f"oes the {kind} {infinitive} {phrases.TIMES_WORDS[times_guess]}?"
    does = f"D{does}" if split != "held_out" else f"Tell me, d{does}"
    pitch = word(
        (("Is the pitch high or low?", "Is it high or low?", "What pitch is it?"),
         ("Is it low or high?", "Which pitch is it?")),
        rng, split,
    )  # fmt: skip
    is_pitch = word(
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
    does = word(
        ((f"What does the {kind} do?", f"How does the {kind} move?",
          f"What happens to the {kind}?"),
         (f"Tell me what the {kind} does.", f"What happens with the {kind}?")),
        rng, split,
    )  # fmt: skip
    does_it = word(
        ((f"Does the {kind} {move}?",), (f"Tell me, does the {kind} {move}?",)), rng, split
    )
    yes = "Yes" if guess == clip.motion else "No"
    return [
        *looks(Group(kind, clip.colour, clip.size), clip.place, rng, split),
        Question(does, f"The {kind} {moves}.", "motion"),
        Question(does_it, f"{yes}, the {kind} {moves}.", "motion"),
        what_is_it(Group(kind, clip.colour), rng, split),
    ]


def _about_two_pictures(
    first: Picture, second: Picture, rng: Random, split: Split
) -> list[Question]:
    held_out = split == "held_out"
    index = rng.randrange(2)
    which = ("first", "second")[index]
    asked = ask((first, second)[index], rng, split)
    look = f"In the {which} picture:" if held_out else f"Look at the {which} picture."
    one = Question(f"{look} {asked.text}", asked.answer, asked.about)
    counts = [sum(g.count for g in p.groups) for p in (first, second)]
    if counts[0] == counts[1]:
        more = "Both pictures show the same number of things."
    else:
        more = f"The {'first' if counts[0] > counts[1] else 'second'} picture has more things."
    text = "Which picture has more things?"
    if held_out:
        text = "In which picture are there more things?"
    which_more = Question(text, more, "count")
    text = "How many things are there in both pictures together?"
    if held_out:
        text = "How many things do both pictures show together?"
    together = Question(text, f"There are {NUMBERS[sum(counts)]} things.", "count")
    return [one, one, which_more, together]


def _same_thing(first: Scene, second: Scene, split: Split, rng: Random) -> Question:
    names = [_kind_of(s) for s in (first, second)]
    text = word(
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
