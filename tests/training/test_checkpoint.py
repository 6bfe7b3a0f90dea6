"""What a run leaves behind: whole or not there, told apart when damaged, refused when foreign."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest
import torch

from nextgpt_lite.training.checkpoint import RUN_FILE, Checkpoints, read_run
from nextgpt_lite.writing import beside


def written(checkpoints: Checkpoints, step: int, loss: float) -> None:
    with checkpoints.new(step, {"loss": loss}) as folder:
        (folder / "weights").write_text(str(step))


def steps(folder: Path) -> list[int]:
    return [int(path.name[5:]) for path in Checkpoints(folder)]


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


@pytest.mark.parametrize("field", ["step", "loss", "schedule", "set_aside", "versions"])
def test_a_field_of_another_type_is_named_with_its_file(field: str, tmp_path: Path) -> None:
    run = {"step": 1, "seconds": 1.0, "loss": 1.0, "schedule": {}, field: "a word"}
    (tmp_path / RUN_FILE).write_text(json.dumps(run))
    with pytest.raises(ValueError, match=rf"{RUN_FILE}: field '{field}"):
        read_run(tmp_path)


def test_no_whole_checkpoint_is_said(tmp_path: Path) -> None:
    written(Checkpoints(tmp_path), 1, 1.0)
    (tmp_path / "step-00000001" / "weights").write_text("other")
    with pytest.raises(ValueError, match="no whole checkpoint, 1 damaged: remove the folder"):
        Checkpoints(tmp_path).newest()


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


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    with beside(path) as draft:
        torch.save({"step": 1}, draft)
    with pytest.raises(OSError, match="cannot be written"), beside(path) as draft:
        draft.write_text("half of it")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert torch.load(path, weights_only=True) == {"step": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.pt"]
