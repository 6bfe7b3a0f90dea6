"""Sources of records: a folder, a plugin, one's own; found by name and told apart."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from nextgpt_lite.data import opening, sources
from nextgpt_lite.data.indexed import FolderSource
from nextgpt_lite.data.opening import open_source
from nextgpt_lite.data.records import Record
from nextgpt_lite.errors import ConfigError, DataError, MissingError
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
    monkeypatch.setattr(opening, "plugins", lambda: ["lite", "mine"])
    monkeypatch.setattr(opening, "plugin", lambda name: asked.append(name) or module)
    assert isinstance(open_source(folder, STAGES[1]), FolderSource)
    assert isinstance(open_source(str(folder), STAGES[1]), FolderSource)
    own = Made(lambda index: Record(str(index), [], "pair"))
    assert open_source(own, STAGES[1]) is own
    assert not asked
    assert open_source("mine", STAGES[2], 7) == "made"
    assert open_source(None, STAGES[3]) == "made"
    assert asked == ["mine", (STAGES[2], 7), "lite", (STAGES[3], 0)]
    with pytest.raises(MissingError, match=r"no such folder or file, and no plugin .*lite, mine"):
        open_source(folder / "none", STAGES[1])


def test_a_folder_is_drawn_by_number_and_seed(folder: Path) -> None:
    def drawn(seed: int) -> list[str]:
        return [FolderSource(STAGES[1], folder, seed)(index).id for index in range(12)]

    assert drawn(0) == drawn(0) != drawn(1)
    assert set(drawn(0)) == {"0", "1", "2"}
    (folder / "pairs.json").write_text('[{"instruction": "Add.", "input": "", "output": "5"}]')
    with pytest.raises(DataError, match="no record for stage 2; it needs one of caption"):
        FolderSource(STAGES[2], folder)


def test_pairs_alone_serve_stages_1_and_2_their_media_only_stage_1(folder: Path) -> None:
    for name in ("0.png", "1.png", "2.png"):
        (folder / "images" / name).unlink()
    with pytest.warns(UserWarning, match="does not exist"):
        source = FolderSource(STAGES[2], folder)
    asked, made = source(0).messages
    assert asked["content"] == [{"type": "text", "text": made["content"][0]["caption"]}]
    assert {source(index).messages[1]["content"][0]["caption"] for index in range(3)} == {
        "picture 0", "picture 1", "picture 2",
    }  # fmt: skip
    with pytest.warns(UserWarning), pytest.raises(DataError, match="no record for stage 1"):
        FolderSource(STAGES[1], folder)
    Image.new("RGB", (8, 8)).save(folder / "images" / "1.png")
    with pytest.warns(UserWarning, match="2 skipped"):
        assert FolderSource(STAGES[1], folder)(0), "the index is not trusted when nothing is there"


def test_each_record_comes_once_an_epoch_and_sources_in_their_shares(folder: Path) -> None:
    source = FolderSource(STAGES[1], folder)
    for epoch in range(5):
        drawn = [source(index).id for index in range(3 * epoch, 3 * epoch + 3)]
        assert sorted(drawn) == ["0", "1", "2"]
    other = Made(lambda index: Record(f"other {index}", [], "pair"))
    mixed = open_source([f"{folder}=3", other], STAGES[1])
    drawn = [mixed(index) for index in range(1000)]
    others = [record.id for record in drawn if record.id.startswith("other")]
    assert others == [f"other {index}" for index in range(250)]
    shown = next(r for r in drawn if not r.id.startswith("other")).messages[0]["content"][0]
    assert Path(shown["path"]).is_file() and mixed.folder is None
    assert mixed.identity() != open_source([folder, other], STAGES[1]).identity()
    assert open_source({str(folder): 3.0, "lite": 1}, STAGES[1])(0).messages
    with pytest.raises(ConfigError, match="above 0"):
        open_source([f"{folder}=0", other], STAGES[1])


def test_links_out_of_the_folder_need_a_word_those_of_hugging_face_do_not(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (folder / "images").rename(elsewhere / "images")
    (folder / "images").symlink_to(elsewhere / "images")
    with (
        pytest.warns(UserWarning, match="--follow-links"),
        pytest.raises(DataError, match="no record"),
    ):
        FolderSource(STAGES[1], folder)
    source = FolderSource(STAGES[1], folder, follow_links=True)
    assert source.prompts()[0][0]["content"][0]["data"].size == (8, 8)
    snapshot = elsewhere / "datasets--a" / "snapshots" / "1"
    (snapshot / "images").mkdir(parents=True)
    (elsewhere / "datasets--a" / "blobs").mkdir()
    for item in PAIRS:
        blob = elsewhere / "datasets--a" / "blobs" / item["id"]
        blob.write_bytes((elsewhere / "images" / item["image_name"]).read_bytes())
        (snapshot / "images" / item["image_name"]).symlink_to(f"../../../blobs/{item['id']}")
    (snapshot / "pairs.json").write_text(json.dumps(PAIRS))
    assert FolderSource(STAGES[1], snapshot).prompts()[0][0]["content"][0]["data"].size == (8, 8)


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


def test_what_is_held_out_is_the_same_in_every_run_and_never_trained_on(folder: Path) -> None:
    pairs = [{**PAIRS[0], "id": str(n), "caption": f"picture {n}"} for n in range(40)]
    (folder / "pairs.json").write_text(json.dumps(pairs))

    def drawn(stage: int, seed: int) -> tuple[set[str], set[str]]:
        parts = open_source([folder, folder], STAGES[stage], seed).split(0.1)
        assert parts[1].epoch is not None
        training, held_out = ({part(n).id for n in range(400)} for part in parts)
        return training, held_out

    training, held_out = drawn(1, 0)
    assert len(held_out) == 4 and not training & held_out and len(training | held_out) == 40
    assert drawn(2, 5) == (training, held_out)
    endless = Made(lambda index: Record(str(index), [], "pair")).split(0.1)
    assert endless[0](3).id == "3" and int(endless[1](0).id) > 10**9
    (folder / "pairs.json").write_text(json.dumps(pairs[:1]))
    with pytest.raises(DataError, match="too few records"):
        FolderSource(STAGES[1], folder).split(0.1)
