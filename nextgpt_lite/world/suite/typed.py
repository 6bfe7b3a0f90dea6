"""Examination "as people type": requests written by hand, judged by what comes back.

Knows: the file of requests (typed.yaml), its short form of scenes in which what is not named is
free, and when a reply is right. Leaves to others: writing replies (`replies`), reading media
(`world.verify`).

A medium is right when it shows what was named; words are right when they say it and no medium
comes; what is outside the world is right when the reply admits it and no medium comes.
"""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

from PIL.Image import Image

from nextgpt_lite.evaluation.statistics import Score
from nextgpt_lite.media import Audio, Video
from nextgpt_lite.messages import Message
from nextgpt_lite.reading import read_yaml
from nextgpt_lite.reply import Made, Reply
from nextgpt_lite.turn import drafts
from nextgpt_lite.world.describe import parse
from nextgpt_lite.world.dialogue.parts import DEFAULTS, assistant, modality_of, telling, user
from nextgpt_lite.world.dialogue.typed.wishes import BESIDE
from nextgpt_lite.world.hear import read_sound
from nextgpt_lite.world.judge import with_media
from nextgpt_lite.world.scene import (
    COLOURS,
    KINDS,
    MOTIONS,
    PITCHES,
    PLACES,
    RELATIONS,
    SIZES,
    Clip,
    Group,
    Picture,
    Scene,
    Sound,
    in_order,
)
from nextgpt_lite.world.suite.examination import Examiner, Found, make
from nextgpt_lite.world.suite.rows import share
from nextgpt_lite.world.verify import read_clip, read_picture, verify

ADMITS: Final = re.compile(r"\b(do not|don't|cannot|can't|can only|only know|sorry|unable)\b", re.I)
LEAD: Final = re.compile(r"^(here (is|are)|listen:|watch:)\s*", re.I)
FREE: Final = "*"  # an attribute that was not named
FIXED: Final = ("groups", "relation", "kind", "count")  # attributes that are never free
_SORTS = {"img": "image", "aud": "audio", "vid": "video"}


@dataclass(frozen=True)
class Wanted:
    """What a last turn should bring: media as scenes with free attributes, words, or neither."""

    scenes: tuple[Scene, ...] = ()
    words: tuple[tuple[str, ...], ...] = ()

    @property
    def admits(self) -> bool:
        """Whether the right reply is that it cannot be done."""
        return not self.scenes and not self.words


@dataclass(frozen=True)
class Request:
    """A line of the file: kind, manner, the conversation up to its last question, the answer."""

    kind: str
    manner: str
    messages: list[Message]
    wanted: Wanted


@cache
def requests() -> tuple[Request, ...]:
    """All lines of the file."""
    path = Path(__file__).with_name("typed.yaml")
    lines = read_yaml(path, Any)
    return tuple(_read(kind, *row) for kind, rows in lines.items() for row in rows)


def _read(kind: str, manner: str, *turns: str) -> Request:
    said, shown = [], []
    messages: list[Message] = []
    last = max(i for i, turn in enumerate(turns) if not re.match(r"(img|aud|vid|say):|no$", turn))
    for index, turn in enumerate(turns):
        if index > last:
            shown.append(turn)
        elif re.match(r"(img|aud|vid):", turn):
            scene = filled(read_scene(turn))
            messages.append(assistant(telling(scene), scene))
        else:
            given = re.match(r"<(.+?)> ", turn)
            scenes = [filled(read_scene(given[1]))] if given else []
            messages.append(user(turn[given.end() :] if given else turn, *scenes))
            said.append(turn)
    answer = " ".join(turn[4:] for turn in shown if turn.startswith("say:"))
    words = tuple(tuple(word.split("|")) for word in answer.split())
    media = tuple(read_scene(turn) for turn in shown if turn[:3] in _SORTS)
    return Request(kind, manner, messages, Wanted(media, words))


def read_scene(text: str) -> Scene:
    """A scene in short; what is not named is FREE, a place too."""
    sort, _, rest = text.partition(":")
    rest, _, place = rest.partition("@")
    words = rest.split()
    if sort == "aud":
        times = next((int(word[1:]) for word in words if re.fullmatch(r"x\d", word)), 0)
        return Sound(words[0], times, next((p for p in PITCHES if p in words), FREE))
    if sort == "vid":
        group = _group([w for w in words if w not in MOTIONS])
        motion = next((m for m in MOTIONS if m in words), FREE)
        return Clip(group.kind, group.colour, motion, group.size, place.strip() or FREE)
    parts = re.split(rf" (\+|{'|'.join(RELATIONS)}) ", rest.strip())
    groups = tuple(_group(part.split()) for part in parts[::2])
    return Picture(groups, next((r for r in RELATIONS if r in parts), None), place.strip() or FREE)


def _group(words: Sequence[str]) -> Group:
    return Group(
        next(word for word in words if word in KINDS),
        next((w for w in words if w in COLOURS), FREE),
        next((w for w in words if w in SIZES), FREE),
        next((int(w) for w in words if w.isdigit()), 1),
    )


def filled(scene: Scene) -> Scene:
    """The scene with the world's defaults where it is free."""
    if isinstance(scene, Picture) and len(scene.groups) == 3 and scene.relation is None:
        scene = replace(scene, relation=BESIDE)
    return next(_fillings(scene, {}))


def _fillings(scene: Scene, seen: dict[str, Sequence[Any]]) -> Iterator[Scene]:
    """The scene with every choice of what is free among what was seen, or with the defaults."""

    def choices(item: Any, name: str, value: Any) -> Sequence[Any]:
        if value not in (FREE, 0):
            return [value]
        default = DEFAULTS.colours[item.kind] if name == "colour" else getattr(DEFAULTS, name)
        return seen.get(name) or [default]

    def every(item: Any) -> Iterator[Any]:
        names = [f.name for f in fields(item) if f.name not in FIXED]
        for values in itertools.product(*(choices(item, n, getattr(item, n)) for n in names)):
            yield replace(item, **dict(zip(names, values, strict=True)))

    if isinstance(scene, Picture):
        for place in every(scene):
            for groups in itertools.product(*(every(group) for group in scene.groups)):
                yield replace(place, groups=groups)
    else:
        yield from every(scene)


def seen_in(medium: Image | Audio | Video) -> dict[str, Sequence[Any]]:
    """What a medium may show of each attribute."""
    if isinstance(medium, Audio):
        heard = read_sound(medium)
        return {"times": [max(1, heard.times)], "pitch": [heard.pitch or "low"]}
    if isinstance(medium, Video):
        clip = read_clip(medium)
        names = ("colour", "size", "motion", "place")
        return {name: [getattr(clip, name)] for name in names if getattr(clip, name)}
    read = read_picture(medium)
    return {
        "colour": sorted({thing.colour for thing in read.things}),
        "size": sorted({thing.size for thing in read.things}),
        "place": [read.place or PLACES[0]],
    }


def told(text: str) -> list[Scene]:
    """The scenes that a reply tells: "Here is ..", "Listen: ..", "Watch: ..", or captions alone."""
    found = []
    for sentence in re.split(r"(?<=[.!?])\s+", text):
        if (scene := parse(LEAD.sub("", sentence.strip()))) is not None:
            found.append(scene)
    return found


def agrees(wanted: Scene, scene: Scene) -> bool:
    """Whether a scene is one that was asked for, whichever of its things is told first."""
    if type(wanted) is not type(scene):
        return False
    if isinstance(wanted, Picture) and isinstance(scene, Picture):
        if len(wanted.groups) != len(scene.groups):
            return False
        if wanted.relation is None:
            scene = replace(scene, relation=None)
        wanted, scene = in_order(wanted), in_order(scene)
        same = all(_same(w, s) for w, s in zip(wanted.groups, scene.groups, strict=True))
        return same and wanted.relation == scene.relation and wanted.place in (FREE, scene.place)
    return _same(wanted, scene)


def _same(wanted: Any, found: Any) -> bool:
    return all(getattr(wanted, f.name) in (FREE, 0, getattr(found, f.name)) for f in fields(wanted))


def right_words(wanted: Wanted, text: str, media: int = 0) -> bool:
    """Whether the words of a reply are right, with which so many `media` came."""
    if wanted.admits:
        return bool(ADMITS.search(text)) and not media
    if wanted.words:
        said = set(re.findall(r"[a-z0-9]+", text.lower()))
        return all(any(word in said for word in ways) for ways in wanted.words) and not media
    scenes = told(text)
    return len(scenes) == len(wanted.scenes) and all(
        any(agrees(want, scene) for scene in scenes) for want in wanted.scenes
    )


def right_medium(wanted: Scene, medium: Image | Audio | Video) -> bool:
    """Whether a medium shows what was named of a scene."""
    seen = seen_in(medium)
    return any(verify(scene, medium).correct for scene in _fillings(wanted, seen))


def right_replies(
    examiner: Examiner, asked: Sequence[Request], replies: Sequence[Reply]
) -> list[bool]:
    """Whether each reply is right, its media made and read."""
    right = []
    for index, (request, reply) in enumerate(zip(asked, replies, strict=True)):
        wanted = sorted(request.wanted.scenes, key=modality_of)
        given = sorted(reply.made, key=lambda made: made.block.modality)
        if [made.block.modality for made in given] != [modality_of(scene) for scene in wanted]:
            right.append(False)
        elif not wanted:
            right.append(right_words(request.wanted, reply.text, len(given)))
        else:
            right.append(_media_right(examiner, wanted, given, index))
    return right


def _media_right(
    examiner: Examiner, wanted: Sequence[Scene], given: Sequence[Made], index: int
) -> bool:
    for scene, made in zip(wanted, given, strict=True):
        decoder = examiner.model.decoder(made.block.modality)
        (medium,) = make(decoder, [made.condition], [examiner.seed + index], examiner.steps)
        if not right_medium(scene, medium):
            return False
    return True


def typed_requests(examiner: Examiner) -> Found:
    """Every request of the file: in world by kind and by manner, and what is outside of it."""
    asked = requests()[:: max(1, len(requests()) // examiner.count)]
    replies = drafts(examiner.model, [[with_media(m) for m in r.messages] for r in asked])
    right = right_replies(examiner, asked, replies)
    inside: list[bool] = []
    kinds: dict[str, list[bool]] = defaultdict(list)
    manners: dict[str, list[bool]] = defaultdict(list)
    for request, holds in zip(asked, right, strict=True):
        kinds[request.kind].append(holds)
        if not request.wanted.admits:
            inside.append(holds)
            manners[request.manner].append(holds)
    rows = [share("as people type", "in-world requests", Score.of(inside), 85)]
    for kind, answers in kinds.items():
        bar = 90 if kind == "out of world" else None
        rows.append(share("as people type", kind, Score.of(answers), bar))
    for manner, answers in manners.items():
        bar = 75 if manner in ("typos", "synonyms", "capitals", "terse") else None
        rows.append(share("as people type", f"in world, {manner}", Score.of(answers), bar))
    return Found(rows)
