"""Three hundred damaged files of a fixed seed; `python -m tests.fuzz` tries more."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz import cases, targets

COUNT, SEED = 300, 22


@pytest.fixture
def quiet() -> Iterator[None]:
    """Readers that go on past damage warn, hundreds of times."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.usefixtures("quiet")
@pytest.mark.filterwarnings("ignore")
def test_no_damaged_file_gives_a_traceback_or_an_unnamed_sentence(tmp_path: Path) -> None:
    made = targets(tmp_path / "good")
    faults = [f"{fault}" for fault in cases(made, COUNT, SEED, tmp_path / "work") if fault]
    assert not faults, "\n".join(faults)
