"""Stand-ins of the encoder and the language models: real layouts, small random weights.

Knows: file names, the fields of each config.json with their real values where width does not
matter, and the names of the tensors. Leaves to others: tokenizers, diffusion models.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from nextgpt_lite.checkpoints.stand_ins import tokenizers
from nextgpt_lite.encoders import ImageBind, ImageBindConfig

LLAMA: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "bos_token_id": 1,
    "eos_token_id": 2,
    "hidden_act": "silu",
    "hidden_size": 64,
    "initializer_range": 0.02,
    "intermediate_size": 128,
    "max_position_embeddings": 4096,
    "model_type": "llama",
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 4,
    "pretraining_tp": 1,
    "rms_norm_eps": 1e-05,
    "rope_scaling": None,
    "tie_word_embeddings": False,
    "use_cache": True,
}


def imagebind_config() -> ImageBindConfig:
    """The released encoder with its real inputs and heads, but 16 to 64 wide and 1 block deep."""
    widths = {"vision": 64, "text": 64, "audio": 48, "depth": 32, "thermal": 48, "imu": 32}
    huge = ImageBindConfig.huge()
    small: dict[str, Any] = {
        name: replace(trunk, width=widths[name], blocks=1) for name, trunk in huge.trunks().items()
    }
    small["text"] = replace(small["text"], vocab_size=600)
    return replace(huge, out=32, **small)


def imagebind_pickle(folder: Path) -> None:
    """`imagebind_huge.pth`: the state dict of all six trunks, and nothing beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(ImageBind(imagebind_config()).state_dict(), folder / "imagebind_huge.pth")


def imagebind_port(folder: Path) -> None:
    """The safetensors port on the hub: config.json with the released constructor's arguments."""
    config = imagebind_config()
    folder.mkdir(parents=True, exist_ok=True)
    save_file(_plain(ImageBind(config)), folder / "model.safetensors")
    values: dict[str, Any] = {"out_embed_dim": config.out, "video_frames": 2}
    for name, trunk in config.trunks().items():
        values[f"{name}_embed_dim"] = trunk.width
        values[f"{name}_num_blocks"] = trunk.blocks
        values[f"{name}_num_heads"] = trunk.heads
    write_json(folder / "config.json", values)


def vicuna(folder: Path) -> None:
    """lmsys/vicuna-7b-v1.5: two shards with an index, a `tokenizer.model`, no chat template."""
    size = tokenizers.llama(folder, template=None, fast=False)
    config = {**LLAMA, "vocab_size": size, "pad_token_id": 0, "torch_dtype": "float16"}
    _write_causal_lm(folder, config, shards=2)


def tinyllama(folder: Path) -> None:
    """TinyLlama/TinyLlama-1.1B-Chat-v1.0: grouped heads, one file in bfloat16."""
    size = tokenizers.llama(folder, template=tokenizers.ZEPHYR, fast=True)
    config = {
        **LLAMA,
        "attention_bias": False,
        "max_position_embeddings": 2048,
        "num_key_value_heads": 1,
        "rope_theta": 10000.0,
        "torch_dtype": "bfloat16",
        "vocab_size": size,
    }
    _write_causal_lm(folder, config)


def qwen3(folder: Path) -> None:
    """Qwen/Qwen3-0.6B: tied matrices with more rows than the tokenizer has tokens."""
    used = tokenizers.qwen(folder)
    end = used - len(tokenizers.QWEN_SPECIAL) - len(tokenizers.QWEN_WORDS)  # <|endoftext|>
    config = {
        "architectures": ["Qwen3ForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": end,
        "eos_token_id": end + 2,
        "head_dim": 32,  # wider than hidden_size / heads, as the real one
        "hidden_act": "silu",
        "hidden_size": 64,
        "initializer_range": 0.02,
        "intermediate_size": 192,
        "max_position_embeddings": 40960,
        "max_window_layers": 2,
        "model_type": "qwen3",
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-06,
        "rope_scaling": None,
        "rope_theta": 1000000,
        "sliding_window": None,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "use_sliding_window": False,
        "vocab_size": used + 267,  # the real one has 151936 rows for 151669 tokens
    }
    _write_causal_lm(folder, config)


def smollm2(folder: Path) -> None:
    """HuggingFaceTB/SmolLM2-360M-Instruct: a tied Llama with odd numbers of heads."""
    size = tokenizers.smollm(folder)
    config = {
        **LLAMA,
        "attention_bias": False,
        "attention_dropout": 0.0,
        "eos_token_id": 2,
        "hidden_size": 60,
        "max_position_embeddings": 8192,
        "mlp_bias": False,
        "num_attention_heads": 15,
        "num_key_value_heads": 5,
        "pad_token_id": 2,
        "rope_theta": 100000,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "vocab_size": size,
    }
    _write_causal_lm(folder, config)


def _write_causal_lm(folder: Path, config: dict[str, Any], shards: int = 1) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    write_json(folder / "config.json", config)
    ids = {name: config[name] for name in ("bos_token_id", "eos_token_id")}
    write_json(folder / "generation_config.json", {"_from_model_config": True, **ids})
    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))
    state = {
        name: value.to(getattr(torch, config["torch_dtype"]))
        for name, value in _plain(model).items()
        if not (config["tie_word_embeddings"] and name == "lm_head.weight")
    }
    if shards == 1:
        save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
        return
    files = [f"model-{i + 1:05}-of-{shards:05}.safetensors" for i in range(shards)]
    places = {name: files[i * shards // len(state)] for i, name in enumerate(state)}
    for file in files:
        part = {name: value for name, value in state.items() if places[name] == file}
        save_file(part, folder / file, metadata={"format": "pt"})
    total = sum(value.nbytes for value in state.values())
    index = {"metadata": {"total_size": total}, "weight_map": places}
    write_json(folder / "model.safetensors.index.json", index)


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Writes a configuration, its folder included."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values, indent=2) + "\n")


def _plain(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().contiguous() for name, value in module.state_dict().items()}
