"""The turns of a long conversation: each knows when it fits, what is said and what it shows.

Knows: a talk's state (what was shown last and what "it" means) and every turn that opens or goes on.
Leaves to others: how many turns there are and which (`dialogue`), the frames (`dialogue_wordings`).

A turn returns None when it does not fit the state or would show a held-out pair in training.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import NamedTuple

from nextgpt_lite.world import dialogue_chat as chat
from nextgpt_lite.world import dialogue_requests as requests
from nextgpt_lite.world import dialogue_wordings as wordings
from nextgpt_lite.world import phrases
from nextgpt_lite.world.describe import article, caption, noun
from nextgpt_lite.world.dialogue_parts import (
    clip_of,
    default_group,
    default_sound,
    free,
    permitted,
    sentence,
)
from nextgpt_lite.world.dialogue_questions import ask
from nextgpt_lite.world.dialogue_wordings import say
from nextgpt_lite.world.scene import (
    COLOURS,
    KINDS,
    MAX_COUNT,
    MAX_TIMES,
    MOTIONS,
    OPPOSITE,
    PITCHES,
    PLACES,
    RELATIONS,
    SIZES,
    Clip,
    Group,
    Picture,
    Scene,
    Sound,
    Split,
    sample_clip,
    sample_picture,
    sample_sound,
)

OPPOSITE_MOTION = {
    "left": "right", "right": "left", "up": "down", "down": "up", "grows": "shrinks",
    "shrinks": "grows",
}  # fmt: skip


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

    def _seen(self, scene: Scene) -> State:
        match scene:
            case Picture(groups, _, place):
                look = groups[0] if len(groups) == 1 else None
                return replace(self, latest=scene, look=look, place=place)
            case Clip(kind, colour, _, size, place):
                return replace(self, latest=scene, look=Group(kind, colour, size), place=place)
            case Sound(kind):
                if self.look and self.look.kind == kind:
                    return replace(self, latest=scene)
                return replace(self, latest=scene, look=default_group(kind), place="plain")


TurnMaker = Callable[[State], Turn | None]


def _shown(state: State, skill: str, text: str, *scenes: Scene) -> Turn | None:
    if not all(permitted(s, state.split) for s in scenes):
        return None
    return Turn(skill, text, shown=scenes)


def _asked(skill: str, request: requests.Request) -> Turn:
    return Turn(skill, request.text, reply=request.reply, shown=request.scenes)


# ---- openings


def open_request(state: State) -> Turn:
    """Any simple request."""
    make = state.rng.choice((requests.draw, requests.draw, requests.hear, requests.film))
    return _asked("request", make(state.rng, state.split))


def open_pair(state: State) -> Turn:
    """Two things, mostly with a relation."""
    return _asked("request", requests.draw(state.rng, state.split, groups=2))


def open_arithmetic(state: State) -> Turn:
    """A sum told as a story."""
    return _asked("arithmetic", requests.arithmetic(state.rng, state.split))


def open_reworded(state: State) -> Turn:
    """A relation to be told the other way round."""
    return _asked("rewording", requests.reworded(state.rng, state.split))


def open_image(state: State) -> Turn:
    """The user gives a picture and asks about it."""
    groups = state.rng.choice((1, 1, 2))
    return _given(state, sample_picture(state.rng, state.split, groups))


def open_sound(state: State) -> Turn:
    """The user gives a sound and asks about it."""
    return _given(state, sample_sound(state.rng))


def open_clip(state: State) -> Turn:
    """The user gives a clip and asks about it."""
    return _given(state, sample_clip(state.rng, state.split))


def _given(state: State, scene: Scene) -> Turn:
    if state.rng.random() < 0.3:
        key = {Picture: "image", Sound: "audio", Clip: "video"}[type(scene)]
        text = say(wordings.DESCRIBE[key], state.split, state.rng)
        return Turn("describe", text, (scene,), sentence(caption(scene)))
    question = ask(scene, state.rng, state.split)
    return Turn("question", question.text, (scene,), question.answer)


# ---- the same medium again, changed


def recolour(state: State) -> Turn | None:
    """Another colour for the thing, or for one of several."""
    match state.latest:
        case Picture(groups):
            index = state.rng.randrange(len(groups))
            old = groups[index]
            new = replace(old, colour=state.rng.choice(COLOURS))
            scene: Scene = _with_group(state.latest, index, new)
        case Clip(_, old_colour):
            index, old = 0, Group(state.latest.kind, old_colour)
            new = replace(old, colour=state.rng.choice(COLOURS))
            scene = replace(state.latest, colour=new.colour)
        case _:
            return None
    if new == old:
        return None
    frames = wordings.RECOLOUR
    if not _several(state) and state.rng.random() < 0.5:
        frames = wordings.RECOLOUR_ALONE
    text = say(frames, state.split, state.rng, it=_it(state, index), colour=new.colour)
    return _shown(state, "recolour", text, scene)


def resize(state: State) -> Turn | None:
    """The other size for the thing, or for one of several."""
    match state.latest:
        case Picture(groups):
            index = state.rng.randrange(len(groups))
            size = next(s for s in SIZES if s != groups[index].size)
            new = replace(groups[index], size=size)
            scene: Scene = _with_group(state.latest, index, new)
        case Clip():
            index, size = 0, next(s for s in SIZES if s != state.latest.size)
            scene = replace(state.latest, size=size)
        case _:
            return None
    text = say(wordings.RESIZE, state.split, state.rng, it=_it(state, index), size=size)
    return _shown(state, "resize", text, scene)


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
    text = say(wordings.REPLACE, state.split, state.rng, thing=article(kind))
    return _shown(state, "replace", text, scene)


def recount(state: State) -> Turn | None:
    """Another number of the things, said outright, as more or as less."""
    group = _only_group(state)
    if group is None:
        return None
    rng, split = state.rng, state.split
    count = rng.randint(1, MAX_COUNT)
    change = count - group.count
    if change == 0:
        return None
    if rng.random() < 0.3:
        frames, value = wordings.RECOUNT, count
        if count == 1:
            return None
    else:
        frames = wordings.ADD_MORE if change > 0 else wordings.TAKE_AWAY
        value = abs(change)
    word = requests.number(value, rng)
    text = say(frames, split, rng, number=word, Number=word.capitalize())
    skill = "recount" if frames is wordings.RECOUNT else "arithmetic"
    return _shown(state, skill, text, Picture((replace(group, count=count),), None, state.place))


def move_place(state: State) -> Turn | None:
    """The same in another place."""
    if not isinstance(state.latest, Picture | Clip):
        return None
    place = state.rng.choice([p for p in PLACES if p not in ("plain", state.place)])
    it = "everything" if _several(state) else _it(state)
    words = requests.somewhere(place, state.rng)
    text = say(wordings.PLACE_IT, state.split, state.rng, it=it, place=words)
    return _shown(state, "place", text, replace(state.latest, place=place))


def swap_places(state: State) -> Turn | None:
    """Two related things change places; they are told in the same order as before."""
    match state.latest:
        case Picture((_, _), str(relation)):
            text = say(wordings.SWAP_PLACES, state.split, state.rng)
            scene = replace(state.latest, relation=OPPOSITE[relation])
            return _shown(state, "swap", text, scene)
    return None


def swap_colours(state: State) -> Turn | None:
    """Two things change colours."""
    match state.latest:
        case Picture((first, second)) if first.colour != second.colour:
            groups = (replace(first, colour=second.colour), replace(second, colour=first.colour))
            text = say(wordings.SWAP_COLOURS, state.split, state.rng)
            return _shown(state, "swap", text, replace(state.latest, groups=groups))
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
            text = say(wordings.ADD_BESIDE, state.split, rng, thing=words, relation=told)
            scene = Picture((new, group), relation, old.place)
        case (group,), None if group.count <= 3:
            text = say(wordings.ADD_THING, state.split, rng, thing=words)
            scene = Picture((group, new), None, old.place)
        case (_, _), str():
            text = say(wordings.ADD_THING, state.split, rng, thing=words)
            scene = replace(old, groups=(*old.groups, new))
        case _:
            return None
    return _shown(state, "add", text, scene)


def remove_thing(state: State) -> Turn | None:
    """One of several kinds goes; a relation stays only while both of its things do."""
    match state.latest:
        case Picture(groups, relation, place) if len(groups) > 1:
            index = state.rng.randrange(len(groups))
            left = groups[:index] + groups[index + 1 :]
            text = say(wordings.REMOVE, state.split, state.rng, it=_it(state, index))
            scene = Picture(left, relation if index == 2 else None, place)
            return _shown(state, "remove", text, scene)
    return None


# ---- another medium of the same thing


def hear_it(state: State) -> Turn | None:
    """The sound of what is seen, in its default voice."""
    if isinstance(state.latest, Sound) or state.latest is None:
        return None
    kind, it = _someone(state)
    text = say(wordings.HEAR_IT, state.split, state.rng, it=it)
    return _shown(state, "hear", text, default_sound(kind))


def hear_again(state: State) -> Turn | None:
    """The same sound in another pitch or another number of times."""
    match state.latest:
        case Sound(_, times, pitch):
            rng = state.rng
            if rng.random() < 0.5:
                new = next(p for p in PITCHES if p != pitch)
                higher = {"low": "lower", "high": "higher"}[new]
                text = say(
                    wordings.HEAR_PITCH, state.split, rng, high=new, higher=higher,
                    Higher=higher.capitalize(),
                )  # fmt: skip
                return _shown(state, "sound", text, replace(state.latest, pitch=new))
            count = rng.choice([n for n in range(1, MAX_TIMES + 1) if n != times])
            words = rng.choice(phrases.TIMES_PHRASES[count])
            text = say(wordings.HEAR_TIMES, state.split, rng, times=words)
            return _shown(state, "sound", text, replace(state.latest, times=count))
    return None


def move_it(state: State) -> Turn | None:
    """One of the things moves, whatever was seen or heard before."""
    if state.latest is None:
        return None
    motion = state.rng.choice(MOTIONS)
    if isinstance(state.latest, Clip) and state.latest.motion == motion:
        return None
    group, it = _one_look(state)
    move = state.rng.choice(phrases.MOTION_WORDS[motion])[1]
    text = say(wordings.MOVE_IT, state.split, state.rng, it=it, move=move)
    return _shown(state, "move", text, clip_of(group, state.place, motion))


def turn_round(state: State) -> Turn | None:
    """The opposite motion."""
    match state.latest:
        case Clip(motion=motion):
            text = say(wordings.TURN_ROUND, state.split, state.rng)
            scene = replace(state.latest, motion=OPPOSITE_MOTION[motion])
            return _shown(state, "move", text, scene)
    return None


def draw_it(state: State) -> Turn | None:
    """A picture of what moves or sounds."""
    if isinstance(state.latest, Picture) or state.look is None:
        return None
    text = say(wordings.DRAW_IT, state.split, state.rng)
    return _shown(state, "draw", text, Picture((_single(state.look),), None, state.place))


def film_it(state: State) -> Turn | None:
    """A clip of what is seen or heard, in the default motion."""
    if isinstance(state.latest, Clip) or state.look is None or state.look.count > 1:
        return None
    text = say(wordings.FILM_IT, state.split, state.rng)
    return _shown(state, "film", text, clip_of(state.look, state.place))


def all_of_it(state: State) -> Turn | None:
    """Picture, clip and sound of the thing together."""
    if state.look is None or state.look.count > 1:
        return None
    text = say(wordings.ALL_OF_IT, state.split, state.rng)
    scenes = requests.media_of(state.look, state.place, ("image", "video", "audio"))
    return _shown(state, "several", text, *scenes)


# ---- words only


def question(state: State) -> Turn | None:
    """A question about what was seen or heard last."""
    if state.latest is None:
        return None
    asked = ask(state.latest, state.rng, state.split)
    return Turn("question", asked.text, reply=asked.answer)


def voice_question(state: State) -> Turn | None:
    """Which sound the thing makes, in words."""
    if state.look is None or isinstance(state.latest, Sound):
        return None
    kind = state.look.kind
    one = state.look.count == 1
    frames: wordings.Frames = {
        "train": ("What sound {does} {it} make?", "Which sound {does} {it} make?"),
        "held_out": ("Tell me what sound {it} {make}.",),
    }
    text = say(
        frames, state.split, state.rng, does="does" if one else "do",
        it="it" if one else "they", make="makes" if one else "make",
    )  # fmt: skip
    return Turn("chat", text, reply=sentence(f"{article(kind)} {phrases.VERBS[kind]}"))


def what_if(state: State) -> Turn | None:
    """A sum about the things in the picture, answered in words; the picture stays."""
    group = _only_group(state)
    if group is None or group.count < 2:
        return None
    change = state.rng.randint(1, group.count - 1)
    count = group.count - change
    if not (free(group.kind, count, state.split) and free(group.kind, change, state.split)):
        return None
    frames: wordings.Frames = {
        "train": ("How many would be left without {n}?", "How many are left if {n} go away?"),
        "held_out": ("If {n} go away, how many are left?",),
    }
    if change == 1:
        frames = {key: tuple(f.replace("{n} go", "{n} goes") for f in row)
                  for key, row in frames.items()}  # fmt: skip
    text = say(frames, state.split, state.rng, n=phrases.NUMBER_WORDS[change])
    answer = f"{phrases.NUMBER_WORDS[count]} {noun(group.kind, count)} would be left"
    return Turn("chat", text, reply=sentence(answer))


def greet(state: State) -> Turn:
    """Hello."""
    return Turn("chat", *_exchange(chat.greeting(state.rng, state.split)))


def small_talk(state: State) -> Turn:
    """Thanks, or a question of another kind."""
    make = state.rng.choice((chat.aside, chat.aside, chat.knowledge))
    return Turn("chat", *_exchange(make(state.rng, state.split)))


def part(state: State) -> Turn:
    """Goodbye."""
    return Turn("chat", *_exchange(chat.farewell(state.rng, state.split)))


def _exchange(said: chat.Exchange) -> tuple[str, tuple[Scene, ...], str]:
    return said.text, (), said.answer


# ---- what "it" means


def _several(state: State) -> bool:
    return isinstance(state.latest, Picture) and len(state.latest.groups) > 1


def _it(state: State, index: int = 0) -> str:
    """The words for a group of the latest scene: "it", "them", "the dog" or "the dogs"."""
    if not isinstance(state.latest, Picture):
        return "it"
    group = state.latest.groups[index]
    if len(state.latest.groups) > 1:
        return f"the {noun(group.kind, group.count)}"
    return "it" if group.count == 1 else "them"


def _someone(state: State) -> tuple[str, str]:
    """The kind to be heard, and the words for it."""
    if isinstance(state.latest, Picture):
        index = state.rng.randrange(len(state.latest.groups))
        group = state.latest.groups[index]
        it = "one of them" if group.count > 1 and not _several(state) else _it(state, index)
        if group.count > 1 and _several(state):
            it = f"one of the {noun(group.kind, group.count)}"
        return group.kind, it
    assert state.look is not None
    return state.look.kind, "it"


def _one_look(state: State) -> tuple[Group, str]:
    """A single thing of the latest scene, and the words for it."""
    if isinstance(state.latest, Picture):
        index = state.rng.randrange(len(state.latest.groups))
        group = state.latest.groups[index]
        if group.count > 1:
            of = f"the {noun(group.kind, 2)}" if _several(state) else "them"
            return _single(group), f"one of {of}"
        return group, _it(state, index)
    assert state.look is not None
    return _single(state.look), "it"


def _single(group: Group) -> Group:
    return replace(group, count=1)


def _only_group(state: State) -> Group | None:
    match state.latest:
        case Picture((group,)):
            return group
    return None


def _with_group(picture: Picture, index: int, group: Group) -> Picture:
    groups = (*picture.groups[:index], group, *picture.groups[index + 1 :])
    return replace(picture, groups=groups)


OPENINGS: tuple[TurnMaker, ...] = (
    open_request, open_request, open_pair, open_arithmetic, open_arithmetic, open_reworded,
    open_image, open_image, open_sound, open_clip,
)  # fmt: skip
FOLLOWING: tuple[TurnMaker, ...] = (
    recolour, recolour, resize, replace_kind, recount, recount, move_place, swap_places,
    swap_colours, swap_colours, add_thing, remove_thing, remove_thing, hear_it, hear_it,
    hear_again, move_it, turn_round, draw_it, draw_it, film_it, all_of_it, question, question,
    voice_question, what_if, small_talk,
)  # fmt: skip
