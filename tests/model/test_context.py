"""Conversations longer than the language model's context."""

from __future__ import annotations

import pytest

from nextgpt_lite.errors import ConfigError
from nextgpt_lite.model.context import newest_turns
from nextgpt_lite.model.generation import Sampling
from nextgpt_lite.model.llm import LanguageModel
from tests.tiny import tiny_model

SAMPLING = Sampling(max_new_tokens=20)  # and four blocks of at most 25
REPLY = 120


@pytest.fixture
def model():
    return tiny_model()


def limit(model, context: int) -> None:
    model.llm.causal_lm.config.max_position_embeddings = context


def talk(turns: int) -> list[dict]:
    """The last message is a user's."""
    said = [[{"role": "user", "content": f"Draw {n} cars"}, {"role": "assistant", "content": "ok"}]
            for n in range(turns)]  # fmt: skip
    return [message for pair in said for message in pair][:-1]


def length(model, messages: list[dict]) -> int:
    return len(model.conversation.encode(messages, reply_follows=True))


def newest(model, messages: list[dict]) -> list[dict]:
    kept, encoded = newest_turns(model.conversation, messages, model.llm, SAMPLING)
    assert encoded == model.conversation.encode(kept, reply_follows=True)
    return kept


@pytest.mark.parametrize("kept", [1, 3, 5])
def test_as_few_of_the_oldest_turns_are_left_out_as_must_be(model, kept: int) -> None:
    messages = talk(5)
    ending = messages[2 * (5 - kept) :]
    limit(model, length(model, ending) + REPLY)
    assert newest(model, messages) == ending


def test_without_a_limit_all_is_kept(model, monkeypatch) -> None:
    monkeypatch.setattr(LanguageModel, "context", None)
    assert newest(model, talk(300)) == talk(300)


def test_a_message_that_is_too_long_is_refused_before_the_model_runs(model, monkeypatch) -> None:
    monkeypatch.setattr(model.llm, "hidden", lambda *_: pytest.fail("computed"))
    words = "word " * 20_000
    messages = [
        *talk(3),
        {"role": "assistant", "content": "ok"},
        {"role": "user", "content": words},
    ]
    with pytest.raises(ConfigError, match=r"takes \d+,\d+ positions.* 2,048.*shorten"):
        model.chat(messages)


def test_a_reply_that_is_too_long_is_refused(model) -> None:
    with pytest.raises(ConfigError, match="max_new_tokens is 4000"):
        model.chat("Draw", max_new_tokens=4000)


def test_what_was_left_out_is_told_and_makes_no_difference_else(model) -> None:
    messages = talk(40)
    options = {"max_new_tokens": 20, "output_modalities": []}
    limit(model, length(model, messages[-5:]) + REPLY)
    cut, short = model.chat(messages, **options), model.chat(messages[-5:], **options)
    assert cut.text == short.text
    assert not short.warnings
    (warning,) = cut.warnings
    assert "its oldest 74 messages were left out" in warning
    assert model.chat_batch([messages, "Draw"], **options)[0].warnings == cut.warnings


@pytest.mark.parametrize("words", ["", " \n ", "?!", "...", "\U0001f436", "\u200b"])
def test_a_message_that_says_nothing_makes_no_medium(model, words: str, monkeypatch) -> None:
    """Whatever the language model is most inclined to."""
    opener = model.llm.signal_ids["image"][0]

    def inclined(hidden, plain=model.llm.logits):
        logits = plain(hidden)
        logits[..., opener] = 1e4
        return logits

    monkeypatch.setattr(model.llm, "logits", inclined)
    reply = model.chat(words, max_new_tokens=3)
    assert not reply.media
    assert any("neither words nor media" in each for each in reply.warnings)
    spoken = model.chat("dog", max_new_tokens=3)
    assert spoken.images and not spoken.warnings
    assert model.chat(words, max_new_tokens=3, output_modalities=["image"]).images
