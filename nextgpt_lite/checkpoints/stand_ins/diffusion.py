"""Stand-ins of the decoders: folders in diffusers layout with small random weights.

Knows: which parts each pipeline has, the fields of their configurations with their real values
where width does not matter, and the tensors' names at the time of each release. Leaves to others:
tokenizers.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from nextgpt_lite.checkpoints.stand_ins import tokenizers
from nextgpt_lite.checkpoints.stand_ins.models import write_json
from nextgpt_lite.model.config import SETTINGS_FILE

WIDTHS = [32, 32, 64, 64]  # of the four levels; norms have 32 groups, as the real ones
SIDE = 8  # latents a side; 64 in SD 1.5
CLIP = {"width": 64, "height": 64, "frames": 4}  # ours, beside the real files: clips in seconds

# Autoencoders saved before diffusers 0.17 call their attention so.
OLD_ATTENTION = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}

STABLE_DIFFUSION_UNET: dict[str, Any] = {
    "_class_name": "UNet2DConditionModel",
    "act_fn": "silu",
    "block_out_channels": WIDTHS,
    "center_input_sample": False,
    "down_block_types": [*["CrossAttnDownBlock2D"] * 3, "DownBlock2D"],
    "downsample_padding": 1,
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "in_channels": 4,
    "layers_per_block": 2,
    "mid_block_scale_factor": 1,
    "norm_eps": 1e-05,
    "norm_num_groups": 32,
    "out_channels": 4,
    "sample_size": SIDE,
    "up_block_types": ["UpBlock2D", *["CrossAttnUpBlock2D"] * 3],
}
DIFFUSION_STEPS: dict[str, Any] = {
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "clip_sample": False,
    "num_train_timesteps": 1000,
    "set_alpha_to_one": False,
    "steps_offset": 1,
    "trained_betas": None,
}


def stable_diffusion(folder: Path) -> None:
    """stable-diffusion-v1-5: condition 77 x 768 in the real one, tensors named as in 2022."""
    size = tokenizers.clip(folder / "tokenizer", pad="<|endoftext|>")
    _clip_text(folder / "text_encoder", size, width=32, act="quick_gelu", position_ids=True)
    _part(
        folder / "unet",
        {
            **STABLE_DIFFUSION_UNET,
            "_diffusers_version": "0.9.0",  # at 0.6.0, as released, it draws 512 x 512
            "attention_head_dim": 8,
            "cross_attention_dim": 32,
        },
    )
    _autoencoder(folder / "vae", "0.6.0", OLD_ATTENTION)
    scheduler = {"_class_name": "PNDMScheduler", **DIFFUSION_STEPS, "skip_prk_steps": True}
    write_json(folder / "scheduler" / "scheduler_config.json", scheduler)
    write_json(
        folder / "model_index.json",
        {
            "_class_name": "StableDiffusionPipeline",
            "_diffusers_version": "0.6.0",
            "feature_extractor": ["transformers", "CLIPImageProcessor"],
            "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
            "scheduler": ["diffusers", "PNDMScheduler"],
            **_TEXT,
            "unet": ["diffusers", "UNet2DConditionModel"],
            "vae": ["diffusers", "AutoencoderKL"],
        },
    )


def sd_turbo(folder: Path) -> None:
    """stabilityai/sd-turbo: condition 77 x 1024 in the real one, one to four steps, no guidance."""
    size = tokenizers.clip(folder / "tokenizer", pad="!")
    _clip_text(folder / "text_encoder", size, width=40, act="gelu", position_ids=False)
    _part(
        folder / "unet",
        {
            **STABLE_DIFFUSION_UNET,
            "_diffusers_version": "0.24.0.dev0",
            "attention_head_dim": [1, 1, 2, 2],  # heads, the real ones being 5, 10, 20, 20
            "cross_attention_dim": 40,
            "use_linear_projection": True,
        },
    )
    _autoencoder(folder / "vae", "0.24.0.dev0")
    scheduler = {
        "_class_name": "EulerDiscreteScheduler",
        **DIFFUSION_STEPS,
        "interpolation_type": "linear",
        "prediction_type": "epsilon",
        "sample_max_value": 1.0,
        "skip_prk_steps": True,
        "timestep_spacing": "trailing",
        "timestep_type": "discrete",
        "use_karras_sigmas": False,
    }
    write_json(folder / "scheduler" / "scheduler_config.json", scheduler)
    write_json(
        folder / "model_index.json",
        {
            "_class_name": "StableDiffusionPipeline",
            "_diffusers_version": "0.24.0.dev0",
            "feature_extractor": [None, None],
            "image_encoder": [None, None],
            "requires_safety_checker": True,
            "safety_checker": [None, None],
            "scheduler": ["diffusers", "EulerDiscreteScheduler"],
            **_TEXT,
            "unet": ["diffusers", "UNet2DConditionModel"],
            "vae": ["diffusers", "AutoencoderKL"],
        },
    )


def zeroscope(folder: Path) -> None:
    """cerspense/zeroscope_v2_576w: a 3D UNet, condition 77 x 1024 in the real one."""
    size = tokenizers.clip(folder / "tokenizer", pad="!")
    _clip_text(folder / "text_encoder", size, width=40, act="gelu", position_ids=True)
    _part(
        folder / "unet",
        {
            "_class_name": "UNet3DConditionModel",
            "_diffusers_version": "0.18.0.dev0",
            "act_fn": "silu",
            "attention_head_dim": 16,
            "block_out_channels": WIDTHS,
            "cross_attention_dim": 40,
            "down_block_types": [*["CrossAttnDownBlock3D"] * 3, "DownBlock3D"],
            "downsample_padding": 1,
            "in_channels": 4,
            "layers_per_block": 2,
            "mid_block_scale_factor": 1,
            "norm_eps": 1e-05,
            "norm_num_groups": 32,
            "out_channels": 4,
            "sample_size": SIDE,
            "up_block_types": ["UpBlock3D", *["CrossAttnUpBlock3D"] * 3],
        },
    )
    _autoencoder(folder / "vae", "0.18.0.dev0")
    scheduler = {
        "_class_name": "DDIMScheduler",
        **DIFFUSION_STEPS,
        "clip_sample_range": 1.0,
        "prediction_type": "epsilon",
        "skip_prk_steps": True,
        "timestep_spacing": "leading",
    }
    write_json(folder / "scheduler" / "scheduler_config.json", scheduler)
    write_json(folder / SETTINGS_FILE, CLIP)
    write_json(
        folder / "model_index.json",
        {
            "_class_name": "TextToVideoSDPipeline",
            "_diffusers_version": "0.18.0.dev0",
            "scheduler": ["diffusers", "DDIMScheduler"],
            **_TEXT,
            "unet": ["diffusers", "UNet3DConditionModel"],
            "vae": ["diffusers", "AutoencoderKL"],
        },
    )


def audioldm(widths: list[int]) -> Callable[[Path], None]:
    """cvssp/audioldm: the sizes differ in the UNet's widths; pickles, as they were released."""

    def write(folder: Path) -> None:
        size = tokenizers.roberta(folder / "tokenizer")
        _clap_text(folder / "text_encoder", size)
        _part(
            folder / "unet",
            {
                **STABLE_DIFFUSION_UNET,
                "_diffusers_version": "0.15.0.dev0",
                "attention_head_dim": 8,
                "block_out_channels": widths,
                "class_embed_type": "simple_projection",
                "class_embeddings_concat": True,
                "cross_attention_dim": widths,
                "down_block_types": ["DownBlock2D", *["CrossAttnDownBlock2D"] * 3],
                "in_channels": 8,
                "out_channels": 8,
                "projection_class_embeddings_input_dim": 24,
                "sample_size": 16,
                "up_block_types": [*["CrossAttnUpBlock2D"] * 3, "UpBlock2D"],
            },
            pickled=True,
        )
        _autoencoder(folder / "vae", "0.15.0.dev0", OLD_ATTENTION, sound=True)
        _vocoder(folder / "vocoder")
        scheduler = {
            "_class_name": "DDIMScheduler",
            **DIFFUSION_STEPS,
            "beta_end": 0.0195,
            "beta_start": 0.0015,
            "clip_sample_range": 1.0,
            "prediction_type": "epsilon",
        }
        write_json(folder / "scheduler" / "scheduler_config.json", scheduler)
        write_json(folder / SETTINGS_FILE, {"audio_length_in_s": 0.64})
        write_json(
            folder / "model_index.json",
            {
                "_class_name": "AudioLDMPipeline",
                "_diffusers_version": "0.15.0.dev0",
                "scheduler": ["diffusers", "DDIMScheduler"],
                "text_encoder": ["transformers", "ClapTextModelWithProjection"],
                "tokenizer": ["transformers", "RobertaTokenizer"],
                "unet": ["diffusers", "UNet2DConditionModel"],
                "vae": ["diffusers", "AutoencoderKL"],
                "vocoder": ["transformers", "SpeechT5HifiGan"],
            },
        )

    return write


def animatediff_lightning(folder: Path) -> None:
    """ByteDance/AnimateDiff-Lightning: motion modules for SD 1.5, one file a number of steps.

    As released there is no configuration beside them; every size is in the tensors' shapes.
    """
    from diffusers import MotionAdapter

    folder.mkdir(parents=True, exist_ok=True)
    adapter = MotionAdapter(block_out_channels=WIDTHS, motion_max_seq_length=32)
    save_file(_half(adapter), folder / "animatediff_lightning_4step_diffusers.safetensors")
    write_json(folder / SETTINGS_FILE, CLIP)


_TEXT = {
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
}


def _part(folder: Path, config: dict[str, Any], pickled: bool = False) -> None:
    import diffusers

    write_json(folder / "config.json", config)
    _write(folder, _half(getattr(diffusers, config["_class_name"]).from_config(config)), pickled)


def _write(folder: Path, state: dict[str, Tensor], pickled: bool) -> None:
    if pickled:
        torch.save(state, folder / "diffusion_pytorch_model.bin")
    else:
        save_file(state, folder / "diffusion_pytorch_model.safetensors", {"format": "pt"})


def _autoencoder(
    folder: Path, version: str, renamed: dict[str, str] | None = None, sound: bool = False
) -> None:
    import diffusers

    levels = 3 if sound else 4
    config: dict[str, Any] = {
        "_class_name": "AutoencoderKL",
        "_diffusers_version": version,
        "act_fn": "silu",
        "block_out_channels": [32] * levels,
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "in_channels": 1 if sound else 3,
        "latent_channels": 8 if sound else 4,
        "layers_per_block": 2,
        "norm_num_groups": 32,
        "out_channels": 1 if sound else 3,
        "sample_size": 1024 if sound else 512,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
    }
    if sound:
        config["scaling_factor"] = 0.9227914214134216
    write_json(folder / "config.json", config)
    state = {}
    for name, value in _half(diffusers.AutoencoderKL.from_config(config)).items():
        if ".attentions." in name:
            for new, old in (renamed or {}).items():
                name = name.replace(f".{new}.", f".{old}.")
        state[name] = value
    _write(folder, state, pickled=sound)


def _clip_text(folder: Path, size: int, *, width: int, act: str, position_ids: bool) -> None:
    """CLIP's text encoder under its old names, which have `text_model.` before each."""
    from transformers import CLIPTextConfig, CLIPTextModel

    config: dict[str, Any] = {
        "architectures": ["CLIPTextModel"],
        "attention_dropout": 0.0,
        "bos_token_id": 0,
        "dropout": 0.0,
        "eos_token_id": 2,
        "hidden_act": act,
        "hidden_size": width,
        "initializer_factor": 1.0,
        "initializer_range": 0.02,
        "intermediate_size": 4 * width,
        "layer_norm_eps": 1e-05,
        "max_position_embeddings": 77,
        "model_type": "clip_text_model",
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "pad_token_id": 1,
        "projection_dim": width,
        "torch_dtype": "float32",
        "vocab_size": size,
    }
    write_json(folder / "config.json", config)
    model = CLIPTextModel(CLIPTextConfig.from_pretrained(folder))
    state = {
        f"text_model.{name.removeprefix('text_model.')}": value
        for name, value in _half(model).items()
    }
    if position_ids:
        state["text_model.embeddings.position_ids"] = torch.arange(77)[None]
    save_file(state, folder / "model.safetensors", {"format": "pt"})


def _clap_text(folder: Path, size: int) -> None:
    """CLAP's text tower, a RoBERTa with a projection to the condition's width."""
    from transformers import ClapTextConfig, ClapTextModelWithProjection

    config: dict[str, Any] = {
        "architectures": ["ClapTextModelWithProjection"],
        "attention_probs_dropout_prob": 0.1,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": 32,
        "initializer_factor": 1.0,
        "intermediate_size": 64,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": 514,
        "model_type": "clap_text_model",
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "pad_token_id": 1,
        "projection_dim": 24,
        "projection_hidden_act": "relu",
        "torch_dtype": "float32",
        "type_vocab_size": 1,
        "vocab_size": size,
    }
    write_json(folder / "config.json", config)
    model = ClapTextModelWithProjection(ClapTextConfig.from_pretrained(folder))
    torch.save(_half(model), folder / "pytorch_model.bin")


def _vocoder(folder: Path) -> None:
    from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig

    config: dict[str, Any] = {
        "architectures": ["SpeechT5HifiGan"],
        "initializer_range": 0.01,
        "leaky_relu_slope": 0.1,
        "model_in_dim": 64,
        "model_type": "hifigan",
        "normalize_before": False,
        "resblock_dilation_sizes": [[1, 3, 5]] * 3,
        "resblock_kernel_sizes": [3, 7, 11],
        "sampling_rate": 16000,
        "torch_dtype": "float32",
        "upsample_initial_channel": 64,
        "upsample_kernel_sizes": [16, 16, 8, 4, 4],
        "upsample_rates": [5, 4, 2, 2, 2],
    }
    write_json(folder / "config.json", config)
    numbers = {name: value for name, value in config.items() if name != "model_type"}
    model = SpeechT5HifiGan(SpeechT5HifiGanConfig(**numbers))
    torch.save(_half(model), folder / "pytorch_model.bin")


def _half(module: nn.Module) -> dict[str, Tensor]:
    return {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in module.state_dict().items()
    }
