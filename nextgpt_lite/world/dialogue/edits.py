"""Turns that ask for the latest scene again, changed in one respect.

Knows: colour, size, kind, number, place, exchange, and things that come and go.
Leaves to others: other media of the same thing, and words (`dialogue_turns`).

A turn is None when it does not fit the state or would show a held-out pair in training.
"""

from __future__ import annotations

from dataclasses import replace

from nextgpt_lite.world import phrases
from nextgpt_lite.world.describe import article
from nextgpt_lite.world.dialogue import requests
from nextgpt_lite.world.dialogue.state import State, Turn, it_of, only_group, several, shown
from nextgpt_lite.world.scene import (
    COLOURS,
    KINDS,
    MAX_COUNT,
    OPPOSITE,
    PLACES,
    RELATIONS,
    SIZES,
    Clip,
    Group,
    Picture,
    Scene,
    Sound,
)


def recolour(state: State) -> Turn | None:
    """Another colour for the thing, or for one of several."""
    match state.latest:
        case Picture(groups):
            index = state.rng.randrange(len(groups))
            old = groups[index]
            new = replace(old, colour=state.rng.choice(COLOURS))
            scene: Scene = with_group(state.latest, index, new)
        case Clip(_, old_colour):
            index, old = 0, Group(state.latest.kind, old_colour)
            new = replace(old, colour=state.rng.choice(COLOURS))
            scene = replace(state.latest, colour=new.colour)
        case _:
            return None
    if new == old:
        return None
    frames = "recolour"
    if not several(state) and state.rng.random() < 0.5:
        frames = "recolour_alone"
    text = state.say(frames, it=it_of(state, index), colour=new.colour)
    return shown(state, "recolour", text, scene)


def resize(state: State) -> Turn | None:
    """The other size for the thing, or for one of several."""
    match state.latest:
        case Picture(groups):
            index = state.rng.randrange(len(groups))
            size = next(s for s in SIZES if s != groups[index].size)
            new = replace(groups[index], size=size)
            scene: Scene = with_group(state.latest, index, new)
        case Clip():
            index, size = 0, next(s for s in SIZES if s != state.latest.size)
            scene = replace(state.latest, size=size)
        case _:
            return None
    text = state.say("resize", it=it_of(state, index), size=size)
    return shown(state, "resize", text, scene)


def replace_kind(state: State) -> Turn | None:
    """Another thing in the same look, or the same number of other noises."""
    kind = state.rng.choice(KINDS)
    match state.latest:
        case Picture((Group(old, count=1) as group,)) if old != kind:
            scene: Scene = replace(state.latest, groups=(replace(group, kind=kind),))
        case Clip(old) | Sound(old) if old != kind:
            scene = replace(state.latest, kind=kind)
        case _:
            return None
    text = state.say("replace", thing=article(kind))
    return shown(state, "replace", text, scene)


def recount(state: State) -> Turn | None:
    """Another number of the things, said outright, as more or as less."""
    group = only_group(state)
    if group is None:
        return None
    rng = state.rng
    count = rng.randint(1, MAX_COUNT)
    change = count - group.count
    if change == 0:
        return None
    if rng.random() < 0.3:
        frames, value = "recount", count
        if count == 1:
            return None
    else:
        frames = "add_more" if change > 0 else "take_away"
        value = abs(change)
    word = requests.number(value, rng)
    text = state.say(frames, number=word, Number=word.capitalize())
    skill = "recount" if frames == "recount" else "arithmetic"
    return shown(state, skill, text, Picture((replace(group, count=count),), None, state.place))


def move_place(state: State) -> Turn | None:
    """The same in another place."""
    if not isinstance(state.latest, Picture | Clip):
        return None
    place = state.rng.choice([p for p in PLACES if p not in ("plain", state.place)])
    it = "everything" if several(state) else it_of(state)
    words = requests.somewhere(place, state.rng)
    text = state.say("place_it", it=it, place=words)
    return shown(state, "place", text, replace(state.latest, place=place))


def swap_places(state: State) -> Turn | None:
    """Two related things change places; they are told in the same order as before."""
    match state.latest:
        case Picture((_, _), str(relation)):
            text = state.say("swap_places")
            scene = replace(state.latest, relation=OPPOSITE[relation])
            return shown(state, "swap", text, scene)
    return None


def swap_colours(state: State) -> Turn | None:
    """Two things change colours."""
    match state.latest:
        case Picture((first, second)) if first.colour != second.colour:
            groups = (replace(first, colour=second.colour), replace(second, colour=first.colour))
            text = state.say("swap_colours")
            return shown(state, "swap", text, replace(state.latest, groups=groups))
    return None


def add_thing(state: State) -> Turn | None:
    """One more thing, just so or in a relation; a thing put beside another is told first."""
    if not isinstance(state.latest, Picture):
        return None
    rng, old = state.rng, state.latest
    kind = rng.choice([k for k in KINDS if all(k != g.kind for g in old.groups)])
    new, words = requests.some_group(Group(kind, rng.choice(COLOURS), rng.choice(SIZES)), rng)
    match old.groups, old.relation:
        case (group,), None if group.count == 1 and rng.random() < 0.5:
            relation = rng.choice(RELATIONS)
            told = rng.choice(phrases.RELATION_WORDS[relation])
            text = state.say("add_beside", thing=words, relation=told)
            scene = Picture((new, group), relation, old.place)
        case (group,), None if group.count <= 3:
            text = state.say("add_thing", thing=words)
            scene = Picture((group, new), None, old.place)
        case (_, _), str():
            text = state.say("add_thing", thing=words)
            scene = replace(old, groups=(*old.groups, new))
        case _:
            return None
    return shown(state, "add", text, scene)


def remove_thing(state: State) -> Turn | None:
    """One of several kinds goes; a relation stays only while both of its things do."""
    match state.latest:
        case Picture(groups, relation, place) if len(groups) > 1:
            index = state.rng.randrange(len(groups))
            left = groups[:index] + groups[index + 1 :]
            text = state.say("remove", it=it_of(state, index))
            scene = Picture(left, relation if index == 2 else None, place)
            return shown(state, "remove", text, scene)
    return None


def with_group(picture: Picture, index: int, group: Group) -> Picture:
    """The picture with another group in the place of one."""
    groups = (*picture.groups[:index], group, *picture.groups[index + 1 :])
    return replace(picture, groups=groups)
