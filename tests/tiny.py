"""A whole NExT-GPT of random weights, built in a second: for tests of code, not of skill."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from zlib import crc32

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.data.records import Record
from nextgpt_lite.data.sources import Source
from nextgpt_lite.decoders.base import Decoder
from nextgpt_lite.encoders import Encoder, ImageBind, ImageBindConfig, PreprocessConfig
from nextgpt_lite.encoders.config import SpectrumConfig, VisionConfig
from nextgpt_lite.media import Audio, Video
from nextgpt_lite.model.config import NextGPTConfig
from nextgpt_lite.model.llm import LanguageModel
from nextgpt_lite.world.pretraining.tokenizers import llm_tokenizer

SENTENCES = [
    "Draw a red car in the garden. Here is the picture. What do you hear? A dog barks twice.",
    "Show me 7 apples; I ate one. How many are left? Six apples are left.",
]


class Made(Source):
    """What a function makes, as a source."""

    def __init__(self, make: Callable[[int], Record]) -> None:
        self.make = make

    def __call__(self, index: int) -> Record:
        return self.make(index)


def tiny_config(input_tokens: int = 2, **changes: object) -> NextGPTConfig:
    """Small widths, the paper's 5, 9 and 25 signal tokens."""
    return NextGPTConfig.from_dict(
        {
            "profile": "tiny",
            "conditions": {"image": [6, 12], "audio": [1, 10], "video": [6, 14]},
            "input_tokens": input_tokens,
            "output_projection": {
                "hidden": 16, "layers": 1, "heads": 2, "feed_forward": 32, "dropout": 0.0,
            },
            "lora": {"rank": 2, "alpha": 4, "dropout": 0.0},
            **changes,
        }
    )  # fmt: skip


def tiny_causal_lm(vocabulary: int, seed: int = 0, tied: bool = False) -> LlamaForCausalLM:
    """A random Llama of width 32."""
    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=2,
            tie_word_embeddings=tied,
        )
    ).eval()


def tiny_llm(
    config: NextGPTConfig,
    seed: int = 0,
    tied: bool = False,
    family: Callable[[int], PreTrainedModel] | None = None,
) -> LanguageModel:
    """The random Llama, or what a family makes for so many tokens, with adapters and new rows."""
    tokenizer = llm_tokenizer(SENTENCES)
    vocabulary = len(tokenizer)
    causal_lm = tiny_causal_lm(vocabulary, seed, tied) if family is None else family(vocabulary)
    return LanguageModel(
        causal_lm, tokenizer, config.signal_tokens, config.lora, "tiny", config.messenger
    )


class TinyDecoder(nn.Module):
    """Stands where a decoder would: random caption conditions, grey media. One frozen weight."""

    def __init__(self, modality: str, length: int, width: int) -> None:
        super().__init__()
        self.modality, self.condition_length, self.condition_width = modality, length, width
        self.weight = nn.Parameter(torch.ones(1), requires_grad=False)
        self.asked: list[str] = []

    def encode_text(self, captions: Sequence[str]) -> Tensor:
        self.asked += captions
        return torch.stack(
            [
                torch.randn(
                    self.condition_length,
                    self.condition_width,
                    generator=torch.Generator().manual_seed(crc32(caption.encode())),
                )
                for caption in captions
            ]
        )

    def latents(self, media: Sequence[Any]) -> Tensor:
        return torch.full((len(media), 3), float(self.weight))

    def negative(self, count: int) -> Tensor:
        return self.encode_text([""]).expand(count, -1, -1)

    def denoising_errors(
        self, condition: Tensor, latents: Tensor, generator: torch.Generator | None = None,
        noisier: int = 1,
    ) -> Tensor:  # fmt: skip
        assert len(condition) == len(latents)
        noise = torch.rand(len(latents), generator=generator)
        return (condition.mean((1, 2)) - latents.mean(1) * noise).pow(2)

    def generate(
        self, condition: Tensor, *, num_inference_steps: int | None,
        generator: torch.Generator | list[torch.Generator],
        callback: Callable[..., None] | None = None, previews: int = 0, **_: object,
    ) -> list[Any]:  # fmt: skip
        steps = num_inference_steps or 20
        for step in range(steps):
            if callback is not None:
                due = previews and (step + 1) % previews == 0
                seen = [[self._grey(one, torch.Generator()) for one in condition]] if due else []
                callback(step + 1, steps, *seen)
        generators = generator if isinstance(generator, list) else [generator] * len(condition)
        return [self._grey(*item) for item in zip(condition, generators, strict=True)]

    generate_each = Decoder.generate_each

    def _grey(self, condition: Tensor, generator: torch.Generator) -> Any:
        grey = int(torch.randint(256, (1,), generator=generator)) // 2 + int(
            condition.abs().mean() * 10
        )
        if self.modality == "image":
            return Image.new("RGB", (8, 8), (grey,) * 3)
        if self.modality == "audio":
            return Audio(np.full((1, 1600), grey / 512, np.float32), 16000)
        return Video(np.full((8, 16, 16, 3), grey, np.uint8), 4.0)


def tiny_model(
    seed: int = 0, family: Callable[[int], PreTrainedModel] | None = None, **changes: object
) -> NextGPT:
    """Random encoder, LLM and projections, and stand-ins for the decoders."""
    config = tiny_config(**changes)  # type: ignore[arg-type]
    llm = tiny_llm(config, seed, family=family)
    torch.manual_seed(seed)
    encoder = ImageBind(
        ImageBindConfig(
            out=24,
            vision=VisionConfig(width=16, blocks=1, heads=2, image_size=32, kernel=(2, 16, 16)),
            audio=SpectrumConfig(width=16, blocks=1, heads=2, height=128, length=204, kernel=32),
        )
    )
    preprocess = PreprocessConfig(image_size=32, clips=1, crops=1, audio_clips=1)
    model = NextGPT(config, Encoder(encoder, preprocess), llm).eval()
    for modality, shape in config.conditions.items():
        model.decoders[modality] = TinyDecoder(modality, *shape)
    return model
