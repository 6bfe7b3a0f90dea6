"""What both loops of the benchmark train on: sizes, conversations, media, conditions.

Random weights at stated sizes: speed does not depend on their values. The encoder is the shipped
one, so that "the encoder in every step" is a real encoder.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any
from zlib import crc32

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.data.records import Record
from nextgpt_lite.data.sources import Source
from nextgpt_lite.encoders import Encoder
from nextgpt_lite.model.config import NextGPTConfig, locate
from nextgpt_lite.model.llm import LanguageModel
from nextgpt_lite.model.modality import MODALITIES
from nextgpt_lite.training.features import Features
from nextgpt_lite.world.describe import caption
from nextgpt_lite.world.dialogue.parts import sentence
from nextgpt_lite.world.rendered import Rendered
from nextgpt_lite.world.scene import sample_scene

ASKED = {1: "", 2: "", 3: "Tell me more."}
SENTENCE = 16  # positions, about: conversations grow by whole ones


@dataclass(frozen=True)
class Sizes:
    """Of one measurement; the defaults are those of the CPU bars."""

    width: int = 256
    layers: int = 4
    heads: int = 4
    vocabulary: int = 32_000  # Vicuna's; the lite tokenizer uses the first thousand
    batch: int = 4
    sequence: int = 115  # positions of a conversation, on average
    spread: float = 0.5  # a conversation is up to so much shorter or longer
    records: int = 24
    rank: int = 32
    projection: dict[str, Any] = field(
        default_factory=lambda: {"hidden": 512, "layers": 4, "heads": 4, "feed_forward": 2048}
    )
    conditions: dict[str, list[int]] = field(
        default_factory=lambda: {"image": [77, 768], "audio": [1, 512], "video": [77, 1024]}
    )

    def config(self) -> NextGPTConfig:
        """Of the model these sizes describe; everything else as in `lite`."""
        return NextGPTConfig.from_dict(
            {
                "profile": "benchmark",
                "conditions": self.conditions,
                "output_projection": self.projection,
                "lora": {"rank": self.rank},
                "encoder": "lite/encoder",
            }
        )


class Conditions(nn.Module):
    """Stands where a decoder would be asked for conditions: a random tensor for each caption."""

    def __init__(self, modality: str, length: int, width: int) -> None:
        super().__init__()
        self.modality, self.condition_length, self.condition_width = modality, length, width

    def encode_text(self, captions: list[str]) -> Tensor:
        made = []
        for text in captions:
            generator = torch.Generator().manual_seed(crc32(text.encode()))
            made.append(
                torch.randn(self.condition_length, self.condition_width, generator=generator)
            )
        return torch.stack(made)


def causal_lm(sizes: Sizes, dtype: torch.dtype = torch.float32) -> LlamaForCausalLM:
    """A Llama of random weights."""
    config = LlamaConfig(
        vocab_size=sizes.vocabulary,
        hidden_size=sizes.width,
        intermediate_size=-(-sizes.width * 8 // 3 // 64) * 64,  # 11008 at 4096
        num_hidden_layers=sizes.layers,
        num_attention_heads=sizes.heads,
        max_position_embeddings=4096,
        tie_word_embeddings=False,
    )
    return AutoModelForCausalLM.from_config(config, dtype=dtype)


def model(sizes: Sizes, lm: LlamaForCausalLM | None = None) -> NextGPT:
    """A NExT-GPT of these sizes with stand-ins for the decoders."""
    torch.manual_seed(0)
    config = sizes.config()
    tokenizer = AutoTokenizer.from_pretrained(locate("lite/llm"), local_files_only=True)
    llm = LanguageModel(lm or causal_lm(sizes), tokenizer, config.signal_tokens, config.lora)
    made = NextGPT(config, Encoder.from_pretrained(locate("lite/encoder")), llm)
    for modality, shape in config.conditions.items():
        made.decoders[modality] = Conditions(modality, *shape)
    return made


class Conversations(Source):
    """Records of a stage by number, about as long as `sizes` says, the same few again and again.

    Args:
        conversation: of a model, to count positions.
    """

    def __init__(self, stage: int, sizes: Sizes, conversation: Any) -> None:
        self.records = [
            _record(stage, sizes, conversation, index) for index in range(sizes.records)
        ]

    def __call__(self, index: int) -> Record:
        return self.records[index % len(self.records)]


def _record(stage: int, sizes: Sizes, conversation: Any, index: int) -> Record:
    """A picture, sound or clip is described (1), asked for (2), or both (3), at some length."""
    rng = Random(f"{stage}/{index}")
    wanted = sizes.sequence * (1 + rng.uniform(-sizes.spread, sizes.spread)) - SENTENCE / 2
    names = [*MODALITIES]
    shown, made = names[index % 3], names[(index // 3) % 3]
    scene, goal = (sample_scene(each, rng, groups=None) for each in (shown, made))
    said: list[str] = []
    while True:
        said.append(sentence(caption(sample_scene(rng.choice(names), rng, groups=None))))
        user: list[dict[str, Any]] = [
            {"type": "text", "text": "Tell me more." if stage > 1 else ""}
        ]
        reply: list[dict[str, Any]] = [{"type": "text", "text": " ".join(said)}]
        if stage in (1, 3):
            user.insert(0, {"type": shown, "scene": scene, "source": Rendered(scene)})
        if stage in (2, 3):
            reply.append({"type": made, "caption": caption(goal)})
        messages = [{"role": "user", "content": user}, {"role": "assistant", "content": reply}]
        if len(conversation.encode(messages)) >= wanted:
            return Record(f"{stage}-{index}", messages, "mosit")


def opened(features: Features, records: list[Record]) -> dict[Any, Any]:
    """Every medium that the records show, by its scene."""
    parts = [part for each in records for part in each.messages[0]["content"]]
    return {part["scene"]: features.open(part) for part in parts if part["type"] != "text"}


def captions(records: list[Record]) -> set[tuple[str, str]]:
    """Modality and caption of every medium that the records ask for."""
    parts = [part for each in records for part in each.messages[1]["content"]]
    return {(part["type"], part["caption"]) for part in parts if part["type"] != "text"}
