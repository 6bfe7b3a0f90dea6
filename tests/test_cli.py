"""The command line: usage errors, sentences for wrong files, and the commands it passes on to."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import nextgpt_lite
from nextgpt_lite.cli import COMMANDS, main
from nextgpt_lite.data.released import read_folder


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["sing"],
        ["train", "--stage", "4", "--output", "x"],
        ["train", "--stage", "1"],
        ["pretrain", "--part", "nose", "--output", "x"],
        ["chat", "hello", "--modalities", "smell"],
        ["chat", "hello", "--num-inference-steps", "0"],
        ["data", "samples"],
    ],
)
def test_wrong_usage_is_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "usage: nextgpt-lite" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert stopped.value.code == 0
    assert nextgpt_lite.__version__ in capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0
    assert COMMANDS[command].help in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["chat", "Look.", "--image", "{}/none.png", "--output", "{}"], "none.png does not exist"),
        (["chat", "Hello.", "--model", "{}/none", "--output", "{}"], "none"),
        (["train", "--stage", "1", "--data", "{}/none", "--output", "{}/run"], "none"),
    ],
)
def test_a_missing_file_is_one_sentence(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([a.format(tmp_path) for a in arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert "Traceback" not in error


def test_tour_says_where_it_must_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["tour", "--output", str(tmp_path)]) == 2
    assert "00_tour.ipynb" in capsys.readouterr().err


class _Model:
    """Stands in for the real model, whose replies other tests examine."""

    asked: dict[str, Any]

    @classmethod
    def from_pretrained(cls, name: str) -> _Model:
        model = cls()
        _Model.asked = {"model": name}
        return model

    def chat(self, message: str, **options: Any) -> Any:
        _Model.asked |= {"message": message, **options}
        return SimpleNamespace(text="Here it is.", save=self._save)

    @staticmethod
    def _save(folder: Path) -> Path:
        path = folder / "reply.json"
        path.write_text(json.dumps({"media": [{"modality": "image", "path": "image_0.png"}]}))
        return path


def test_chat_passes_its_flags_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(nextgpt_lite, "NextGPT", _Model, raising=False)
    picture = tmp_path / "a.png"
    picture.touch()
    flags = ["--image", str(picture), "--seed", "3", "--modalities", "image, audio"]
    assert main(["chat", "Look.", *flags, "--output", str(tmp_path)]) == 0
    assert _Model.asked == {
        "model": "lite",
        "message": "Look.",
        "images": [picture],
        "audios": [],
        "videos": [],
        "seed": 3,
        "output_modalities": ["image", "audio"],
    }
    printed = capsys.readouterr().out.splitlines()
    assert printed == ["Here it is.", str(tmp_path / "image_0.png")]
    main(["chat", "Look.", "--modalities", "none", "--output", str(tmp_path)])
    assert _Model.asked["output_modalities"] == []


def test_data_samples_makes_a_readable_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "samples", "--seed", "5", "--size", "2", "--output", str(tmp_path)]) == 0
    assert str(tmp_path) in capsys.readouterr().out
    kinds = {record.kind for record in read_folder(tmp_path)}
    assert kinds == {"pair", "caption", "understand", "text", "t2m", "mosit"}


def test_help_imports_nothing_heavy() -> None:
    import subprocess

    code = (
        "import sys\nfrom nextgpt_lite.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "assert not {'torch', 'transformers', 'av'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
