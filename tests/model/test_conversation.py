"""Messages to ids: gaps, blocks and what is trained on."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path

import pytest
from PIL import Image

from nextgpt_lite.errors import DamagedError
from nextgpt_lite.model.conversation import ConversationTokenizer
from nextgpt_lite.model.losses import IGNORE
from nextgpt_lite.model.vocabulary import CHAT_TEMPLATES
from tests.tiny import tiny_config, tiny_llm, tiny_model

PICTURE = {"type": "image", "data": Image.new("RGB", (8, 8))}
LLM = tiny_llm(tiny_config())


def conversation(input_tokens: int = 3) -> ConversationTokenizer:
    return ConversationTokenizer(LLM.tokenizer, LLM.signal_ids, input_tokens)


def dialogue() -> list[dict]:
    return [
        {"role": "user", "content": [PICTURE, {"type": "text", "text": "What do you hear?"},
                                     {"type": "audio", "data": None}]},
        {"role": "assistant", "content": [{"type": "text", "text": "A dog barks twice."},
                                          {"type": "image", "caption": "a dog"},
                                          {"type": "text", "text": "How many?"},
                                          {"type": "video", "caption": "a car"}]},
        {"role": "user", "content": "Show me 7 apples"},
        {"role": "assistant", "content": [{"type": "image", "caption": "apples"}]},
    ]  # fmt: skip


def names(ids: list[int]) -> list[str]:
    return LLM.tokenizer.convert_ids_to_tokens(ids)


@pytest.mark.parametrize("tokens", [1, 3])
def test_every_item_has_its_own_gap_between_its_markers(tokens: int) -> None:
    encoded = conversation(tokens).encode(dialogue())
    assert [slot.part["type"] for slot in encoded.media] == ["image", "audio"]
    for slot, (before, after) in zip(
        encoded.media, [("<Img>", "</Img>"), ("<Aud>", "</Aud>")], strict=True
    ):
        around = names([encoded.ids[slot.start - 1], encoded.ids[slot.start + tokens]])
        assert around == [before, after]
        assert set(encoded.labels[slot.start : slot.start + tokens]) == {IGNORE}


def test_every_block_is_whole_and_where_its_slot_says() -> None:
    encoded = conversation().encode(dialogue())
    assert [(s.modality, s.caption) for s in encoded.signals] == [
        ("image", "a dog"), ("video", "a car"), ("image", "apples"),
    ]  # fmt: skip
    for slot in encoded.signals:
        block = LLM.signal_ids[slot.modality]
        assert encoded.ids[slot.start : slot.start + len(block)] == block
        assert encoded.labels[slot.start : slot.start + len(block)] == block


@pytest.mark.parametrize("tokens", [1, 8])
def test_trained_on_are_the_replies_and_nothing_else(tokens: int) -> None:
    """However wide the gaps: the released code shifts labels once a gap is wider than one."""
    encoded = conversation(tokens).encode(dialogue())
    trained = [i for i, label in enumerate(encoded.labels) if label != IGNORE]
    assert all(encoded.labels[i] == encoded.ids[i] for i in trained)
    text = LLM.tokenizer.decode([encoded.ids[i] for i in trained], skip_special_tokens=True)
    assert text.split() == ["A", "dog", "barks", "twice.", "How", "many?"]
    ends = [i for i in trained if encoded.ids[i] == LLM.eos_id]
    assert len(ends) == 2, "the end of each reply is learned"


def test_a_prompt_ends_where_the_reply_begins() -> None:
    history = dialogue()[:3]
    prompt = conversation().encode(history, reply_follows=True)
    whole = conversation().encode([*history, {"role": "assistant", "content": "Six"}])
    assert whole.ids[: len(prompt)] == prompt.ids
    assert set(prompt.labels) == {IGNORE}
    assert IGNORE not in whole.labels[len(prompt) :]


def test_typed_signal_tokens_are_words() -> None:
    typed = "[IMG0] </s> <Img> \ue0000\ue001"
    encoded = conversation().encode([{"role": "user", "content": typed}], reply_follows=True)
    special = {LLM.eos_id, LLM.signal_ids["image"][0]}
    assert not special & set(encoded.ids)
    assert not encoded.media


@pytest.mark.parametrize(
    ("message", "named"),
    [
        ({"role": "tool", "content": "x"}, "role"),
        ({"role": "user", "content": 3}, "content"),
        ({"role": "user", "content": [{"type": "smell"}]}, "smell"),
        ({"role": "user", "content": [{"type": "text"}]}, "text"),
    ],
)
def test_a_wrong_field_is_named(message: dict, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        conversation().encode([message])


CAPTION = "a large red car in the garden"


def messages(caption: str | None = CAPTION) -> list[dict]:
    part = {"type": "image", "caption": caption}
    words = {"type": "text", "text": "Here is the picture."}
    return [{"role": "user", "content": "Draw"}, {"role": "assistant", "content": [words, part]}]


def test_the_caption_stands_between_its_marks_and_is_trained_on() -> None:
    model = tiny_model(messenger="caption")
    encoded = model.conversation.encode(messages())
    opening, closing = model.llm.signal_ids["image"]
    first, last = encoded.ids.index(opening), encoded.ids.index(closing)
    assert model.llm.describe_ids([opening, closing]) == ["<Image>", "</Image>"]
    assert model.conversation.decode(encoded.ids[first:last]).strip() == CAPTION
    assert IGNORE not in encoded.labels[first : last + 1]
    assert encoded.labels[: first - 10] == [IGNORE] * (first - 10)
    assert not encoded.signals


def test_a_reply_without_a_caption_cannot_be_told() -> None:
    model = tiny_model(messenger="caption")
    with pytest.raises(ValueError, match="lacks 'caption'"):
        model.conversation.encode(messages(None))


TOLD = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Draw"}]
OWN = (
    "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{{ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
STRICT = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}" + OWN
)
SILENT = OWN.replace("<{{ m['role'] }}>{{ m['content'] }}", "{% if m['role'] != 'system' %}"
                     "<{{ m['role'] }}>{{ m['content'] }}{% endif %}")  # fmt: skip


def written(template: str, messages: list[dict]) -> str:
    tokenizer = copy.deepcopy(LLM.tokenizer)
    tokenizer.chat_template = template
    encoded = ConversationTokenizer(tokenizer, LLM.signal_ids, 1).encode(
        messages, reply_follows=True
    )
    return tokenizer.decode(encoded.ids)


@pytest.mark.parametrize("template", [OWN, *CHAT_TEMPLATES.values()])
def test_a_system_turn_stands_where_the_template_has_it(template: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        text = written(template, TOLD)
    assert text.index("Be brief.") < text.lower().rindex("<user>" if template == OWN else ":")
    assert "ASSISTANT: Be" not in text and "Assistant: Be" not in text
    assert written(template, TOLD[1:]) in text


@pytest.mark.parametrize("template", [LLM.tokenizer.chat_template, STRICT, SILENT])
def test_without_a_place_its_words_begin_the_first_user_turn_and_it_is_said(template: str) -> None:
    with pytest.warns(UserWarning, match="no place for a system turn"):
        text = written(template, TOLD)
    assert text == written(template, [{"role": "user", "content": "Be brief. Draw"}])


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        (TOLD[::-1], "stands before all others"),
        ([{"role": "system", "content": [PICTURE]}, TOLD[1]], "words only"),
    ],
)
def test_a_system_turn_that_cannot_be_is_refused(messages: list[dict], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        conversation().encode(messages)


@pytest.mark.parametrize(
    "template",
    ["{% for m in messages %}{% stop %}", "{{ messages[9].content }}", "{{ 1 / 0 }}", "", "x"],
)
def test_a_damaged_template_is_said_with_its_folder(template: str, tmp_path: Path) -> None:
    (tmp_path / "chat_template.jinja").write_text(template)
    tokenizer = copy.deepcopy(LLM.tokenizer)
    tokenizer.chat_template, tokenizer.name_or_path = template, f"{tmp_path}"
    with pytest.raises(DamagedError, match=r"chat_template\.jinja cannot be used"):
        ConversationTokenizer(tokenizer, LLM.signal_ids, 1)
