"""What all tests share: fixtures, who runs together, and each notebook's time in the report."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_collection_modifyitems(items):
    """Of several processes, one runs all tests of a file, or of a notebook: they share work."""
    for item in items:
        several = item.get_closest_marker("notebook") and hasattr(item, "callspec")
        parameters = item.callspec.params if several else {}
        item.add_marker(pytest.mark.xdist_group(parameters.get("name", item.path.stem)))


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
def official_samples() -> Path:
    """Eighteen real images, audio clips and videos in the authors' formats.

    They are not ours to give away, so they lie outside the repository, in `../shared`.
    """
    folder = Path(__file__).resolve().parents[2] / "shared" / "data" / "official_samples"
    if not folder.is_dir():
        pytest.skip(f"the authors' sample media are not at {folder}")
    return folder


@pytest.fixture(scope="session")
def odd_inputs(official_samples: Path) -> Path:
    """Files that once were read wrongly, beside those samples."""
    return official_samples.with_name("odd_inputs")


@pytest.fixture(scope="session")
def lite():
    """The shipped model, loaded once for all tests that ask it something."""
    from nextgpt_lite.chat import NextGPT

    return NextGPT.from_pretrained("lite")
