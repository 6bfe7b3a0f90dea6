"""The turns that open a long conversation, change its modality, or are words alone.

Knows: when each turn fits, what is said and what it shows.
Leaves to others: changes within a modality (`edits`), how many turns there are and which
(`records`), the frames (`wordings`).

A turn is None when it does not fit the state or would show a held-out pair in training.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from nextgpt_lite.world import phrases
from nextgpt_lite.world.describe import article, description, noun
from nextgpt_lite.world.dialogue import chat, requests
from nextgpt_lite.world.dialogue.edits import (
    add_thing,
    move_place,
    recolour,
    recount,
    remove_thing,
    replace_kind,
    resize,
    swap_colours,
    swap_places,
)
from nextgpt_lite.world.dialogue.parts import clip_of, default_sound, free, modality_of, sentence
from nextgpt_lite.world.dialogue.questions import ask
from nextgpt_lite.world.dialogue.state import (
    State,
    Turn,
    TurnMaker,
    one_look,
    only_group,
    shown,
    single,
    someone,
)
from nextgpt_lite.world.scene import (
    COLOURS,
    MAX_TIMES,
    MOTIONS,
    PITCHES,
    Clip,
    Picture,
    Scene,
    Sound,
    sample_clip,
    sample_picture,
    sample_sound,
)

OPPOSITE_MOTION = {
    "left": "right", "right": "left", "up": "down", "down": "up", "grows": "shrinks",
    "shrinks": "grows",
}  # fmt: skip


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


def open_input(state: State) -> Turn:
    """The user gives a medium of any kind and asks about it."""
    return state.rng.choice((open_image, open_sound, open_clip))(state)


def _given(state: State, scene: Scene) -> Turn:
    if state.rng.random() < 0.3:
        text = state.say(f"describe_{modality_of(scene)}")
        return Turn("describe", text, (scene,), sentence(description(scene)))
    question = ask(scene, state.rng, state.split)
    return Turn("question", question.text, (scene,), question.answer)


# ---- another medium of the same thing


def hear_it(state: State) -> Turn | None:
    """The sound of what is seen, in its default voice."""
    if isinstance(state.latest, Sound) or state.latest is None:
        return None
    kind, it = someone(state)
    text = state.say("hear_it", it=it)
    return shown(state, "hear", text, default_sound(kind))


def hear_again(state: State) -> Turn | None:
    """The same sound in another pitch or another number of times."""
    match state.latest:
        case Sound(_, times, pitch):
            rng = state.rng
            if rng.random() < 0.5:
                new = next(p for p in PITCHES if p != pitch)
                higher = {"low": "lower", "high": "higher"}[new]
                text = state.say(
                    "hear_pitch", high=new, higher=higher,
                    Higher=higher.capitalize(),
                )  # fmt: skip
                return shown(state, "sound", text, replace(state.latest, pitch=new))
            count = rng.choice([n for n in range(1, MAX_TIMES + 1) if n != times])
            words = rng.choice(phrases.TIMES_PHRASES[count])
            text = state.say("hear_times", times=words)
            return shown(state, "sound", text, replace(state.latest, times=count))
    return None


def move_it(state: State) -> Turn | None:
    """One of the things moves, whatever was seen or heard before."""
    if state.latest is None:
        return None
    motion = state.rng.choice(MOTIONS)
    if isinstance(state.latest, Clip) and state.latest.motion == motion:
        return None
    group, it = one_look(state)
    move = state.rng.choice(phrases.MOTION_WORDS[motion])[1]
    text = state.say("move_it", it=it, move=move)
    return shown(state, "move", text, clip_of(group, state.place, motion))


def turn_round(state: State) -> Turn | None:
    """The opposite motion."""
    match state.latest:
        case Clip(motion=motion):
            text = state.say("turn_round")
            scene = replace(state.latest, motion=OPPOSITE_MOTION[motion])
            return shown(state, "move", text, scene)
    return None


def draw_it(state: State) -> Turn | None:
    """A picture of what moves or sounds."""
    if isinstance(state.latest, Picture) or state.look is None:
        return None
    text = state.say("draw_it")
    return shown(state, "draw", text, Picture((single(state.look),), None, state.place))


def draw_it_in(state: State) -> Turn | None:
    """A picture of what moves or sounds, in another colour."""
    if isinstance(state.latest, Picture) or state.look is None:
        return None
    colour = state.rng.choice(COLOURS)
    group = replace(single(state.look), colour=colour)
    text = state.say("draw_it_in", colour=colour)
    return shown(state, "draw", text, Picture((group,), None, state.place))


def film_it(state: State) -> Turn | None:
    """A clip of what is seen or heard, in the default motion."""
    if isinstance(state.latest, Clip) or state.look is None or state.look.count > 1:
        return None
    text = state.say("film_it")
    return shown(state, "film", text, clip_of(state.look, state.place))


def all_of_it(state: State) -> Turn | None:
    """Picture, clip and sound of the thing together."""
    if state.look is None or state.look.count > 1:
        return None
    text = state.say("all_of_it")
    every = requests.media_of(state.look, state.place, ("image", "video", "audio"))
    latest = state.latest  # what was just seen or heard comes again as it was
    scenes = tuple(latest if type(s) is type(latest) and latest else s for s in every)
    return shown(state, "several", text, *scenes)


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
    text = state.say("voice", does="does" if one else "do",
        it="it" if one else "they", make="makes" if one else "make",
    )  # fmt: skip
    return Turn("chat", text, reply=sentence(f"{article(kind)} {phrases.VERBS[kind]}"))


def what_if(state: State) -> Turn | None:
    """A sum about the things in the picture, answered in words; the picture stays."""
    group = only_group(state)
    if group is None or group.count < 2:
        return None
    change = state.rng.randint(1, group.count - 1)
    count = group.count - change
    if not free(group.kind, count, state.split):
        return None
    text = state.say("what_if", n=phrases.NUMBER_WORDS[change],
        go="goes" if change == 1 else "go",
    )  # fmt: skip
    be = "is" if count == 1 else "are"
    answer = f"{phrases.NUMBER_WORDS[count]} {noun(group.kind, count)} {be} left"
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


OPENINGS: Final[tuple[TurnMaker, ...]] = (
    open_request, open_request, open_pair, open_arithmetic, open_arithmetic, open_reworded,
    open_image, open_image, open_sound, open_clip,
)  # fmt: skip
FOLLOWING: Final[tuple[TurnMaker, ...]] = (
    recolour, recolour, resize, replace_kind, recount, recount, move_place, swap_places,
    swap_colours, swap_colours, add_thing, remove_thing, remove_thing, hear_it, hear_it,
    hear_again, move_it, turn_round, draw_it, draw_it, draw_it_in, film_it, all_of_it, question,
    question, voice_question, what_if, small_talk, open_input, open_request, open_arithmetic,
)  # fmt: skip
# What can be wished for in the very message that gives a medium.
ABOUT_GIVEN: Final[tuple[TurnMaker, ...]] = (
    recolour, resize, replace_kind, recount, move_place, swap_places, swap_colours, add_thing,
    remove_thing, hear_it, hear_it, hear_again, hear_again, move_it, move_it, turn_round, draw_it,
    draw_it, draw_it, draw_it_in, film_it, film_it, all_of_it,
)  # fmt: skip
