"""AnimateDiff: an image UNet with motion modules between its layers.

The condition is that of the Stable Diffusion below it: L = 77 rows of width 768, the same for every
frame. A folder holds the whole (the lite tier's), or, as AnimateDiff-Lightning was released,
motion modules alone, to be put into the Stable Diffusion that `settings["base"]` names.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nextgpt_lite.decoders.loading import INDEX_FILE, in_dtype, load_pipeline
from nextgpt_lite.decoders.stable_diffusion import clip_shape
from nextgpt_lite.decoders.text_to_video import TextToVideo
from nextgpt_lite.errors import CheckpointError
from nextgpt_lite.model.config import STABLE_DIFFUSION, locate
from nextgpt_lite.reading import read_json, read_tensors, reading

LIGHTNING = "animatediff_lightning_{}step_diffusers.safetensors"


class AnimateDiff(TextToVideo):
    """`AnimateDiffPipeline`, whole or as motion modules."""

    pipelines = ("AnimateDiffPipeline",)

    @classmethod
    def condition_shape(cls, folder: Path, settings: dict[str, Any]) -> list[int]:
        return clip_shape(folder if (folder / INDEX_FILE).is_file() else _base(settings))

    @classmethod
    def load(cls, folder: Path, settings: dict[str, Any], dtype: torch.dtype) -> Any:
        if (folder / INDEX_FILE).is_file():
            return load_pipeline(folder, settings, dtype)
        # One file was distilled for each number of steps.
        wanted = folder / LIGHTNING.format(settings.get("num_inference_steps", 4))
        modules = wanted if wanted.is_file() else sorted(folder.glob(LIGHTNING.format("*")))[0]
        return _animate(modules, _base(settings), dtype)

    def denoise(self, noisy: Tensor, times: Tensor, condition: Tensor) -> Tensor:
        # Its UNet wants a condition for each frame.
        return super().denoise(noisy, times, condition.repeat_interleave(noisy.shape[2], 0))


def _base(settings: dict[str, Any]) -> Path:
    return locate(settings.get("base", STABLE_DIFFUSION))


def _animate(modules: Path, base: Path, dtype: torch.dtype) -> Any:
    """A pipeline of a Stable Diffusion's parts with motion modules between them."""
    from diffusers import AnimateDiffPipeline, EulerDiscreteScheduler, MotionAdapter

    state = read_tensors(modules)
    with reading(modules):
        numbers = _adapter_numbers(modules, state)
    widths = read_json(base / "unet" / "config.json").get("block_out_channels")
    if numbers["block_out_channels"] != widths:
        raise CheckpointError(
            f"{modules} is for a UNet of widths {numbers['block_out_channels']}, {base} has "
            f"{widths}: set decoder_settings['video']['base'] to the Stable Diffusion it belongs to"
        )
    adapter = MotionAdapter(**numbers).to(dtype)
    adapter.load_state_dict(state)
    pipeline = AnimateDiffPipeline.from_pretrained(
        str(base),
        motion_adapter=adapter,
        feature_extractor=None,
        image_encoder=None,
        **in_dtype(dtype),
        local_files_only=True,
    )
    pipeline.scheduler = EulerDiscreteScheduler.from_config(
        pipeline.scheduler.config, beta_schedule="linear", timestep_spacing="trailing"
    )  # what the modules were distilled with
    return pipeline


def _adapter_numbers(path: Path, state: dict[str, Tensor]) -> dict[str, Any]:
    """The adapter's sizes, read off its tensors: the released files come without a configuration.

    Raises:
        CheckpointError: they are no motion modules.
    """
    width = "down_blocks.{}.motion_modules.0.proj_in.weight"
    levels = 0
    while width.format(levels) in state:
        levels += 1
    if not levels:
        raise CheckpointError(
            f"{path} lacks {width.format(0)}: it holds no motion modules of diffusers"
        )
    first = [n for n in state if n.startswith("down_blocks.0.") and n.endswith("proj_in.weight")]
    positions = next(value for name, value in state.items() if name.endswith("pos_embed.pe"))
    return {
        "block_out_channels": [len(state[width.format(level)]) for level in range(levels)],
        "motion_layers_per_block": len(first),
        "motion_max_seq_length": positions.shape[1],
        "use_motion_mid_block": any(name.startswith("mid_block.") for name in state),
    }
