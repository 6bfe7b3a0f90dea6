"""What a talk has come to: the latest scene, and what "it", "them" and "one of them" mean.

Knows: turns, the state that follows from them, and how a turn refers to what was shown.
Leaves to others: which turns there are (`edits`, `turns`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import NamedTuple

from nextgpt_lite.world.describe import noun
from nextgpt_lite.world.dialogue.parts import default_group, permitted
from nextgpt_lite.world.dialogue.wordings import say
from nextgpt_lite.world.scene import Clip, Group, Picture, Scene, Sound, Split


class Turn(NamedTuple):
    """What the user says and gives, and what comes back: words, or scenes to be shown."""

    skill: str
    text: str
    given: tuple[Scene, ...] = ()
    reply: str = ""
    shown: tuple[Scene, ...] = ()


@dataclass(frozen=True)
class State:
    """What has been seen or heard so far: the latest scene, and the look of the thing in it."""

    rng: Random
    split: Split
    latest: Scene | None = None
    look: Group | None = None
    place: str = "plain"

    def after(self, turn: Turn) -> State:
        """The state once the turn is done."""
        state = self
        for scene in (*turn.given, *turn.shown):
            state = state._seen(scene)
        return state

    def say(self, key: str, **slots: object) -> str:
        """One wording of the split (`wordings`)."""
        return say(key, self.split, self.rng, **slots)

    def _seen(self, scene: Scene) -> State:
        match scene:
            case Picture(groups, _, place):
                look = groups[0] if len(groups) == 1 else None
                return replace(self, latest=scene, look=look, place=place)
            case Clip(kind, colour, _, size, place):
                return replace(self, latest=scene, look=Group(kind, colour, size), place=place)
            case Sound(kind):
                seen = [g for g in self._in_view() if g.kind == kind]
                if seen:  # the thing that is heard looks as it did
                    return replace(self, latest=scene, look=single(seen[0]))
                return replace(self, latest=scene, look=default_group(kind), place="plain")

    def _in_view(self) -> tuple[Group, ...]:
        if isinstance(self.latest, Picture):
            return self.latest.groups
        return (self.look,) if self.look else ()


TurnMaker = Callable[[State], Turn | None]


def shown(state: State, skill: str, text: str, *scenes: Scene) -> Turn | None:
    if not all(permitted(s, state.split) for s in scenes):
        return None
    return Turn(skill, text, shown=scenes)


# ---- what "it" means


def several(state: State) -> bool:
    return isinstance(state.latest, Picture) and len(state.latest.groups) > 1


def it_of(state: State, index: int = 0) -> str:
    """The words for a group of the latest scene: "it", "them", "the dog" or "the dogs"."""
    if not isinstance(state.latest, Picture):
        return "it"
    group = state.latest.groups[index]
    if len(state.latest.groups) > 1:
        return f"the {noun(group.kind, group.count)}"
    return "it" if group.count == 1 else "them"


def someone(state: State) -> tuple[str, str]:
    """The kind to be heard, and the words for it."""
    if isinstance(state.latest, Picture):
        index = state.rng.randrange(len(state.latest.groups))
        group = state.latest.groups[index]
        it = "one of them" if group.count > 1 and not several(state) else it_of(state, index)
        if group.count > 1 and several(state):
            it = f"one of the {noun(group.kind, group.count)}"
        return group.kind, it
    assert state.look is not None
    return state.look.kind, "it"


def one_look(state: State) -> tuple[Group, str]:
    """A single thing of the latest scene, and the words for it."""
    if isinstance(state.latest, Picture):
        index = state.rng.randrange(len(state.latest.groups))
        group = state.latest.groups[index]
        if group.count > 1:
            of = f"the {noun(group.kind, 2)}" if several(state) else "them"
            return single(group), f"one of {of}"
        return group, it_of(state, index)
    assert state.look is not None
    return single(state.look), "it"


def single(group: Group) -> Group:
    return replace(group, count=1)


def only_group(state: State) -> Group | None:
    match state.latest:
        case Picture((group,)):
            return group
    return None
