"""A card that is not there: tensors that say "cuda:0", and mix with a CPU's as little as a card's.

Under `card()` whatever is sent to CUDA, or made there, becomes a `CardTensor`. Its numbers lie in
an ordinary tensor inside and are computed by the CPU, so results are real; an operation that a card
would refuse because some of its tensors are elsewhere is refused here, in the same words. For
torch's C++ they lie on the meta device, which has no memory of its own; only Python is told "cuda".

Not pretended: speed, memory, rounding, and streams.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only

CARD = torch.device("cuda:0")
aten = torch.ops.aten
# A card takes tensors of the CPU here: copies from and to it, and numbers of places.
MIXED = {aten.copy_, aten._to_copy, aten.index, aten.set_, aten.lift_fresh}


class CardTensor(torch.Tensor):
    """A tensor "on the card", around one on the CPU."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor, requires_grad: bool = False) -> CardTensor:
        made = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, inner.size(), inner.stride(), inner.storage_offset(), dtype=inner.dtype,
            layout=inner.layout, device="meta", requires_grad=requires_grad,
        )  # fmt: skip
        made.inner = inner
        return made

    device = property(lambda self: CARD)  # type: ignore[assignment]
    is_cuda = property(lambda self: True)  # type: ignore[assignment]
    is_meta = property(lambda self: False)  # type: ignore[assignment]
    is_cpu = property(lambda self: False)  # type: ignore[assignment]

    def __repr__(self, **_: Any) -> str:
        return f"CardTensor({self.inner!r})"

    def numpy(self, *_: Any, **__: Any) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first")

    __array__ = numpy

    def tolist(self) -> Any:
        return self.inner.tolist()

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(
        cls, operation: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return compute(operation, args, kwargs or {})


def compute(operation: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Runs an operation on the tensors inside, if a card would; what comes out is on the card."""
    flat, _ = tree_flatten((args, kwargs))
    tensors = [each for each in flat if isinstance(each, Tensor)]
    packet = operation.overloadpacket
    if packet is aten._has_compatible_shallow_copy_type:
        return False
    elsewhere = [t for t in tensors if not isinstance(t, CardTensor) and t.ndim]
    if packet in (aten.index_put, aten.index_put_, aten._unsafe_index_put):  # places may be there
        elsewhere = [t for t in (args[0], args[2]) if not isinstance(t, CardTensor) and t.ndim]
    if any(t.is_meta for t in elsewhere):
        raise RuntimeError(f"{operation} got a tensor without numbers: a gap of this pretence")
    if elsewhere and packet not in MIXED and any(isinstance(t, CardTensor) for t in tensors):
        raise RuntimeError(
            "Expected all tensors to be on the same device, but found at least two devices, "
            f"cuda:0 and cpu! ({operation}, {[tuple(t.shape) for t in elsewhere]})"
        )
    if packet is aten._fused_sdp_choice:
        return 0  # plain products: the fused kernels go by the device that C++ sees
    asked = kwargs.get("device")
    generator = kwargs.get("generator")
    if asked is not None and torch.device(asked).type != "cpu" and generator is not None:
        raise RuntimeError("Expected a 'cuda' device type for generator but found 'cpu'")
    if asked is not None:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    inside, named = tree_map_only(CardTensor, lambda t: t.inner, (args, kwargs))
    if packet is aten._to_copy and elsewhere:  # a copy in any case
        made = operation(*inside, **named)
        made = made.clone() if made is inside[0] else made
    else:
        made = operation(*inside, **named)
    if asked is not None and torch.device(asked).type == "cpu":
        return made
    if not any(isinstance(t, CardTensor) for t in tensors) and asked is None:
        return made
    if packet is aten.copy_ and not isinstance(args[0], CardTensor):
        return args[0]
    outer = {id(t.inner): t for t in tensors if isinstance(t, CardTensor)}
    # An operation in place returns what it was given.
    return tree_map_only(Tensor, lambda t: outer[id(t)] if id(t) in outer else CardTensor(t), made)


class _Made(TorchDispatchMode):
    """What is made on the card, or copied to it from the CPU."""

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        device = kwargs.get("device")
        if device is not None and torch.device(device).type == "meta" and not _Sent.blank:
            return compute(operation, args, kwargs)
        return operation(*args, **kwargs)


class _Sent(TorchFunctionMode):
    """Tells C++ "meta" where Python says "cuda"; a plain "meta" keeps its meaning."""

    blank = 0

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(function, "__name__", "")
        if name == "cuda" and function is Tensor.cuda:
            function, args = Tensor.to, (args[0], CARD)
        if function is Tensor.to and len(args) > 1 and isinstance(args[1], CardTensor):
            args = (args[0], CARD, args[1].dtype, *args[2:])
        if function in (Tensor.__getitem__, Tensor.__setitem__) and isinstance(args[1], list):
            args = (args[0], torch.tensor(args[1]), *args[2:])  # C++ reads them without dispatch
        on_card = _kind(kwargs.get("device")) == "cuda"
        blank = _kind(kwargs.get("device")) == "meta" or (
            function is Tensor.to and any(_kind(a) == "meta" for a in args[1:])
        )
        args = tuple(_sent(a) for a in args) if function is Tensor.to else args
        if "device" in kwargs:
            kwargs = {**kwargs, "device": _sent(kwargs["device"])}
        if function in (torch.tensor, torch.as_tensor) and on_card:
            del kwargs["device"]  # from numbers of Python, which C++ reads without dispatch
            return function(*args, **kwargs).to("meta")
        _Sent.blank += blank
        try:
            return function(*args, **kwargs)
        finally:
            _Sent.blank -= blank


def _kind(device: Any) -> str | None:
    if isinstance(device, torch.device):
        return device.type
    return device.partition(":")[0] if isinstance(device, str) else None


def _sent(device: Any) -> Any:
    return torch.device("meta") if _kind(device) == "cuda" else device


@contextmanager
def card(bf16: bool = True) -> Iterator[None]:
    """One card, as `torch.cuda` tells of it."""
    with pytest.MonkeyPatch.context() as patch, _Made(), _Sent():
        patch.delenv("LOCAL_RANK", raising=False)
        for name, said in (
            ("is_available", True), ("device_count", 1), ("current_device", 0),
            ("is_bf16_supported", bf16), ("mem_get_info", (64 * 2**30, 80 * 2**30)),
            ("synchronize", None), ("max_memory_allocated", 0), ("get_device_name", "pretended"),
            ("set_device", None), ("empty_cache", None), ("manual_seed_all", None),
            ("manual_seed", None),
        ):  # fmt: skip
            patch.setattr(torch.cuda, name, lambda *_, said=said, **__: said)
        # In inference mode operations come whole, not as what they are made of; the numbers are
        # those of no_grad.
        patch.setattr(torch._C, "_InferenceMode", lambda mode: torch.set_grad_enabled(not mode))
        yield
