"""The order of a run: it ends on request, goes on exactly, and refuses what would be wrong."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
from pathlib import Path

import pytest

from nextgpt_lite.data.records import Record
from nextgpt_lite.errors import RunError, Stopped
from nextgpt_lite.training.checkpoint import Checkpoints
from nextgpt_lite.training.engine import CHECKPOINTS
from nextgpt_lite.training.report import METRICS
from nextgpt_lite.writing import owned
from tests.tiny import Made, tiny_model
from tests.training.runs import finished, record, trainer


@pytest.mark.parametrize("asked", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_asked_to_stop_ends_its_step_and_goes_on_later(
    asked: signal.Signals, tmp_path: Path
) -> None:
    whole = trainer(tiny_model(), 3, tmp_path / "whole", steps=4).run()
    stopped = trainer(tiny_model(), 3, tmp_path / "parts", steps=4)

    def interrupted(index: int) -> Record:
        if (stopped.step, index) == (1, 4):  # while the second batch is made
            os.kill(os.getpid(), asked)
        return record(index)

    stopped.source = Made(interrupted)
    with pytest.raises(Stopped, match=r"saved step 2 in .*; go on with --resume") as told:
        stopped.run()
    assert stopped.step == 2 and told.value.code == 128 + asked
    rest = trainer(tiny_model(), 3, tmp_path / "parts", steps=4).run(resume=True)
    assert [line["total"] for line in whole[2:]] == [line["total"] for line in rest]
    files = [tmp_path / name / "projections.safetensors" for name in ("whole", "parts")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_run_has_its_folder_to_itself(tmp_path: Path) -> None:
    with owned(tmp_path), pytest.raises(RunError, match="is being written by process"):
        trainer(tiny_model(), 1, tmp_path).run()
    assert not (tmp_path / METRICS).exists()


def test_a_run_is_not_overwritten(tmp_path: Path) -> None:
    trainer(tiny_model(), 1, tmp_path).run()
    with pytest.raises(FileExistsError, match="--resume"):
        trainer(tiny_model(), 1, tmp_path).run()


def test_a_run_goes_on_from_the_checkpoint_before_the_damaged_one(tmp_path: Path) -> None:
    whole = finished(tmp_path).output
    expected = (whole / "adapter_model.safetensors").read_bytes()
    newest = next(iter(Checkpoints(whole / CHECKPOINTS)))
    (newest / "optimizer.safetensors").write_bytes(b"")
    again = trainer(tiny_model(), 3, whole, checkpoint_every=1)
    lines = again.run(resume=True)
    assert [line["step"] for line in lines] == [3]
    assert (whole / "adapter_model.safetensors").read_bytes() == expected
    logged = [json.loads(line)["step"] for line in (whole / METRICS).open()]
    assert logged == [1, 2, 3], "what was logged after the checkpoint is not there twice"


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


def test_a_part_that_no_loss_reaches_is_named(tmp_path: Path) -> None:
    run = trainer(tiny_model(), 3, tmp_path, steps=60)
    run._check_gradients(dict(run.named), 49)
    with pytest.raises(RuntimeError, match=r"No loss reached .*lora.* in 50 steps of stage 3"):
        run._check_gradients(dict(run.named), 50)
