"""Nothing that is written is lost by a kill, a full disk or another process."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from nextgpt_lite.errors import RunError
from nextgpt_lite.evaluation.comparison.rows import NEEDED, read_rows, write_rows
from nextgpt_lite.evaluation.ratings.items import Item
from nextgpt_lite.evaluation.ratings.session import Session, read_judgements
from nextgpt_lite.writing import Journal, append, beside, locked, owned, usable

ROW = {**dict.fromkeys(NEEDED, "x"), "seed": 0, "text": 'Two lines,\n"quoted".'}
ADDS = """
import sys
from pathlib import Path
from nextgpt_lite.writing import append
for number in range(40):
    append(Path(sys.argv[1]), f"{sys.argv[2]} {number}\\n", "head\\n")
"""


def test_at_every_cut_the_rows_before_stay_and_the_next_is_not_glued_to_the_rest(
    tmp_path: Path,
) -> None:
    path = tmp_path / "rows.csv"
    write_rows(path, [{**ROW, "id": "a"}])
    one = len(path.read_bytes())
    write_rows(path, [{**ROW, "id": "b"}])
    whole = path.read_bytes()
    for cut in range(one, len(whole)):
        path.write_bytes(whole[:cut])
        assert [row["id"] for row in read_rows(path)] == ["a"]
        write_rows(path, [{**ROW, "id": "c"}])
        assert [row["id"] for row in read_rows(path)] == ["a", "c"]


def test_several_processes_add_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "lines.txt"
    command = [sys.executable, "-c", ADDS, str(path)]
    running = [subprocess.Popen([*command, name]) for name in "ab"]
    assert [process.wait(120) for process in running] == [0, 0]
    head, *lines = path.read_text().splitlines()
    assert head == "head" and sorted(lines) == sorted(f"{n} {i}" for n in "ab" for i in range(40))
    path.write_text("whole\ncut off")
    append(path, "next\n")
    assert path.read_text() == "whole\nnext\n"


def test_a_folder_has_one_writer_and_its_name_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    with owned(folder):
        refused = f"out is being written by process {os.getpid()}: wait for it, or choose another"
        with pytest.raises(RunError, match=refused), owned(folder):
            pass
    with owned(folder):
        pass


def test_a_folder_is_tried_before_work_is_done_for_it(tmp_path: Path) -> None:
    assert usable(tmp_path / "a" / "b").is_dir() and not any((tmp_path / "a" / "b").iterdir())
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file/in cannot be written"):
        usable(tmp_path / "file" / "in")


def test_two_windows_of_a_rater_lose_no_judgement(tmp_path: Path) -> None:
    part = [{"type": "text", "text": "x"}]
    items = [Item("i", "image", "simple", part, {"a": part, "b": part})]
    one, two = (Session(items, tmp_path / "ada.jsonl", "ada") for _ in range(2))
    one.judge([1, 2])
    with pytest.raises(ValueError, match="judged in another window"):
        two.judge([3, 4])
    two.judge([5, 6])
    one.undo()
    assert [said.points for said in read_judgements(tmp_path / "ada.jsonl")] == [(1, 2)]
    assert one.task == ("i" and (items[0], "rationality"))


def test_whoever_adds_or_takes_back_waits_for_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    for act in (lambda: append(path, "{}\n"), Journal(path, dict).undo):
        path.write_text("")
        with locked(path):
            worker = threading.Thread(target=act)
            worker.start()
            worker.join(0.3)
            assert worker.is_alive()
        worker.join()
        path.unlink()


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 KiB, where one may be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", f"{folder}"]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no disk may be mounted here")
    yield folder
    subprocess.run(["umount", f"{folder}"], check=True)


def test_a_full_disk_keeps_what_was_there_and_says_so(full_disk: Path) -> None:
    path = full_disk / "rows.csv"
    append(path, "a,b\n")
    with pytest.raises(OSError, match=r"rows\.csv cannot be written \(No space left"):
        append(path, "c" * 100_000 + "\n")
    append(path, "d,e\n")
    assert path.read_text() == "a,b\nd,e\n"
    with (
        pytest.raises(OSError, match=r"x\.json cannot be written"),
        beside(full_disk / "x.json") as draft,
    ):
        draft.write_bytes(bytes(100_000))
    assert not [*full_disk.glob("*.writing")]


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    try:
        if os.access(tmp_path, os.W_OK):
            pytest.skip("this user may write everywhere")
        with pytest.raises(OSError, match="cannot be written"):
            usable(tmp_path / "in")
    finally:
        tmp_path.chmod(0o755)
