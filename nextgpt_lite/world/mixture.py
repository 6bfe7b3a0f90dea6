"""The lite world as a source of records: conversations made as they are needed.

Knows: how often each modality comes, how many renders a scene has, what a model in training is
asked. Leaves to others: how conversations are written (`dialogue`), which kinds a stage wants
(`training.stages`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random

from nextgpt_lite.data.records import Record
from nextgpt_lite.data.sources import DRAWN, Source, Wanted, hash_plain
from nextgpt_lite.messages import Conversation, parts_of
from nextgpt_lite.world.dialogue import records as dialogue
from nextgpt_lite.world.dialogue.parts import modality_of
from nextgpt_lite.world.dialogue.typed.records import typed_record
from nextgpt_lite.world.plain import plain_messages
from nextgpt_lite.world.render import render
from nextgpt_lite.world.rendered import Rendered
from nextgpt_lite.world.scene import MODALITIES, Clip, Group, Picture, Scene, Sound, check_modality

# Share of replies that say in words what they show. A small LLM spells out sums and references
# before its signal tokens and gets them right; 0 leaves all of it to the tokens.
TELLS = 1.0
PICTURES = 2  # pairs or captions that show a picture for one of each other modality: it tells most
SEVERAL = 0.4  # share of captioned pictures that show several kinds: of those there are the most
ABOUT_GIVEN = 0.2  # share of MosIT data that gives a medium and wishes for another in one message
TYPED = 0.5  # share of stage 3 whose user types as people do, of the kinds that it wants
TYPED_KINDS = frozenset(("understand", "t2m", "mosit", "text"))
VARIANTS = 8  # renders of one scene: enough to learn from, few enough to be met again in a cache
ASKED = (
    "Show me a large red car in the garden.",
    "Let me hear a dog bark twice.",
    "I want to see a blue bird fly to the left.",
    "What is two plus three?",
)
SHOWN: tuple[Scene, ...] = (
    Picture((Group("car", "red", "large"),), place="garden"),
    Sound("dog", 2),
    Clip("bird", "blue", "left"),
)


class WorldMixture(Source):
    """Conversations made as they are needed; nothing held out is ever among them.

    Args:
        stage: gives kinds, weights and modalities.
        seed: another seed gives other conversations.

    Raises:
        ConfigError: the stage wants a modality that the world cannot make.
    """

    def __init__(self, stage: Wanted, seed: int = 0) -> None:
        self.stage = stage.number
        self.kinds = list(stage.mixture)
        self.weights = list(stage.mixture.values())
        self.typed = stage.number == 3
        self.modalities = tuple(stage.modalities) or MODALITIES
        for modality in self.modalities:
            check_modality(modality)
        self.seed = seed

    def __call__(self, index: int) -> Record:
        rng = Random(f"{self.seed}/{index}")
        kind = rng.choices(self.kinds, self.weights)[0]
        typed = self.typed and kind in TYPED_KINDS and rng.random() < TYPED
        record = self._drawn(kind, typed, rng)
        while not self._fits(record):
            record = self._drawn(kind, typed, rng)
        for message in record.messages:
            for part in message["content"]:
                if isinstance(part, dict) and "scene" in part:
                    part["variant"] = rng.randrange(VARIANTS)
                    part["source"] = Rendered(part["scene"], part["variant"])
        return record

    def identity(self) -> str:
        """By the first records, scenes by what is in them, whatever code renders them."""
        drawn = (self(index) for index in range(DRAWN))
        return hash_plain({**r.to_dict(), "messages": plain_messages(r.messages)} for r in drawn)

    def prompts(self) -> list[Conversation]:
        """To describe media in stage 1, to make some later."""
        if self.stage > 1:
            return [[{"role": "user", "content": asked}] for asked in ASKED]
        return [
            [
                {
                    "role": "user",
                    "content": [
                        {"type": modality_of(scene), "data": render(scene)},
                        {"type": "text", "text": "What is it?"},
                    ],
                }
            ]
            for scene in SHOWN
        ]

    def _drawn(self, kind: str, typed: bool, rng: Random) -> Record:
        if typed:
            while (record := typed_record(rng, tells=TELLS)).kind not in self.kinds:
                pass
        elif kind in ("pair", "caption"):
            shares = [PICTURES if name == "image" else 1 for name in self.modalities]
            modality = rng.choices(self.modalities, shares)[0]
            if kind == "pair":
                record = dialogue.pair(rng, modality)
            else:
                several = rng.random() < SEVERAL
                record = dialogue.caption_record(rng, modality, several=several)
        else:
            make: dict[str, Callable[[Random], Record]] = {
                "understand": dialogue.understand,
                "t2m": partial(dialogue.t2m, tells=TELLS),
                "mosit": _mosit,
                "text": dialogue.text,
            }
            record = make[kind](rng)
        return record

    def _fits(self, record: Record) -> bool:
        """Whether replies hold no medium of another modality."""
        replies = (parts_of(m) for m in record.messages if m["role"] == "assistant")
        return all(part["type"] in ("text", *self.modalities) for r in replies for part in r)


def _mosit(rng: Random) -> Record:
    make = dialogue.about_given if rng.random() < ABOUT_GIVEN else dialogue.mosit
    return make(rng, tells=TELLS)
