"""Indices of the folders of these tests go where nobody else's are."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def index_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """One for each test."""
    monkeypatch.setenv("NEXTGPT_LITE_CACHE", str(tmp_path_factory.mktemp("cache")))
