"""What image and video denoisers share: a UNet that learns under a frozen text encoder.

Knows: where the text encoder is kept, v-prediction, the empty caption that guidance needs, how
caption words become token ids, and the run.
Leaves to others: which UNet it is and where its latents come from (`image`, `video`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nextgpt_lite.decoders.noise import question
from nextgpt_lite.training.part import LossParts, PartTrainer
from nextgpt_lite.world.describe import caption, paraphrase
from nextgpt_lite.world.pretraining.parts import How, begin
from nextgpt_lite.world.pretraining.pool import LatentPool
from nextgpt_lite.world.pretraining.text import LENGTH, train as train_text, widen
from nextgpt_lite.world.pretraining.tokenizers import caption_tokenizer
from nextgpt_lite.world.scene import Scene

if TYPE_CHECKING:
    from transformers import CLIPTextModel

CANONICAL_SHARE = 0.7  # of captions; the rest are paraphrases of the training split
EMPTY_SHARE = 0.1  # of captions left empty, for classifier-free guidance


class Denoiser(nn.Module):
    """A UNet that learns under the condition of a text encoder that does not."""

    def __init__(self, unet: Any, text_encoder: Any) -> None:
        super().__init__()
        self.unet = unet
        self.text_encoder = text_encoder.requires_grad_(False)
        # On a CPU the plain product-softmax-product is 1.5 times as fast as the fused kernel at
        # 64 positions, and several times at the 8 of a temporal attention.
        from diffusers.models.attention_processor import AttnProcessor

        unet.set_attn_processor(AttnProcessor())

    def forward(self, noisy: Tensor, timesteps: Tensor, ids: Tensor) -> Tensor:
        with torch.no_grad():
            condition = self.text_encoder(ids).last_hidden_state  # (B, L, C)
        if noisy.ndim == 5:  # a clip (B, c, T, h, w): its UNet wants a condition for each frame
            condition = condition.repeat_interleave(noisy.shape[2], 0)  # (B * T, L, C)
        return self.unet(noisy, timesteps, encoder_hidden_states=condition).sample


def layer_matrices(unet: nn.Module) -> list[nn.Parameter]:
    """The matrices of a UNet's transformer layers, motion modules' too, for Muon."""
    named = unet.named_parameters()
    return [p for name, p in named if "transformer_blocks" in name and p.ndim == 2]


def frozen_text_encoder(output: str | Path, device: str = "cpu") -> CLIPTextModel:
    """The caption encoder of a run: trained first (`text`) where it is missing, then kept.

    It never changes afterwards, so that stage 2 can imitate its conditions while denoisers train.
    """
    from transformers import CLIPTextModel

    folder = Path(output) / "text_encoder"
    if not folder.is_dir():
        how = How(device=device, resume=True)
        trained = train_text(Path(output) / "text", how)
        wide = widen(trained, Path(output) / "wide", how)
        wide.save_pretrained(folder)
    return CLIPTextModel.from_pretrained(folder, dtype=torch.float32)


def caption_ids(scenes: Sequence[Scene], rng: Random) -> Tensor:
    """Token ids (B, L) of a caption, a paraphrase, or nothing, for each scene."""
    texts = []
    for scene in scenes:
        draw = rng.random()
        if draw < EMPTY_SHARE:
            texts.append("")
        elif rng.random() < CANONICAL_SHARE:
            texts.append(caption(scene))
        else:
            texts.append(paraphrase(scene, rng))
    return _tokenizer()(
        texts, padding="max_length", max_length=LENGTH, truncation=True, return_tensors="pt"
    ).input_ids


def train_denoiser(
    denoiser: Denoiser,
    pool: LatentPool,
    output: Path,
    how: How,
    *,
    batch_size: int,
    noisier: float,
    **numbers: Any,
) -> PartTrainer:
    """Trains the UNet in `output` on batches of the pool.

    Args:
        noisier: of `denoising_loss_of`.
        numbers: of the recipe.
    """

    def data(generator: torch.Generator) -> tuple[Tensor, Tensor]:
        pool.grow_to(trainer.step)
        rng = Random(int(torch.randint(2**31, (), generator=generator)))
        latents, scenes = pool.batch(rng, batch_size)
        return latents, caption_ids(scenes, rng)

    loss, matrices = denoising_loss_of(noisier), layer_matrices(denoiser.unet)
    trainer = how.trainer(denoiser, loss, data, output, matrices, **numbers)
    trainer.run(how.resume)
    return trainer


def denoising_loss_of(
    noisier: float = 1.0,
) -> Callable[[nn.Module, tuple[Tensor, Tensor], torch.Generator], LossParts]:
    """The loss of a `Denoiser` on a batch (latents (B, ...), token ids (B, L)).

    Args:
        noisier: the timestep is the largest of this many uniform draws, but for a quarter of the
            batch, which keeps one draw; 1 draws uniformly, more trains the noisy end, where the
            layout is decided, at the cost of the details.
    """
    scheduler = begin("image/scheduler")

    def loss(
        denoiser: nn.Module, batch: tuple[Tensor, Tensor], generator: torch.Generator
    ) -> LossParts:
        device = next(denoiser.parameters()).device
        latents, ids = (part.to(device) for part in batch)
        noise = torch.randn(latents.shape, generator=generator).to(device)
        # One timestep in each of B equal strata: the same mean as B free draws, less variance.
        count, steps = len(latents), scheduler.config.num_train_timesteps
        strata = (torch.arange(count) + torch.rand(count, generator=generator)) / count
        free, late = strata * 4, ((strata * 4 - 1) / 3).clamp(min=0) ** (1 / noisier)
        timesteps = torch.where(strata < 0.25, free, late) * steps
        timesteps = timesteps.long().clamp(max=steps - 1).to(device)
        noisy, times, target = question(scheduler, latents, noise, timesteps)
        return {"v": F.mse_loss(denoiser(noisy, times, ids).float(), target)}

    return loss


@cache
def _tokenizer() -> Any:
    return caption_tokenizer(LENGTH)
