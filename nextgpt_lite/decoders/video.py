"""The video decoder: a text-to-video diffusion pipeline, conditioned by prompt embeddings only.

Knows: AnimateDiff (an image UNet with motion modules, whole as the lite tier has it or as modules
to be put between the layers of a Stable Diffusion), Zeroscope's `TextToVideoSDPipeline` (which
diffusers keeps among its deprecated ones), and clips.
Leaves to others: everything `base` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from nextgpt_lite.decoders.base import (
    Decoder,
    Generators,
    at_step_end,
    bf16_is_fast,
    read_json,
    read_settings,
)
from nextgpt_lite.decoders.image import embed_captions, pictures_to_tensor
from nextgpt_lite.media import Video
from nextgpt_lite.model.config import STABLE_DIFFUSION, locate

LIGHTNING = "animatediff_lightning_{}step_diffusers.safetensors"


class VideoDecoder(Decoder):
    """Clips of `settings["frames"]` frames at `settings["fps"]`.

    A folder without an autoencoder of its own names another's in `settings["vae"]`, relative to
    itself: the lite tier stores the image decoder's once.
    """

    modality: ClassVar[str] = "video"
    default_guidance_scale: ClassVar[float] = 9.0

    def __init__(self, pipeline: Any, settings: dict[str, Any] | None = None) -> None:
        super().__init__(pipeline, settings)
        self.condition_length = pipeline.tokenizer.model_max_length
        self.condition_width = pipeline.unet.config.cross_attention_dim
        self._motion = type(pipeline).__name__ == "AnimateDiffPipeline"
        self.frames = int(self.settings.get("frames", 24))
        self.fps = float(self.settings.get("fps", 8))

    @classmethod
    def from_pretrained(
        cls,
        folder: str | Path,
        settings: dict[str, Any] | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> VideoDecoder:
        settings = settings or {}
        if modules := _motion_modules(Path(folder), settings):
            settings = {**read_settings(folder, modules.name), **settings}
            return cls(_animate(modules, _base(settings), dtype), settings)
        settings = {**read_settings(folder), **settings}
        shared = {}
        if "vae" in settings:
            vae = (Path(folder) / settings["vae"]).resolve()
            if not vae.is_dir():
                raise FileNotFoundError(
                    f"{folder} takes its autoencoder from {vae}, which is missing: "
                    "keep the image decoder's folder beside it"
                )
            shared["vae"] = _autoencoder(vae, dtype)
        pipeline = _pipeline_class(folder).from_pretrained(
            str(folder), dtype=dtype, local_files_only=True, **shared
        )
        return cls(pipeline, settings)

    @classmethod
    def condition_shape(cls, folder: str | Path, settings: dict[str, Any]) -> list[int]:
        if modules := _motion_modules(Path(folder), settings):
            folder = _base({**read_settings(folder, modules.name), **settings})
        return super().condition_shape(folder, settings)

    def _embed(self, captions: list[str]) -> Tensor:
        return embed_captions(self.pipeline, captions, self.device)

    def _sample(
        self,
        condition: Tensor,
        negative: Tensor,
        steps: int,
        scale: float,
        generator: Generators,
        on_step: Callable[[int], None],
    ) -> list[Video]:
        if self._motion:
            watch: dict[str, Any] = {"callback_on_step_end": at_step_end(on_step)}
        else:
            watch = {"callback": lambda index, *_: on_step(index)}
        with self._quick_on_cpu():
            clips = self.pipeline(
                prompt_embeds=condition,
                negative_prompt_embeds=negative,
                num_frames=self.frames,
                num_inference_steps=steps,
                guidance_scale=scale,
                generator=generator,
                output_type="np",
                **watch,
                **self.size,
            ).frames  # (B, T, H, W, 3) in [0, 1]
        return self._clips(clips)

    @contextmanager
    def _quick_on_cpu(self) -> Iterator[None]:
        """On a CPU plain attention, for the fused kernel is slow on a clip's many short rows, and
        bf16 where the processor multiplies it; pictures and sounds are as fast in float32."""
        from diffusers.models.attention_processor import AttnProcessor

        unet = self.pipeline.unet
        before = unet.attn_processors
        if self.device.type == "cpu":
            unet.set_attn_processor(AttnProcessor())
        try:
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16_is_fast(self.device)):
                yield
        finally:
            unet.set_attn_processor(before)

    def _clips(self, frames: Any) -> list[Video]:
        """(B, T, H, W, 3) in [0, 1] as clips."""
        pixels = (np.asarray(frames) * 255).round().astype(np.uint8)
        return [Video(clip, self.fps) for clip in pixels]

    @torch.no_grad()
    def _latents(self, media: Sequence[Video]) -> Tensor:
        vae = self.pipeline.vae
        side = self.pipeline.unet.config.sample_size * self.pipeline.vae_scale_factor
        frames = [frame for clip in media for frame in self._resample(clip, side)]
        pixels = pictures_to_tensor(frames).to(self.device, vae.dtype)  # (B * T, 3, H, W)
        latents = vae.encode(pixels).latent_dist.mode() * vae.config.scaling_factor
        return latents.unflatten(0, (len(media), self.frames)).transpose(1, 2)  # (B, c, T, h, w)

    def _decode(self, latents: Tensor) -> list[Video]:
        pixels = self.pipeline.decode_latents(latents).float()  # (B, 3, T, H, W)
        return self._clips(self.pipeline.video_processor.postprocess_video(pixels))

    def _resample(self, clip: Video, side: int) -> list[Image.Image]:
        """The decoder's number of frames, evenly over the clip, at its size."""
        places = np.linspace(0, len(clip.frames) - 1, self.frames).round().astype(int)
        return [Image.fromarray(clip.frames[i]).resize((side, side)) for i in places]

    def _denoise(self, noisy: Tensor, timesteps: Tensor, condition: Tensor) -> Tensor:
        if self._motion:  # its UNet wants a condition for each frame
            condition = condition.repeat_interleave(noisy.shape[2], 0)  # (B * T, L, C)
        return self.pipeline.unet(noisy, timesteps, encoder_hidden_states=condition).sample


def _autoencoder(folder: Path, dtype: torch.dtype) -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL.from_pretrained(str(folder), dtype=dtype, local_files_only=True)


def _motion_modules(folder: Path, settings: dict[str, Any]) -> Path | None:
    """The file of motion modules in a folder of AnimateDiff-Lightning; None in any other folder.

    One file was distilled for each number of steps.
    """
    files = sorted(folder.glob(LIGHTNING.format("*")))
    wanted = folder / LIGHTNING.format(settings.get("num_inference_steps", 4))
    return wanted if wanted in files else next(iter(files), None)


def _base(settings: dict[str, Any]) -> Path:
    return locate(settings.get("base", STABLE_DIFFUSION))


def _animate(modules: Path, base: Path, dtype: torch.dtype) -> Any:
    """A pipeline of a Stable Diffusion's parts with motion modules between them."""
    from diffusers import AnimateDiffPipeline, EulerDiscreteScheduler, MotionAdapter
    from safetensors.torch import load_file

    state = load_file(modules)
    numbers = _adapter_numbers(modules, state)
    widths = read_json(base / "unet" / "config.json")["block_out_channels"]
    if numbers["block_out_channels"] != widths:
        raise ValueError(
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
        dtype=dtype,
        local_files_only=True,
    )
    pipeline.scheduler = EulerDiscreteScheduler.from_config(
        pipeline.scheduler.config, beta_schedule="linear", timestep_spacing="trailing"
    )  # what the modules were distilled with
    return pipeline


def _adapter_numbers(path: Path, state: dict[str, Tensor]) -> dict[str, Any]:
    """The adapter's sizes, read off its tensors: the released files come without a configuration.

    Raises:
        ValueError: they are no motion modules.
    """
    width = "down_blocks.{}.motion_modules.0.proj_in.weight"
    levels = 0
    while width.format(levels) in state:
        levels += 1
    if not levels:
        raise ValueError(f"{path} lacks {width.format(0)}: it holds no motion modules of diffusers")
    first = [n for n in state if n.startswith("down_blocks.0.") and n.endswith("proj_in.weight")]
    positions = next(value for name, value in state.items() if name.endswith("pos_embed.pe"))
    return {
        "block_out_channels": [len(state[width.format(level)]) for level in range(levels)],
        "motion_layers_per_block": len(first),
        "motion_max_seq_length": positions.shape[1],
        "use_motion_mid_block": any(name.startswith("mid_block.") for name in state),
    }


def _pipeline_class(folder: str | Path) -> Any:
    """The pipeline that `model_index.json` names.

    Raises:
        ValueError: it is of another kind.
    """
    name = read_json(Path(folder) / "model_index.json").get("_class_name")
    if name == "AnimateDiffPipeline":
        from diffusers import AnimateDiffPipeline

        return AnimateDiffPipeline
    if name == "TextToVideoSDPipeline":
        from diffusers.pipelines.deprecated import TextToVideoSDPipeline

        return TextToVideoSDPipeline
    raise ValueError(
        f"{folder}/model_index.json: _class_name is {name!r}: "
        "use a folder of AnimateDiffPipeline or TextToVideoSDPipeline"
    )
