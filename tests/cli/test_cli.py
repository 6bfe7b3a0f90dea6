"""The command line: usage errors, sentences for wrong files, and the commands it passes on to."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, get_args

import pytest
from typer import rich_utils
from typer.main import get_command

import nextgpt_lite
from nextgpt_lite import cli
from nextgpt_lite.cli import commands, main
from nextgpt_lite.data.released import read_folder
from nextgpt_lite.model.config import PROFILES
from nextgpt_lite.model.modality import MODALITIES

NAMES = [name for panel in commands.COMMANDS.values() for name in panel]


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """No colours, which typer forces where GitHub runs it."""
    monkeypatch.setattr(rich_utils, "FORCE_TERMINAL", None)


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
    assert main(arguments) == 2
    assert "Usage: nextgpt-lite" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"nextgpt-lite {nextgpt_lite.__version__}\n"


@pytest.mark.parametrize("command", [*NAMES, "pretrain", "data samples"])
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command.split(), "--help"]) == 0
    assert f"Usage: nextgpt-lite {command} " in capsys.readouterr().out


def test_every_option_has_help() -> None:
    group: Any = get_command(cli.application())
    found = [group.commands["data"].commands["samples"], *group.commands.values()]
    assert len(found) == len(NAMES) + 3
    for command in found:
        for option in command.params:
            assert option.help, f"{command.name} {option.name}"


def test_profiles_offered_are_those_there_are() -> None:
    assert set(get_args(commands.Profile)) == set(PROFILES)


def test_an_option_takes_several_values(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}
    module = ModuleType("run")
    module.compare_models = lambda *models, **options: asked.update(options, models=models)
    monkeypatch.setitem(sys.modules, "nextgpt_lite.evaluation.comparison.run", module)
    assert main(["compare", "--model", "a", "b", "--output", "o", "--groups", "image"]) == 0
    assert asked["models"] == (["a", "b"], [])
    assert asked["groups"] == ["image"]
    assert asked["output"] == Path("o")


def test_plugins_add_commands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    guest = SimpleNamespace(commands=lambda: {"sing": sing, "paint wall": lambda: print("wall")})
    monkeypatch.setattr(cli, "plugins", lambda: ["mine", "silent"])
    monkeypatch.setattr(cli, "plugin", {"mine": guest, "silent": SimpleNamespace()}.get)
    assert main(["sing", "--loud"]) == 0
    assert main(["paint", "wall"]) == 0
    assert capsys.readouterr().out == "LA\nwall\n"
    assert main(["sing", "--help"]) == 0
    assert "how it should sound." in capsys.readouterr().out


def sing(*, loud: bool = False) -> None:
    """Sing.

    Args:
        loud: how it should sound.
    """
    print("LA" if loud else "la")


def test_a_new_modality_has_its_option(monkeypatch: pytest.MonkeyPatch) -> None:
    row = SimpleNamespace(name="depth", plural="depths")
    monkeypatch.setitem(MODALITIES, "depth", row)
    group: Any = get_command(cli.application())
    assert "--depth" in {flag for option in group.commands["chat"].params for flag in option.opts}


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
    def from_pretrained(cls, name: str, **_: Any) -> _Model:
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
        "num_inference_steps": None,
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
    code = (
        "import sys\nfrom nextgpt_lite.cli import main\nfor name in sys.argv[1:]:\n"
        "    assert main([name, '--help']) == 0\n"
        "assert not {'torch', 'transformers', 'av'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, *NAMES], check=True, capture_output=True)


def test_a_bug_still_traces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nextgpt_lite, "NextGPT", None, raising=False)
    with pytest.raises(AttributeError):
        main(["chat", "Hello."])


def test_traceback_on_request(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not exist"):
        main(["--traceback", "chat", "Look.", "--image", str(tmp_path / "none.png")])
