"""A run as a file: what goes before what, and that a run's own file gives the run again."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest
import torch
import yaml

from nextgpt_lite.cli import main
from nextgpt_lite.errors import ConfigError, DamagedError
from nextgpt_lite.model.config import NextGPTConfig
from nextgpt_lite.model.losses import condition_distance
from nextgpt_lite.reading import read_tensors
from nextgpt_lite.shipped import shipped
from nextgpt_lite.training import run as training_run
from nextgpt_lite.training.run import train
from nextgpt_lite.training.runfile import MODEL, RUN_CONFIG, settings
from nextgpt_lite.training.schedule import RECIPES, Schedule
from nextgpt_lite.training.stages import STAGES
from tests.tiny import Made, tiny_model
from tests.training.runs import record

PAPER = Path("configs/runs/paper.yaml")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(
        "stage: 1\noutput: out\nsteps: 5\nlearning_rate: 1e-3\nlora: {rank: 8}\n"
        "stages: {2: {steps: 7, init: out}}\n"
    )
    return path


def test_words_go_before_stages_and_those_before_the_file(file: Path) -> None:
    assert settings(file) == {
        "stage": 1, "output": "out", "steps": 5, "learning_rate": 1e-3,
        "config": {"lora": {"rank": 8}},
    }  # fmt: skip
    second = settings(file, ["stage=2", "warmup=2e-1"])
    assert (second["steps"], second["init"], second["warmup"]) == (7, "out", 0.2)
    assert settings(file, ["stage=2", "steps=9"])["steps"] == 9
    assert settings(file, ["stage=2", "steps=9"], {"steps": 11, "seed": None})["steps"] == 11


def test_a_word_changes_one_value_of_a_key(file: Path) -> None:
    """Of the file's where it has the key, else of the preset's."""
    words = ["lora.targets=all-linear", "signal_tokens.image=4", "profile=paper"]
    config = settings(file, words)["config"]
    assert config["lora"] == {"rank": 8, "targets": "all-linear"}
    assert config["signal_tokens"] == {"image": 4, "audio": 9, "video": 25}


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("steps", "key=value"),
        ("step=3", "use some of steps"),
        ("steps=many", "'steps' is 'many'"),
        ("steps=-1", "greater than or equal to 0"),
        ("stage=4", "'stage' is 4"),
        ("mixed_precision=bf32", "'mixed_precision' is 'bf32'"),
        ("learning_rate=.nan", "finite"),
        ("output.x=1", "holds no 'x'"),
        ("output=[", "no YAML"),
    ],
)
def test_a_wrong_word_is_named(file: Path, word: str, said: str) -> None:
    with pytest.raises((ConfigError, DamagedError)) as refusal:
        settings(file, [word])
    assert said in str(refusal.value)


def test_stage_and_output_must_be_somewhere() -> None:
    with pytest.raises(ConfigError, match="stage is missing"):
        settings(None, ["output=x"])
    with pytest.raises(ConfigError, match="output is missing"):
        settings(None, ["stage=1"])


def test_presets_carry_their_own_numbers() -> None:
    """4e-4 is the authors' rate of stage 1; 2e-3 is lite's."""
    for profile in ("paper", "colab"):
        assert Schedule.of(STAGES[1], profile).learning_rate == 4e-4
        for stage in STAGES.values():
            numbers = Schedule.of(stage, profile)
            assert numbers.learning_rate <= 5e-4
            assert (numbers.beta2, numbers.mixed_precision) == (0.95, "auto")
    assert Schedule.of(STAGES[1]).learning_rate == 2e-3
    assert Schedule.of(STAGES[1], "paper", learning_rate=1e-5).learning_rate == 1e-5
    assert set(RECIPES["paper"]) == set(STAGES)


def test_a_smaller_batch_than_the_preset_s_is_read_in_fewer_passes() -> None:
    assert Schedule.of(STAGES[3], "colab").accumulate == 8
    assert Schedule.of(STAGES[3], "colab", batch_size=4).accumulate == 4
    with pytest.raises(ConfigError, match="accumulate is 8"):
        Schedule.of(STAGES[3], "colab", batch_size=4, accumulate=8)


def test_warm_up_may_be_a_share() -> None:
    share = Schedule.of(STAGES[1], steps=200, warmup=0.1)
    steps = Schedule.of(STAGES[1], steps=200, warmup=20)
    assert [share.rate(n) for n in range(200)] == [steps.rate(n) for n in range(200)]


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_the_paper_as_one_file(stage: int) -> None:
    """It asks for what the preset has, stage by stage, and each goes on from the one before."""
    told = settings(shipped(PAPER), [f"stage={stage}"])
    assert told.get("init") == (f"runs/paper/{stage - 1}" if stage > 1 else None)
    config = NextGPTConfig.from_profile(told["profile"], **told["config"])
    assert config.lora.rank == 32
    assert config.distance == "plain-l2"
    names = asdict(Schedule.of(STAGES[stage])).keys() & told.keys()
    numbers = {name: told[name] for name in names}
    assert Schedule.of(STAGES[stage], **numbers) == Schedule.of(STAGES[stage], "paper")


def test_plain_l2_is_the_length_of_the_difference() -> None:
    projected, condition = torch.randn(3, 5, 7), torch.randn(3, 5, 7)
    found = condition_distance(projected, condition, torch.tensor(9.0), kind="plain-l2")
    assert torch.allclose(found, (projected - condition).pow(2).sum(-1).sqrt().mean())


def test_the_folder_of_a_run_gives_the_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_run.NextGPT, "from_config", lambda *_, **__: tiny_model())
    monkeypatch.setattr(training_run, "open_source", lambda *_: Made(record))
    first, again = tmp_path / "first", tmp_path / "again"
    words = ["stage=1", "steps=2", "batch_size=2", "warmup=1", "beta2=0.9", f"output={first}"]
    assert main(["train", *words, "--cache", "none"]) == 0
    kept = yaml.safe_load((first / RUN_CONFIG).read_text())
    assert (kept["beta2"], kept["cache"], kept["learning_rate"]) == (0.9, "none", 2e-3)
    assert set(MODEL) <= set(kept)
    for part in ("profile", "llm"):  # the tiny model has no preset
        del kept[part]
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(kept))
    assert main(["train", "--config", str(tmp_path / "run.yaml"), f"output={again}"]) == 0
    one, other = (read_tensors(folder / "projections.safetensors") for folder in (first, again))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_what_is_trained_keeps_what_it_was_built_of(tmp_path: Path) -> None:
    """A file may say so again; another value is refused before anything is loaded."""
    with pytest.raises(ConfigError, match="lora"):
        train(3, tmp_path / "run", init="lite", config={"lora": {"rank": 3}})
    told = {"lora": {"rank": 16}, "llm": "lite/llm"}
    train(3, tmp_path / "run", init="lite", config=told, steps=0)
    assert yaml.safe_load((tmp_path / "run" / RUN_CONFIG).read_text())["init"] == "lite"
