"""NExT-GPT: encoder, input projection, LLM, output projections, decoders (paper section 3).

Knows: how the parts join in training (`loss`) and in a checkpoint. Leaves to others: the token
loop (`generation`), conversations (`chat`), what learns when (`training.stages`).

Letters: B batch, S sequence, D LLM width, M media items, E encoder width, K input tokens per item,
X signal blocks, N signal tokens, L condition length, C condition width.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn

from nextgpt_lite.checkpoints.catalogue import warn_of_licences
from nextgpt_lite.encoders import Encoder
from nextgpt_lite.errors import ConfigError, MissingError
from nextgpt_lite.locks import LOADING
from nextgpt_lite.model import checkpoint
from nextgpt_lite.model.batch import Batch, SignalTargets
from nextgpt_lite.model.config import (
    PROFILES,
    NextGPTConfig,
    check_layer,
    locate,
    trained_folder,
)
from nextgpt_lite.model.conversation import ConversationTokenizer
from nextgpt_lite.model.device import pick_device, pick_dtype, precision_name
from nextgpt_lite.model.frozen import FrozenParts, with_found_conditions
from nextgpt_lite.model.generation import SignalBlock
from nextgpt_lite.model.hub import model_folder, push
from nextgpt_lite.model.known_media import KnownMedia
from nextgpt_lite.model.llm import LanguageModel
from nextgpt_lite.model.losses import (
    IGNORE,
    TINY,
    Divisors,
    Losses,
    condition_distance,
    token_losses,
)
from nextgpt_lite.model.modality import MODALITIES
from nextgpt_lite.model.prefix import read_after_prefix
from nextgpt_lite.model.projections import input_projection, output_projection
from nextgpt_lite.reading import reading


class States(NamedTuple):
    """What the LLM makes of a batch, (B, S, D) each."""

    embeddings: Tensor  # of the tokens, without media
    hidden: Tensor  # the last hidden states
    signal: Tensor  # those of `hidden_layer`, which are projected at signal tokens


class NextGPTModel(FrozenParts):
    """The parts of the model; `chat.NextGPT` is this one with what a user does with it.

    Args:
        encoder: None loads that of the configuration at first use.
    """

    def __init__(self, config: NextGPTConfig, encoder: Encoder | None, llm: LanguageModel) -> None:
        super().__init__(config, encoder)
        self.llm = llm
        self.input_projection = input_projection(
            self.encoder_width, llm.width, config.input_tokens, config.input_projection
        )
        self.output_projections = nn.ModuleDict(
            {
                modality: output_projection(
                    llm.width,
                    config.signal_tokens[modality],
                    length,
                    width,
                    config.output_projection,
                )
                for modality, (length, width) in config.conditions.items()
                if config.messenger != "caption"
            }
        )
        llm.signal_layer = check_layer(config.hidden_layer, llm.causal_lm.config.num_hidden_layers)
        self.known_media = KnownMedia({})
        self.conversation = ConversationTokenizer(
            llm.tokenizer, llm.signal_ids, config.input_tokens, config.messenger
        )

    @classmethod
    @LOADING
    def from_config(
        cls,
        config: NextGPTConfig | str,
        seed: int = 0,
        new: bool = True,
        *,
        device: str | torch.device = "auto",
        dtype: str | torch.dtype | None = None,
        **changes: Any,
    ) -> Self:
        """Pretrained frozen parts with projections, LoRA and token rows still untrained.

        Args:
            config: what it is made of, or the name of a preset; `conditions` are read off those
                decoders that are here.
            seed: of what is untrained.
            new: False keeps `conditions` as they are, for weights that were trained for them.
            device, dtype: as of `from_pretrained`.
            changes: to fields of the preset: `decoders={"image": "some/folder"}`, ...

        Raises:
            MissingError: naming a component that is not on this machine.
        """
        if isinstance(config, str):
            config = NextGPTConfig.from_profile(config, **changes)
        elif changes:
            config = replace(config, **changes)
        device = pick_device(device)
        if dtype is not None:
            config = replace(config, precision=precision_name(dtype))
        warn_of_licences(config)
        config = with_found_conditions(config) if new else config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            llm = LanguageModel.from_pretrained(
                locate(config.llm),
                config.signal_tokens,
                config.lora,
                config.llm,
                config.messenger,
                dtype=pick_dtype(config.precision, device),
                quantization=config.quantization,
                chat_format=config.chat_format,
            )
            return cls(config, None, llm).eval().to(device)

    @classmethod
    @LOADING
    def from_pretrained(
        cls,
        name: str | Path,
        *,
        decoders: Mapping[str, str | Path | None] | None = None,
        device: str | torch.device = "auto",
        dtype: str | torch.dtype | None = None,
        revision: str | None = None,
        download: bool = False,
        **changes: Any,
    ) -> Self:
        """Loads a trained model, or the frozen parts of a preset that nobody has trained yet.

        Args:
            name: "lite" (ships trained), the folder of a training run, a hub id ("owner/name"),
                "smol", "colab" or "paper".
            decoders: other decoders, by modality: folders or hub ids. The output projection to one
                that reads another condition starts anew (stage 2), and so does all that a modality
                needs which the model did not have (see `NextGPTConfig.with_decoders`).
            device: where it goes, and the encoder and the decoders when they are loaded: "auto"
                (CUDA, else MPS, else the CPU), "cpu", "cuda", "cuda:1", "mps".
            dtype: of what is frozen, while what learns stays float32: "auto" (16 bits on an
                accelerator, float32 on a CPU), "float32", "bfloat16", "float16", or torch's; None
                takes the configuration's `precision`.
            revision: of a hub id: branch, tag or commit.
            download: fetches a hub id that is not on this machine yet.
            changes: to fields of the preset: `llm="qwen3-0.6b"`, `precision="float16"`, ...; of a
                trained model only `encoder`, one with the same trunks and perhaps more.

        Raises:
            MissingError: the folder or a component is missing.
            DownloadError: the hub is out of reach.
            CheckpointError: the checkpoint was trained on another base model or vocabulary.
            ConfigError: it is no preset that could be changed, or there is no such device here.
        """
        decoders, device = decoders or {}, pick_device(device)
        dtype = None if dtype is None else precision_name(dtype)
        if name in PROFILES and name != "lite" and not trained_folder(name).is_dir():
            warnings.warn(
                f"{name} ships untrained, so its replies mean nothing yet: train what learns with "
                f"`nextgpt-lite train --profile {name} --stage 1 --output DIR`, then stages 2 and "
                "3 with --init.",
                stacklevel=2,
            )
            preset = NextGPTConfig.from_profile(str(name), decoders=decoders, **changes)
            return cls.from_config(preset, device=device, dtype=dtype)
        encoder = changes.pop("encoder", None)
        if changes:
            raise ConfigError(
                f"{name} is trained, so its {min(changes)} cannot be changed: change a preset "
                "('colab' or 'paper') and train it."
            )
        if name in PROFILES:
            folder = trained_folder(name)
        else:
            folder = model_folder(str(name), revision, download)
        trained = NextGPTConfig.from_dict(checkpoint.read_config(folder)["config"])
        if encoder is not None:
            trained = replace(trained, encoder=str(encoder))
        config = trained.with_decoders(decoders)
        found = with_found_conditions(config).conditions if decoders else {}
        config.conditions.update({m: found[m] for m in decoders if m in found})
        unlike = [m for m in decoders if config.conditions.get(m) != trained.conditions.get(m)]
        path = folder / checkpoint.CONFIG_FILE
        with reading(path, remedy=checkpoint.REMEDY):
            try:
                model = cls.from_config(config, new=False, device=device, dtype=dtype)
            except MissingError as error:
                raise MissingError(f"{path} asks for what is not there: {error}") from error
        model.load_trained(folder, anew=[f"output_projections.{m}." for m in unlike])
        return model

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.input_projection.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The number format of what is frozen."""
        return self.llm.dtype

    def splice(self, embeddings: Tensor, rows: Tensor, starts: Tensor, features: Tensor) -> Tensor:
        """Puts projected media into their gaps.

        Args:
            embeddings: (B, S, D) of the token ids.
            rows, starts: (M,) conversation and first position of each gap.
            features: (M, E) encoder embeddings.
        """
        dtype = next(self.input_projection.parameters()).dtype  # the encoder gives float32
        projected = self.input_projection(features.to(dtype))  # (M, K, D)
        columns = starts[:, None] + torch.arange(projected.shape[1], device=starts.device)  # (M, K)
        where = (rows[:, None].expand_as(columns), columns)
        return embeddings.index_put(where, projected.to(embeddings.dtype))

    def project(
        self, modality: str, hidden: Tensor, embedding: Tensor, absent: Tensor | None = None
    ) -> Tensor:
        """Signal tokens (X, N, D), twice, to a decoder's condition (X, L, C).

        Args:
            absent: (X, N) True where a shorter block is filled up.
        """
        projection = self.output_projections[modality]
        dtype = next(projection.parameters()).dtype  # float32, whatever the frozen LLM has
        extra = () if absent is None else (absent,)
        condition: Tensor = projection(hidden.to(dtype), embedding.to(dtype), *extra)
        return condition

    def condition(self, block: SignalBlock) -> Tensor:
        """(1, L, C) what the decoder reads of a block, or of a caption that is the messenger."""
        if self.config.messenger == "caption":
            caption = self.conversation.decode(block.ids).strip()
            return self.decoder(block.modality).encode_text([caption])
        return self.project(block.modality, block.hidden[None], block.embedding[None])

    def read(self, batch: Batch) -> States:
        """Puts a batch through the LLM."""
        token_embeddings = self.llm.embed(batch.ids)  # (B, S, D)
        embeddings = self.splice(
            token_embeddings, batch.media_rows, batch.media_starts, batch.media_features
        )
        if batch.positions is None and self.prefixes_frozen and torch.is_grad_enabled():
            hidden = read_after_prefix(self.llm, batch, embeddings)
            return States(token_embeddings, hidden, hidden)
        mask = batch.attention_mask if batch.positions is None else None
        with self.llm.tapped() as tapped:
            hidden = self.llm.hidden(embeddings, mask, positions=batch.positions)
        return States(token_embeddings, hidden, tapped[0] if tapped else hidden)

    @property
    def prefixes_frozen(self) -> bool:
        """Whether nothing learns that reaches a position before the first signal token."""
        lm = self.llm.causal_lm
        if self.llm.signal_layer != -1:
            return False  # another layer's states are not put together again
        # Reading in two parts needs a mask of its own and a cache.
        if lm.config._attn_implementation not in ("sdpa", "eager") or any(
            getattr(module, "gradient_checkpointing", False) for module in lm.modules()
        ):
            return False
        learning = (name for name, p in self.named_parameters() if p.requires_grad)
        if any("lora_" in name or name.startswith("input_") for name in learning):
            return False
        return "masked" in self.llm.ways

    def loss(self, batch: Batch, divisors: Divisors | None = None) -> Losses:
        """Cross-entropy on words and signal tokens, distance of projected blocks to conditions.

        Args:
            batch: conversations, or one process's share of them.
            divisors: of the whole batch when this is a share (see `Divisors`).
        """
        divisors = divisors or batch.divisors()
        embeddings, hidden, states = self.read(batch)
        targets = batch.labels[:, 1:]  # (B, S-1), position p predicts the token at p + 1
        trained = targets != IGNORE
        signal_ids = torch.tensor(list(self.llm.all_signal_ids), device=targets.device)
        wanted = targets[trained]  # (P,)
        errors = self.llm.errors(hidden[:, :-1][trained], wanted)  # none for untrained positions
        text, signal = token_losses(errors, wanted, signal_ids, divisors.positions)
        condition = hidden.new_zeros((), dtype=torch.float32)
        every = divisors.blocks.sum().clamp_min(TINY)
        sizes = dict(zip(MODALITIES, divisors.sizes(), strict=True))
        for modality in self.output_projections:
            target = batch.signals.get(modality) or self._no_blocks(modality)
            if target is None:
                continue
            where, absent = self._blocks(modality, target, hidden)
            condition = condition + self.condition_loss(
                modality, states[where], embeddings[where], target.conditions, target.latents,
                absent=absent, size=sizes[modality], blocks=every,
            )  # fmt: skip
        return Losses(text + signal + condition, text, signal, condition)

    def condition_loss(
        self,
        modality: str,
        hidden: Tensor,
        embedding: Tensor,
        conditions: Tensor,
        latents: Tensor | None = None,
        *,
        absent: Tensor | None = None,
        size: Tensor | None = None,
        blocks: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """What blocks of signal tokens cost by the configured weights: a scalar.

        Args:
            hidden, embedding: (X, N, D) of the blocks.
            conditions: (X, L, C) of their captions.
            latents: (X, ...) of their media, which the denoising alone reads.
            absent: of `project`.
            size, blocks: of `losses.condition_distance`.
            generator: source of noise and dropout (on the CPU).
        """
        config, wanted = self.config, conditions.float()
        if config.condition_dropout and self.output_projections[modality].training:
            drawn = torch.rand(len(hidden), 1, 1, generator=generator).to(hidden.device)
            dropped = drawn < config.condition_dropout  # (X, 1, 1)
            hidden = hidden.masked_fill(dropped, 0.0)
            if config.distance_weight:
                nothing = self.decoder(modality).negative(1).to(wanted)  # (1, L, C)
                wanted = torch.where(dropped, nothing, wanted)
        projected = self.project(modality, hidden, embedding, absent).float()
        loss = projected.new_zeros(())
        if config.distance_weight:
            distance = condition_distance(projected, wanted, size, blocks, config.distance)
            loss = loss + config.distance_weight * distance
        if config.denoising and latents is not None:
            errors = self.decoder(modality).denoising_errors(projected, latents, generator)  # (X,)
            count = len(errors) if blocks is None else blocks
            loss = loss + config.denoising * errors.sum() / count
        return loss

    @torch.no_grad()
    def unconditional(self, modality: str) -> Tensor | None:
        """(1, L, C) that guidance leads away from, where `condition_dropout` has taught one."""
        if not self.config.condition_dropout or modality not in self.output_projections:
            return None
        ids = torch.tensor([self.llm.signal_ids[modality]], device=self.device)  # (1, N)
        embedding = self.llm.embed(ids)
        return self.project(modality, torch.zeros_like(embedding), embedding)

    def _blocks(
        self, modality: str, target: SignalTargets, like: Tensor
    ) -> tuple[tuple[Tensor, Tensor], Tensor | None]:
        """Where the (X, N) positions of blocks are, and which of them are none."""
        if self.config.messenger == "signal":
            offsets = torch.arange(len(self.llm.signal_ids[modality]), device=like.device)
            return (target.rows[:, None], target.starts[:, None] + offsets), None
        longest = max([1, *target.lengths.tolist()])
        offsets = torch.arange(longest, device=like.device)
        absent = offsets >= target.lengths[:, None]  # (X, N)
        columns = (target.starts[:, None] + offsets).masked_fill(absent, 0)
        return (target.rows[:, None], columns), absent

    def _no_blocks(self, modality: str) -> SignalTargets | None:
        """Targets of a learning projection that a batch has no block for.

        It runs all the same, on nothing, and gets a zero gradient: processes that wait for each
        other's gradients must all wait for the same ones.
        """
        projection = self.output_projections[modality]
        alone = not (torch.distributed.is_available() and torch.distributed.is_initialized())
        if alone or not any(parameter.requires_grad for parameter in projection.parameters()):
            return None
        nowhere = torch.zeros(0, dtype=torch.long, device=self.device)
        shape = self.config.conditions[modality]
        conditions = torch.zeros(0, *shape, device=self.device)
        return SignalTargets(nowhere, nowhere, nowhere, conditions)

    def forward(self, batch: Batch, divisors: Divisors | None = None) -> Losses:
        """`loss`, under the name that accelerate and DDP call."""
        return self.loss(batch, divisors)

    def save_pretrained(
        self,
        folder: str | Path,
        dtype: torch.dtype | None = None,
        *,
        is_main_process: bool = True,
    ) -> None:
        """Writes what was trained: configuration, projections, LoRA and token rows.

        Frozen parts are named, with the base LLM's fingerprint, not copied. Of several processes
        every one must call, for a sharded model is gathered, and only the main one writes.
        """
        checkpoint.save(self, Path(folder), dtype, is_main_process)

    def push_to_hub(self, name: str, **options: Any) -> str:
        """Puts what was trained on the hub, with its tokenizer and a model card.

        Args:
            name: the hub id, "owner/name"; made where there is none.
            options: `private`, `token`, `revision` as of huggingface_hub; `run`, a training's
                folder, and `scores`, a file of `nextgpt-lite evaluate --suite`, for the card.

        Returns:
            the address of the commit.

        Raises:
            DownloadError: the hub is out of reach.
            CheckpointError: it refuses.
        """
        return push(self, name, **options)

    def load_trained(self, folder: str | Path, anew: Sequence[str] = ()) -> None:
        """Loads what `save_pretrained` wrote into this model.

        What belongs to modalities that the folder does not know stays as it is.

        Args:
            anew: beginnings of names that stay as they are too.

        Raises:
            CheckpointError: naming what differs, when it was trained on another base model.
        """
        checkpoint.load_into(self, Path(folder), tuple(anew))
        self.known_media = KnownMedia.load(Path(folder), self.encoder.look_width)
