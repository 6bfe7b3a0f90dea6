"""The table of modalities: a row more changes nothing for what is there, and is all one needs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.data.indexed import FolderSource
from nextgpt_lite.data.opening import open_source
from nextgpt_lite.data.records import Record
from nextgpt_lite.data.released import read_file, read_folder
from nextgpt_lite.data.writing import conversation_item, mosit_item, pair_item, write_file
from nextgpt_lite.display import parts_html
from nextgpt_lite.encoders.config import ImuConfig, SpectrumConfig, TrunkConfig
from nextgpt_lite.errors import CheckpointError, ConfigError, DataError, MediaError
from nextgpt_lite.media import Audio
from nextgpt_lite.model.batch import collate
from nextgpt_lite.model.config import NextGPTConfig
from nextgpt_lite.model.modality import BUILT_IN, MODALITIES, Modality, register, unregister
from nextgpt_lite.training.loop import Schedule, Trainer
from nextgpt_lite.training.stages import STAGES
from tests.tiny import TinyDecoder, tiny_model

MAP = "nextgpt_lite.encoders.preprocess:preprocess_map"
IMU = "nextgpt_lite.encoders.preprocess:preprocess_imu"
COUNTS = {"image": 5, "audio": 9, "video": 25, "thermal": 3}
CONDITIONS = {"image": [6, 12], "audio": [1, 10], "video": [6, 14], "thermal": [2, 8]}


@pytest.fixture(autouse=True)
def _table_as_before() -> Iterator[None]:
    yield
    for name in set(MODALITIES) - set(BUILT_IN):
        unregister(name)


@pytest.fixture
def thermal() -> Modality:
    return register(Modality(name="thermal", signal="THM", preprocessor=MAP, signals=3))


class ThermalDecoder(TinyDecoder):
    def _grey(self, condition: Tensor, generator: torch.Generator) -> Any:
        return np.full((8, 8), float(condition.mean()), np.float32)


def thermal_model(seed: int = 0) -> NextGPT:
    """A tiny model that reads and makes thermal maps too."""
    model = tiny_model(seed, signal_tokens=COUNTS, conditions=CONDITIONS)
    model.encoder.add_trunk(
        "thermal", SpectrumConfig(width=16, blocks=1, heads=2, height=32, length=32)
    )
    model.encoder.preprocess = replace(model.encoder.preprocess, map_size=32)
    model.decoders["thermal"] = ThermalDecoder("thermal", 2, 8)
    return model.eval()


def heat(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((40, 50)).astype(np.float32)


def write_thermal_folder(folder: Path) -> None:
    """Pairs, a conversation with placeholders and a raw MosIT one, written by the package."""
    row = MODALITIES["thermal"]
    for index in range(4):
        row.save(heat(index), folder / "thermals" / f"t{index}.npy")

    def shown(index: int) -> dict[str, Any]:
        return {"type": "thermal", "path": f"thermals/t{index}.npy"}

    def made(index: int) -> dict[str, Any]:
        return {**shown(index), "caption": f"map {index}"}

    def text(words: str) -> dict[str, Any]:
        return {"type": "text", "text": words}

    def turns(asked: list[Any], said: list[Any]) -> list[dict[str, Any]]:
        return [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]

    pairs = [Record(f"p{i}", turns([shown(i)], [text(f"A dog {i}.")]), "pair") for i in range(4)]
    asked = [Record("c", turns([text("Draw it")], [text("Here."), made(1)]), "caption")]
    told = [Record("m", turns([made(0), text("Warmer")], [text("Here."), made(2)]), "mosit")]
    write_file(folder / "thermal.json", map(pair_item, pairs))
    write_file(folder / "t_generation.json", (conversation_item(r, False) for r in asked))
    write_file(folder / "mosit.json", (mosit_item(r, "made") for r in told))


# --- the table


def test_a_row_needs_a_name_and_a_prefix() -> None:
    row = register(Modality(name="lidar", signal="LDR"))
    assert (row.plural, row.trunk) == ("lidars", "lidar")
    assert (row.open, row.close, row.signal_tokens(1)) == ("<Ldr>", "</Ldr>", ["[LDR0]"])
    register(replace(row, signals=9))  # a notebook's cell runs twice
    assert MODALITIES["lidar"].signals == 9
    unregister("lidar")
    unregister("image")
    assert tuple(MODALITIES) == BUILT_IN


@pytest.mark.parametrize(
    "row",
    [
        Modality(name="image", signal="PIC"),
        Modality(name="text", signal="TXT"),
        Modality(name="two words", signal="TWO"),
        Modality(name="depth", signal="IMG"),
        Modality(name="imu", signal="IMU"),  # <Imu> would be marker and caption mark
        Modality(name="depth", signal="DPT", plural="images"),
    ],
)
def test_a_row_that_would_be_confused_with_another_is_refused(row: Modality) -> None:
    with pytest.raises(ConfigError, match="choose"):
        register(row)
    assert tuple(MODALITIES) == BUILT_IN


def test_functions_are_given_or_named(tmp_path: Path) -> None:
    row = Modality(
        name="smell", signal="SML",
        loader=lambda path: Path(path).read_text(encoding="utf-8"),
        saver=lambda medium, path: Path(path).write_text(medium, encoding="utf-8"),
        viewer=lambda medium: f"<b>{medium}</b>",
    )  # fmt: skip
    register(row).save("tar", tmp_path / "a.txt")
    assert row.load(tmp_path / "a.txt") == "tar"
    assert parts_html([{"type": "smell", "data": "tar"}]) == "<div><b>tar</b></div>"
    with pytest.raises(MediaError, match=r"none\.npy"):
        Modality(name="touch", signal="TCH").load(tmp_path / "none.npy")


# --- what is there stays


def test_a_further_row_changes_nothing_for_the_shipped_model(
    lite: NextGPT, thermal: Modality
) -> None:
    again = NextGPT.from_pretrained("lite")
    assert again.llm.signal_ids == lite.llm.signal_ids
    assert len(again.llm.tokenizer) == len(lite.llm.tokenizer)
    before, after = (m.chat("Show me a small red dog.", seed=1) for m in (lite, again))
    assert (after.text, after.signal_tokens) == (before.text, before.signal_tokens)
    assert [i.tobytes() for i in after.images] == [i.tobytes() for i in before.images]
    assert after.thermals == []
    with pytest.raises(ConfigError, match="does not read the modality 'thermal', only image"):
        again.chat("What is it?", thermals=[heat(0)])


def test_a_preset_stays_without_the_row(thermal: Modality) -> None:
    config = NextGPTConfig.from_profile("lite")
    assert tuple(config.signal_tokens) == tuple(config.decoders) == BUILT_IN
    assert config.trunks == ("vision", "audio")
    read = NextGPTConfig.from_profile("lite", decoders={"thermal": None})
    assert read.signal_tokens["thermal"] == 0
    assert read.trunks == ("vision", "audio", "thermal")
    with pytest.raises(ConfigError, match="only reads the modality 'thermal'"):
        read.with_decoders({"thermal": "a/folder"})


def test_a_model_may_have_fewer_modalities() -> None:
    config = NextGPTConfig.from_profile("lite", signal_tokens={"image": 5})
    assert [*config.conditions] == [*config.decoders] == ["image"]
    model = tiny_model(signal_tokens={"image": 5}, conditions={"image": [6, 12]})
    with pytest.raises(ConfigError, match="'audio'"):
        model.chat("What is it?", audios=[Audio(np.zeros((1, 16000), np.float32), 16000)])


# --- conversations


def test_thermal_maps_go_in_and_come_out(thermal: Modality, tmp_path: Path) -> None:
    model = thermal_model()
    reply = model.chat("Warmer", thermals=[heat(0)], output_modalities=["thermal"], seed=2)
    (made,) = reply.thermals
    assert made.shape == (8, 8)
    assert reply.signal_tokens == ["[THM0]", "[THM1]", "[THM2]"]
    with pytest.raises(AttributeError, match="smells"):
        _ = reply.smells
    other = model.chat("Warmer", thermals=[heat(1)], output_modalities=["thermal"], seed=2)
    assert not np.array_equal(other.thermals[0], made), "the map given must be read"
    saved = json.loads(reply.save(tmp_path).read_text())
    assert saved["media"] == [{"modality": "thermal", "path": "thermal_0.npy"}]
    assert np.array_equal(thermal.load(tmp_path / "thermal_0.npy"), made)
    from_file = model.chat("Warmer", thermals=[tmp_path / "thermal_0.npy"])
    assert from_file.text == model.chat("Warmer", thermals=[made]).text


def test_an_option_that_no_row_has_is_refused(thermal: Modality) -> None:
    with pytest.raises(ConfigError, match=r"no option 'smells'; .* thermals"):
        thermal_model().chat("hi", smells=[1])


def test_a_modality_that_is_only_read_is_not_made(thermal: Modality) -> None:
    counts = {**COUNTS, "thermal": 0}
    conditions = {name: shape for name, shape in CONDITIONS.items() if name != "thermal"}
    model = tiny_model(signal_tokens=counts, conditions=conditions)
    assert model.llm.signal_ids["thermal"] == []
    parts = [{"type": "thermal", "data": heat(0)}]
    assert model.conversation.encode([{"role": "user", "content": parts}]).media
    with pytest.raises(ConfigError, match="does not make the modality 'thermal'"):
        model.conversation.encode([{"role": "assistant", "content": parts}])
    with pytest.raises(ValueError, match="thermal"):
        model.chat("hi", output_modalities=["thermal"])


def test_new_tokens_stand_behind_the_old_ones(thermal: Modality) -> None:
    before, after = tiny_model(), thermal_model()
    assert after.llm.new_ids[: len(before.llm.new_ids)] == before.llm.new_ids
    added = after.llm.describe_ids(after.llm.new_ids[len(before.llm.new_ids) :])
    assert added == ["<Thm>", "</Thm>", "[THM0]", "[THM1]", "[THM2]"]


# --- data


def test_a_folder_of_thermal_maps_is_read(thermal: Modality, tmp_path: Path) -> None:
    write_thermal_folder(tmp_path)
    assert "thermal_name" in (tmp_path / "thermal.json").read_text()
    assert "<thermal>" in (tmp_path / "t_generation.json").read_text()
    assert "<Thermal>t2.npy</Thermal>" in (tmp_path / "mosit.json").read_text()
    records = {record.id: record for record in read_folder(tmp_path)}
    assert records["p0"].messages[0]["content"] == [{"type": "thermal", "path": "thermals/t0.npy"}]
    made = next(r for r in records.values() if r.kind == "caption").messages[1]["content"][1]
    assert (made["path"], made["caption"]) == ("thermals/t1.npy", "map 1")
    told = next(r for r in records.values() if r.kind == "mosit").messages
    assert [m["content"][-1]["type"] for m in told] == ["text", "thermal"]


def test_a_modality_without_a_row_is_named(tmp_path: Path) -> None:
    pair = {"caption": "a dog", "thermal_name": "t0.npy"}
    turns = [{"from": "human", "value": "<thermal>"}, {"from": "gpt", "value": "Yes."}]
    shown = {"input_thermal": "t0.npy", "conversations": turns}
    for item in (pair, shown):
        write_file(tmp_path / "data.json", [item])
        with pytest.raises(DataError, match=r"item 0: .* no modality 'thermal': .*register"):
            read_file(tmp_path / "data.json")


def test_the_lite_world_refuses_what_it_cannot_make(thermal: Modality) -> None:
    wanted = replace(STAGES[2], modalities=("image", "thermal"))
    with pytest.raises(ConfigError, match="no 'thermal': train on a folder"):
        open_source("lite", wanted)
    plain = open_source("lite", STAGES[2])
    types = {p["type"] for i in range(60) for m in plain(i).messages for p in m["content"]}
    assert types == {"text", *BUILT_IN}


# --- training and checkpoints


@pytest.mark.parametrize("stage", [1, 2])
def test_stages_train_with_thermal_maps(stage: int, thermal: Modality, tmp_path: Path) -> None:
    write_thermal_folder(tmp_path)
    model, plan = thermal_model(), STAGES[stage]
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    schedule = Schedule.of(plan, steps=3, batch_size=2, learning_rate=1e-2, warmup=1)
    source = FolderSource(plan, tmp_path)
    trainer = Trainer(model, plan, source, tmp_path / "run", schedule)
    lines = trainer.run()
    moved = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
    if stage == 1:
        assert moved == {"input_projection.linear.weight", "input_projection.linear.bias"}
        return
    assert lines[-1]["condition"] > 0
    projections = {name.split(".")[1] for name in moved if name.startswith("output_projections")}
    assert projections == {"thermal"}, "only what has blocks may move"


def test_a_checkpoint_keeps_its_rows(thermal: Modality, tmp_path: Path) -> None:
    model = thermal_model()
    with torch.no_grad():
        for parameter in model.output_projections["thermal"].parameters():
            parameter.add_(1)
    model.save_pretrained(tmp_path)
    again = thermal_model()
    again.load_trained(tmp_path)
    options: dict[str, Any] = {"output_modalities": ["thermal"], "seed": 3}
    assert torch.equal(*(m.chat("hi", **options).made[0].condition for m in (model, again)))
    register(replace(thermal, signal="HEAT"))
    with pytest.raises(CheckpointError, match="trained with signal 'THM' of the modality"):
        NextGPT.from_pretrained(tmp_path)
    unregister("thermal")
    with pytest.raises(CheckpointError, match="'thermal', which is not in the table"):
        NextGPT.from_pretrained(tmp_path)


def test_a_trained_model_takes_a_further_modality(
    thermal: Modality, lite: NextGPT, tmp_path: Path
) -> None:
    """What it had learned stays; what is saved then knows the modality."""
    NextGPT.from_pretrained("lite", decoders={"thermal": None}).save_pretrained(tmp_path)
    model = NextGPT.from_pretrained(tmp_path)
    old = len(lite.llm.new_ids)
    assert model.llm.new_ids[:old] == lite.llm.new_ids
    assert model.llm.describe_ids(model.llm.new_ids[old:]) == ["<Thm>", "</Thm>"]
    ids = torch.tensor(lite.llm.new_ids)
    assert torch.equal(model.llm.embed(ids), lite.llm.embed(ids))
    question = "How many apples are three and two?"
    assert model.chat(question).text == lite.chat(question).text


# --- ImageBind's other trunks


@pytest.mark.parametrize(
    ("row", "trunk", "shape"),
    [
        (
            Modality(name="depth", signal="DPT", preprocessor=MAP),
            SpectrumConfig(width=16, blocks=1, heads=2, height=32, length=32),
            (48, 64),
        ),
        (
            Modality(name="thermal", signal="THM", preprocessor=MAP),
            SpectrumConfig(width=16, blocks=1, heads=2, height=32, length=32),
            (32, 32),
        ),
        (
            Modality(name="motion", signal="IMU", trunk="imu", preprocessor=IMU),
            ImuConfig(width=16, blocks=1, heads=2, length=64),
            (6, 100),
        ),
        (
            Modality(name="touch", signal="TCH"),  # an array that its trunk reads as it is
            ImuConfig(width=16, blocks=1, heads=2, channels=3, length=40),
            (3, 40),
        ),
    ],
)
def test_an_input_is_one_row_away(
    row: Modality, trunk: TrunkConfig, shape: tuple[int, int]
) -> None:
    register(row)
    counts = {"image": 5, row.name: 0}
    model = tiny_model(signal_tokens=counts, conditions={"image": [6, 12]})
    model.encoder.add_trunk(row.trunk, trunk)
    model.encoder.preprocess = replace(model.encoder.preprocess, map_size=32, imu_length=64)
    media = [np.random.default_rng(i).standard_normal(shape) for i in range(2)]
    features = model.encoder.encode([(row.name, medium) for medium in media])  # (2, E)
    assert features.shape == (2, model.encoder.width)
    assert not torch.allclose(features[0], features[1])
    parts = [{"type": row.name, "data": media[0]}, {"type": "text", "text": "Draw it"}]
    turns = [{"role": "user", "content": parts}, {"role": "assistant", "content": "Six apples."}]
    batch = collate(
        [model.conversation.encode(turns)],
        pad_id=0,
        width=model.encoder.width,
        features=lambda parts: model.encoder.encode([(p["type"], p["data"]) for p in parts]),
        conditions=lambda *_: torch.zeros(0),
    )
    loss = model.loss(batch).total
    loss.backward()
    gradient = model.input_projection.linear.weight.grad
    assert loss > 0
    assert gradient is not None
    assert gradient.any()
    replies = [
        model.chat("Draw it", **{row.plural: [m]}, output_modalities=["image"]).made[0].condition
        for m in media
    ]
    assert not torch.equal(*replies)
