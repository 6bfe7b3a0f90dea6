"""Where a model runs and in which number format: the one place that asks the machine.

Knows: what "auto" means, and how a device that is not there is refused. Leaves to others: moving
anything (`model.nextgpt`, `training.loop`).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from nextgpt_lite.errors import ConfigError

if TYPE_CHECKING:
    import torch

PRECISIONS = ("float32", "bfloat16", "float16")


def pick_device(name: str | torch.device = "auto") -> torch.device:
    """The device of that name; "auto" is CUDA where there is a card (under torchrun each process
    has its own), else MPS, else the CPU.

    Raises:
        ConfigError: torch knows no such device, or finds none here.
    """
    import torch

    found = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if str(name) == "auto":
        if found["cuda"] and "LOCAL_RANK" in os.environ:
            return torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        return torch.device(next((kind for kind, here in found.items() if here), "cpu"))
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError):
        device = None
    if device is None or device.type not in ("cpu", *found):
        raise ConfigError(f"device is {str(name)!r}: use 'auto', 'cpu', 'cuda', 'cuda:1' or 'mps'.")
    cards = torch.cuda.device_count() if device.type == "cuda" else 1
    if not found.get(device.type, True) or (device.index or 0) >= cards:
        raise ConfigError(
            f"device is {str(name)!r}, but torch {torch.__version__} finds none here: use 'auto' "
            "or 'cpu'."
        )
    return device


def pick_dtype(name: str | torch.dtype, device: torch.device) -> torch.dtype:
    """The number format of that name; "auto" is float32 on a CPU, and else `half_of` the device.

    Raises:
        ConfigError: there is no such format.
    """
    import torch

    name = precision_name(name)
    if name == "auto":
        return torch.float32 if device.type == "cpu" else half_of(device)
    return getattr(torch, name)


def precision_name(dtype: str | torch.dtype) -> str:
    """How a configuration calls a number format.

    Raises:
        ConfigError: there is no such format.
    """
    name = str(dtype).removeprefix("torch.")
    if name not in ("auto", *PRECISIONS):
        raise ConfigError(f"precision is {name!r}: use 'auto' or one of {', '.join(PRECISIONS)}.")
    return name


def half_of(device: torch.device) -> torch.dtype:
    """The 16 bits that a device computes in: bfloat16, but float16 on older cards and on MPS."""
    import torch

    if device.type == "cpu" or (device.type == "cuda" and bf16_is_fast(device)):
        return torch.bfloat16
    return torch.float16


def bf16_is_fast(device: torch.device) -> bool:
    """Whether a device multiplies bfloat16 faster than float32.

    A T4 only emulates it. AMD's AVX-512 takes twice as many at once, Intel's takes twice as long
    (80 against 142 GFLOP/s, one core): there it needs AMX, which virtual machines may hide.
    """
    import torch

    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    able = torch.cpu.get_capabilities() if device.type == "cpu" else {}
    is_intel = "Intel" in able.get("cpu_name", "")
    return bool(able.get("amx_bf16") or (able.get("avx512_bf16") and not is_intel))
