"""Signal blocks are well formed whatever the LLM would like to say."""

from __future__ import annotations

import pytest
import torch

from nextgpt_lite.model import generation
from nextgpt_lite.model.generation import Prompt, Sampling, SignalBlock, generate
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


def prompt(llm, words: str = "Draw a red car") -> torch.Tensor:
    return llm.embed(torch.tensor(llm.tokenizer.encode(words))).detach()  # (S, D)


def written(llm, sampling: Sampling | None = None, **options) -> list:
    """Words and blocks of one reply."""
    return [item for _, item in generate(llm, [Prompt(prompt(llm), **options)], sampling)]


ALL = ["image", "audio", "video"]


@pytest.mark.parametrize("position", [0, 1, 3])
def test_no_token_inside_a_block_can_be_chosen_alone(llm, position: int) -> None:
    inside = [ids[position] for ids in llm.signal_ids.values()]
    with Urge(llm, inside):
        items = written(llm, Sampling(12, max_blocks=2), allowed=ALL)
    blocks = [item for item in items if isinstance(item, SignalBlock)]
    assert bool(blocks) == (position == 0)
    for block in blocks:
        assert block.ids == llm.signal_ids[block.modality]
        assert block.hidden.shape == block.embedding.shape == (len(block.ids), llm.width)
    signal = {token for ids in llm.signal_ids.values() for token in ids}
    assert not signal & {item for item in items if isinstance(item, int)}


def test_endless_signal_tokens_end(llm) -> None:
    with Urge(llm, [llm.signal_ids["image"][0]]):
        items = written(llm, Sampling(5, max_blocks=3), allowed=ALL)
    assert sum(isinstance(item, SignalBlock) for item in items) == 3
    assert len(items) <= 3 + 5


def test_the_loop_ends_even_without_its_masks(llm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation, "closed_ids", lambda *_: [])
    with Urge(llm, [llm.signal_ids["image"][0]]):
        items = written(llm, Sampling(5, max_blocks=3), allowed=ALL, required=["audio"])
    assert len(items) <= 5 + 3 + 1 + 1


def test_a_forbidden_modality_cannot_appear_and_a_required_one_must(llm) -> None:
    with Urge(llm, [llm.signal_ids["image"][0], llm.eos_id]):
        items = written(llm, Sampling(6), allowed=["audio"], required=["audio"])
    assert [item.modality for item in items if isinstance(item, SignalBlock)] == ["audio"]


def test_a_block_costs_one_forward_and_equals_token_by_token(llm) -> None:
    calls = []
    original = llm.hidden

    def counted(embeddings, *rest):
        calls.append(embeddings.shape[1])
        return original(embeddings, *rest)

    llm.hidden = counted
    start = prompt(llm)[None]
    with Urge(llm, [llm.eos_id]):
        (block,) = written(llm, allowed=["video"], required=["video"])
    assert calls == [start.shape[1], 25]
    embeddings = torch.cat([start, llm.embed(torch.tensor([block.ids]))], 1)
    with torch.no_grad():
        alone = torch.stack(
            [original(embeddings[:, : start.shape[1] + i + 1])[0, -1] for i in range(25)]
        )
    torch.testing.assert_close(block.hidden, alone, atol=1e-4, rtol=1e-4)


def test_gradients_stay_possible_while_a_reply_streams(llm) -> None:
    stream = generate(llm, [Prompt(prompt(llm), ALL)], Sampling(3))
    next(stream)
    assert not torch.is_inference_mode_enabled()


def test_sampling_repeats_with_its_seed(llm) -> None:
    def ids(seed: int) -> list:
        generator = torch.Generator().manual_seed(seed)
        sampling = Sampling(20, max_blocks=0, temperature=2.0, top_p=0.95)
        return written(llm, sampling, generator=generator)

    assert ids(1) == ids(1)
    assert ids(1) != ids(2)


def test_broken_logits_stop_with_a_sentence(llm) -> None:
    with (
        Urge(llm, [5], by=float("nan")),
        pytest.raises(FloatingPointError, match="not finite"),
    ):
        written(llm, allowed=ALL)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("A cat.\n###", "A cat."),
        ("A cat.\n### Human: And now?", "A cat."),
        ("Number ## one # and #", "Number ## one # and #"),
        ("###", ""),
    ],
)
def test_a_mark_in_words_ends_a_reply(
    llm, monkeypatch: pytest.MonkeyPatch, said: str, words: str
) -> None:
    llm.end_mark = "###"
    script = [*llm.tokenizer.encode(said, add_special_tokens=False), *[llm.eos_id] * 9]
    chosen = iter(script)
    monkeypatch.setattr(generation, "_choose", lambda *_: next(chosen))
    assert llm.tokenizer.decode(written(llm, allowed=ALL)).strip() == words


def test_a_required_medium_comes_where_a_mark_ends_the_reply(
    llm, monkeypatch: pytest.MonkeyPatch
) -> None:
    llm.end_mark = "###"
    script = [*llm.tokenizer.encode("A cat. ###", add_special_tokens=False), llm.eos_id]
    chosen = iter(script)
    monkeypatch.setattr(generation, "_choose", lambda *_: next(chosen))
    items = written(llm, allowed=ALL, required=["image"])
    assert isinstance(items.pop(), SignalBlock)
    assert llm.tokenizer.decode(items).strip() == "A cat."


WORDS = ["Draw a red car", "How many are left?", "Show me 7 apples; I ate one. Draw it", "A dog"]


def shape_of(items: list) -> list:
    return [item.ids if isinstance(item, SignalBlock) else item for item in items]


@pytest.mark.parametrize("messenger", ["signal", "caption"])
@pytest.mark.parametrize("layer", [-1, 1])
def test_rows_side_by_side_are_the_rows_alone(messenger: str, layer: int) -> None:
    """Of unlike length, seeds and modalities; some end early, some inside a neighbour's block."""
    llm = tiny_llm(tiny_config(messenger=messenger), seed=3)
    llm.signal_layer = layer

    def asked() -> list[Prompt]:
        wishes = [(ALL, ["video"]), (["audio"], ["audio"]), ([], []), (ALL, ["image", "audio"])] * 2
        return [
            Prompt(prompt(llm, WORDS[n % 4]), *wish, generator=torch.Generator().manual_seed(n))
            for n, wish in enumerate(wishes)
        ]

    with Urge(llm, [llm.eos_id], by=1.5):  # so that replies end at different times
        for sampling in (Sampling(9, temperature=1.5, top_p=0.9), Sampling(9)):
            together: list[list] = [[] for _ in range(8)]
            for row, item in generate(llm, asked(), sampling):
                together[row].append(item)
            alone = [[i for _, i in generate(llm, [each], sampling)] for each in asked()]
            assert [shape_of(row) for row in together] == [shape_of(row) for row in alone]
            for row, same in zip(together, alone, strict=True):
                for ours, theirs in zip(row, same, strict=True):
                    if isinstance(ours, SignalBlock):
                        torch.testing.assert_close(ours.hidden, theirs.hidden, atol=1e-5, rtol=1e-5)
                        assert torch.equal(ours.embedding, theirs.embedding)
            if sampling.temperature:
                assert len({len(row) for row in alone}) > 2, "they end at different times"


def test_a_told_reply_is_read_and_its_blocks_are_those_that_would_be_written(llm) -> None:
    options = {"allowed": ALL, "required": ["image", "video"]}
    reply = written(llm, Sampling(4), **options)
    told = [t for item in reply for t in (item.ids if isinstance(item, SignalBlock) else [item])]
    with Urge(llm, [llm.signal_ids["audio"][0]]):  # it has nothing to choose
        again = written(llm, allowed=ALL, told=told)
    assert shape_of(again) == shape_of(reply)
    for ours, theirs in zip(again, reply, strict=True):
        if isinstance(ours, SignalBlock):
            torch.testing.assert_close(ours.hidden, theirs.hidden, atol=1e-5, rtol=1e-5)


def test_a_caption_ends_and_its_marks_come_in_pairs() -> None:
    llm = tiny_llm(tiny_config(messenger="caption"))
    opening, closing = llm.signal_ids["audio"]
    for urged in ([opening], [opening, closing], [opening, llm.eos_id]):
        with Urge(llm, urged):
            items = written(llm, Sampling(4, max_blocks=2), allowed=["audio"], required=["audio"])
            blocks = [item for item in items if isinstance(item, SignalBlock)]
        assert 1 <= len(blocks) <= 2
        for block in blocks:
            assert block.ids[0] == opening and block.ids[-1] == closing
            assert not {opening, closing, llm.eos_id} & set(block.ids[1:-1])
            assert block.hidden.shape == block.embedding.shape == (len(block.ids), llm.width)
            assert len(block.ids) <= 2 + 4
