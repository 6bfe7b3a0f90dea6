"""Packed rows give what padded ones give; what is trained on is what the assistant says."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest
import torch
from torch import Tensor

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.model.batch import Batch, collate, first_fit
from nextgpt_lite.model.conversation import Encoded
from nextgpt_lite.model.losses import IGNORE
from nextgpt_lite.training.features import Features
from nextgpt_lite.training.stages import STAGES, open_for
from nextgpt_lite.world.dialogue import records as dialogue
from tests.tiny import tiny_model
from tests.training.runs import record


def batch_of(model: NextGPT, indices: Sequence[int], pack: int | None = None) -> Batch:
    """Conversations of unequal length: number i says i times more."""
    features = Features(model)
    encoded = []
    for index in indices:
        messages = record(index).messages
        messages[1]["content"][0]["text"] += " Draw a red car." * index
        encoded.append(model.conversation.encode(messages))
    return collate(
        encoded,
        pad_id=0,
        width=model.encoder.width,
        features=features.media,
        conditions=features.conditions,
        pack=pack,
    )


def losses_and_gradients(model: NextGPT, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
    model.zero_grad()
    losses = model.loss(batch)
    losses.total.backward()
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    return torch.stack([*losses]).detach(), found


def open_and_stirred(number: int) -> NextGPT:
    """LoRA's B starts at zero, which would hide what reaches its A."""
    model = tiny_model()
    open_for(model, STAGES[number])
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return model


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("pack", [0, 150])
def test_packed_rows_give_the_losses_and_gradients_of_padded_ones(number: int, pack: int) -> None:
    model = open_and_stirred(number)
    indices = [0, 7, 1, 0, 2]
    padded, packed = batch_of(model, indices), batch_of(model, indices, pack)
    assert packed.positions is not None
    assert packed.ids.numel() < padded.ids.numel()
    ours, gradients = losses_and_gradients(model, packed)
    theirs, expected = losses_and_gradients(model, padded)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    assert set(gradients) == set(expected)
    for name, gradient in expected.items():
        torch.testing.assert_close(gradients[name], gradient, atol=1e-5, rtol=1e-4, msg=name)


def test_packed_conversations_do_not_see_each_other() -> None:
    model = tiny_model()
    batch = batch_of(model, [0, 1], pack=1000)
    assert len(batch.ids) == 1
    second = int((batch.positions[0] == 0).nonzero()[1])
    before = model.read(batch).hidden
    batch.ids[0, 3] = 5  # in the first conversation
    after = model.read(batch).hidden
    assert not torch.equal(before[0, :second], after[0, :second])
    assert torch.equal(before[0, second:], after[0, second:])


def test_nothing_foretells_the_first_token_of_a_conversation() -> None:
    """Not even the last one of its neighbour, where a template lets the assistant begin."""
    model = tiny_model()
    talks = [Encoded([*range(5, 5 + n)], [*range(5, 5 + n)]) for n in (4, 3, 6)]
    found = []
    for pack in (None, 20):
        batch = collate(talks, pad_id=0, width=24, features=torch.stack,
                        conditions=lambda *_: torch.zeros(0), pack=pack)  # fmt: skip
        assert batch.divisors().positions == 4 + 3 + 6 - 3
        found.append(model.loss(batch).total)
    torch.testing.assert_close(*found, atol=1e-5, rtol=1e-5)


def test_every_conversation_gets_a_place_and_none_overlap() -> None:
    lengths = [Random(seed).randint(1, 60) for seed in range(50)]
    taken: set[tuple[int, int]] = set()
    for (row, begin), length in zip(first_fit(lengths, 64), lengths, strict=True):
        assert begin + length <= 64
        mine = {(row, begin + at) for at in range(length)}
        assert not mine & taken
        taken |= mine
    rows = 1 + max(row for row, _ in taken)
    assert rows * 64 < 1.25 * sum(lengths)


@pytest.mark.parametrize("pack", [None, 0])
def test_what_is_trained_on_is_what_the_assistant_says(pack: int | None) -> None:
    """Decodes the targets of each row: the replies with their signal tokens, and nothing else."""
    model = tiny_model()
    records = [dialogue.mosit(Random(seed)) for seed in range(4)]
    records += [dialogue.caption_record(Random(9), "audio"), dialogue.pair(Random(8), "image")]
    encoded = [model.conversation.encode(each.messages) for each in records]
    batch = collate(
        encoded,
        pad_id=0,
        width=24,
        features=lambda parts: torch.zeros(len(parts), 24),
        conditions=lambda modality, captions, _: torch.zeros(len(captions), 1, 1),
        pack=pack,
    )
    expected = []
    for each in records:
        for message in each.messages[1::2]:
            said = "".join(
                part["text"] if part["type"] == "text"
                else "".join(model.llm.describe_ids(model.llm.signal_ids[part["type"]]))
                for part in message["content"]
            )  # fmt: skip
            expected.append(said + model.llm.tokenizer.eos_token)
    told = []
    for row in batch.labels[:, 1:]:  # what a position's state must foretell
        runs: list[list[int]] = [[]]
        for token in row.tolist():
            if token != IGNORE:
                runs[-1].append(token)
            elif runs[-1]:
                runs.append([])
        told += [model.llm.tokenizer.decode(run).strip() for run in runs if run]
    assert sorted(told) == sorted(expected)
