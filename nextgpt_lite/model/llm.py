"""The language model: any causal LM of transformers, LoRA, and rows for the new tokens only.

Knows: embeddings, hidden states, the KV cache. Leaves to others: its tokens (`vocabulary`), what a
signal token means (`modality`), how messages become ids (`conversation`).

Letters: B batch, S sequence, D width, V vocabulary.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    DynamicCache,
    PreTrainedModel,
    PreTrainedTokenizerBase as Tokenizer,
)
from transformers.pytorch_utils import Conv1D

from nextgpt_lite.errors import ConfigError, PackageError
from nextgpt_lite.locks import Lock
from nextgpt_lite.model.base_model import fingerprint, stored_matrices
from nextgpt_lite.model.config import LoraSettings
from nextgpt_lite.model.families import MAMBAS, MAMBAS_LACK, Family, lora_targets, ways_of
from nextgpt_lite.model.gguf import unpacked
from nextgpt_lite.model.losses import head_errors
from nextgpt_lite.model.vocabulary import END_MARKS, add_tokens, load_tokenizer
from nextgpt_lite.reading import check_sums, check_weights, read_sizes, reading


class LanguageModel(nn.Module):
    """A frozen causal LM that learns through LoRA and the rows of its new tokens.

    The released code trains the whole embedding and output matrices to make room for a few dozen
    tokens; here peft trains just the new rows, in both matrices (or the shared one, when tied).

    Attributes:
        signal_ids: token ids of each modality's signal block, in order; where the messenger is a
            caption, those of the two marks around it; none of a modality that is only read.
        marker_ids: of the markers around input items.
        messenger: of `NextGPTConfig`.
        end_mark: words that end a reply besides the end token; None where there are none.
        new_ids: ids whose rows learn: the signal tokens, and markers the base did not know.
        base: name, vocabulary rows and fingerprint of the base model, for checkpoints.
        signal_layer: of `NextGPTConfig.hidden_layer`.
        family: how this LLM is called.
    """

    end_mark: str | None
    _row_of: Tensor  # (V,) new row of an id, -1 for the known ones

    def __init__(
        self,
        causal_lm: PreTrainedModel,
        tokenizer: Tokenizer,
        signal_tokens: dict[str, int],
        lora: LoraSettings,
        name: str = "",
        messenger: str = "signal",
    ) -> None:
        super().__init__()
        self.family, self.tokenizer = Family(causal_lm), tokenizer
        self._lock = Lock()
        self.end_mark = END_MARKS.get(str(tokenizer.chat_template))
        self.messenger, self.signal_layer = messenger, -1
        self.base = {"name": name, **_identity(causal_lm)}
        added = add_tokens(tokenizer, signal_tokens, messenger)
        self.new_ids, self.signal_ids, self.marker_ids = added.new, added.signal, added.markers
        _make_room(causal_lm, added.unknown)
        self.peft = _with_adapters(causal_lm, self.new_ids, lora)
        self.laid_over: tuple[str, ...] = ()
        rows = torch.full((len(causal_lm.get_input_embeddings().weight),), -1)
        rows[self.new_ids] = torch.arange(len(self.new_ids))
        self.register_buffer("_row_of", rows, persistent=False)

    @classmethod
    def from_pretrained(
        cls,
        folder: str | Path,
        signal_tokens: dict[str, int],
        lora: LoraSettings,
        name: str = "",
        messenger: str = "signal",
        *,
        dtype: torch.dtype = torch.float32,
        quantization: str | None = None,
        chat_format: str | None = None,
    ) -> LanguageModel:
        """Loads model and tokenizer from a folder in transformers' layout, or from a GGUF file.

        Args:
            dtype: of the frozen weights; what learns is float32.
            quantization: "nf4" keeps the layers' matrices in 4 bits, which needs bitsandbytes.
            chat_format: of `CHAT_TEMPLATES`; None takes the tokenizer's own, or "vicuna-v1".

        Raises:
            ConfigError: the language model or its tokenizer cannot be used, LoRA's targets, the
                quantization or the format is unknown, or bitsandbytes is missing.
        """
        folder = unpacked(Path(folder))
        check_sums(folder)
        read_sizes(folder / "config.json")
        tokenizer = load_tokenizer(folder, chat_format)
        options: dict[str, Any] = {} if quantization is None else _quantized(quantization, dtype)
        with reading(folder, "config.json"):
            AutoConfig.from_pretrained(folder, local_files_only=True)
        with reading(folder, "*config.json", "*.safetensors*", "pytorch_model*"):
            causal_lm = AutoModelForCausalLM.from_pretrained(
                folder, local_files_only=True, dtype=dtype, **options
            )
            check_weights(causal_lm.state_dict(), folder)
        model = cls(causal_lm, tokenizer, signal_tokens, lora, name or str(folder), messenger)
        stored = stored_matrices(folder)
        if "embed_tokens" in stored:  # not the matrix just loaded: `dtype` rounds it
            model.base["fingerprint"] = fingerprint(stored["embed_tokens"])
        return model

    @property
    def all_signal_ids(self) -> list[int]:
        """The ids of every modality's block, one after the other."""
        return [token for ids in self.signal_ids.values() for token in ids]

    @property
    def causal_lm(self) -> PreTrainedModel:
        """The model inside the adapters."""
        return self.peft.get_base_model()

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return self._row_of.device

    @property
    def dtype(self) -> torch.dtype:
        """The number format of its frozen weights."""
        return self._base_matrix("embed_tokens").dtype

    @property
    def width(self) -> int:
        """D."""
        return int(self.causal_lm.config.hidden_size)

    @cached_property
    def ways(self) -> frozenset[str]:
        """Those of `families.WAYS` in which the LLM can read."""
        return ways_of(self.family, self.causal_lm)

    def new_cache(self) -> DynamicCache:
        """An empty cache, of the kinds that the LLM's layers have."""
        return DynamicCache(config=self.causal_lm.config)

    @property
    def vocabulary(self) -> int:
        """V, new rows included."""
        return len(self._row_of)

    @property
    def context(self) -> int | None:
        """Positions that it can read in all; None where there is no end to them."""
        limit = getattr(self.causal_lm.config.get_text_config(), "max_position_embeddings", None)
        limits = [each for each in (limit, self.family.positions) if each and each > 0]
        return min(limits, default=None)

    @property
    def eos_id(self) -> int:
        """The token that ends a reply."""
        return int(self.tokenizer.eos_token_id)

    def embed(self, ids: Tensor) -> Tensor:
        """(B, S) ids -> (B, S, D) input embeddings, new rows included.

        The same values as peft's own layer gives, but that one copies the whole (V, D) table in
        each forward and computes a gradient of its size; here only the new rows have one.
        """
        layer = self.causal_lm.get_input_embeddings().token_adapter
        known, row = layer.base_layer(ids), self._row_of[ids]  # (B, S, D), (B, S)
        new = F.embedding(row.clamp_min(0), _new_rows(layer)).to(known)
        scale = getattr(layer.base_layer, "embed_scale", 1.0)  # Gemma multiplies its embeddings
        return torch.where((row >= 0)[..., None], new * scale, known)

    def hidden(
        self,
        embeddings: Tensor,
        attention_mask: Tensor | None = None,
        cache: Any = None,
        positions: Tensor | None = None,
    ) -> Tensor:
        """(B, S, D) -> (B, S, D) last hidden states, the only ones kept.

        Args:
            embeddings: input embeddings, media already spliced in.
            attention_mask: (B, S) ones where there is a token; None means everywhere.
            cache: a transformers `Cache`, extended in place by S positions.
            positions: (B, S) of each token in its conversation; None counts from 0. Where they
                restart, and no mask is given, conversations do not see each other.
        """
        with self._lock:
            return self.family.read(self.causal_lm, embeddings, attention_mask, cache, positions)

    @contextmanager
    def tapped(self) -> Iterator[list[Tensor]]:
        """Collects, for each forward inside it, the (B, S, D) states at `signal_layer`.

        They are what enters block `signal_layer`; the list stays empty for -1, the last states,
        which `hidden` gives anyway.
        """
        states: list[Tensor] = []
        if self.signal_layer == -1:
            yield states
            return
        block = self.family.blocks[self.signal_layer]
        with self._lock:  # no forward of another thread goes through the hook
            hook = block.register_forward_pre_hook(lambda _, inputs: states.append(inputs[0]))
            try:
                yield states
            finally:
                hook.remove()

    def logits(self, hidden: Tensor) -> Tensor:
        """(..., D) -> (..., V), new rows included, and a gradient for no others (see `embed`)."""
        layer = self.causal_lm.get_output_embeddings().token_adapter
        known = layer.base_layer(hidden)  # (..., V)
        new = F.linear(hidden, _new_rows(layer).to(hidden.dtype)).to(known.dtype)
        ids = torch.tensor(self.new_ids, device=known.device)
        logits = known.index_copy_(-1, ids, new)
        if (scale := self.family.scale) != 1:
            logits = logits * scale
        return logits if (cap := self.family.cap) is None else cap * (logits / cap).tanh()

    def errors(self, hidden: Tensor, labels: Tensor) -> Tensor:
        """(P, D) states, (P,) wanted tokens -> (P,) cross-entropy of `logits`, all in one go."""
        if self.family.scale != 1 or self.family.cap is not None:
            return F.cross_entropy(self.logits(hidden).float(), labels, reduction="none")
        layer = self.causal_lm.get_output_embeddings().token_adapter
        head, ids = layer.base_layer, torch.tensor(self.new_ids, device=hidden.device)
        return head_errors(hidden, head.weight, head.bias, _new_rows(layer), ids, labels)

    def train(self, mode: bool = True) -> LanguageModel:
        """As ever, but LoRA that does not learn has no dropout, and costs nothing while it is zero.

        Before stage 3 its output is exactly zero; leaving it out changes no bit.
        """
        super().train(mode)
        lora = {name: p for name, p in self.named_parameters() if "lora_" in name}
        learns = any(p.requires_grad for p in lora.values())
        zero = all(not p.any() for name, p in lora.items() if "lora_B" in name)
        for module in self.modules():
            if isinstance(module, LoraLayer):
                module.lora_dropout.train(mode and learns)
                module._disable_adapters = mode and zero and not learns
        return self

    def lay_over(self, rows: dict[str, Tensor]) -> None:
        """Replaces rows of the base vocabulary, for checkpoints that trained all of them.

        Args:
            rows: (vocabulary, D) under "embed_tokens", "lm_head" or both.
        """
        with torch.no_grad():
            for name, given in rows.items():
                matrix = self._base_matrix(name)
                matrix[: len(given)] = given.to(matrix)
        self.laid_over = tuple(rows)

    def base_rows(self) -> dict[str, Tensor]:
        """What `lay_over` was given, to be saved again; empty where the base is as it was."""
        known = self.base["vocabulary"]
        return {name: self._base_matrix(name)[:known] for name in self.laid_over}

    def _base_matrix(self, name: str) -> Tensor:
        head = name == "lm_head"
        layer = (
            self.causal_lm.get_output_embeddings()
            if head
            else self.causal_lm.get_input_embeddings()
        )
        return layer.token_adapter.base_layer.weight

    def describe_ids(self, ids: Sequence[int]) -> list[str]:
        """The tokens' names, for traces and `reply.signal_tokens`."""
        return list(self.tokenizer.convert_ids_to_tokens(list(ids)))


def _quantized(quantization: str, dtype: torch.dtype) -> dict[str, Any]:
    if quantization != "nf4":
        raise ConfigError(f"quantization is {quantization!r}: use 'nf4' or leave it out.")
    if find_spec("bitsandbytes") is None:
        raise PackageError("quantization 'nf4' needs bitsandbytes: pip install bitsandbytes.")
    from transformers import BitsAndBytesConfig

    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )
    return {"quantization_config": config}


def _new_rows(layer: Any) -> Tensor:
    """(new ids, D) the rows that peft's layer of trainable tokens lays over its frozen matrix."""
    return layer.trainable_tokens_delta["default"]


def _identity(causal_lm: PreTrainedModel) -> dict[str, Any]:
    weight = causal_lm.get_input_embeddings().weight
    if weight.is_meta:  # built from its configuration, only to be counted
        return {"vocabulary": len(weight), "fingerprint": ""}
    return {"vocabulary": len(weight), "fingerprint": fingerprint(weight)}


def _make_room(causal_lm: PreTrainedModel, new_ids: Sequence[int]) -> None:
    """Adds rows where the new ids need them and starts them near the mean of the known ones."""
    if not new_ids:
        return
    embedding = causal_lm.get_input_embeddings()
    known = min([len(embedding.weight), *new_ids])
    if max(new_ids) >= len(embedding.weight):
        causal_lm.resize_token_embeddings(max(new_ids) + 1, mean_resizing=False)
    generator = torch.Generator().manual_seed(0)
    matrices = {id(m): m for m in (causal_lm.get_input_embeddings().weight, _head(causal_lm))}
    with torch.no_grad():
        for matrix in matrices.values():
            old = matrix[:known].float()
            noise = torch.randn(len(new_ids), old.shape[1], generator=generator).to(old.device)
            rows = old.mean(0) + 0.5 * old.std() * noise  # told apart from the first step on
            matrix[list(new_ids)] = rows.to(matrix.dtype)


def _head(causal_lm: PreTrainedModel) -> Tensor:
    return causal_lm.get_output_embeddings().weight


def _with_adapters(causal_lm: PreTrainedModel, ids: Sequence[int], lora: LoraSettings) -> PeftModel:
    names = {id(module): name.split(".")[-1] for name, module in causal_lm.named_modules()}
    rows = {names[id(causal_lm.get_input_embeddings())]: list(ids)}
    if _head(causal_lm) is not causal_lm.get_input_embeddings().weight:
        rows[names[id(causal_lm.get_output_embeddings())]] = list(ids)
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=lora_targets(causal_lm, lora),
        exclude_modules=MAMBAS_LACK if causal_lm.config.model_type in MAMBAS else None,
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in causal_lm.modules()),
        trainable_token_indices=rows,
    )
    with warnings.catch_warnings():  # PEFT asks Transformers for an attribute of an old name
        warnings.simplefilter("ignore", FutureWarning)
        return get_peft_model(causal_lm, config)
