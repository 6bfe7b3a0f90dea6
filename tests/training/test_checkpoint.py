"""What a run leaves behind: whole or not there, told apart when damaged, refused when foreign."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
from pathlib import Path

import pytest
import torch

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.model.config import locate
from nextgpt_lite.training.checkpoint import RUN_FILE, Checkpoints, append, beside
from nextgpt_lite.training.engine import CHECKPOINTS
from nextgpt_lite.training.loop import Trainer
from nextgpt_lite.training.provenance import base, same_base
from nextgpt_lite.training.report import METRICS
from nextgpt_lite.training.stages import STAGES, check_learning, ledger, part_of
from tests.tiny import Made, tiny_model
from tests.training.test_stages import record, trainer


def written(checkpoints: Checkpoints, step: int, loss: float) -> None:
    with checkpoints.new(step, {"loss": loss}) as folder:
        (folder / "weights").write_text(str(step))


def steps(folder: Path) -> list[int]:
    return [int(path.name[5:]) for path in Checkpoints(folder)]


def finished(output: Path, **changes: object) -> Trainer:
    run = trainer(tiny_model(), 3, output, checkpoint_every=1, **changes)
    run.run()
    return run


def test_the_newest_and_the_best_are_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step, loss in enumerate((5.0, 1.0, 3.0, 2.0, 4.0), start=1):
        written(checkpoints, step, loss)
    assert steps(tmp_path) == [5, 4, 2]
    assert checkpoints.newest() == tmp_path / "step-00000005"
    assert checkpoints.best() == tmp_path / "step-00000002"


@pytest.mark.parametrize("name", ["projections.safetensors", RUN_FILE, "SHA256SUMS"])
@pytest.mark.parametrize("how", ["flipped", "cut", "missing"])
def test_a_damaged_checkpoint_is_noticed_and_the_one_before_used(
    name: str, how: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2):
        with checkpoints.new(step, {"loss": 1.0}) as folder:
            (folder / "projections.safetensors").write_bytes(bytes(100))
    path = tmp_path / "step-00000002" / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    if how == "missing":
        path.unlink()
    else:
        path.write_bytes(content if how == "flipped" else content[: len(content) // 2])
    assert checkpoints.newest() == tmp_path / "step-00000001"
    (said,) = caplog.messages
    assert "step-00000002 is damaged" in said
    assert (tmp_path / "step-00000002.damaged").is_dir(), "nothing is lost"


def test_a_run_goes_on_from_the_checkpoint_before_the_damaged_one(tmp_path: Path) -> None:
    whole = finished(tmp_path).output
    expected = (whole / "adapter.safetensors").read_bytes()
    newest = next(iter(Checkpoints(whole / CHECKPOINTS)))
    (newest / "optimizer.safetensors").write_bytes(b"")
    again = trainer(tiny_model(), 3, whole, checkpoint_every=1)
    lines = again.run(resume=True)
    assert [line["step"] for line in lines] == [3]
    assert (whole / "adapter.safetensors").read_bytes() == expected
    logged = [json.loads(line)["step"] for line in (whole / METRICS).open()]
    assert logged == [1, 2, 3], "what was logged after the checkpoint is not there twice"


def test_no_whole_checkpoint_is_said(tmp_path: Path) -> None:
    written(Checkpoints(tmp_path), 1, 1.0)
    (tmp_path / "step-00000001" / "weights").write_text("other")
    with pytest.raises(ValueError, match="no whole checkpoint, 1 damaged: remove the folder"):
        Checkpoints(tmp_path).newest()


def test_a_full_disk_stops_with_a_sentence_and_leaves_the_last_checkpoint_whole(
    tmp_path: Path,
) -> None:
    run = finished(tmp_path)
    run.step += 1
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, limits[1]))  # no file grows beyond this
    try:
        with pytest.raises(OSError, match=r"step-00000004 cannot be written .*make room"):
            run.save()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    checkpoints = Checkpoints(tmp_path / CHECKPOINTS)
    assert checkpoints.newest() == checkpoints.folder / "step-00000003"
    assert not list(tmp_path.rglob("*.writing"))


def test_a_read_only_folder_stops_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Permissions do not bind root, so the file system's answer is given in its place."""

    def refuse(self: Path, target: Path) -> Path:
        raise OSError(errno.EROFS, "Read-only file system", str(target))

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match=r"Read-only file system.*--resume") as caught:
        trainer(tiny_model(), 1, tmp_path).run()
    assert str(caught.value).count("\n") == 0


def test_what_is_renamed_is_on_the_disk_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    happened: list[str] = []
    sync, replace = os.fsync, Path.replace

    def fsync(descriptor: int) -> None:
        happened.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        sync(descriptor)

    def rename(self: Path, target: Path) -> Path:
        happened.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", rename)
    with beside(tmp_path / "step-1") as draft:
        draft.mkdir()
        (draft / "weights").touch()
    assert happened == ["weights", "step-1.writing", "rename", tmp_path.name]


def test_metrics_that_cannot_be_written_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"metrics\.jsonl cannot be written \(Is a directory\)"):
        (tmp_path / "metrics.jsonl").mkdir()
        append(tmp_path / "metrics.jsonl", "{}")


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    with beside(path) as draft:
        torch.save({"step": 1}, draft)
    with pytest.raises(OSError, match="cannot be written"), beside(path) as draft:
        draft.write_text("half of it")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert torch.load(path, weights_only=True) == {"step": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.pt"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"seed": 1}, "seed was 0 and is now 1"), ({"learning_rate": 1.0}, "learning_rate was 0.01"),
     ({"batch_size": 2}, "batch was 3 and is now 2")],
)  # fmt: skip
def test_another_run_is_not_gone_on_with(
    changes: dict[str, object], said: str, tmp_path: Path
) -> None:
    finished(tmp_path)
    with pytest.raises(ValueError, match=said):
        trainer(tiny_model(), 3, tmp_path, **changes).run(resume=True)


def test_other_data_and_another_base_are_not_gone_on_with(tmp_path: Path) -> None:
    finished(tmp_path)
    other = trainer(tiny_model(), 3, tmp_path)
    other.source = Made(lambda index: record(index + 1))
    with pytest.raises(ValueError, match="data was"):
        other.run(resume=True)
    with pytest.raises(ValueError, match=r"base.*fingerprint.*base model 'tiny'"):
        trainer(tiny_model(seed=1), 3, tmp_path).run(resume=True)


def test_a_checkpoint_says_where_it_comes_from(tmp_path: Path) -> None:
    finished(tmp_path)
    newest = next(iter(Checkpoints(tmp_path / CHECKPOINTS)))
    run, config = (json.loads((newest / name).read_text()) for name in (RUN_FILE, "config.json"))
    assert run["base"]["name"] == "tiny" and len(run["base"]["fingerprint"]) == 16
    assert {"revision", "sha256"} <= set(run["base"])
    assert config["config"]["profile"] == "tiny" and config["signal_ids"] and config["new_ids"]
    assert len(run["data"]) == 64 and run["schedule"]["seed"] == 0
    assert run["versions"]["torch"] == torch.__version__
    assert run["commit"] is None or len(run["commit"].removesuffix("-dirty")) == 40


def test_a_base_model_is_known_by_its_files(lite: NextGPT) -> None:
    ours = base(lite)
    assert len(ours["sha256"]) == 64
    same_base(ours, {**ours, "sha256": None}, Path("older"))
    with pytest.raises(ValueError, match=r"s1: field 'base.sha256' is abc.*base model 'lite/llm'"):
        same_base(ours, {**ours, "sha256": "abc"}, Path("s1"))
    assert locate(lite.config.llm).is_dir()


def test_each_stage_hands_on_all_that_was_learned(tmp_path: Path) -> None:
    """1 -> 2 -> 3: what a stage does not train leaves it as it came."""
    before: dict[str, torch.Tensor] = {}
    for number, stage in STAGES.items():
        model = tiny_model()
        if number > 1:
            model.load_trained(tmp_path / str(number - 1))
            for name, value in model.named_parameters():
                assert torch.equal(value, before[name]), f"stage {number} got another {name}"
        trainer(model, number, tmp_path / str(number)).run()
        moved = {n for n, v in model.named_parameters() if n in before and (v != before[n]).any()}
        assert {part_of(name) for name in moved} <= set(stage.learns)
        before = {name: value.detach().clone() for name, value in model.named_parameters()}


def test_a_run_that_would_not_do_what_its_ledger_says_is_stopped(tmp_path: Path) -> None:
    run = trainer(tiny_model(), 3, tmp_path)
    run.model.requires_grad_(False)  # as the released script does, after all was set up
    with pytest.raises(RuntimeError, match="would learn nothing"):
        run.run()
    run = trainer(tiny_model(), 1, tmp_path)
    run.model.llm.requires_grad_(True)
    with pytest.raises(RuntimeError, match="would learn, but stage 1 keeps 'llm' frozen"):
        run.run()
    run = trainer(tiny_model(), 3, tmp_path)
    run.model.output_projections["audio"].requires_grad_(False)
    with pytest.raises(RuntimeError, match=r"output_projections.audio.* would not learn"):
        check_learning(run.model, run.stage, run.optimizers[0])


def test_a_part_that_no_loss_reaches_is_named(tmp_path: Path) -> None:
    run = trainer(tiny_model(), 3, tmp_path, steps=60)
    run._check_gradients(dict(run.named), 49)
    with pytest.raises(RuntimeError, match=r"No loss reached .*lora.* in 50 steps of stage 3"):
        run._check_gradients(dict(run.named), 50)


def test_the_ledger_names_parts_counts_and_dtypes() -> None:
    model = tiny_model()
    model.encoder.bfloat16()
    rows = {row.part: row for row in ledger(model, STAGES[1])}
    assert rows["encoder"].dtype == "bfloat16" and rows["lora"].dtype == "float32"
    assert sum(row.parameters for row in rows.values()) == sum(
        parameter.numel() for parameter in model.parameters()
    )
