"""Table 1 of the paper, counted from configurations; what fits on a machine; licences."""

from __future__ import annotations

import json
import warnings

import pytest
import torch

from nextgpt_lite.checkpoints.activations import activations
from nextgpt_lite.checkpoints.catalogue import CATALOGUE, blueprint, components, warn_of_licences
from nextgpt_lite.checkpoints.doctor import GIB, Device, Row, budget, memory, report
from nextgpt_lite.checkpoints.parameters import count, sizes
from nextgpt_lite.cli import main
from nextgpt_lite.model.config import NextGPTConfig

# From the model cards and files of the checkpoints, not from this code.
PAPER = {
    "encoder": 1_200_781_061,
    "input_projection": 4_198_400,
    "llm": 6_738_415_616 + 45 * 4096 * 2,  # Vicuna, with room for the new rows in both matrices
    "lora": 33_554_432,
    "token_rows": 45 * 4096 * 2,
    "decoders.image": 859_520_964 + 83_653_863 + 123_060_480 + 303_981_588,
    "decoders.video": 1_411_233_860 + 83_653_863 + 340_387_840,
}


@pytest.fixture(scope="module")
def paper() -> dict[str, Row]:
    return {row.part: row for row in count(NextGPTConfig.from_profile("paper"))}


def test_the_paper_table(paper: dict[str, Row]) -> None:
    assert {part: paper[part].parameters for part in PAPER} == PAPER
    sizes = {m: paper[f"output_projections.{m}"].parameters / 1e6 for m in ("image", "audio")}
    assert sizes == pytest.approx({"image": 31.96, "audio": 31.79}, abs=0.005)
    assert paper["output_projections.video"].parameters / 1e6 == pytest.approx(32.09, abs=0.005)
    assert paper["decoders.audio"].parameters / 1e6 == pytest.approx(975, abs=0.5)
    trunks = {name: round(number / 1e6) for name, number in paper["encoder"].inside.items()}
    assert {name: trunks[name] for name in ("vision", "text", "audio")} == {
        "vision": 633, "text": 354, "audio": 86,
    }  # fmt: skip


def test_a_changed_configuration_leaves_its_preset_alone() -> None:
    NextGPTConfig.from_profile("paper").conditions["image"] = [1, 1]
    assert NextGPTConfig.from_profile("paper").conditions["image"] == [77, 768]


def test_what_learns_is_one_percent(paper: dict[str, Row]) -> None:
    learns = {part: row.stages for part, row in paper.items() if row.stages}
    outputs = {f"output_projections.{m}": [2, 3] for m in ("image", "audio", "video")}
    assert learns == {"input_projection": [1, 3], "lora": [3], "token_rows": [2, 3], **outputs}
    total = sum(row.parameters for row in paper.values())
    assert total / 1e9 == pytest.approx(1.2 + 7 + 1.3 + 1.8 + 0.975 + 0.131, rel=0.02)
    assert sum(paper[part].parameters for part in learns) / total == pytest.approx(0.0109, abs=1e-4)


@pytest.mark.parametrize(("size", "millions"), [("s-full-v2", 421), ("m-full", 652)])
def test_catalogued_decoders_have_their_published_size(size: str, millions: int) -> None:
    config = NextGPTConfig.from_profile("lite")
    config.decoders = {"audio": f"cvssp/audioldm-{size}"}
    rows = {row.part: row for row in count(config)}
    assert round(rows["decoders.audio"].parameters / 1e6) == millions


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("stabilityai/stable-diffusion-xl-base-1.0",
         {"unet": 2567, "vae": 84, "text_encoder": 123, "text_encoder_2": 695}),
        ("PixArt-alpha/PixArt-Sigma-XL-2-1024-MS",
         {"transformer": 611, "vae": 84, "text_encoder": 4762}),
        ("Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
         {"transformer": 1419, "vae": 127, "text_encoder": 5681}),
        ("stabilityai/stable-audio-open-1.0",
         {"transformer": 1057, "vae": 156, "text_encoder": 110, "projection_model": 0}),
    ],
)  # fmt: skip
def test_newer_decoders_have_their_published_sizes(name: str, millions: dict[str, int]) -> None:
    assert {part: round(count / 1e6) for part, count in sizes(name).items()} == millions


def test_every_catalogued_checkpoint_can_be_built() -> None:
    for name in CATALOGUE:
        if name == "nielsr/imagebind-huge":
            continue  # its numbers are `ImageBindConfig.huge`
        files = {path.name for path in blueprint(name).glob("*.json")}
        assert files & {"config.json", "model_index.json"}, name
    with pytest.raises(ValueError, match="not in the catalogue"):
        blueprint("nobody/nothing")


def test_params_prints_ours_beside_the_papers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["params"]) == 0
    lines = capsys.readouterr().out.splitlines()
    row = " ".join(next(line for line in lines if line.startswith("input projection")).split())
    assert row.startswith("input projection linear 256 -> 256 x 8 4M 0.526 M 0.526 M 1, 3 ")


def test_memory_leaves_out_what_is_not_loaded(paper: dict[str, Row]) -> None:
    config = NextGPTConfig.from_profile("paper")
    need = memory(config, list(paper.values()), 2)
    unloaded = 303_981_588 + sum(
        number
        for name, number in paper["encoder"].inside.items()
        if name not in ("vision", "audio")
    )
    total = sum(row.parameters for row in paper.values())
    assert need.resident == 2 * (total - unloaded)
    decoders = 859_520_964 + 83_653_863 + 123_060_480 + paper["decoders.audio"].parameters
    assert need.resident - need.frugal == 2 * decoders  # Zeroscope, the largest, stays


def test_motion_modules_come_with_a_stable_diffusion() -> None:
    config = NextGPTConfig.from_profile("colab")
    rows = [Row("decoders.image", "", 5), Row("decoders.video", "", 3)]
    below = 859_520_964 + 83_653_863 + 123_060_480
    assert memory(config, rows, 2).resident == 2 * (5 + 3 + below)
    assert memory(config, rows, 2).frugal == 2 * (3 + below)


def test_the_cache_of_a_full_context_is_counted_by_its_heads() -> None:
    tiny, vicuna = (NextGPTConfig.from_profile(profile) for profile in ("colab", "paper"))
    rows = [Row(f"decoders.{modality}", "", 0) for modality in tiny.decoders]
    assert memory(tiny, rows, 2).cache == 2 * 2 * 22 * 2048 * 4 * 64  # 4 of 32 heads have keys
    assert memory(vicuna, rows, 2).cache == 2 * 2 * 32 * 4096 * 32 * 128


def test_a_budget_has_the_activations_of_the_real_sizes() -> None:
    more = activations(NextGPTConfig.from_profile("lite"), torch.float32)
    assert 2**21 < more.image < 2**24  # 64 x 64 pixels, twice
    llm = json.loads((blueprint("lite/llm") / "config.json").read_text())
    numbers = 512 * llm["num_hidden_layers"] * (llm["hidden_size"] + llm["intermediate_size"])
    assert 2 < more.record / (4 * numbers) < 20  # several such tensors live on in each layer
    said = budget("lite", Device("a card", "cuda", GIB, GIB))
    assert "activations, at most: 0.0 GiB while an image is made, 0.1 GiB for each record" in said
    lite = NextGPTConfig.from_profile("lite")
    need = memory(lite, count(lite), 4)
    just = need.resident + need.learning  # nothing is left for a record
    said = budget("lite", Device("a card", "cuda", just, GIB))
    assert said.startswith("lite: fits for conversation; training lacks 0.1 GiB")


@pytest.mark.parametrize(
    ("free", "said"),
    [(1, "fits, for training too"), (0.2, "fits, for training"), (0.05, "does not fit: 0.1 GiB")],
)
def test_doctor_says_what_fits_and_why_not(free: float, said: str) -> None:
    here = Device("a card", "cuda", int(free * GIB), GIB)
    lines = report(here, ("lite",)).splitlines()
    assert next(line for line in lines if line.startswith("lite:")).startswith(f"lite: {said}")


def test_licences_are_said_before_loading() -> None:
    config = NextGPTConfig.from_profile("colab")
    with pytest.warns(UserWarning, match="Not for commercial use: nielsr/imagebind-huge") as caught:
        warn_of_licences(config)
    assert "TinyLlama" not in str(caught[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_licences(NextGPTConfig.from_profile("lite"))
    assert len(components(config)) == 5
