"""Frozen work is done once, is exact, and outlives a run, a kill and a second process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.cli import main
from nextgpt_lite.encoders import Encoder
from nextgpt_lite.media import Audio
from nextgpt_lite.model.config import NextGPTConfig
from nextgpt_lite.training import cache as cache_module
from nextgpt_lite.training.cache import Rows, hash_files, listing, prune
from nextgpt_lite.training.features import Features
from nextgpt_lite.training.loop import Schedule, Trainer
from nextgpt_lite.training.stages import STAGES, ledger
from nextgpt_lite.world.mixture import WorldMixture
from nextgpt_lite.world.rendered import Rendered
from nextgpt_lite.world.scene import Group, Picture, Sound
from tests.tiny import tiny_model

PARTS = [
    {"type": "image", "source": Rendered(Picture((Group("car", "red"),)))},
    {"type": "image", "source": Rendered(Picture((Group("car", "red"),)), 1)},
    {"type": "audio", "source": Rendered(Sound("dog", 2))},
    {"type": "image", "data": Image.new("RGB", (40, 40), "blue")},
    {"type": "audio", "data": Audio(np.zeros((1, 32000), np.float32), 16000)},
    {"type": "audio", "data": Audio(np.zeros((1, 32000), np.float32), 8000)},
]


@pytest.mark.parametrize("number", [1, 2])
def test_a_warm_cache_loads_nothing_and_trains_the_same(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shipped parts: cold, then warm with every way to load one shut."""

    def run(name: str, seen: Path | None) -> tuple[list[float], Trainer]:
        model = NextGPT.from_config(NextGPTConfig.from_profile("lite"), 0)
        schedule = Schedule.of(STAGES[number], steps=2, batch_size=3, log_every=1)
        mixture = WorldMixture(STAGES[number], 0)
        trainer = Trainer(model, STAGES[number], mixture, tmp_path / name, schedule, cache=seen)
        return [line["total"] for line in trainer.run()], trainer

    in_memory, _ = run("memory", None)
    cold, trainer = run("cold", tmp_path / "cache")
    assert trainer.features.computed > 0

    def refused(*_: object, **__: object) -> None:
        raise AssertionError("a frozen part was loaded though the cache is warm")

    monkeypatch.setattr(Encoder, "from_pretrained", refused)
    monkeypatch.setattr("nextgpt_lite.model.nextgpt.load_decoder", refused)
    warm, trainer = run("warm", tmp_path / "cache")
    assert trainer.features.computed == 0
    assert in_memory == cold == warm
    with pytest.raises(AssertionError, match="was loaded"):
        run("another cache", tmp_path / "empty")


def test_the_ledger_counts_an_encoder_that_is_not_loaded() -> None:
    model = NextGPT.from_config(NextGPTConfig.from_profile("lite"), 0)
    rows = [ledger(model, STAGES[1])[0]]
    assert "encoder" not in dict(model.named_children())
    assert model.encoder.width == model.encoder_width
    rows.append(ledger(model, STAGES[1])[0])
    assert [row.part for row in rows] == ["encoder", "encoder"]
    assert rows[0].parameters == rows[1].parameters > 0
    assert [row.dtype for row in rows] == ["not loaded", "float32"]


def test_a_row_does_not_depend_on_what_else_is_asked_for(lite: NextGPT) -> None:
    scenes = [Picture((Group("car", colour),)) for colour in ("red", "blue", "green")]
    parts = [{"type": "image", "source": Rendered(scene, v)} for scene in scenes for v in (0, 1)]
    captions = [f"a {size} red car" for size in ("small", "large")] + ["a dog barks"] * 3
    together = Features(lite)
    rows, conditions = together.media(parts), together.conditions("audio", captions)
    for index, part in enumerate(parts):
        assert torch.equal(Features(lite).media([part])[0], rows[index])
    for index, caption in enumerate(captions):
        assert torch.equal(Features(lite).conditions("audio", [caption])[0], conditions[index])
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(Features(lite).media(parts), rows)


def test_rows_come_back_bit_for_bit_and_each_item_has_its_own(tmp_path: Path) -> None:
    model = tiny_model()
    first = Features(model, cache=tmp_path)
    rows = first.media(PARTS)
    assert len({row.numpy().tobytes() for row in rows[:5]}) == 5
    first.flush()
    again = Features(model, cache=tmp_path)
    assert torch.equal(again.media(PARTS[::-1]), rows.flip(0))
    assert (first.computed, again.computed) == (6, 0), "the same samples at another rate differ"


def test_files_are_known_by_content(tmp_path: Path) -> None:
    model, folder = tiny_model(), tmp_path / "media"
    folder.mkdir()
    Image.new("RGB", (40, 40), "red").save(folder / "a.png")
    (folder / "copy.png").write_bytes((folder / "a.png").read_bytes())
    features = Features(model, folder, tmp_path / "cache")
    features.media([{"type": "image", "path": "a.png"}, {"type": "image", "path": "copy.png"}])
    assert features.computed == 1
    Image.new("RGB", (40, 40), "green").save(folder / "a.png")
    features.media([{"type": "image", "path": "a.png"}])
    assert features.computed == 2
    with pytest.raises(ValueError, match=r"gone\.png"):
        features.media([{"type": "image", "path": "gone.png"}])


def test_another_component_uses_other_rows(tmp_path: Path) -> None:
    for seed, expected in ((0, 6), (1, 6), (0, 0)):
        features = Features(tiny_model(seed), cache=tmp_path)
        features.media(PARTS)
        features.flush()
        assert features.computed == expected, f"encoder of seed {seed}"


def test_an_encoder_s_hash_follows_its_files(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"weights")
    before = hash_files([tmp_path / "model"], tmp_path)
    assert hash_files([tmp_path / "model"], tmp_path) == before
    (tmp_path / "model").write_bytes(b"Weights")
    assert hash_files([tmp_path / "model"]) != before


KEYS = [bytes([n]) * 32 for n in range(8)]

PROCESS = """
import sys, torch
from pathlib import Path
from nextgpt_lite.training.cache import Rows
for turn in range(20):
    rows = Rows(Path(sys.argv[1]) / "part")
    for n in range(8):
        key = bytes([n]) * 32
        if key not in rows:
            rows.add([key], [torch.full((3,), float(n))])
            rows.flush()
"""


def test_several_processes_share_a_cache(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROCESS, str(tmp_path)]
    running = [subprocess.Popen(command) for _ in range(2)]
    assert [process.wait(120) for process in running] == [0, 0]
    rows = Rows(tmp_path / "part")
    assert torch.equal(rows.stack(KEYS)[:, 0], torch.arange(8.0))
    assert not list(tmp_path.rglob(".*.safetensors")), "no draft is left"


def test_a_damaged_segment_is_named_and_computed_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = Rows(tmp_path / "part")
    rows.add(KEYS, torch.arange(8.0)[:, None])
    rows.flush()
    (segment,) = (tmp_path / "part").glob("*.safetensors")
    segment.write_bytes(segment.read_bytes()[:-9])
    assert KEYS[0] not in Rows(tmp_path / "part")
    assert "is damaged" in caplog.text


def test_a_disk_that_refuses_costs_a_warning_and_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache_module, "save_file", full)
    rows = Rows(tmp_path / "part")
    rows.add(KEYS, torch.arange(8.0)[:, None])
    rows.flush()
    assert "No space left" in caplog.text
    assert torch.equal(rows.stack(KEYS)[:, 0], torch.arange(8.0))


def test_a_cache_stops_growing_at_its_limit(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Rows(tmp_path / "one", limit=10).add(KEYS, torch.zeros(8, 1))
    rows = Rows(tmp_path / "one", limit=10)
    rows.add(KEYS[:4], torch.zeros(4, 100))
    rows.flush()
    rows.add(KEYS[4:], torch.zeros(4, 100))
    rows.flush()
    assert "--prune" in caplog.text
    assert KEYS[7] in rows
    assert len(Rows(tmp_path / "one")) == 4


def test_the_command_shows_and_empties(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, size in (("small", 10), ("large", 1000)):
        rows = Rows(tmp_path / name, {"name": f"the {name} one"})
        rows.add(KEYS, torch.zeros(8, size))
        rows.flush()
    assert [part.name for part in listing(tmp_path)] == ["large", "small"]
    assert main(["cache", "--folder", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "8 rows" in told
    assert "the large one" in told
    assert prune(tmp_path, keep=10_000_000) == 0
    assert main(["cache", "--folder", str(tmp_path), "--prune", "0"]) == 0
    assert listing(tmp_path) == []
