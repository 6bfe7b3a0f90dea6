"""What this machine can run: Python, packages, device, memory, and each preset's licences.

Knows: how much memory a preset's parameters need (a calculation), and how to ask the machine what
it has. Leaves to others: counting (`parameters`, `activations`), licences (`catalogue`).
"""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import torch

from nextgpt_lite.checkpoints.activations import TOKENS, Activations, activations
from nextgpt_lite.checkpoints.catalogue import UNLOADED, blueprint, components, licences
from nextgpt_lite.checkpoints.parameters import Row, count, sizes
from nextgpt_lite.model.config import DECODER_SETTINGS, PACKAGED, PROFILES, NextGPTConfig, locate
from nextgpt_lite.model.device import pick_device

REQUIRED = ("torch", "transformers", "peft", "diffusers", "accelerate", "safetensors", "av")
OPTIONAL = {
    "bitsandbytes": "4-bit language models",
    "imagebind": "comparison with the official encoder",
}
GIB = 2**30
NONE = Activations(record=0, image=0)
ADAM = 16  # bytes a learning parameter: itself, its gradient and two moments, all in float32


@dataclass(frozen=True)
class Memory:
    """Bytes that a preset's parameters take; activations come on top.

    Attributes:
        resident: every part that is loaded, all three decoders at once.
        frugal: the same with one decoder at a time on the device.
        learning: what training adds for gradients and optimiser.
        cache: keys and values of one conversation that fills the LLM's context.
    """

    resident: int
    frugal: int
    learning: int
    cache: int


@dataclass(frozen=True)
class Device:
    """Where a model would run, and the bytes free there."""

    name: str
    kind: str
    free: int
    total: int


def memory(config: NextGPTConfig, rows: list[Row], size: int) -> Memory:
    """Parameters times `size` bytes: 4 for float32, 2 for half precision.

    Left out is what is never loaded: the safety checker, and all trunks of a public encoder but
    those for images and audio. Motion modules come with a Stable Diffusion of their own.
    """
    whole = config.encoder.startswith("lite/")
    loaded = {
        row.part: sum(
            number
            for name, number in (row.inside or {"": row.parameters}).items()
            if name not in UNLOADED
            and (row.part != "encoder" or whole or name in ("vision", "audio"))
        )
        for row in rows
    }
    for modality, name in config.decoders.items():
        settings = {**DECODER_SETTINGS.get(name, {}), **config.decoder_settings.get(modality, {})}
        if base := settings.get("base"):
            loaded[f"decoders.{modality}"] += sum(sizes(base).values())
    decoders = [number for part, number in loaded.items() if part.startswith("decoders.")]
    resident = sum(loaded.values())
    learns = sum(row.parameters for row in rows if row.stages)
    frugal = resident - sum(decoders) + max(decoders, default=0)
    return Memory(resident * size, frugal * size, learns * ADAM, _cache(config) * size)


def _cache(config: NextGPTConfig) -> int:
    """Numbers that the LLM keeps of a full context."""
    llm = json.loads((blueprint(config.llm) / "config.json").read_text(encoding="utf-8"))
    heads = llm["num_attention_heads"]
    width = llm.get("head_dim") or llm["hidden_size"] // heads
    kept = llm.get("num_key_value_heads") or heads
    return 2 * llm["num_hidden_layers"] * kept * width * llm["max_position_embeddings"]


def budget(profile: str, here: Device | None = None) -> str:
    """What a preset needs of this device, from its configurations: nothing is loaded for it."""
    here = device() if here is None else here
    config = NextGPTConfig.from_profile(profile)
    size = _bytes(config, here)
    more = activations(config, torch.float32 if size == 4 else torch.bfloat16)
    lines = [
        *_needs(config, memory(config, count(config), size), here, more),
        f"  activations, at most: {more.image / GIB:.1f} GiB while an image is made, "
        f"{more.record / GIB:.1f} GiB for each record of {TOKENS} tokens in a training pass",
    ]
    return "\n".join(lines)


def device() -> Device:
    """The accelerator if there is one, else this machine's memory."""
    kind = pick_device().type
    if kind == "cuda":
        free, total = torch.cuda.mem_get_info()
        return Device(torch.cuda.get_device_name(), "cuda", free, total)
    import psutil

    ram = psutil.virtual_memory()
    name = platform.processor() or platform.machine()
    return Device(f"{name}, {torch.get_num_threads()} threads", kind, ram.available, ram.total)


def report(here: Device | None = None, profiles: tuple[str, ...] = tuple(PROFILES)) -> str:
    """Everything above as text.

    Args:
        here: the device to judge by; None asks the machine.
        profiles: the presets to judge.
    """
    here = device() if here is None else here
    lines = [f"Python        {sys.version.split()[0]} (3.11 or newer is needed)"]
    lines += [f"{name:13} {_version(name) or 'MISSING: pip install ' + name}" for name in REQUIRED]
    lines += [
        f"{name:13} {_version(name) or 'not installed'} (optional: {use})"
        for name, use in OPTIONAL.items()
    ]
    free, total = here.free / GIB, here.total / GIB
    lines += [
        f"device        {here.kind}: {here.name}",
        f"memory        {free:.1f} of {total:.1f} GiB free",
        "",
        "Presets: memory of parameters, calculated (float32 on a CPU, half precision on a GPU);",
        "activations come on top: a notebook prints them when it starts with another preset.",
    ]
    for profile in profiles:
        config = NextGPTConfig.from_profile(profile)
        lines += _preset(config, memory(config, count(config), _bytes(config, here)), here)
    return "\n".join(lines)


def _bytes(config: NextGPTConfig, here: Device) -> int:
    """Of a frozen parameter."""
    return 4 if config.precision == "float32" or here.kind == "cpu" else 2


def _needs(
    config: NextGPTConfig, need: Memory, here: Device, more: Activations = NONE
) -> Iterator[str]:
    yield f"{config.profile}: {_verdict(need, here, more)}"
    yield (
        f"  all parts {need.resident / GIB:.1f} GiB, one decoder at a time "
        f"{need.frugal / GIB:.1f} GiB, training adds {need.learning / GIB:.1f} GiB, a full context "
        f"{need.cache / GIB:.2f} GiB"
    )


def _preset(config: NextGPTConfig, need: Memory, here: Device) -> Iterator[str]:
    yield ""
    yield from _needs(config, need, here)
    missing = _missing(config)
    yield from (f"  {said}" for name, said in missing.items() if name in PACKAGED)
    if public := [name for name in missing if name not in PACKAGED]:
        yield (
            f"  not on this machine: {', '.join(public)}; fetch with `nextgpt-lite download "
            f"--profile {config.profile} --output DIR`"
        )
    yield "  licences:"
    yield from (f"    {line}" for line in licences(config))


def _verdict(need: Memory, here: Device, more: Activations) -> str:
    free = here.free - more.image
    training = need.resident + need.learning + more.record
    if training <= free:
        return "fits, for training too"
    if need.resident <= free:
        short = (training - free) / GIB
        return f"fits for conversation; training lacks {short:.1f} GiB"
    if need.frugal <= free:
        return "fits for conversation with one decoder at a time on the device"
    least = (need.frugal + more.image) / GIB
    return (
        f"does not fit: {least:.1f} GiB are needed at least, {here.free / GIB:.1f} GiB are free on "
        f"{here.kind}"
    )


def _missing(config: NextGPTConfig) -> dict[str, str]:
    """Names of what is not on this machine, and what `locate` says of each."""
    missing = {}
    for name in components(config):
        try:
            locate(name)
        except FileNotFoundError as error:
            missing[name] = str(error)
    return missing


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
