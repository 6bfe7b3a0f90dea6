"""What the lite language model reads before it is frozen, and what is shipped of it."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch

from nextgpt_lite.model.config import WEIGHTS
from nextgpt_lite.model.modality import markers
from nextgpt_lite.world.pretraining.llm_data import (
    SOFT_VECTORS,
    Batch,
    Reader,
    Reading,
    embed,
    pack,
)

SHIPPED = WEIGHTS / "lite" / "llm"
TALK = [
    {"role": "user", "content": "<Img> a large red car </Img> How many are 12 and 3?"},
    {"role": "assistant", "content": "There is one car."},
]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(SHIPPED, local_files_only=True)


@pytest.fixture(scope="module")
def model() -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(SHIPPED, dtype=torch.float32).eval()


def test_markers_are_single_ids_and_numbers_digits(tokenizer: Any) -> None:
    for marker in markers():
        assert len(tokenizer.encode(marker, add_special_tokens=False)) == 1
    assert len(tokenizer.encode("1234", add_special_tokens=False)) == 4
    text = "Zebras & Ünïcode, 12!"
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text


def test_a_reading_is_laid_out_as_the_chat_template_does(tokenizer: Any) -> None:
    reading = Reader(tokenizer, soft=0.0).read(TALK, Random(0))
    tight = [{**TALK[0], "content": TALK[0]["content"].replace(" </Img>", "</Img>")}, TALK[1]]
    text = tokenizer.apply_chat_template(tight, tokenize=False)
    assert reading.ids == tokenizer.encode(text, add_special_tokens=False)
    said = [i for i, s in zip(reading.ids, reading.said, strict=True) if s]
    assert tokenizer.decode(said) == " There is one car.</s>"


def test_soft_words_take_the_place_of_alt_text(tokenizer: Any) -> None:
    reading = Reader(tokenizer, soft=1.0).read(TALK, Random(0))
    (soft,) = reading.soft
    assert tokenizer.decode(soft.ids) == " large red car"
    assert tokenizer.decode([reading.ids[soft.begin - 1]]) == "<Img>"
    assert tokenizer.decode([reading.ids[soft.begin + SOFT_VECTORS]]) == "</Img>"
    table = torch.randn(len(tokenizer), 16, generator=torch.Generator().manual_seed(0))
    batch = pack(iter([reading]), rows=1, length=len(reading.ids))
    embedded = embed(table, batch, torch.Generator().manual_seed(0))[0]  # (S, D)
    inside = torch.zeros(len(reading.ids), dtype=torch.bool)
    inside[soft.begin : soft.begin + SOFT_VECTORS] = True
    assert torch.equal(embedded[~inside], table[reading.ids][~inside])
    assert (embedded[inside] != table[tokenizer.pad_token_id]).all()


def test_conversations_in_a_row_do_not_see_each_other(tokenizer: Any, model: Any) -> None:
    from nextgpt_lite.world.pretraining.llm import loss

    reader = Reader(tokenizer, soft=0.0)
    first, second = (
        reader.read([{"role": "user", "content": words}, TALK[1]], Random(0))
        for words in ("Hello!", "Draw seven green bells.")
    )

    def loss_of(*readings: Reading) -> tuple[float, float]:
        batch: Batch = pack(iter(readings), rows=1, length=64)
        said = batch.said.sum().item()
        return loss(model, batch, torch.Generator())["words"].item() * said, said

    alone = [loss_of(first), loss_of(second)]
    together = loss_of(first, second)
    assert together[0] == pytest.approx(alone[0][0] + alone[1][0], rel=1e-4)


def test_the_shipped_model_answers(tokenizer: Any, model: Any) -> None:
    from nextgpt_lite.world.pretraining.llm_scores import answer

    asked = [
        "Hello!",
        "<Img> a large red car </Img> What colour is the car?",
        "Say what to make: Draw four small green cats in the garden.",  # no held-out pair
    ]
    given = answer(model, tokenizer, [[{"role": "user", "content": a}] for a in asked], Random(0))
    assert given == [
        "Hello! What would you like to see or hear?",
        "The car is red.",
        "Four small green cats in the garden.",
    ]


def test_the_card_says_what_was_done() -> None:
    card = Path(SHIPPED / "card.md").read_text(encoding="utf-8")
    for word in ("Data", "Steps", "Exact answers", "arithmetic", "Apache-2.0"):
        assert word in card
