"""Questions about one scene or two, and their only right answers.

Knows: which question fits which scene; sounds, motion and two media together.
Leaves to others: what is seen (`looks`), wordings (`wordings`), and how question, media and answer
make a conversation (`records`).
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
    yes,
)
from nextgpt_lite.world.dialogue.wordings import say
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
    guess = rng.choice([kind, other_than(kind, KINDS, rng)])
    pitch_guess = rng.choice(PITCHES)
    times_guess = rng.choice([sound.times, rng.randint(1, MAX_TIMES)])
    what = say("ask_sound", split, rng)
    is_it = say("ask_is_it", split, rng, thing=article(guess))
    often = say("ask_times", split, rng, kind=kind, infinitive=infinitive, verb=verb)
    does = f"oes the {kind} {infinitive} {phrases.TIMES_WORDS[times_guess]}?"
    does = f"D{does}" if split != "held_out" else f"Tell me, d{does}"
    pitch = say("ask_pitch", split, rng)
    is_pitch = say("ask_whether", split, rng, thing="the pitch", be="is", Be="Is", look=pitch_guess)
    is_kind, is_of = f"it is {article(kind)}.", f"the pitch is {sound.pitch}."
    heard = f"the {kind} {verb} {phrases.TIMES_WORDS[sound.times]}."
    return [
        Question(what, f"I{is_kind[1:]}", "kind"),
        Question(is_it, f"{yes(guess, kind)}, {is_kind}", "kind"),
        Question(often, f"T{heard[1:]}", "times"),
        Question(does, f"{yes(times_guess, sound.times)}, {heard}", "times"),
        Question(pitch, f"T{is_of[1:]}", "pitch"),
        Question(is_pitch, f"{yes(pitch_guess, sound.pitch)}, {is_of}", "pitch"),
    ]


def _about_clip(clip: Clip, rng: Random, split: Split) -> list[Question]:
    kind = clip.kind
    moves = phrases.MOTION_WORDS[clip.motion][0][0]
    guess = rng.choice([clip.motion, clip.motion, rng.choice(MOTIONS)])
    does = say("ask_motion", split, rng, kind=kind)
    move = phrases.MOTION_WORDS[guess][0][1]
    does_it = say("ask_moves", split, rng, kind=kind, move=move)
    return [
        *looks(Group(kind, clip.colour, clip.size), clip.place, rng, split),
        Question(does, f"The {kind} {moves}.", "motion"),
        Question(does_it, f"{yes(guess, clip.motion)}, the {kind} {moves}.", "motion"),
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
    one = asked._replace(text=f"{look} {asked.text}")
    counts = [sum(g.count for g in p.groups) for p in (first, second)]
    more = f"The {'first' if counts[0] > counts[1] else 'second'} picture has more things."
    if counts[0] == counts[1]:
        more = "Both pictures show the same number of things."
    which_more = "In which picture are there more things?" if held_out else (
        "Which picture has more things?"
    )  # fmt: skip
    together = "How many things do both pictures show together?" if held_out else (
        "How many things are there in both pictures together?"
    )  # fmt: skip
    return [
        one,
        one,
        Question(which_more, more, "count"),
        Question(together, f"There are {NUMBERS[sum(counts)]} things.", "count"),
    ]


def _same_thing(first: Scene, second: Scene, split: Split, rng: Random) -> Question:
    names = [s.groups[0].kind if isinstance(s, Picture) else s.kind for s in (first, second)]
    text = say("ask_same", split, rng)
    if names[0] == names[1]:
        return Question(text, f"Yes, it is {article(names[0])}.", "kind")
    answer = f"No, first there is {article(names[0])}, and then {article(names[1])}."
    return Question(text, answer, "kind")
