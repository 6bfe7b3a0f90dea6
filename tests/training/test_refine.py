"""Refining moves the output projections and nothing else, and the states it uses are exact."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from nextgpt_lite.training.features import Features
from nextgpt_lite.training.refine import fitting, gather
from nextgpt_lite.training.stages import part_of
from tests.model.test_nextgpt import with_media
from tests.tiny import Made, tiny_model
from tests.training.runs import record, snapshot


def test_gathered_states_are_those_of_the_whole_model() -> None:
    model = tiny_model()
    states = gather(model, Made(record), records=5, batch_size=3)
    encoded = model.conversation.encode(record(0).messages)
    slot = encoded.signals[0]
    features = Features(model).media([slot.part for slot in encoded.media])
    with torch.no_grad():
        starts = torch.tensor([slot.start for slot in encoded.media])
        ids = torch.tensor([encoded.ids])
        embeddings = model.splice(model.llm.embed(ids), starts * 0, starts, features)
        hidden = model.llm.hidden(embeddings)[0]
    blocks = sum(len(found.captions) for found in states.values())
    assert blocks == 2 * 5
    found = states[slot.modality]
    assert found.captions[0] == slot.caption
    block = hidden[slot.start : slot.start + len(model.llm.signal_ids[slot.modality])]
    torch.testing.assert_close(found.hidden[0].float(), block, atol=2e-3, rtol=2e-3)


def test_only_the_output_projection_moves_and_its_loss_falls(tmp_path: Path) -> None:
    model = tiny_model()
    states = gather(model, Made(record), records=6)
    before = snapshot(model)
    run = fitting(
        model, "image", states["image"], tmp_path, steps=60, batch_size=8, learning_rate=1e-2
    )
    losses = [line["condition"] for line in run.run()]
    moved = {
        name for name, value in model.named_parameters() if not torch.equal(value, before[name])
    }
    assert {part_of(name) for name in moved} == {"output_projections"}
    assert all(name.startswith("output_projections.image.") for name in moved)
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])


def test_a_refinement_that_was_stopped_goes_on_bit_for_bit(tmp_path: Path) -> None:
    def run(name: str, stop_at: int = -1, resume: bool = False) -> list[float]:
        model = tiny_model()
        states = gather(model, Made(record), records=6)
        trainer = fitting(model, "audio", states["audio"], tmp_path / name, steps=6, batch_size=4)
        draw = trainer.data

        def data(generator: torch.Generator) -> object:
            if trainer.step == stop_at:
                trainer.stop.set()
            return draw(generator)

        trainer.data = data
        try:
            return [line["condition"] for line in trainer.run(resume)]
        finally:
            kept[name] = trainer

    kept: dict[str, Any] = {}
    whole = run("whole")
    with pytest.raises(KeyboardInterrupt):
        run("parts", stop_at=2)
    assert kept["parts"].step == 3
    assert run("parts", resume=True) == whole[3:]
    ours, theirs = (kept[name].module.parameters() for name in ("parts", "whole"))
    assert all(map(torch.equal, ours, theirs))


def test_denoising_alone_refines_too_and_reads_no_caption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the media count: other conditions give the same weights, other media do not."""

    def fitted(shift: float, scale: float) -> list[torch.Tensor]:
        model = tiny_model(distance_weight=0.0, denoising=1.0, condition_dropout=0.3)
        states = gather(model, Made(with_media), records=6)["image"]
        assert states.latents[0].shape == (3,)
        states.latents = [latents + shift for latents in states.latents]
        decoder = model.decoder("image")
        encode = decoder.encode_text
        monkeypatch.setattr(decoder, "encode_text", lambda some: scale * encode(some))
        folder = tmp_path / f"{shift} {scale}"
        fitting(model, "image", states, folder, steps=3, batch_size=4).run()
        return [*model.output_projections["image"].parameters()]

    first, second, other = fitted(0.0, 1.0), fitted(0.0, 9.0), fitted(1.0, 1.0)
    assert all(map(torch.equal, first, second))
    assert not all(map(torch.equal, first, other))
