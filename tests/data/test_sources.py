"""Sources of records: a folder, a plugin, one's own; found by name and told apart."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from nextgpt_lite.data import sources
from nextgpt_lite.data.records import Record
from nextgpt_lite.data.sources import FolderSource, open_source
from nextgpt_lite.errors import DataError, MissingError
from nextgpt_lite.training.stages import STAGES
from tests.tiny import Made

PAIRS = [{"image_name": f"{n}.png", "id": str(n), "caption": f"picture {n}"} for n in range(3)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pairs of picture and caption."""
    (tmp_path / "images").mkdir()
    for item in PAIRS:
        Image.new("RGB", (8, 8)).save(tmp_path / "images" / item["image_name"])
    (tmp_path / "pairs.json").write_text(json.dumps(PAIRS))
    return tmp_path


def test_a_folder_a_plugin_and_a_source_are_found(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    module = SimpleNamespace(source=lambda *given: asked.append(given) or "made")
    monkeypatch.setattr(sources, "plugins", lambda: ["lite", "mine"])
    monkeypatch.setattr(sources, "plugin", lambda name: asked.append(name) or module)
    assert isinstance(open_source(folder, STAGES[1]), FolderSource)
    assert isinstance(open_source(str(folder), STAGES[1]), FolderSource)
    own = Made(lambda index: Record(str(index), [], "pair"))
    assert open_source(own, STAGES[1]) is own
    assert not asked
    assert open_source("mine", STAGES[2], 7) == "made"
    assert open_source(None, STAGES[3]) == "made"
    assert asked == ["mine", (STAGES[2], 7), "lite", (STAGES[3], 0)]
    with pytest.raises(MissingError, match=r"no such folder, and no plugin .*lite, mine"):
        open_source(folder / "none", STAGES[1])


def test_a_folder_is_drawn_by_number_and_seed(folder: Path) -> None:
    def drawn(seed: int) -> list[str]:
        return [FolderSource(STAGES[1], folder, seed)(index).id for index in range(12)]

    assert drawn(0) == drawn(0) != drawn(1)
    assert set(drawn(0)) == {"0", "1", "2"}
    with pytest.raises(DataError, match="no record for stage 2; it needs one of caption"):
        FolderSource(STAGES[2], folder)


def test_records_tell_sources_apart(folder: Path) -> None:
    before = FolderSource(STAGES[1], folder).identity()
    assert FolderSource(STAGES[1], folder, seed=1).identity() == before, "the same records"
    path = folder / "pairs.json"
    path.write_text(path.read_text().replace("picture 2", "picture two"))
    assert FolderSource(STAGES[1], folder).identity() != before

    def made(key: str) -> str:
        part = {"type": "image", "source": SimpleNamespace(key=key, open=None), "data": object()}
        return Made(lambda _: Record("1", [{"role": "user", "content": [part]}], "pair")).identity()

    assert made("a") == made("a") != made("b")


def test_the_first_turns_are_the_prompts_with_their_media(folder: Path) -> None:
    prompts = FolderSource(STAGES[1], folder).prompts()
    assert len(prompts) == sources.PROMPTS
    for ((turn,),) in zip(prompts, strict=True):
        (part,) = turn["content"]
        assert turn["role"] == "user"
        assert part["type"] == "image"
        assert part["data"].size == (8, 8)
    words = Made(lambda _: Record("1", [{"role": "user", "content": "Hello"}], "text"))
    assert words.prompts()[0][0]["content"] == [{"type": "text", "text": "Hello"}]
