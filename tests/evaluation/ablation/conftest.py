"""Every ablation here is of tiny models; one whole grid is run once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.evaluation.ablation.runner import ablate
from tests.evaluation.ablation.grids import from_config, grid_file


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NextGPT, "from_config", staticmethod(from_config))


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a grid that was run once without a disturbance."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(NextGPT, "from_config", staticmethod(from_config))
        folder = tmp_path_factory.mktemp("whole")
        ablate(grid_file(folder), folder / "out")
    return folder


@pytest.fixture
def once(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of its output, which a test may spoil; the grid file lies beside it."""
    folder = shutil.copytree(whole, tmp_path_factory.mktemp("once"), dirs_exist_ok=True)
    return Path(folder) / "out"
