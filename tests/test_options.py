"""Options of a turn: what they may be, in a sentence, and what transformers' ones do."""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    GenerationConfig,
    LogitsProcessorList,
    MinLengthLogitsProcessor,
    TextIteratorStreamer,
)

from nextgpt_lite.errors import NextGPTError
from nextgpt_lite.options import Options
from tests.tiny import tiny_model

WORDS: dict[str, Any] = {"output_modalities": [], "max_new_tokens": 12}


@pytest.fixture(scope="module")
def model():
    return tiny_model()


WRONG = [
    ("seed", None), ("seed", -1), ("seed", 2**64), ("seed", 1.5), ("seed", "7"), ("seed", True),
    ("generator", 7),
    ("num_inference_steps", 0), ("num_inference_steps", -1), ("num_inference_steps", 2.5),
    ("num_inference_steps", 1001), ("num_inference_steps", math.nan),
    ("guidance_scale", math.nan), ("guidance_scale", math.inf), ("guidance_scale", -1),
    ("guidance_scale", "7"), ("guidance_scale", [1, 2]),
    ("max_new_tokens", -1), ("max_new_tokens", None), ("max_new_tokens", 2.5),
    ("temperature", -0.1), ("temperature", math.nan), ("temperature", None),
    ("top_p", 0), ("top_p", 1.1), ("top_p", math.nan), ("top_p", None),
    ("top_k", 0), ("top_k", 2.5),
    ("repetition_penalty", 0), ("repetition_penalty", math.nan),
    ("logits_processor", [7]), ("logits_processor", 7),
    ("negative_prompt", 7), ("negative_prompt", ["a"]),
    ("output_modalities", None), ("output_modalities", 7), ("output_modalities", [7]),
    ("output_modalities", "smell"),
    ("generation_config", 7), ("generation_config", GenerationConfig(num_beams=4)),
    ("smell", 7), ("streamer", 7),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), WRONG, ids=[f"{n}={v!r:.30}" for n, v in WRONG])
def test_a_wrong_value_is_named_before_anything_is_made(model, name: str, value: Any) -> None:
    with pytest.raises(NextGPTError, match=name) as refused:
        model.chat("Draw", **{name: value})
    assert "\n" not in str(refused.value)
    if name not in ("seed", "generator", "streamer"):
        with pytest.raises(NextGPTError, match=name):
            model.chat_batch(["Draw"], **{name: value})


def test_seeds_and_batches_of_many_are_checked_too(model) -> None:
    for wrong in ({"seeds": None}, {"seeds": [1.5]}, {"batch_size": 0}, {"batch_size": 2.5}):
        with pytest.raises(NextGPTError, match=r"seed|batch_size"):
            model.chat_batch(["Draw"], **wrong)
    for wrong in ({"seed": -1}, {"num_inference_steps": 0}, {"guidance_scale": math.nan},
                  {"callback": 7}):  # fmt: skip
        with pytest.raises(NextGPTError, match=next(iter(wrong))):
            model.edit("image", np.zeros((8, 8, 3), np.uint8), "Make it blue.", **wrong)


@pytest.mark.parametrize(
    "wrong",
    [{"strength": "much"}, {"strength": math.nan}, {"strength": None}, {"mask": "all"},
     {"mask": np.full((8, 8), math.nan)}, {"mask": 7}],
)  # fmt: skip
def test_an_edit_names_what_does_not_fit(lite, wrong: dict[str, Any]) -> None:
    options: dict[str, Any] = {"messenger": "caption", "num_inference_steps": 1}
    with pytest.raises(NextGPTError, match=next(iter(wrong))):
        lite.edit("image", np.zeros((8, 8, 3), np.uint8), "a car", **options, **wrong)


def test_numbers_of_numpy_and_torch_are_numbers(model) -> None:
    plain = {"seed": 5, "num_inference_steps": 2, "guidance_scale": 2.0, "top_k": 9,
             "max_new_tokens": 4, "temperature": 1.0, "top_p": 0.5}  # fmt: skip
    theirs = {
        "seed": np.int64(5), "num_inference_steps": np.uint8(2), "guidance_scale": np.float32(2),
        "top_k": torch.tensor(9), "max_new_tokens": np.int32(4), "temperature": torch.tensor(1.0),
        "top_p": np.float64(0.5),
    }  # fmt: skip
    ours, also = (model.chat("Draw", output_modalities=["image"], **o) for o in (plain, theirs))
    assert ours.text == also.text
    assert np.array_equal(*(np.asarray(reply.images[0]) for reply in (ours, also)))


def test_a_generator_draws_another_seed_at_each_call_and_can_be_repeated(model) -> None:
    def talk() -> list[str]:
        chance = torch.Generator().manual_seed(3)
        options = {**WORDS, "temperature": 1.5, "generator": chance}
        return [model.chat("Draw", **options).text for _ in range(2)]

    first, second = talk()
    assert first != second
    assert talk() == [first, second]


def test_top_k_of_one_is_the_most_likely_word(model) -> None:
    free = model.chat("Draw", temperature=2.0, seed=1, **WORDS)
    bound = model.chat("Draw", temperature=2.0, seed=1, top_k=1, **WORDS)
    assert bound.text == model.chat("Draw", **WORDS).text != free.text


def test_processors_of_transformers_change_the_words_and_blocks_stay_whole(model) -> None:
    read: list[list[int]] = []

    def watch(ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        read.append(ids[0].tolist())
        return scores

    for penalty, repeats in ((1.0, True), (50.0, False)):
        model.chat("Draw", repetition_penalty=penalty, logits_processor=[watch], **WORDS)
        assert (len(set(read[-1])) < len(read[-1])) is repeats

    banned = read[-1][0]

    def ban(ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        read.append(ids[0].tolist())
        scores = scores.clone()
        scores[:, banned] = -torch.inf
        return scores

    reply = model.chat("Draw", logits_processor=[ban], max_new_tokens=6, num_inference_steps=1,
                       output_modalities=["image", "audio"])  # fmt: skip
    assert banned not in read[-1]
    assert len(reply.signal_tokens) == len(reply.images) * 5 + len(reply.audios) * 9

    def open_all(_: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(scores)  # signal tokens as likely as words

    assert model.chat("Draw", logits_processor=[open_all], **WORDS).media == []
    longer = LogitsProcessorList([MinLengthLogitsProcessor(12, model.llm.eos_id)])
    assert model.chat("Draw", logits_processor=longer, **WORDS).text
    with pytest.raises(NextGPTError, match="leaves no token"):
        model.chat("Draw", logits_processor=[lambda _, s: s - torch.inf], **WORDS)


def test_many_at_once_have_the_processors_of_one_alone(model) -> None:
    options = {**WORDS, "repetition_penalty": 3.0, "temperature": 1.2, "top_k": 20}
    asked = ["Draw", "How many apples are left?"]
    together = model.chat_batch(asked, seeds=[4, 5], batch_size=2, **options)
    alone = [model.chat(a, seed=seed, **options) for a, seed in zip(asked, (4, 5), strict=True)]
    assert [reply.text for reply in together] == [reply.text for reply in alone]


def test_a_generation_config_says_what_is_not_given() -> None:
    config = GenerationConfig(do_sample=True, top_k=5, max_new_tokens=9, repetition_penalty=1.2)
    ours = Options(top_p=0.5, max_new_tokens=3).under(config)
    assert (ours.temperature, ours.top_k, ours.top_p) == (1.0, 5, 0.5)
    assert (ours.max_new_tokens, ours.repetition_penalty) == (3, 1.2)
    assert Options().under(GenerationConfig(temperature=0.7)).temperature == 0.0
    assert Options().under(GenerationConfig(do_sample=True, temperature=0.7)).temperature == 0.7


def test_a_streamer_of_transformers_gets_the_words(model) -> None:
    streamer = TextIteratorStreamer(
        model.llm.tokenizer, skip_prompt=True, timeout=60, skip_special_tokens=True
    )
    replies: list[Any] = []
    thread = threading.Thread(
        target=lambda: replies.append(model.chat("Draw", streamer=streamer, **WORDS))
    )
    thread.start()
    said = "".join(streamer)
    thread.join()
    assert said.split() == replies[0].text.split()


def test_a_streamer_ends_where_the_reply_breaks_off(model) -> None:
    streamer = TextIteratorStreamer(model.llm.tokenizer, skip_prompt=True, timeout=1)
    with pytest.raises(NextGPTError):
        model.chat("Draw", streamer=streamer, logits_processor=[lambda _, s: s - torch.inf])
    assert "".join(streamer) == ""


def test_what_a_negative_prompt_says_is_led_away_from(lite) -> None:
    options = {"seed": 3, "num_inference_steps": 2}
    plain = lite.chat("Show me a red car.", **options).images[0]
    empty = lite.chat("Show me a red car.", negative_prompt="", **options).images[0]
    other = lite.chat("Show me a red car.", negative_prompt="a large dog", **options).images[0]
    assert np.array_equal(np.asarray(plain), np.asarray(empty))
    assert not np.array_equal(np.asarray(plain), np.asarray(other))
