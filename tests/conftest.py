"""Test report: how long each notebook took, above pytest's closing line."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_terminal_summary(terminalreporter):
    reports = [r for kind in ("passed", "failed") for r in terminalreporter.stats.get(kind, [])]
    lines = [
        text
        for report in reports
        for name, text in report.user_properties
        if name == "notebook" and report.when == "call"
    ]
    if lines:
        terminalreporter.section("notebooks")
        terminalreporter.write("\n".join(sorted(lines)) + "\n")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference vectors and official samples; it is not part of the repository."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not (folder / "reference").is_dir():
        pytest.skip(f"no reference vectors at {folder}")
    return folder
