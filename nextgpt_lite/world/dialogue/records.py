"""Conversations about the lite world whose truth is known, in every form the stages learn from.

Knows: how turns, questions and requests become `Record`s (paper section 5: the T+X to T, T to T+X
and MosIT data), and the text on which the lite LLM is pretrained.
Leaves to others: rendering the media of a part from its scene, tokens, batches.

All functions are deterministic in their `rng`. With `split="train"` no scene contains a held-out
pair and no wording is a held-out one; with "held_out" the wordings are held out, and one scene at
least contains a held-out pair wherever a picture or a clip occurs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Final

from nextgpt_lite.data.records import Kind, Record
from nextgpt_lite.messages import Part, parts_of
from nextgpt_lite.world.describe import caption, paraphrase
from nextgpt_lite.world.dialogue import chat, requests, turns
from nextgpt_lite.world.dialogue.corpus import in_words
from nextgpt_lite.world.dialogue.looks import (
    Question,
    each_thing,
    every_number,
    every_side,
    which_things,
)
from nextgpt_lite.world.dialogue.parts import (
    DEFAULTS,
    Message,
    assistant,
    present,
    sentence,
    telling,
    text_part,
    user,
)
from nextgpt_lite.world.dialogue.questions import ask, ask_of_two
from nextgpt_lite.world.dialogue.wordings import say
from nextgpt_lite.world.scene import (
    MODALITIES,
    Clip,
    Picture,
    Scene,
    Sound,
    Split,
    in_order,
    is_held_out,
    sample_clip,
    sample_picture,
    sample_scene,
    sample_sound,
)

__all__ = [
    "DEFAULTS", "SKILLS", "about_given", "as_messages", "caption_record", "llm_corpus", "mosit",
    "pair", "quiz", "skill_record", "t2m", "talk", "text", "understand",
]  # fmt: skip

TELLS: Final = 0.5  # share of conversations whose replies tell in words what they show
GIVEN_GROUPS: Final = (40, 52, 8)  # weights of pictures with one, two and three kinds, when given
QUESTIONS: Final = 8  # about one picture at most
QUIZ_GROUPS: Final = (10, 45, 45)  # weights of pictures with one, two and three kinds, in a quiz
SIDES: Final = 6  # questions about a relation in a quiz, before it is cut to `QUESTIONS`
CASUAL: Final = 0.1  # share of the user's messages typed without capital and final mark


def given_scene(rng: Random, modality: str, split: Split) -> Scene:
    """A scene that the user shows: pictures often of several kinds, whose looks must not be mixed
    up, and told in the one order that does not depend on who made them."""
    if modality == "image":
        return in_order(sample_picture(rng, split, rng.choices((1, 2, 3), GIVEN_GROUPS)[0]))
    return sample_scene(modality, rng, split)


def pair(rng: Random, modality: str, split: Split = "train") -> Record:
    """Stage 1: a medium and the wish to have it described, then its caption as a sentence."""
    scene = given_scene(rng, modality, split)
    asked = say(f"describe_{modality}", split, rng)
    messages = [_give(asked, rng, scene), assistant(sentence(caption(scene)))]
    return _record("pair", messages, rng)


def caption_record(
    rng: Random, modality: str, split: Split = "train", several: bool = False
) -> Record:
    """Stage 2: nothing from the user; a description (one of three), then the medium itself.

    Args:
        several: a picture shows two or three kinds.
    """
    if several and modality == "image":
        scene: Scene = sample_picture(rng, split, rng.choice((2, 3, 3)))
    else:
        scene = sample_scene(modality, rng, split, None)
    words = rng.choice((caption(scene), paraphrase(scene, rng, split), telling(scene)))
    return _record("caption", [user(""), assistant(sentence(words), scene)], rng)


def understand(rng: Random, split: Split = "train") -> Record:
    """T+X to T: one or two questions about one medium, up to six about a picture of several kinds,
    or one about two media."""
    if rng.random() < 0.2:
        first, second = _two_scenes(rng, split)
        both = ask_of_two(first, second, rng, split)
        messages = [_give(both.text, rng, first, second), assistant(both.answer)]
        return _record("understand", messages, rng)
    scene = given_scene(rng, rng.choice(("image", "image", "image", "audio", "video")), split)
    several = isinstance(scene, Picture) and len(scene.groups) > 1
    number = rng.randint(1, 6) if several else rng.choices((1, 2), (65, 35))[0]
    asked = [ask(scene, rng, split) for _ in range(number)]
    return _record("understand", _questions(scene, asked, rng), rng)


def quiz(rng: Random, split: Split = "train") -> Record:
    """T+X to T: many questions about one picture, from things to looks and back, about every side
    of what is related, and about what is there and what is not.

    Which look belongs to which thing is what a small language model learns last, and a question
    about several things is the only place where it has to know. What is *not* there it learns only
    where that is asked as often: else it tells the number of whatever is there.
    """
    scene = in_order(sample_picture(rng, split, rng.choices((1, 2, 3), QUIZ_GROUPS)[0]))
    asked = [ask(scene, rng, split) for _ in range(rng.randint(3, 7))]
    sides = every_side(scene, rng, split)
    asked += rng.sample(sides, min(SIDES, len(sides))) + every_number(scene, rng, split)
    if len(scene.groups) > 1:
        asked += which_things(scene, rng, split) + each_thing(scene, rng, split)
    rng.shuffle(asked)
    return _record("understand", _questions(scene, asked[:QUESTIONS], rng), rng)


def _questions(scene: Scene, asked: list[Question], rng: Random) -> list[Message]:
    """Questions about a scene, none of them twice, each with its answer."""
    first, *others = {question.text: question.answer for question in asked}.items()
    messages = [_give(first[0], rng, scene), assistant(first[1])]
    for question, answer in others:
        messages += [user(question), assistant(answer)]
    return messages


def t2m(rng: Random, split: Split = "train", tells: float = TELLS) -> Record:
    """T to T+X: one request in words; one medium or several come back.

    Args:
        rng: the only source of randomness.
        split: which wordings and pairs may occur.
        tells: chance that the reply tells in words what it shows ("Here is a large red car."),
            otherwise it is brief ("Here is the picture.").
    """
    make = rng.choices(
        (requests.draw, requests.hear, requests.film, requests.several), (45, 20, 22, 13)
    )[0]
    request = make(rng, split)
    messages = [user(request.text), present(request.scenes, rng, rng.random() < tells)]
    return _record("t2m", messages, rng)


def about_given(rng: Random, split: Split = "train", tells: float = TELLS) -> Record:
    """T+X to T+X: a medium, and in the same message a wish for another, or for it otherwise.

    `tells` as in `t2m`.
    """
    while True:
        scene = given_scene(rng, rng.choice(MODALITIES), split)
        given = turns.Turn("given", "", (scene,))
        wish = rng.choice(turns.ABOUT_GIVEN)(turns.State(rng, split).after(given))
        if wish is not None and _shows_held_out((scene, *wish.shown), split):
            told = [wish._replace(given=given.given)]
            return _record("mosit", as_messages(told, rng, rng.random() < tells), rng)


def mosit(rng: Random, split: Split = "train", tells: float = TELLS) -> Record:
    """MosIT: three to seven turns that change modality, count, reword, refer back and chat.

    `tells` as in `t2m`, chosen once for the whole conversation.
    """
    while True:
        told = talk(rng, split, rng.randint(3, 7))
        scenes = [s for turn in told for s in (*turn.given, *turn.shown)]
        if not any(turn.shown for turn in told):
            continue
        if _shows_held_out(scenes, split):
            return _record("mosit", as_messages(told, rng, rng.random() < tells), rng)


def _shows_held_out(scenes: Sequence[Scene], split: Split) -> bool:
    """Whether one scene at least has a held-out pair, where the split wants that and any can."""
    visible = [scene for scene in scenes if not isinstance(scene, Sound)]
    return split != "held_out" or not visible or any(is_held_out(scene) for scene in visible)


def text(rng: Random, split: Split = "train") -> Record:
    """Words alone: chat, knowledge and sums, in one to three turns."""
    said = [chat.knowledge(rng, split) for _ in range(rng.randint(1, 2))]
    if rng.random() < 0.25:
        said.insert(0, chat.greeting(rng, split))
    if rng.random() < 0.25:
        said.append(rng.choice((chat.aside, chat.farewell))(rng, split))
    messages = [m for each in said for m in (user(each.text), assistant(each.answer))]
    return _record("text", messages, rng)


_OPENINGS_OF: Final[dict[str, tuple[turns.TurnMaker, ...]]] = {
    "arithmetic": (turns.open_arithmetic,),
    "rewording": (turns.open_reworded,),
    "swap": (turns.open_pair,),
    "recolour": (turns.open_request, turns.open_pair),
    "reference": turns.OPENINGS,
    "one of two": (turns.open_pair, turns.open_reworded),
}
_FOLLOWING_OF: Final[dict[str, tuple[turns.TurnMaker, ...]]] = {
    "arithmetic": (),
    "rewording": (),
    "swap": (turns.swap_places, turns.swap_colours),
    "recolour": (turns.recolour,),
    "reference": (turns.hear_it, turns.move_it, turns.draw_it, turns.add_thing, turns.recount),
    "one of two": (turns.move_it, turns.recolour, turns.resize, turns.remove_thing),
}
SKILLS: Final = tuple(_OPENINGS_OF)
SKILL_SHARES: Final = (1, 1, 1, 2, 4, 8)  # of them in the corpus: the slow ones come most


def skill_record(skill: str, rng: Random, split: Split = "train", tells: float = TELLS) -> Record:
    """A conversation whose last turn needs one skill of `SKILLS` and shows one medium."""
    while True:
        state = turns.State(rng, split)
        told = []
        for makers in (_OPENINGS_OF[skill], _FOLLOWING_OF[skill]):
            turn = rng.choice(makers)(state) if makers else None
            if turn is not None:
                told.append(turn)
                state = state.after(turn)
        if len(told) == 1 + bool(_FOLLOWING_OF[skill]) and told[-1].shown:
            return _record("mosit", as_messages(told, rng, rng.random() < tells), rng)


def llm_corpus(rng: Random) -> Iterator[list[Message]]:
    """Endless text conversations to pretrain the lite LLM, as messages whose content is a string.

    Media that the user gives stand as alt text between their markers. Media that the assistant
    would give are left out of its reply, or the turn becomes a wish to say what to make, answered
    with the canonical caption. Pairs that are held out from all that is seen and heard may be read
    of; held-out wordings are not.
    """
    forms: tuple[Callable[[Random], Record], ...] = (
        lambda r: pair(r, r.choice(MODALITIES), "any"),
        lambda r: understand(r, "any"),
        lambda r: quiz(r, "any"),
        lambda r: t2m(r, "any"),
        lambda r: about_given(r, "any"),
        lambda r: mosit(r, "any"),
        lambda r: text(r, "any"),
        lambda r: skill_record(r.choices(SKILLS, SKILL_SHARES)[0], r, "any"),
    )
    while True:
        record = rng.choices(forms, (4, 18, 42, 5, 3, 7, 4, 17))[0](rng)
        yield in_words(record, rng, restated=rng.random() < 0.6)


# ---- records


def _record(kind: Kind, messages: list[Message], rng: Random) -> Record:
    for message in messages[::2]:
        if rng.random() < CASUAL:
            message["content"] = [_casual(part) for part in parts_of(message)]
    return Record(f"{kind}_{rng.getrandbits(40):010x}", messages, kind)


def _casual(part: Part) -> Part:
    """As people type: no capital at the beginning, no mark at the end."""
    if part["type"] != "text" or not part["text"]:
        return part
    words = part["text"]
    if not words.startswith(("I ", "I'")):
        words = words[0].lower() + words[1:]
    return text_part(words.rstrip(".?!"))


def _give(words: str, rng: Random, *scenes: Scene) -> Message:
    """Media first as a rule, now and then behind the words."""
    return user(words, *scenes, text_first=rng.random() < 0.2)


def _two_scenes(rng: Random, split: Split) -> tuple[Scene, Scene]:
    if rng.random() < 0.6:
        return given_scene(rng, "image", split), given_scene(rng, "image", split)
    picture = sample_picture(rng, split, groups=1)
    picture = Picture((requests.one_of(picture.groups[0]),), None, picture.place)
    if split == "held_out" and not is_held_out(picture):
        return _two_scenes(rng, split)
    kind = picture.groups[0].kind
    other: Sound | Clip = sample_sound(rng) if rng.random() < 0.6 else sample_clip(rng, split)
    if rng.random() < 0.5 and isinstance(other, Sound):
        other = Sound(kind, other.times, other.pitch)
    scenes: tuple[Scene, Scene] = (picture, other) if rng.random() < 0.5 else (other, picture)
    return scenes


def talk(rng: Random, split: Split, length: int) -> list[turns.Turn]:
    """The turns of a conversation, each in the state that the ones before have led to."""
    state = turns.State(rng, split)
    told = [turns.greet(state)] if rng.random() < 0.12 else []
    makers: tuple[turns.TurnMaker, ...] = turns.OPENINGS
    while len(told) < length:
        if len(told) == length - 1 and rng.random() < 0.08:
            told.append(turns.part(state))
            break
        turn = rng.choice(makers)(state)
        if turn is None or (told and turn.text == told[-1].text):
            continue
        told.append(turn)
        state = state.after(turn)
        makers = turns.FOLLOWING if state.latest else turns.OPENINGS
    return told


def as_messages(told: list[turns.Turn], rng: Random, tells: bool) -> list[Message]:
    """Turns as messages; `tells` as in `t2m`."""
    messages = []
    for turn in told:
        messages.append(_give(turn.text, rng, *turn.given) if turn.given else user(turn.text))
        messages.append(present(turn.shown, rng, tells) if turn.shown else assistant(turn.reply))
    return messages
