"""What differs between families of causal LMs: how one is called, and what it can be asked.

Knows: arguments of a family's forward, where its blocks are, what it does to its logits, which of
its matrices LoRA adapts, and, by trying, in which ways it can read several conversations at once.
Leaves to others: tokens and rows (`llm`), and who reads in those ways.

Letters: B batch, S sequence, D width, V vocabulary.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as PEFT_TARGETS
from torch import Tensor, nn
from transformers import DynamicCache, PreTrainedModel
from transformers.pytorch_utils import Conv1D

from nextgpt_lite.errors import ConfigError
from nextgpt_lite.model.config import LoraSettings

# Ways of reading. "padded": rows of unlike length, padding on the left. "packed": conversations one
# behind the other in one row. "chunked": several tokens behind what a cache holds. "masked": with a
# mask (B, 1, S, S) of one's own, as `prefix` needs it.
WAYS = frozenset({"padded", "packed", "chunked", "masked"})
# These are known to read in all of them, so nothing is tried before the first batch.
KNOWN = frozenset(
    ("llama", "mistral", "qwen2", "qwen3", "gemma", "phi", "phi3", "gpt_neox", "olmo", "olmo2",
     "stablelm", "granite")
)  # fmt: skip
# Here peft adapts all linear layers but these, which fused kernels read past their adapters.
MAMBAS = ("mamba", "mamba2", "falcon_mamba", "falcon_h1", "nemotron_h")
MAMBAS_LACK = ["out_proj", "conv1d"]
NEAR = 0.03  # of the states' length: what rounding may change, and seeing another row must not


class Family:
    """How to call one causal LM.

    Attributes:
        blocks: its layers, in order.

    Raises:
        ConfigError: it cannot be a part of NExT-GPT; says why.
    """

    def __init__(self, causal_lm: PreTrainedModel) -> None:
        self.name = str(causal_lm.config.model_type)
        decoder = causal_lm.get_decoder()
        self._arguments = inspect.signature(decoder.forward).parameters
        names = (
            "past_key_values",
            "cache",
            "cache_params",
        )  # of old, since transformers 5.24, Mamba's
        caches = [name for name in names if name in self._arguments]
        if "inputs_embeds" not in self._arguments or not caches:
            raise ConfigError(
                f"A language model of type {self.name!r} takes no embeddings or no cache of "
                "transformers: use one whose decoder has 'inputs_embeds' and 'past_key_values'."
            )
        self._cache = caches[0]
        if causal_lm.get_output_embeddings() is None:
            raise ConfigError(f"A language model of type {self.name!r} has no output matrix.")
        count = causal_lm.config.num_hidden_layers
        lists = (module for module in decoder.modules() if isinstance(module, nn.ModuleList))
        self.blocks = next(module for module in lists if len(module) == count)
        self.scale, self.cap = _of_logits(causal_lm)
        self.positions = _learned_positions(decoder)

    def read(
        self,
        causal_lm: PreTrainedModel,
        embeddings: Tensor,
        attention_mask: Tensor | None,
        cache: DynamicCache | None,
        positions: Tensor | None,
    ) -> Tensor:
        """See `LanguageModel.hidden`."""
        if self.positions is not None:
            length = embeddings.shape[1] + (0 if cache is None else cache.get_seq_length())
            length = length if positions is None else 1 + int(positions.max())
            if length > self.positions:
                raise ConfigError(
                    f"The conversation takes {length} positions, and this language model has "
                    f"learned {self.positions}: shorten it, or use another one."
                )
        if attention_mask is not None and self._cache == "cache_params":  # only of what is new
            attention_mask = attention_mask[:, -embeddings.shape[1] :]
        given = {"attention_mask": attention_mask, "position_ids": positions, self._cache: cache}
        output = causal_lm.get_decoder()(
            inputs_embeds=embeddings,
            use_cache=cache is not None,
            **{name: value for name, value in given.items() if name in self._arguments},
        )
        hidden: Tensor = output.last_hidden_state
        return hidden


def _of_logits(causal_lm: PreTrainedModel) -> tuple[float, float | None]:
    """What logits are multiplied with, and what a tanh then keeps them below, if anything does."""
    config = causal_lm.config
    scale = getattr(config, "logit_scale", None) or 1.0  # Cohere
    scale /= getattr(config, "logits_scaling", None) or 1.0  # Granite
    return scale, getattr(config, "final_logit_softcapping", None)  # Gemma 2 and 3


def _learned_positions(decoder: nn.Module) -> int | None:
    """How many positions have an embedding that was learned; None where they are computed."""
    for name, module in decoder.named_modules():
        if isinstance(module, nn.Embedding) and name.endswith(("wpe", "embed_positions")):
            return module.num_embeddings - getattr(module, "offset", 0)
    return None


def lora_targets(causal_lm: PreTrainedModel, settings: LoraSettings) -> list[str] | str:
    """The matrices that LoRA adapts, as peft wants them named.

    Attention's four where the family calls them so; else those that peft adapts in it, or every
    linear layer.

    Raises:
        ConfigError: the settings name what the language model does not have.
    """
    linear = {
        name.split(".")[-1]
        for name, module in causal_lm.named_modules()
        if isinstance(module, nn.Linear | Conv1D)
    }
    targets = settings.targets
    if isinstance(targets, str) or set(targets) <= linear:
        return targets if isinstance(targets, str) else list(targets)
    if targets != LoraSettings.targets:
        raise ConfigError(
            f"Configuration field 'lora.targets' names {min(set(targets) - linear)!r}, which this "
            f"language model does not have: use some of {', '.join(sorted(linear))}, or "
            "'all-linear'."
        )
    return PEFT_TARGETS.get(str(causal_lm.config.model_type), "all-linear")


def as_mask(allowed: Tensor, causal_lm: PreTrainedModel, dtype: torch.dtype) -> Tensor:
    """(B, S, P) who may look at whom -> (B, 1, S, P), as the LLM's attention takes it."""
    if causal_lm.config._attn_implementation == "sdpa":
        return allowed[:, None]
    return torch.where(allowed, 0.0, torch.finfo(dtype).min).to(dtype)[:, None]


class _Trial:
    """Two short conversations, read each alone, and in other ways that should give the same."""

    def __init__(self, family: Family, causal_lm: PreTrainedModel) -> None:
        self.family, self.lm = family, causal_lm
        table = causal_lm.get_input_embeddings()
        self.device = table.weight.device if hasattr(table, "weight") else causal_lm.device
        ids = torch.linspace(3, causal_lm.config.vocab_size - 1, 9, device=self.device).long()
        self.long, self.short = table(ids[None, :5]), table(ids[None, 5:])  # (1, 5, D), (1, 4, D)
        self.alone = self.read(self.long), self.read(self.short)

    def read(self, embeddings: Tensor, mask: Any = None, cache: Any = None, at: Any = None) -> Any:
        at = None if at is None else torch.tensor([at], device=self.device)
        return self.family.read(self.lm, embeddings, mask, cache, at)

    def padded(self) -> bool:
        rows = torch.cat([self.long, torch.cat([self.long[:, :1], self.short], 1)])
        mask = torch.tensor([[1] * 5, [0] + [1] * 4], device=self.device)
        at, cache = (mask.cumsum(1) - 1).clamp_min(0), DynamicCache(config=self.lm.config)
        parts = [
            self.family.read(self.lm, rows[:, here], mask[:, : here.stop], cache, at[:, here])
            for here in (slice(0, 4), slice(4, 5))
        ]
        return _near(torch.cat(parts, 1)[1:, 1:], self.alone[1])

    def packed(self) -> bool:
        row = torch.cat([self.long, self.short], 1)
        states = self.read(row, at=[*range(5), *range(4)])
        return _near(states[:, 5:], self.alone[1])

    def chunked(self) -> bool:
        cache = DynamicCache(config=self.lm.config)
        parts = [self.read(part, None, cache) for part in self.long.split([2, 3], 1)]
        return _near(torch.cat(parts, 1), self.alone[0])

    def masked(self) -> bool:
        cache = DynamicCache()
        self.read(self.long, None, cache, [*range(5)])
        hidden = torch.zeros(1, 4, 5, dtype=torch.bool, device=self.device)  # the whole first row
        own = torch.ones(1, 4, 4, dtype=torch.bool, device=self.device).tril()
        mask = as_mask(torch.cat([hidden, own], -1), self.lm, self.short.dtype)
        return _near(self.read(self.short, mask, cache, [*range(4)]), self.alone[1])


@torch.inference_mode()
def ways_of(family: Family, causal_lm: PreTrainedModel) -> frozenset[str]:
    """In which of `WAYS` an LLM can read, found out with nine tokens unless it is known."""
    windows = {"masked"} if getattr(causal_lm.config, "sliding_window", None) else set()
    if family.name in KNOWN:
        return WAYS - windows  # a mask of one's own takes the place of the window's
    training = causal_lm.training
    causal_lm.eval()
    trial = _Trial(family, causal_lm)
    found: set[str] = set()
    for way in WAYS:
        try:
            if getattr(trial, way)():
                found.add(way)
        except (RuntimeError, ValueError, IndexError, TypeError):  # of a mask or cache unlike its
            continue
    causal_lm.train(training)
    return frozenset(found - windows)


def _near(ours: Tensor, theirs: Tensor) -> bool:
    return bool((ours - theirs).float().norm() <= NEAR * theirs.float().norm())
