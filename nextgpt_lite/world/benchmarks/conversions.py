"""Figure 5 of the paper: how well each modality is turned into each other, and into several.

Knows: a request for every cell of the grid, what its reply must keep, and the figure. Leaves to
others: the model, reading media back (`world.verify`), intervals (`evaluation.statistics`).

The paper asked people for 1 to 10. Here the world's verifiers say which share of what the reply
should show it does show, s, and the score is 1 + 9 s. A medium that is missing, or that nobody
asked for, shows nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from tqdm.auto import tqdm

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.evaluation.statistics import Interval, interval
from nextgpt_lite.messages import Message, Part
from nextgpt_lite.model.modality import BUILT_IN
from nextgpt_lite.reply import Reply
from nextgpt_lite.world import phrases
from nextgpt_lite.world.benchmarks.items import lite_spice
from nextgpt_lite.world.describe import article, caption
from nextgpt_lite.world.render import render
from nextgpt_lite.world.scene import Clip, Group, Picture, Scene, Sound, sample_clip
from nextgpt_lite.world.verify import verify

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GIVEN = ("text", *BUILT_IN)
WANTED: tuple[tuple[str, ...], ...] = (
    ("text",), ("image",), ("audio",), ("video",),
    ("image", "audio"), ("image", "video"), ("video", "audio"), ("image", "video", "audio"),
)  # fmt: skip
WISHES: dict[tuple[str, ...], str] = {
    ("text",): "What is this?",
    ("image",): "Draw {}.",
    ("audio",): "Let me hear {}.",
    ("video",): "Make {} move left.",
    ("image", "audio"): "I want to see and hear {}.",
    ("image", "video"): "Draw {} and make it move.",
    ("video", "audio"): "I want to watch and hear {}.",
    ("image", "video", "audio"): "I want to see, watch and hear {}.",
}
IN_WORDS: dict[tuple[str, ...], str] = {
    ("text",): "What sound does {} make?",
    ("video",): "Show me a clip of {} moving left.",
}
# What a reply has to keep of what was given; a sound has no looks, and looks have no pitch.
KEPT = {"image": ("kind", "colour", "size"), "audio": ("kind",), "video": ("kind", "colour")}
LEAST, MOST = 1.0, 10.0

Cell = tuple[str, tuple[str, ...]]


class Conversion(NamedTuple):
    """One request: what is given, the words, and the scene that each wanted medium must show."""

    given: str
    scene: Clip
    words: str
    wanted: tuple[str, ...]


def conversions(given: str, wanted: tuple[str, ...], count: int, seed: int = 0) -> list[Conversion]:
    """`count` requests for one cell, about one coloured thing each."""
    rng = Random(f"conversions/{given}/{wanted}/{seed}")
    made = []
    for _ in range(count):
        scene = sample_clip(rng)
        thing = "it"
        words = WISHES[wanted]
        if given == "text":
            words = IN_WORDS.get(wanted, words)
            thing = f"a {scene.size} {scene.colour} {scene.kind}"
            thing = article(scene.kind) if wanted in (("text",), ("audio",)) else thing
        made.append(Conversion(given, scene, words.format(thing), wanted))
    return made


def grid(
    model: NextGPT,
    count: int,
    *,
    given: Sequence[str] = GIVEN,
    wanted: Sequence[tuple[str, ...]] = WANTED,
    seed: int = 0,
    **options: Any,
) -> dict[Cell, Interval]:
    """The mean score of each cell with its 95 % interval over requests.

    Args:
        count: requests a cell.
        options: of `NextGPT.chat_batch`, such as `num_inference_steps`.
    """
    cells = [(source, target) for source in given for target in wanted]
    found: dict[Cell, Interval] = {}
    for cell in tqdm(cells, desc="conversions", leave=False):
        requests = conversions(*cell, count, seed)
        seeds = [seed + index for index in range(count)]
        replies = model.chat_batch([asked(each) for each in requests], seeds=seeds, **options)
        scores = [score(*pair) for pair in zip(requests, replies, strict=True)]
        found[cell] = interval(np.array([scores]))
    return found


def asked(request: Conversion) -> list[Message]:
    """The conversation, modalities left to the model."""
    words: Part = {"type": "text", "text": request.words}
    if request.given == "text":
        return [{"role": "user", "content": [words]}]
    medium = render(_scene_of(request.given, request.scene))
    return [{"role": "user", "content": [{"type": request.given, "data": medium}, words]}]


def score(request: Conversion, reply: Reply) -> float:
    """1 to 10: 1 + 9 times the mean, over media wanted or made, of the share of what is kept."""
    media = {part["type"]: part["data"] for part in reply.media}
    names = [*request.wanted, *(name for name in media if name not in request.wanted)]
    shares = [_share(request, name, reply.text, media.get(name)) for name in names]
    return LEAST + (MOST - LEAST) * sum(shares) / len(shares)


def _share(request: Conversion, name: str, text: str, medium: Any) -> float:
    """Which share of what one medium of the reply should show it does show."""
    if name not in request.wanted:
        return 0.0
    if name == "text":
        if request.given == "text":
            verbs = (phrases.VERBS[request.scene.kind], phrases.INFINITIVES[request.scene.kind])
            return float(any(verb in text for verb in verbs))
        return lite_spice([text], [[caption(_scene_of(request.given, request.scene))]])[0]
    if medium is None:
        return 0.0
    kept: tuple[str, ...] = KEPT[name]
    if request.given == "audio" or (request.given == "text" and name == "audio"):
        kept = ("kind",)
    wanted = _scene_of(name, request.scene)
    if name == "video" and request.wanted == ("video",):
        wanted, kept = Clip(request.scene.kind, request.scene.colour, "left"), (*kept, "motion")
    attributes = verify(wanted, medium).attributes
    return sum(attributes[attribute] for attribute in kept) / len(kept)


def _scene_of(modality: str, scene: Clip) -> Scene:
    """The same thing as a picture, a sound or a clip."""
    makers: dict[str, Callable[[], Scene]] = {
        "image": lambda: Picture((Group(scene.kind, scene.colour, scene.size),), None, scene.place),
        "audio": lambda: Sound(scene.kind),
        "video": lambda: scene,
    }
    return makers[modality]()


def figure(found: dict[Cell, Interval], beside: dict[Cell, Interval] | None = None) -> Figure:
    """The grid as bars with intervals: one panel for each given modality.

    Args:
        beside: another model's grid, as hatched bars.
    """
    from matplotlib.figure import Figure as NewFigure

    given = list(dict.fromkeys(source for source, _ in found))
    drawn = NewFigure(figsize=(9.2, 1.8 * len(given) + 0.7), layout="constrained")
    rows = drawn.subplots(len(given), 1, sharex=True, squeeze=False)[:, 0]
    for axes, source in zip(rows, given, strict=True):
        bars = {"\n+ ".join(target): v for (s, target), v in found.items() if s == source}
        means = np.array([v.mean for v in bars.values()])
        reach = np.array([[v.mean - v.low, v.high - v.mean] for v in bars.values()]).T
        place = np.arange(len(bars))
        axes.bar(place, means - LEAST, bottom=LEAST, color="#0072b2", width=0.4)
        if beside:
            others = [v.mean - LEAST for (s, _), v in beside.items() if s == source]
            axes.bar(place + 0.4, others, 0.4, LEAST, color="#d55e00", hatch="//")
        axes.errorbar(place, means, np.abs(reach), fmt="none", ecolor="#7a7a7a", capsize=3)
        axes.set(ylim=(LEAST, MOST), yticks=(1, 4, 7, 10), ylabel=f"{source} in")
        axes.set_xticks(place, bars.keys())
    return drawn
