"""The instructions on which systems are compared, made by program (paper appendix G).

Knows: which turns make an instruction simple or complex, for each modality, and how a set is drawn.
Leaves to others: turns and their truth (`world.dialogue`), files (`instruction_files`), what an
answer is worth (`aspects`).

The paper let GPT-4 write 100 simple and 100 complex instructions, for pictures only. Here each
instruction comes with the scenes that must be shown, so that verifiers can judge the answer, and
there are as many for sounds and clips, for several media at once ("several") and for none ("none":
the right answer is words, which is what makes a decision about modalities hard).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final
from zlib import crc32

from nextgpt_lite.errors import ConfigError
from nextgpt_lite.evaluation.protocols import Instruction
from nextgpt_lite.messages import Part, parts_of, text_of
from nextgpt_lite.world.dialogue import edits, requests, turns
from nextgpt_lite.world.dialogue.parts import DEFAULTS, Message, modality_of
from nextgpt_lite.world.dialogue.records import as_messages, talk
from nextgpt_lite.world.dialogue.state import State, Turn, TurnMaker
from nextgpt_lite.world.rendered import Rendered
from nextgpt_lite.world.scene import Clip, Picture, Scene, Sound, Split, is_held_out

GROUPS: Final = ("image", "audio", "video", "several", "none")
LEVELS: Final = ("simple", "complex")
LONG: Final = 16  # words of the user in all turns, from which on an instruction is long
SEED: Final = 2_000_000  # far from the seeds of training


def instructions(
    count: int = 100, seed: int | None = None, groups: Sequence[str] | None = None
) -> list[Instruction]:
    """`count` simple and `count` complex instructions of each group, half of them held out.

    The same arguments give the same set; a larger one begins with the smaller. Skills take turns.
    An instruction tells of itself its "skill" (named, numeration, spatial, attributes, reference,
    input, long or chat), its "split" ("train" has wordings and pairs that training may contain,
    "held_out" those it never contains), "pairs" ("held out" when a wanted scene has a pair that
    training never shows, else "seen"), and its "length" ("long" from `LONG` words of the user on).

    Args:
        seed: None takes `SEED`.
        groups: of `GROUPS`; None takes all.

    Raises:
        ConfigError: a group is none of `GROUPS`.
    """
    seed, groups = SEED if seed is None else seed, GROUPS if groups is None else groups
    if unknown := [name for name in groups if name not in GROUPS]:
        raise ConfigError(f"Group {unknown[0]!r} is unknown: use some of {', '.join(GROUPS)}.")
    made = []
    for group in groups:
        for level in LEVELS:
            skills = tuple(_RULES[group, level])
            for index in range(count):
                skill = skills[index % len(skills)]
                split: Split = ("train", "held_out")[index // len(skills) % 2]
                name = f"{group}/{level}/{index:03d}"
                made.append(_make(name, group, level, skill, split, Random(f"{seed}/{name}")))
    return made


# ---- what makes an instruction of a kind


@dataclass(frozen=True)
class _Rule:
    """Openings, then (where there are some) turns that follow; `fits` judges the last one."""

    openings: tuple[TurnMaker, ...]
    following: tuple[TurnMaker, ...] = ()
    fits: Callable[[tuple[Scene, ...]], bool] = lambda scenes: True


def _asking(make: Callable[..., requests.Request], **options: Any) -> TurnMaker:
    def turn(state: State) -> Turn:
        request = make(state.rng, state.split, **options)
        return Turn("request", request.text, reply=request.reply, shown=request.scenes)

    return turn


def _one_thing(scenes: tuple[Scene, ...]) -> bool:
    return all(isinstance(s, Picture) and sum(g.count for g in s.groups) == 1 for s in scenes)


def _related(scenes: tuple[Scene, ...]) -> bool:
    return all(isinstance(s, Picture) and s.relation is not None for s in scenes)


def _told(scene: Scene) -> int:
    """How many attributes differ from what is shown where nothing is said."""
    match scene:
        case Sound(_, times, pitch):
            return (times != DEFAULTS.times) + (pitch != DEFAULTS.pitch)
        case Clip(kind, colour, motion, size, place):
            default = (DEFAULTS.colours[kind], DEFAULTS.motion, DEFAULTS.size, DEFAULTS.place)
            return sum(a != b for a, b in zip((colour, motion, size, place), default, strict=True))
        case Picture(groups):
            return len(groups)


def _at_most(number: int) -> Callable[[tuple[Scene, ...]], bool]:
    return lambda scenes: all(_told(scene) <= number for scene in scenes)


def _at_least(number: int) -> Callable[[tuple[Scene, ...]], bool]:
    return lambda scenes: all(_told(scene) >= number for scene in scenes)


def _often(scenes: tuple[Scene, ...]) -> bool:
    return all(isinstance(s, Sound) and s.times >= 3 for s in scenes)


_WISHES: Final = (turns.open_request, turns.open_request, turns.open_pair)
_GIVEN: Final = (turns.open_image, turns.open_sound, turns.open_clip)
_CHANGES: Final = (edits.recolour, edits.resize, edits.replace_kind, edits.move_place)
_DRAWN: Final = (*_CHANGES, edits.add_thing, edits.remove_thing, edits.swap_colours, turns.draw_it,
                 turns.draw_it_in)  # fmt: skip
_HEARD: Final = (turns.hear_it, turns.hear_it, turns.hear_again, edits.replace_kind)
_MOVED: Final = (turns.move_it, turns.film_it, *_CHANGES)
_DRAW_ONE: Final = _asking(requests.draw, groups=1)
_DRAW_TWO: Final = _asking(requests.draw, groups=2)
_DRAW_THREE: Final = _asking(requests.draw, groups=3)
_HEAR: Final = _asking(requests.hear)
_FILM: Final = _asking(requests.film)
_SEVERAL: Final = _asking(requests.several)
_TALK: Final = _Rule(())  # a whole conversation (see `_tell`)

_RULES: Final[dict[tuple[str, str], dict[str, _Rule]]] = {
    ("image", "simple"): {"named": _Rule((_DRAW_ONE,), (), _one_thing)},
    ("image", "complex"): {
        "numeration": _Rule((turns.open_arithmetic,)),
        "spatial": _Rule((_DRAW_TWO, _DRAW_THREE, turns.open_reworded), (), _related),
        "attributes": _Rule((_DRAW_TWO, _DRAW_THREE), (), _at_least(2)),
        "reference": _Rule(_WISHES, (*_DRAWN, edits.recount, edits.swap_places)),
        "input": _Rule(_GIVEN, _DRAWN),
        "long": _TALK,
    },
    ("audio", "simple"): {"named": _Rule((_HEAR,), (), _at_most(1))},
    ("audio", "complex"): {
        "numeration": _Rule((_HEAR,), (), _often),
        "attributes": _Rule((_HEAR,), (), _at_least(2)),
        "reference": _Rule(_WISHES, _HEARD),
        "input": _Rule(_GIVEN, _HEARD),
        "long": _TALK,
    },
    ("video", "simple"): {"named": _Rule((_FILM,), (), _at_most(2))},
    ("video", "complex"): {
        "spatial": _Rule((_FILM,), (turns.turn_round,)),
        "attributes": _Rule((_FILM,), (), _at_least(3)),
        "reference": _Rule(_WISHES, _MOVED),
        "input": _Rule(_GIVEN, _MOVED),
        "long": _TALK,
    },
    ("several", "simple"): {"named": _Rule((_SEVERAL,))},
    ("several", "complex"): {
        "reference": _Rule(_WISHES, (turns.all_of_it,)),
        "input": _Rule(_GIVEN, (turns.all_of_it,)),
    },
    ("none", "simple"): {"chat": _Rule((turns.greet, turns.small_talk, turns.small_talk))},
    ("none", "complex"): {
        "numeration": _Rule(_WISHES, (turns.what_if,)),
        "reference": _Rule(_WISHES, (turns.question, turns.voice_question)),
        "input": _Rule(_GIVEN),
        "long": _TALK,
    },
}


def _make(name: str, group: str, level: str, skill: str, split: Split, rng: Random) -> Instruction:
    """Draws until the last turn is of the group and fits the rule."""
    rule = _RULES[group, level][skill]
    for told in _tell(rule, rng, split):
        scenes = told[-1].shown
        kinds = [modality_of(scene) for scene in scenes]
        right = {"several": len(kinds) > 1, "none": not kinds}.get(group, kinds == [group])
        if right and rule.fits(scenes):
            *messages, answer = as_messages(told, rng, tells=True)
            return instruction(name, group, level, skill, split, messages, answer)
    raise AssertionError("conversations never end")


def instruction(
    name: str,
    group: str,
    level: str,
    skill: str,
    split: str,
    messages: Sequence[Message],
    answer: Message,
) -> Instruction:
    """An instruction and what it tells of itself; the same name gives the same renders."""
    said = " ".join(text_of(message) for message in messages if message["role"] == "user")
    scenes = [part["scene"] for part in parts_of(answer) if part["type"] != "text"]
    about = {
        "skill": skill,
        "split": split,
        "pairs": "held out" if any(map(is_held_out, scenes)) else "seen",
        "length": "long" if len(said.split()) >= LONG else "short",
    }
    asked: Any = [_rendered(message, 0) for message in messages]
    truth: Any = _rendered(answer, crc32(f"0/{name}".encode()))["content"]
    return Instruction(name, asked, truth, group, level, about)


def _rendered(message: Message, seed: int) -> Message:
    """The same message with its scenes rendered from a seed."""
    parts: list[Part] = [
        {**part, "source": Rendered(part["scene"], seed=seed)} if "scene" in part else part
        for part in parts_of(message)
    ]
    return {**message, "content": parts}


def _tell(rule: _Rule, rng: Random, split: Split) -> Iterator[list[Turn]]:
    """Endless conversations of the rule's form."""
    while True:
        if rule is _TALK:
            yield talk(rng, split, rng.randint(4, 6))
            continue
        state = State(rng, split)
        first = rng.choice(rule.openings)(state)
        if first is None:
            continue
        if not rule.following:
            yield [first]
        elif (second := rng.choice(rule.following)(state.after(first))) is not None:
            yield [first, second]
