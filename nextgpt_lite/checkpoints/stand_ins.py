"""Stand-ins: small random weights in the files, names and layouts of the public checkpoints.

They answer nonsense, but pass through the same files, keys, tokenizers and configurations as the
real ones, so that every line that handles a checkpoint of gigabytes runs in seconds and offline.
Each is made by shrinking the configurations of the catalogue: widths are divided by 16, heads by 4,
depths cut to 2. All widths shrink alike, so what had to fit together still does.

Knows: which fields shrink, the quirks of what was released, the files of tokenizers. Leaves to
others: the configurations (`catalogue`), building from them (`parameters`), loading.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from nextgpt_lite.checkpoints.catalogue import CATALOGUE, blueprint
from nextgpt_lite.checkpoints.parameters import modules
from nextgpt_lite.checkpoints.small_tokenizers import write_tokenizer
from nextgpt_lite.encoders import ImageBind, ImageBindConfig
from nextgpt_lite.errors import ConfigError
from nextgpt_lite.model.config import SETTINGS_FILE, folder_name
from nextgpt_lite.reading import read_json

PICKLE = "imagebind_huge"  # as the authors released it; the catalogue has the port of the hub
STAND_INS = (PICKLE, *CATALOGUE)

DIVISORS = {
    16: (
        "hidden_size intermediate_size projection_dim d_model d_ff block_out_channels "
        "cross_attention_dim cross_attention_input_dim projection_class_embeddings_input_dim "
        "addition_time_embed_dim caption_channels text_dim ffn_dim freq_dim base_dim "
        "upsample_initial_channel encoder_hidden_size decoder_channels text_encoder_dim "
        "conditioning_dim global_states_input_dim time_proj_dim in_channels out_channels "
        "decoder_input_channels"
    ),
    8: "sample_size norm_num_groups",
    4: (
        "num_attention_heads num_key_value_heads num_key_value_attention_heads num_heads d_kv "
        "attention_head_dim head_dim motion_num_attention_heads"
    ),
}
DEPTHS = ["num_hidden_layers", "num_layers", "num_decoder_layers", "transformer_layers_per_block"]
DIVISOR = {name: divisor for divisor, names in DIVISORS.items() for name in names.split()}

# The released motion modules do not say how many groups their norms have: 32, so widths are kept
# that can have them, in the Stable Diffusion below as well.
MOTION = {"block_out_channels": [32, 32, 64, 64], "norm_num_groups": 32}
WITH_MOTION = ("stable-diffusion-v1-5/unet", "AnimateDiff-Lightning/motion_adapter")

# Beside the real files of a decoder: media in seconds.
SMALL: dict[str, dict[str, Any]] = {
    "TextToVideoSDPipeline": {"width": 64, "height": 64, "frames": 4},
    "AnimateDiffPipeline": {"width": 64, "height": 64, "frames": 4},
    "WanPipeline": {"width": 32, "height": 32, "frames": 5, "caption_tokens": 32},
    "PixArtSigmaPipeline": {"caption_tokens": 32},
    "AudioLDMPipeline": {"audio_length_in_s": 0.64},
    "StableAudioPipeline": {"audio_length_in_s": 0.5},
}
# Autoencoders saved before diffusers 0.17 call their attention so.
OLD_ATTENTION = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
OLD_AUTOENCODERS = ("stable-diffusion-v1-5", "audioldm")
WITH_POSITION_IDS = ("stable-diffusion-v1-5", "zeroscope")
PICKLED = ("audioldm",)


def write_stand_ins(root: str | Path, names: Iterable[str] = STAND_INS, seed: int = 0) -> Path:
    """Writes a folder for each name, as `download` would; one that is there is left alone.

    Args:
        root: what the environment variable NEXTGPT_LITE_CHECKPOINTS is then set to.
        names: hub ids.
        seed: of the random weights.

    Returns:
        `root`.

    Raises:
        ConfigError: a name has no stand-in.
    """
    root = Path(root)
    for name in names:
        if name not in STAND_INS:
            raise ConfigError(f"No stand-in for {name!r}: use one of {', '.join(STAND_INS)}.")
        folder = root / folder_name(name)
        if not folder.is_dir():
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                _write(name, folder)
    return root


def shrink(values: dict[str, Any]) -> dict[str, Any]:
    """The fields of a configuration with small widths and depths."""
    return {name: _small(name, value) for name, value in values.items()}


def _small(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        return shrink(value)
    if isinstance(value, list):
        return [_small(name, each) for each in value]
    if type(value) is not int:
        return value
    if name in DEPTHS:
        return min(value, 2)
    divisor = DIVISOR.get(name, 1)
    if value % divisor or (divisor == 16 and value < 64):
        return value  # channels of pixels and latents, and odd numbers of heads
    return min(value // divisor, 16) if name == "sample_size" else value // divisor


def _write(name: str, folder: Path) -> None:
    if "imagebind" in name:
        _imagebind(folder, pickled=name == PICKLE)
        return
    plan = blueprint(name)
    shutil.copytree(plan, folder, dirs_exist_ok=True, ignore=lambda *_: ["safety_checker"])
    for path in sorted(folder.rglob("tokenizer_config.json")):
        size, ids = write_tokenizer(path.parent)
        reader = (
            path.parent
            if path.parent == folder
            else path.parent.parent / (path.parent.name.replace("tokenizer", "text_encoder"))
        )
        _change(reader / "config.json", lambda v, size=size, ids=ids: _renumbered(v, size, ids))
    for path in folder.rglob("config.json"):
        _change(path, shrink)
        if f"{name}/{path.parent.name}".endswith(WITH_MOTION):
            _change(path, lambda v: {**v, **{n: MOTION[n] for n in MOTION if n in v}})
    if not (folder / "model_index.json").is_file():
        _causal_lm(folder)
        return
    pipeline = read_json(folder / "model_index.json")["_class_name"]
    if pipeline in SMALL:
        (folder / SETTINGS_FILE).write_text(json.dumps(SMALL[pipeline]) + "\n", encoding="utf-8")
    for part, module in modules(folder):
        _save_part(name, folder / part, module)
    if pipeline == "AnimateDiffPipeline":  # released as one file, without any configuration
        (folder / "motion_adapter" / "diffusion_pytorch_model.safetensors").rename(
            folder / "animatediff_lightning_4step_diffusers.safetensors"
        )
        shutil.rmtree(folder / "motion_adapter")
        (folder / "model_index.json").unlink()


def _change(path: Path, change: Any) -> None:
    path.write_text(json.dumps(change(read_json(path)), indent=2) + "\n", encoding="utf-8")


def _renumbered(values: dict[str, Any], size: int, ids: dict[int, int]) -> dict[str, Any]:
    """A configuration for a tokenizer of other ids, its matrix as much too large as before."""
    spare = values["vocab_size"] - max(ids) - 1 if ids and min(ids) else 0
    ids_of = {n: ids.get(v, v) for n, v in values.items() if n.endswith("_token_id")}
    return {**values, **ids_of, "vocab_size": size + spare}


def _save_part(name: str, folder: Path, module: nn.Module) -> None:
    from transformers import PreTrainedModel

    def like(marks: tuple[str, ...]) -> bool:
        return any(mark in name for mark in marks)

    state = {n: v.half() if v.is_floating_point() else v for n, v in _plain(module).items()}
    if type(module).__name__ == "AutoencoderKL" and like(OLD_AUTOENCODERS):
        state = {_old_name(n): value for n, value in state.items()}
    if type(module).__name__.startswith("CLIPText"):  # transformers 5.6 dropped the first word
        state = {n if n.startswith("text_") else f"text_model.{n}": v for n, v in state.items()}
        if like(WITH_POSITION_IDS):
            state["text_model.embeddings.position_ids"] = torch.arange(77)[None]
    theirs = isinstance(module, PreTrainedModel)
    if like(PICKLED):
        file = "pytorch_model.bin" if theirs else "diffusion_pytorch_model.bin"
        torch.save(state, folder / file)
    else:
        file = "model.safetensors" if theirs else "diffusion_pytorch_model.safetensors"
        save_file(state, folder / file, {"format": "pt"})


def _old_name(name: str) -> str:
    if ".attentions." in name:
        for new, old in OLD_ATTENTION.items():
            name = name.replace(f".{new}.", f".{old}.")
    return name


def _causal_lm(folder: Path) -> None:
    """A language model, in two shards where that is how it was released (Vicuna)."""
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(folder)
    values = read_json(folder / "config.json")
    kind, tied = getattr(torch, values["torch_dtype"]), values["tie_word_embeddings"]
    state = {
        name: value.to(kind)
        for name, value in _plain(AutoModelForCausalLM.from_config(config)).items()
        if not (tied and name == "lm_head.weight")
    }
    ids = {name: values[name] for name in ("bos_token_id", "eos_token_id")}
    settings = json.dumps({"_from_model_config": True, **ids})
    (folder / "generation_config.json").write_text(settings, encoding="utf-8")
    if kind != torch.float16:
        save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
        return
    files = [f"model-{i + 1:05}-of-00002.safetensors" for i in range(2)]
    places = {name: files[2 * i // len(state)] for i, name in enumerate(state)}
    for file in files:
        part = {name: value for name, value in state.items() if places[name] == file}
        save_file(part, folder / file, metadata={"format": "pt"})
    total = sum(value.nbytes for value in state.values())
    index = {"metadata": {"total_size": total}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")


def _imagebind(folder: Path, pickled: bool) -> None:
    """All six trunks, 1 block deep: the authors' pickle, or the port with a configuration."""
    huge = ImageBindConfig.huge()
    small: dict[str, Any] = {
        name: replace(trunk, width=4 * trunk.heads, blocks=1) for name, trunk in huge.trunks.items()
    }
    small["text"] = replace(small["text"], vocab_size=600)
    config = ImageBindConfig(out=32, **small)
    state = _plain(ImageBind(config))
    folder.mkdir(parents=True)
    if pickled:
        torch.save(state, folder / f"{PICKLE}.pth")
        return
    save_file(state, folder / "model.safetensors")
    values: dict[str, Any] = {"out_embed_dim": config.out, "video_frames": 2}
    for name, trunk in config.trunks.items():
        values[f"{name}_embed_dim"] = trunk.width
        values[f"{name}_num_blocks"] = trunk.blocks
        values[f"{name}_num_heads"] = trunk.heads
    (folder / "config.json").write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def _plain(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().contiguous() for name, value in module.state_dict().items()}
