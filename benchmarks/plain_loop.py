"""The loop that the benchmark compares with: what the authors' released code does in a step.

The encoder runs on every medium in every step; conversations are padded to the longest; every
layer's hidden states are kept; logits of all positions, of the whole vocabulary; embedding table
and output matrix learn whole. Number format, attention and fused AdamW are those of the other loop.
To its advantage, media are opened and caption conditions computed before the clock starts, and it
has no log, no checkpoint and no check for a loss that is not finite.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from transformers import PreTrainedModel

from nextgpt_lite.encoders import Encoder
from nextgpt_lite.model.batch import Batch, collate
from nextgpt_lite.model.conversation import ConversationTokenizer, Encoded
from nextgpt_lite.model.losses import IGNORE
from nextgpt_lite.model.projections import InputProjection


class PlainLoop:
    """One stage, step by step.

    Args:
        stage: 1, 2 or 3.
        causal_lm: rows for the new tokens already there.
        conversation: encodes records for it.
        encoder, input_projection, output_projections: of the same sizes as in the other loop.
        opened: the medium that shows each scene.
        conditions: (L, C) of each modality and caption.
        rank: of LoRA in stage 3.
        bf16: compute in bfloat16 (autocast).

    Attributes:
        encoding: CPU seconds that the encoder has taken.
    """

    def __init__(
        self,
        stage: int,
        causal_lm: PreTrainedModel,
        conversation: ConversationTokenizer,
        encoder: Encoder,
        input_projection: InputProjection,
        output_projections: nn.ModuleDict,
        opened: dict[Any, Any],
        conditions: dict[tuple[str, str], Tensor],
        rank: int = 32,
        bf16: bool = False,
    ) -> None:
        self.bf16, self.encoding = bf16, 0.0
        self.stage, self.conversation, self.encoder = stage, conversation, encoder
        self.input_projection, self.output_projections = input_projection, output_projections
        self.opened, self.known_conditions = opened, conditions
        causal_lm.set_attn_implementation("eager")
        causal_lm.requires_grad_(False)
        self.lm: nn.Module = causal_lm
        if stage == 3:
            targets = ["q_proj", "k_proj", "v_proj", "o_proj"]
            self.lm = get_peft_model(
                causal_lm,
                LoraConfig(task_type="CAUSAL_LM", r=rank, lora_dropout=0.1, target_modules=targets),
            )
        self.table, self.head = causal_lm.get_input_embeddings(), causal_lm.get_output_embeddings()
        for matrix in (self.table, self.head):
            matrix.requires_grad_(True)
        input_projection.requires_grad_(stage in (1, 3))
        output_projections.requires_grad_(stage in (2, 3))
        parts = (self.lm, input_projection, output_projections)
        self.learning = [p for part in parts for p in part.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.learning, lr=1e-4, fused=True)
        for part in parts:
            part.train()

    def step(self, encoded: Sequence[Encoded]) -> float:
        """One step on some conversations; returns its loss."""
        batch = self._batch(encoded)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            loss = self._loss(batch)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.learning, 1.0)
        self.optimizer.step()
        return loss.item()

    def _loss(self, batch: Batch) -> Tensor:
        inputs = self.table(batch.ids)  # (B, S, D)
        embeddings = inputs
        if len(batch.media_rows):
            projected = self.input_projection(batch.media_features)  # (M, K, D)
            columns = batch.media_starts[:, None] + torch.arange(projected.shape[1])  # (M, K)
            where = (batch.media_rows[:, None].expand_as(columns), columns)
            embeddings = inputs.index_put(where, projected.to(inputs.dtype))
        output = self.lm(
            inputs_embeds=embeddings,
            attention_mask=batch.attention_mask,
            output_hidden_states=True,
            use_cache=False,
        )
        labels = batch.labels[:, 1:].flatten()
        logits = output.logits[:, :-1].flatten(0, 1)  # (B * (S - 1), V)
        loss = F.cross_entropy(logits.float(), labels, ignore_index=IGNORE)
        if self.stage > 1:
            hidden = output.hidden_states[-1]  # (B, S, D)
            for modality, target in batch.signals.items():
                offsets = torch.arange(len(self.conversation.signal_ids[modality]))
                at = (target.rows[:, None], target.starts[:, None] + offsets)  # (X, N)
                made = self.output_projections[modality](hidden[at], inputs[at])  # (X, L, C)
                loss = loss + F.mse_loss(made.float(), target.conditions)
        return loss

    def _batch(self, encoded: Sequence[Encoded]) -> Batch:
        def features(parts: list[dict[str, Any]]) -> Tensor:
            begin = time.process_time()
            items = [(part["type"], self.opened[part["scene"]]) for part in parts]
            encoded = self.encoder.encode(items)
            self.encoding += time.process_time() - begin
            return encoded

        def conditions(modality: str, captions: list[str], _: Any = None) -> Tensor:
            return torch.stack([self.known_conditions[modality, c] for c in captions])

        return collate(
            encoded, pad_id=0, width=self.encoder.width, features=features, conditions=conditions
        )
