"""Signal blocks are well formed whatever the LLM would like to say."""

from __future__ import annotations

import pytest
import torch

from nextgpt_lite.model import generation
from nextgpt_lite.model.generation import Sampling, SignalBlock, generate
from tests.tiny import tiny_config, tiny_llm


class Urge:
    """Makes some tokens more likely, as an untrained or badly trained head would."""

    def __init__(self, llm, ids: list[int], by: float = 50.0) -> None:
        self.llm, self.ids, self.by = llm, ids, by
        self.original = llm.logits

    def __enter__(self) -> None:
        def urged(hidden):
            logits = self.original(hidden).clone()
            logits[..., self.ids] += self.by
            return logits

        self.llm.logits = urged

    def __exit__(self, *_: object) -> None:
        self.llm.logits = self.original


@pytest.fixture
def llm():
    return tiny_llm(tiny_config())


def prompt(llm) -> torch.Tensor:
    return llm.embed(torch.tensor([llm.tokenizer.encode("Draw a red car")])).detach()


ALL = ["image", "audio", "video"]


@pytest.mark.parametrize("position", [0, 1, 3])
def test_no_token_inside_a_block_can_be_chosen_alone(llm, position: int) -> None:
    inside = [ids[position] for ids in llm.signal_ids.values()]
    with Urge(llm, inside):
        items = list(generate(llm, prompt(llm), allowed=ALL, sampling=Sampling(12, max_blocks=2)))
    blocks = [item for item in items if isinstance(item, SignalBlock)]
    assert bool(blocks) == (position == 0)
    for block in blocks:
        assert block.ids == llm.signal_ids[block.modality]
        assert block.hidden.shape == block.embedding.shape == (len(block.ids), llm.width)
    signal = {token for ids in llm.signal_ids.values() for token in ids}
    assert not signal & {item for item in items if isinstance(item, int)}


def test_endless_signal_tokens_end(llm) -> None:
    with Urge(llm, [llm.signal_ids["image"][0]]):
        items = list(generate(llm, prompt(llm), allowed=ALL, sampling=Sampling(5, max_blocks=3)))
    assert sum(isinstance(item, SignalBlock) for item in items) == 3
    assert len(items) <= 3 + 5


def test_the_loop_ends_even_without_its_masks(llm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation, "closed_ids", lambda *_: [])
    with Urge(llm, [llm.signal_ids["image"][0]]):
        sampling = Sampling(5, max_blocks=3)
        items = list(generate(llm, prompt(llm), allowed=ALL, required=["audio"], sampling=sampling))
    assert len(items) <= 5 + 3 + 1 + 1


def test_a_forbidden_modality_cannot_appear_and_a_required_one_must(llm) -> None:
    with Urge(llm, [llm.signal_ids["image"][0], llm.eos_id]):
        items = list(
            generate(llm, prompt(llm), allowed=["audio"], required=["audio"], sampling=Sampling(6))
        )
    assert [item.modality for item in items if isinstance(item, SignalBlock)] == ["audio"]


def test_a_block_costs_one_forward_and_equals_token_by_token(llm) -> None:
    calls = []
    original = llm.hidden

    def counted(embeddings, attention_mask=None, cache=None):
        calls.append(embeddings.shape[1])
        return original(embeddings, attention_mask, cache)

    llm.hidden = counted
    start = prompt(llm)
    with Urge(llm, [llm.eos_id]):
        (block,) = generate(llm, start, allowed=["video"], required=["video"])
    assert calls == [start.shape[1], 25]
    embeddings = torch.cat([start, llm.embed(torch.tensor([block.ids]))], 1)
    with torch.no_grad():
        alone = torch.stack(
            [original(embeddings[:, : start.shape[1] + i + 1])[0, -1] for i in range(25)]
        )
    torch.testing.assert_close(block.hidden, alone, atol=1e-4, rtol=1e-4)


def test_gradients_stay_possible_while_a_reply_streams(llm) -> None:
    stream = generate(llm, prompt(llm), allowed=ALL, sampling=Sampling(3))
    next(stream)
    assert not torch.is_inference_mode_enabled()


def test_sampling_repeats_with_its_seed(llm) -> None:
    def ids(seed: int) -> list:
        generator = torch.Generator().manual_seed(seed)
        sampling = Sampling(20, max_blocks=0, temperature=2.0, top_p=0.95)
        return list(generate(llm, prompt(llm), allowed=[], sampling=sampling, generator=generator))

    assert ids(1) == ids(1)
    assert ids(1) != ids(2)


def test_broken_logits_stop_with_a_sentence(llm) -> None:
    with (
        Urge(llm, [5], by=float("nan")),
        pytest.raises(FloatingPointError, match="not finite"),
    ):
        list(generate(llm, prompt(llm), allowed=ALL))


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("A cat.\n###", "A cat."),
        ("A cat.\n### Human: And now?", "A cat."),
        ("Number ## one # and #", "Number ## one # and #"),
        ("###", ""),
    ],
)
def test_a_mark_in_words_ends_a_reply(
    llm, monkeypatch: pytest.MonkeyPatch, written: str, words: str
) -> None:
    llm.end_mark = "###"
    script = [*llm.tokenizer.encode(written, add_special_tokens=False), *[llm.eos_id] * 9]
    chosen = iter(script)
    monkeypatch.setattr(generation, "_choose", lambda *_: next(chosen))
    assert llm.tokenizer.decode([*generate(llm, prompt(llm), allowed=ALL)]).strip() == words


def test_a_required_medium_comes_where_a_mark_ends_the_reply(
    llm, monkeypatch: pytest.MonkeyPatch
) -> None:
    llm.end_mark = "###"
    script = [*llm.tokenizer.encode("A cat. ###", add_special_tokens=False), llm.eos_id]
    chosen = iter(script)
    monkeypatch.setattr(generation, "_choose", lambda *_: next(chosen))
    items = list(generate(llm, prompt(llm), allowed=ALL, required=["image"]))
    assert isinstance(items.pop(), SignalBlock)
    assert llm.tokenizer.decode(items).strip() == "A cat."
