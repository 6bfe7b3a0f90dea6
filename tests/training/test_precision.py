"""Number formats by device, and torch.compile only where it keeps gradients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from torch import nn

from nextgpt_lite.training.loop import Schedule, Trainer
from nextgpt_lite.training.precision import compile_checked, mixed_precision
from nextgpt_lite.training.stages import (
    STAGES,
)
from tests.model.test_batch import open_and_stirred
from tests.tiny import Made
from tests.training.runs import QUICK, record


def test_auto_takes_what_the_device_is_fast_at(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    processors: list[tuple[dict[str, Any], str]] = [
        ({"avx512_bf16": True, "cpu_name": "AMD EPYC"}, "bf16"),
        ({"avx512_bf16": True, "cpu_name": "Intel Xeon"}, "no"),
        ({"avx512_bf16": True, "amx_bf16": True, "cpu_name": "Intel Xeon"}, "bf16"),
        ({"avx2": True}, "no"),
    ]
    for able, expected in processors:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda able=able: able)
        assert mixed_precision("auto", cpu) == expected
    for able, expected in ((True, "bf16"), (False, "fp16")):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda able=able, **_: able)
        assert mixed_precision("auto", cuda) == expected
    assert mixed_precision("no", cuda) == "no"


def test_compile_is_refused_where_it_loses_a_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    model = open_and_stirred(3)
    schedule = Schedule.of(STAGES[3], **QUICK)
    batch, _ = Trainer(model, STAGES[3], Made(record), Path("unused"), schedule).batch(0)
    autocast = Accelerator().autocast
    monkeypatch.setattr(nn.Module, "compile", lambda self, **_: None)
    compile_checked(model, batch, autocast)

    def deaf(self: nn.Module, **_: Any) -> None:
        forward = self.forward
        self.forward = lambda *a, **n: forward(*a, **n).detach()

    monkeypatch.setattr(type(model.output_projections["image"]), "compile", deaf, raising=False)
    with pytest.raises(RuntimeError, match=r"another gradient .* train without compile"):
        compile_checked(model, batch, autocast)
