"""What happens in a turn before any decoder runs."""

from __future__ import annotations

import pytest
import torch

from nextgpt_lite.turn import _Draft, drafts, prompt_embeddings
from tests.test_chat import BLUE, RED
from tests.tiny import tiny_model


@pytest.fixture(scope="module")
def model():
    return tiny_model()


def test_each_input_item_is_read_on_its_own(model) -> None:
    """The released code sums the items of one modality: order would then not matter."""
    prompts = [
        model.conversation.encode(
            [{"role": "user", "content": [{"type": "image", "data": i} for i in images]}],
            reply_follows=True,
        )
        for images in ((RED, BLUE), (BLUE, RED))
    ]
    (first, second), _ = prompt_embeddings(model, prompts)
    k = model.config.input_tokens
    starts = [slot.start for slot in prompts[0].media]
    gaps = [[p[s : s + k] for s in starts] for p in (first, second)]
    torch.testing.assert_close(gaps[0][0], gaps[1][1])
    torch.testing.assert_close(gaps[0][1], gaps[1][0])
    assert not torch.allclose(gaps[0][0], gaps[0][1])


def test_words_are_told_letter_by_whole_letter_and_decoded_once(model, monkeypatch) -> None:
    words = "A dog 😀 barks, é 漢字 twice. " * 8
    ids = model.llm.tokenizer(words)["input_ids"]
    decode, read = model.conversation.decode, []
    monkeypatch.setattr(
        model.conversation, "decode", lambda some: read.append(len(some)) or decode(some)
    )
    draft = _Draft(model)
    pieces = []
    for token in ids:
        draft.words.append(token)
        pieces.append(draft.tell())
    assert "".join(pieces) == decode(ids), "bytes of one letter come in several tokens"
    assert "" in pieces
    assert sum(read) < 20 * len(ids), "the words so far are not decoded again at each token"


def test_a_medium_that_many_ask_about_is_encoded_once(model, monkeypatch) -> None:
    encoded: list[int] = []
    original = model.encoder.look

    def counted(items: list) -> tuple:
        encoded.append(len(items))
        return original(items)

    monkeypatch.setattr(model.encoder, "look", counted)
    asked = [[{"role": "user", "content": [{"type": "image", "data": image}]}]
             for image in (RED, BLUE, RED, RED)]  # fmt: skip
    model.chat_batch(asked, output_modalities=[], max_new_tokens=2)
    assert encoded == [2]


def test_the_media_of_a_told_reply_have_the_conditions_of_a_written_one(lite) -> None:
    asked = {"role": "user", "content": "I want to see, watch and hear a large orange cat."}
    (written,) = drafts(lite, [[asked]])
    other = [asked, {"role": "assistant", "content": "No."}]
    told, empty = drafts(lite, [[asked, written.message], other])
    assert told.text == written.text and len(told.made) == 3
    assert empty.text == "No." and not empty.made
    for ours, theirs in zip(told.made, written.made, strict=True):
        assert ours.block.modality == theirs.block.modality
        torch.testing.assert_close(ours.condition, theirs.condition, atol=1e-4, rtol=1e-4)
