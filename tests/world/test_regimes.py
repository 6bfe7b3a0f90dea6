"""Wishes for the same one, and the systems that answer them."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
import torch

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.decoders import Decoder, load_decoder
from nextgpt_lite.evaluation.comparison.rows import read_rows
from nextgpt_lite.model.config import locate
from nextgpt_lite.world import regimes
from nextgpt_lite.world.describe import article, caption
from nextgpt_lite.world.regimes import Beside, Budget, connector, fitting, projected, states
from nextgpt_lite.world.render import render_picture
from nextgpt_lite.world.same_one import SORTS, Wishes, lossy
from tests.tiny import tiny_model

SMALL = Budget(
    asked=3, learnt=4, steps=(8, 8), batch=(2, 2), seeds=1, inverted=(1, 1), inversion=(2, 2),
    dropped=(0.6,), rewarded=3, sampling=2,
)  # fmt: skip


@pytest.fixture(scope="module")
def decoder() -> Decoder:
    return load_decoder(locate("lite/image"))


@pytest.fixture
def model(decoder: Decoder) -> NextGPT:
    """A random LLM and encoder before the real image decoder."""
    shapes = {"image": [24, 128], "audio": [1, 10], "video": [6, 14]}
    made = tiny_model(conditions=shapes)
    made.decoders["image"] = decoder
    return made


def test_what_is_wanted_stands_where_the_given_thing_stood() -> None:
    wishes = [Wishes(unseen=True).wish(index) for index in range(12)]
    assert {wish.sort for wish in wishes} == {*SORTS}
    for wish in wishes:
        true = wish.worth(render_picture(wish.wanted, wish.seed))
        assert true["kept"] == true["right"] == 100 and true["error"] < 2
        changed = wish.worth(render_picture(wish.given, wish.seed))
        assert changed["kept"] == 100 and (changed["right"] == 100) == (wish.sort == "again")
    elsewhere = [wish.worth(render_picture(wish.wanted, wish.seed + 1)) for wish in wishes]
    assert sum(each["kept"] for each in elsewhere) < 100 * len(wishes) / 3
    assert all(each["right"] == 100 for each in elsewhere)  # a caption cannot tell the difference


def test_no_picture_that_is_asked_about_was_learnt_from() -> None:
    asked, learnt = ({(w.given, w.place) for w in map(Wishes(unseen, 0).wish, range(200))}
                     for unseen in (True, False))  # fmt: skip
    assert not asked & learnt


def test_captions_lose_so_many_attributes_and_tell_the_rest() -> None:
    scenes = [Wishes(unseen=True).wish(index).wanted for index in range(200)]
    told = [lossy(scene, 0.6, Random(at)) for at, scene in enumerate(scenes)]
    things = [scene.groups[0] for scene in scenes]
    assert all(thing.kind in words for thing, words in zip(things, told, strict=True))
    left = [
        sum(thing.colour in words.split() for thing, words in zip(things, told, strict=True)),
        sum(thing.size in words.split() for thing, words in zip(things, told, strict=True)),
    ]
    assert all(0.3 < count / 200 < 0.5 for count in left)
    assert lossy(scenes[0], 0.0, Random(0)) == caption(scenes[0])
    record = Wishes(unseen=True, dropped=1.0).wish(0).record(1.0)
    words, medium = record.messages[1]["content"]
    assert medium["caption"] == f"{article(things[0].kind)}" and medium["caption"] in words["text"]


@pytest.mark.parametrize("kind", ["transformer", "beside"])
def test_the_denoising_error_reaches_what_learns_and_nothing_else(
    model: NextGPT, tmp_path: Path, kind: str
) -> None:
    known = states(model, Wishes(False), SMALL.learnt, tmp_path / "known.safetensors")
    module = connector(model, 0)
    if kind == "beside":
        projection, signals = model.output_projections["image"], model.config.signal_tokens["image"]
        module = Beside(projection, signals, (24, 128), known["source"])
        told = projected(model, module, known["source"])
        ids = torch.tensor(model.llm.signal_ids["image"])
        states_of = known["source"][:, :signals]
        same = projection(states_of, model.llm.embed(ids).expand_as(states_of))
        assert torch.allclose(told, same, atol=1e-5)  # nought beside it at first
    trainer = fitting(model, known, "denoising", module, 0, SMALL, tmp_path / "run", 1)
    trainer.backward()
    learns = [p for p in module.parameters() if p.requires_grad]
    assert len(learns) == (2 if kind == "beside" else len([*module.parameters()]))
    assert all(p.grad is not None and p.grad.any() for p in learns)
    assert all(p.grad is None for p in model.parameters())  # LLM, encoder, decoder, projections


def test_a_run_that_goes_on_asks_and_trains_nothing_again(
    model: NextGPT, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(regimes.NextGPT, "from_pretrained", lambda _, **__: model)
    table = regimes.run_regimes(tmp_path, SMALL)
    rows = read_rows(table)
    same = {row["system"] for row in rows if row["group"] == "the same one"}
    assert {"caption", "autoencoder", "l2", "denoising", "inversion"} <= same
    assert {"denoising @2", "denoising @4", "denoising @8"} <= same  # samples seen
    assert {"denoising, rewarded", "denoising, longer", "denoising, transformer"} <= same
    lost = {row["system"] for row in rows if row["group"] == "the same one without 60%"}
    assert lost == {"caption", "l2", "denoising"}
    hard = [row for row in rows if not row["group"].startswith("the same one")]
    assert {row["system"] for row in hard} == {"caption", "inversion"} and len(hard) == 2 * 2 * 3
    monkeypatch.setattr(torch.optim.Optimizer, "step", lambda *_: pytest.fail("trained again"))
    assert read_rows(regimes.run_regimes(tmp_path, SMALL)) == rows
    assert regimes.figure(table).axes
