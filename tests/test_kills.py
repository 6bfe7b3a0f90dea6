"""Six kinds of work, killed once each; `python -m tests.kills` kills more often."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no forks")


def test_killed_work_leaves_what_undisturbed_work_does() -> None:
    """The comparison of every bit is in `tests.kills`."""
    made = subprocess.run(
        [sys.executable, "-m", "tests.kills"],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr[-3000:]
    report = json.loads(made.stdout.splitlines()[-1])
    assert len(report) == 6 and min(report.values()) >= 1
