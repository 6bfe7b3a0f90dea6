"""The command line: usage errors, sentences for wrong files, and the commands it passes on to."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from functools import wraps
from io import StringIO
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, get_args

import nbformat
import papermill
import pytest
from PIL import Image
from typer import rich_utils
from typer.main import get_command

import nextgpt_lite
from nextgpt_lite import cli
from nextgpt_lite.cli import commands, main
from nextgpt_lite.data.released import read_folder
from nextgpt_lite.errors import Stopped
from nextgpt_lite.messages import Message
from nextgpt_lite.model.config import PROFILES
from nextgpt_lite.model.modality import MODALITIES
from nextgpt_lite.reply import Reply

NAMES = [name for panel in commands.COMMANDS.values() for name in panel]


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """No colours, which typer forces where GitHub runs it."""
    monkeypatch.setattr(rich_utils, "FORCE_TERMINAL", None)


@pytest.mark.parametrize(
    "arguments",
    [
        ["sing"],
        ["train", "--stage", "4", "--output", "x"],
        ["pretrain", "--part", "nose", "--output", "x"],
        ["chat", "hello", "--modalities", "smell"],
        ["chat", "hello", "--num-inference-steps", "0"],
        ["data", "samples"],
    ],
)
def test_wrong_usage_is_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert "Usage: nextgpt-lite" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["data"]])
def test_a_group_alone_shows_its_help(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert "data" in printed.out + printed.err
    assert "--help" in printed.out + printed.err
    assert "Error" not in printed.err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"nextgpt-lite {nextgpt_lite.__version__}\n"


@pytest.mark.parametrize("command", [*NAMES, "pretrain", "data samples", "regimes", "speedrun"])
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command.split(), "--help"]) == 0
    printed = capsys.readouterr().out
    assert f"Usage: nextgpt-lite {command} " in printed
    assert "Example: nextgpt-lite" in printed


def leaves(command: Any) -> Iterator[Any]:
    """The commands in a group and in the groups within it; some groups are commands, too."""
    if getattr(command, "invoke_without_command", True):
        yield command
    for inner in getattr(command, "commands", {}).values():
        yield from leaves(inner)


def test_every_option_has_help() -> None:
    found = [*leaves(get_command(cli.application()))]
    assert len(found) == len(NAMES) + 4
    for command in found:
        for option in command.params:
            assert option.help, f"{command.name} {option.name}"


def test_commands_that_run_a_model_say_where() -> None:
    running = {"chat", "demo", "train", "refine", "known-media", "cache build", "evaluate",
               "compare", "ablate", "regimes", "data build t2m", "data build mosit"}  # fmt: skip
    for name in running:
        command: Any = get_command(cli.application())
        for word in name.split():
            command = command.commands[word]
        flags = {flag for option in command.params for flag in option.opts}
        assert {"--device", "--precision"} <= flags, name


def test_profiles_offered_are_those_there_are() -> None:
    assert set(get_args(commands.Profile)) == set(PROFILES)


def test_an_option_takes_several_values(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}
    module = ModuleType("run")
    module.compare_models = lambda *models, **options: asked.update(options, models=models)
    monkeypatch.setitem(sys.modules, "nextgpt_lite.evaluation.comparison.run", module)
    assert main(["compare", "--model", "lite", "colab", "--output", "o", "--groups", "image"]) == 0
    assert asked["models"] == (["lite", "colab"], [])
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
        (["chat", "Look.", "--image", "{}/words.png", "--output", "{}"], "words.png"),
    ],
)
def test_a_wrong_file_is_one_sentence(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "words.png").write_text("no image")
    assert main([a.format(tmp_path) for a in arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert "Traceback" not in error


def test_tour_runs_the_shipped_notebook_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: dict[str, Any] = {}

    def execute(source: str, target: str, **options: Any) -> None:
        ran.update(options, cells=len(nbformat.read(source, as_version=4).cells))
        nbformat.write(nbformat.v4.new_notebook(), target)

    monkeypatch.setattr(papermill, "execute_notebook", execute)
    monkeypatch.chdir(tmp_path)
    assert main(["tour"]) == 0
    assert ran["cells"] > 10
    assert ran["cwd"] == "out"
    assert not ran["progress_bar"]  # nobody watches
    assert "<html" in (tmp_path / "out/00_tour.html").read_text()
    assert "out/00_tour.html" in capsys.readouterr().out


class _Model:
    """Stands in for the real model, whose replies other tests examine."""

    asked: dict[str, Any]

    @classmethod
    def from_pretrained(cls, name: str, **options: Any) -> _Model:
        model = cls()
        _Model.asked = {"model": name, **options}
        return model

    def chat(self, messages: list[Message], **options: Any) -> Reply:
        _Model.asked |= {"messages": messages, **options}
        return Reply([{"type": "text", "text": "Here."}, *messages[-1]["content"][:-1]])


def test_chat_passes_its_flags_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(nextgpt_lite, "NextGPT", _Model, raising=False)
    picture = tmp_path / "a.png"
    Image.new("RGB", (8, 8)).save(picture)
    flags = ["--image", str(picture), "--seed", "3", "--modalities", "image, audio"]
    flags += ["--temperature", "0.5", "--top-p", "0.9", "--max-new-tokens", "7"]
    flags += ["--guidance-scale", "2.5", "--num-inference-steps", "4"]
    flags += ["--device", "cpu", "--precision", "float32"]
    assert main(["chat", "Look.", *flags, "--output", str(tmp_path)]) == 0
    image, words = _Model.asked.pop("messages")[0]["content"]
    assert words == {"type": "text", "text": "Look."}
    assert image["data"].size == (8, 8)
    assert _Model.asked == {
        "model": "lite",
        "device": "cpu",
        "dtype": "float32",
        "seed": 3,
        "output_modalities": ["image", "audio"],
        "temperature": 0.5,
        "top_p": 0.9,
        "max_new_tokens": 7,
        "num_inference_steps": 4,
        "guidance_scale": 2.5,
    }
    assert capsys.readouterr().out.splitlines() == ["Here.", str(tmp_path / "image_0.png")]
    main(["chat", "Look.", "--modalities", "none", "--output", str(tmp_path), "--json"])
    assert _Model.asked["output_modalities"] == []
    assert json.loads(capsys.readouterr().out)["text"] == "Here."


def test_lines_piped_in_are_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(nextgpt_lite, "NextGPT", _Model, raising=False)
    monkeypatch.setattr("sys.stdin", StringIO("One.\nTwo."))
    assert main(["chat", "--output", str(tmp_path)]) == 0
    assert capsys.readouterr() == ("Here.\nHere.\n", "")
    assert [message["role"] for message in _Model.asked["messages"]].count("user") == 2


MISTAKES = [
    ("chta", "Did you mean 'chat'"),
    ("data sample", "Did you mean 'samples'"),
    ("chat hi --temprature 1", "--temperature"),
    ("chat hi --model litte", "Did you mean 'lite'"),
    ("chat hi --modalities imag", "Did you mean 'image'"),
    ("chat hi --temperature nan", "'nan' is not a number"),
    ("chat hi --top-p 0", "'0' is not a number above 0"),
    ("chat hi --guidance-scale x", "'x' is not a number"),
    ("chat hi --device cude", "'cude' is no device"),
    ("train --stage 1 --output x --data lit", "Did you mean 'lite'"),
    ("chat hi --seed -1", "greater than or equal to 0"),
    ("chat hi --image none.png", "'none.png' does not exist"),
    (f"chat hi --output {__file__}", "is a file"),
    (f"train --stage 1 --output {__file__}", "is a file"),
    ("chat hi --json --quiet", "give one of"),
    ("train --stage 1 --output x --init none", "'none' does not exist"),
    ("train --config none.yaml", "none.yaml is not there"),
    ("refine --output x --init none", "'none' does not exist"),
    ("evaluate --table 9 --model lit", "Did you mean 'lite'"),
    ("evaluate --table 9 --media none", "'none' does not exist"),
    ("evaluate --table 9 --plugin lte", "Did you mean 'lite'"),
    ("evaluate --suite lte --output x", "Did you mean 'lite'"),
    ("compare --output x --model lite colap", "Did you mean 'colab'"),
    ("cache --folder /none --prune -3", "greater than or equal to 0"),
    ("ablate none.yaml --output x", "none.yaml is not there"),
    ("ablate --output x", "Give the file of a grid, or --all."),
    ("ablate configs/ablation/messenger.yaml --all --output x", "Give the file of a grid, or"),
    (f"convert {__file__} --output x", "give --from or --to"),
    ("convert none.pt --from legacy --output x", "'none.pt' does not exist"),
]


RUN_MISTAKES = [  # told with the schedule at hand, which needs torch
    ("train --stage 1", "output is missing: give --output"),
    ("train stage=1 output=x stepz=3", "use some of steps"),
]


@pytest.mark.parametrize(("arguments", "said"), MISTAKES + RUN_MISTAKES)
def test_mistakes_are_named(
    arguments: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(rich_utils, "MAX_WIDTH", 300)  # no sentence is broken
    assert main(arguments.split()) == 2
    assert said in capsys.readouterr().err


def test_mistakes_are_told_before_anything_heavy_is_loaded() -> None:
    code = (
        "import sys\nfrom nextgpt_lite.cli import main\nfor line in sys.argv[1:]:\n"
        "    assert main(line.split()) == 2\n"
        "assert not {'torch', 'transformers', 'av'} & set(sys.modules)"
    )
    lines = [line for line, _ in MISTAKES]
    subprocess.run([sys.executable, "-c", code, *lines], check=True, capture_output=True)


@pytest.mark.parametrize("wrong", [["--table", "99"], ["--table", "9", "--metric", "luck"]])
def test_an_unknown_table_or_metric_loads_no_model(
    wrong: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(nextgpt_lite, "NextGPT", None, raising=False)
    assert main(["evaluate", *wrong]) == 2
    assert wrong[-1] in capsys.readouterr().err


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
        "    assert main([*name.split(), '--help']) == 0\n"
        "assert not {'torch', 'transformers', 'av'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, *NAMES], check=True, capture_output=True)


def test_a_bug_still_traces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nextgpt_lite, "NextGPT", None, raising=False)
    with pytest.raises(AttributeError):
        main(["chat", "Hello."])


@pytest.mark.parametrize(
    ("stop", "command", "code", "said"),
    [
        (Stopped("saved step 3.", 143), "train --stage 1", 143, "saved step 3."),
        (
            KeyboardInterrupt(),
            "train --stage 1",
            130,
            "in x stays, and the same command goes on with --resume.",
        ),
        (KeyboardInterrupt(), "compare", 130, "in x stays, and the same command goes on."),
        (KeyboardInterrupt(), "doctor", 130, "stopped by the keyboard."),
    ],
)
def test_a_stop_says_what_it_leaves(
    stop: BaseException, command: str, code: int, said: str,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def stopped(*_: Any, **__: Any) -> None:
        raise stop

    name, *options = command.split()
    for panel in commands.COMMANDS.values():
        if name in panel:
            monkeypatch.setitem(panel, name, wraps(panel[name])(stopped))
    output = [] if name == "doctor" else ["--output", "x"]
    assert main([name, *options, *output]) == code
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    ["train --stage 1", "refine --init .", "compare", "evaluate", "evaluate --table 3",
     "pretrain --part llm"],
)  # fmt: skip
def test_an_output_that_cannot_be_written_is_refused_before_the_work(
    command: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def heavy(*_: Any, **__: Any) -> None:
        pytest.fail("computed")

    for name in ("from_pretrained", "from_config"):
        monkeypatch.setattr(nextgpt_lite.NextGPT, name, heavy)
    monkeypatch.setattr("torch.optim.AdamW.step", heavy)
    (tmp_path / "file").write_text("")
    output = f"{tmp_path / 'file' / 'in'}"
    assert main([*command.split(), "--output", output]) == 2
    assert f"{output} cannot be written" in capsys.readouterr().err


def test_traceback_on_request(tmp_path: Path) -> None:
    (tmp_path / "none.png").write_text("no image")
    with pytest.raises(ValueError, match=r"none\.png"):
        main(["--traceback", "chat", "Look.", "--image", str(tmp_path / "none.png")])
