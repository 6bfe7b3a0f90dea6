"""Captions as messenger: written between marks, trained on, and read by the decoder's own words."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.data.records import Record
from nextgpt_lite.model.config import NextGPTConfig
from nextgpt_lite.model.generation import Sampling, SignalBlock
from nextgpt_lite.model.losses import IGNORE
from nextgpt_lite.training.loop import Schedule, Trainer
from nextgpt_lite.training.stages import STAGES
from tests.model.test_generation import Urge, written
from tests.tiny import Made, tiny_model

CAPTION = "a large red car in the garden"


@pytest.fixture(scope="module")
def model() -> NextGPT:
    return tiny_model(messenger="caption")


def messages(caption: str | None = CAPTION) -> list[dict]:
    part = {"type": "image", "caption": caption}
    words = {"type": "text", "text": "Here is the picture."}
    return [{"role": "user", "content": "Draw"}, {"role": "assistant", "content": [words, part]}]


def test_the_caption_stands_between_its_marks_and_is_trained_on(model) -> None:
    encoded = model.conversation.encode(messages())
    opening, closing = model.llm.signal_ids["image"]
    first, last = encoded.ids.index(opening), encoded.ids.index(closing)
    assert model.llm.describe_ids([opening, closing]) == ["<Image>", "</Image>"]
    assert model.conversation.decode(encoded.ids[first:last]).strip() == CAPTION
    assert IGNORE not in encoded.labels[first : last + 1]
    assert encoded.labels[: first - 10] == [IGNORE] * (first - 10)
    assert not encoded.signals


def test_a_reply_without_a_caption_cannot_be_told(model) -> None:
    with pytest.raises(ValueError, match="lacks 'caption'"):
        model.conversation.encode(messages(None))


def test_a_caption_ends_and_its_marks_come_in_pairs(model) -> None:
    opening, closing = model.llm.signal_ids["audio"]
    for urged in ([opening], [opening, closing], [opening, model.llm.eos_id]):
        with Urge(model.llm, urged):
            items = written(
                model.llm, Sampling(4, max_blocks=2), allowed=["audio"], required=["audio"]
            )
            blocks = [item for item in items if isinstance(item, SignalBlock)]
        assert 1 <= len(blocks) <= 2
        for block in blocks:
            assert block.ids[0] == opening and block.ids[-1] == closing
            assert not {opening, closing, model.llm.eos_id} & set(block.ids[1:-1])
            assert block.hidden.shape == block.embedding.shape == (len(block.ids), model.llm.width)
            assert len(block.ids) <= 2 + 4


def test_the_decoders_text_encoder_reads_what_was_written(model) -> None:
    reply = model.chat("Draw", output_modalities=["image"], max_new_tokens=6, num_inference_steps=1)
    part = next(part for part in reply.parts if part["type"] == "image")
    assert model.decoders["image"].asked[-1] == part["caption"]
    expected = model.decoders["image"].encode_text([part["caption"]])
    torch.testing.assert_close(reply.made[0].condition, expected[0])
    model.conversation.encode([{"role": "user", "content": "Draw"}, reply.message])


def test_a_stage_trains_it_and_it_is_read_back(tmp_path: Path) -> None:
    model = tiny_model(messenger="caption")
    before = model.llm.embed(torch.tensor([model.llm.new_ids])).detach().clone()

    def record(index: int) -> Record:
        return Record(str(index), messages(), "caption")

    plan = STAGES[2]
    numbers = Schedule.of(plan, steps=6, batch_size=2, learning_rate=1e-2, warmup=1, log_every=1)
    trainer = Trainer(model, plan, Made(record), tmp_path, numbers)
    lines = trainer.run()
    assert trainer.stage.learns == ("token_rows",)
    assert lines[-1]["condition"] == 0 and lines[-1]["signal"] > 0
    assert lines[-1]["total"] < lines[0]["total"]
    other = tiny_model(messenger="caption")
    other.load_trained(tmp_path)
    rows = [m.llm.embed(torch.tensor([m.llm.new_ids])) for m in (model, other)]
    torch.testing.assert_close(*rows)
    assert not torch.allclose(rows[0], before)
    with pytest.raises(ValueError, match="signal_ids"):
        tiny_model().load_trained(tmp_path)


def test_an_unknown_messenger_is_refused() -> None:
    with pytest.raises(ValueError, match="signal, caption"):
        NextGPTConfig.from_dict({"messenger": "pigeon"})
