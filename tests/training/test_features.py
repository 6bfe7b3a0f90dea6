"""Frozen work is done once, is exact, and outlives a run, a kill and a second process."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.encoders import Encoder
from nextgpt_lite.media import Audio
from nextgpt_lite.model.config import NextGPTConfig
from nextgpt_lite.training.features import GROUP, Features
from nextgpt_lite.training.loop import Schedule, Trainer
from nextgpt_lite.training.stages import (
    STAGES,
)
from nextgpt_lite.world.mixture import WorldMixture
from nextgpt_lite.world.rendered import Rendered
from nextgpt_lite.world.scene import Group, Picture, Sound
from tests.tiny import tiny_model
from tests.training.runs import trainer

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
    monkeypatch.setattr("nextgpt_lite.model.frozen.load_decoder", refused)
    warm, trainer = run("warm", tmp_path / "cache")
    assert trainer.features.computed == 0
    assert in_memory == cold == warm
    with pytest.raises(AssertionError, match="was loaded"):
        run("another cache", tmp_path / "empty")


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


def test_conditions_computed_before_are_taken_where_they_fit(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A decoder's text encoder is not even asked; an array of another shape gives way to it."""
    model = tiny_model()
    given = np.arange(72, dtype=np.float16).reshape(6, 12)
    for name, values in {"a": given, "odd": given.T, "nan": given * np.nan}.items():
        np.save(tmp_path / f"{name}.npy", values)
    (tmp_path / "cut.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:90])
    features = Features(model, tmp_path)

    def conditions(*names: str) -> torch.Tensor:
        parts = [{"type": "image", "embedding": f"{name}.npy"} for name in names]
        return features.conditions("image", ["a", "b"], parts)

    assert torch.equal(conditions("a", "a"), torch.tensor(given).float().expand(2, 6, 12))
    assert not model.decoder("image").asked
    mixed = conditions("a", "absent")
    assert torch.equal(mixed[0], torch.tensor(given).float())
    assert torch.equal(mixed[1], features.conditions("image", ["b"])[0])
    for name, reason in {"cut": "no array", "nan": "holds NaN"}.items():
        with pytest.raises(ValueError, match=rf"{name}\.npy: .*{reason}"):
            features.given({"type": "image", "embedding": f"{name}.npy"})
    assert torch.equal(conditions("odd", "odd"), features.conditions("image", ["a", "b"]))
    assert "takes (6, 12)" in caplog.text


def test_another_component_uses_other_rows(tmp_path: Path) -> None:
    for seed, expected in ((0, 6), (1, 6), (0, 0)):
        features = Features(tiny_model(seed), cache=tmp_path)
        features.media(PARTS)
        features.flush()
        assert features.computed == expected, f"encoder of seed {seed}"


def test_frozen_work_is_done_once(tmp_path: Path) -> None:
    model = tiny_model()
    trainer(model, 2, tmp_path, steps=6).run()
    for modality in ("image", "audio", "video"):
        asked = model.decoders[modality].asked  # in groups of one size, filled up with repetitions
        groups = [set(asked[first : first + GROUP]) for first in range(0, len(asked), GROUP)]
        assert sum(map(len, groups)) == len(set(asked)) > 0
