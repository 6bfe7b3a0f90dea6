"""Several threads with one model: each reply is the one that a single thread would have got.

`NEXTGPT_LITE_CHATS=1000 pytest tests/test_threads.py` holds as many chats as it says.
"""

from __future__ import annotations

import copy
import os
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.reply import Reply
from tests.test_chat import BEEP, BLUE, FILM, RED, same
from tests.tiny import tiny_model

CHATS = int(os.environ.get("NEXTGPT_LITE_CHATS", "24"))
THREADS = 8
QUESTIONS = [
    ("Show me a red car.", {}),
    ("Let me hear a dog bark.", {"seed": 1}),
    ("Show me a clip of a cat that moves left.", {"seed": 2}),
    ("I want to see, watch and hear a large orange cat.", {"seed": 3}),
    ("Describe the picture.", {"images": [RED]}),
    ("What do you hear?", {"audios": [BEEP], "images": [BLUE]}),
    ("Describe the clip.", {"videos": [FILM]}),
    ("Tell me a story.", {"temperature": 0.8, "seed": 4}),
]


def reply_of(model: NextGPT, number: int, stream: bool = False, steps: int = 1) -> Reply:
    words, options = QUESTIONS[number]
    options = {"num_inference_steps": steps, "max_new_tokens": 24, **options}
    return [*model.chat(words, stream=True, **options)][-1].reply if stream else model.chat(
        words, **options
    )  # fmt: skip


def ask_at_once(model: NextGPT, asked: list[tuple[int, bool]]) -> list[Reply]:
    with ThreadPoolExecutor(THREADS) as pool:
        return [*pool.map(lambda each: reply_of(model, *each), asked)]


def test_threads_that_meet_a_fresh_model_load_it_once_and_leave_the_process_whole() -> None:
    model = NextGPT.from_pretrained("lite")
    replies = ask_at_once(model, [(number, False) for number in (0, 1, 2, 5)])
    alone = NextGPT.from_pretrained("lite")
    for number, reply in zip((0, 1, 2, 5), replies, strict=True):
        assert same(reply, reply_of(alone, number))


def test_every_reply_of_many_threads_is_that_of_one(lite: NextGPT) -> None:
    expected = [reply_of(lite, number) for number in range(len(QUESTIONS))]
    draw = random.Random(0)
    asked = [(draw.randrange(len(QUESTIONS)), draw.random() < 0.5) for _ in range(CHATS)]
    for (number, _), reply in zip(asked, ask_at_once(lite, asked), strict=True):
        assert same(reply, expected[number])


def test_states_of_an_inner_layer_do_not_reach_another_thread() -> None:
    model = tiny_model(hidden_layer=1)
    options = {"output_modalities": ["image", "audio"], "max_new_tokens": 8}
    questions = [f"Draw {number} cars" for number in range(12)]
    expected = [model.chat(words, **options) for words in questions]
    with ThreadPoolExecutor(THREADS) as pool:
        replies = [*pool.map(lambda words: model.chat(words, **options), questions * 4)]
    for reply, other in zip(replies, expected * 4, strict=True):
        for one, two in zip(reply.made, other.made, strict=True):
            assert torch.equal(one.condition, two.condition)


SCHEDULERS = ["PNDM", "EulerDiscrete", "DPMSolverMultistep"]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_stream_that_is_broken_off_leaves_no_trace_in_the_next_reply(
    lite: NextGPT, monkeypatch: pytest.MonkeyPatch, scheduler: str
) -> None:
    import diffusers

    pipeline = lite.decoder("image").pipeline
    made = getattr(diffusers, f"{scheduler}Scheduler").from_config(pipeline.scheduler.config)
    monkeypatch.setattr(pipeline, "scheduler", made)
    undisturbed = reply_of(lite, 0, steps=6)
    before = threading.active_count()
    for _ in range(2):
        for event in lite.chat(QUESTIONS[0][0], seed=9, num_inference_steps=6, stream=True):
            if event.type == "step" and event.step == 2:
                break
        assert threading.active_count() == before
        assert same(reply_of(lite, 0, stream=True, steps=6), undisturbed)


def test_an_interrupt_ends_the_decoder_of_a_stream(
    lite: NextGPT, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = reply_of(lite, 2, steps=4)
    before = threading.active_count()
    scheduler, taken = lite.decoder("video").pipeline.scheduler, []
    step = scheduler.step
    monkeypatch.setattr(scheduler, "step", lambda *a, **k: taken.append(1) or step(*a, **k))
    stream = lite.chat(QUESTIONS[2][0], num_inference_steps=40, stream=True)
    next(event for event in stream if event.type == "step")
    with pytest.raises(KeyboardInterrupt):
        stream.throw(KeyboardInterrupt)  # type: ignore[attr-defined]
    assert len(taken) < 20 and threading.active_count() == before
    assert same(reply_of(lite, 2, steps=4), undisturbed)


def test_a_stream_that_nobody_reads_on_holds_the_next_reply_up_but_does_not_change_it(
    lite: NextGPT,
) -> None:
    undisturbed = reply_of(lite, 0, steps=6)
    stream = lite.chat(QUESTIONS[0][0], seed=9, num_inference_steps=6, stream=True)
    next(event for event in stream if event.type == "step")
    assert same(reply_of(lite, 0, steps=6), undisturbed)
    assert [*stream][-1].reply.images


def test_decoders_that_take_turns_on_the_device_wait_for_each_other(lite: NextGPT) -> None:
    model = NextGPT.from_pretrained("lite")
    model.config.offload = True
    asked = [(number, bool(number % 2)) for number in (0, 1, 2, 3) * 2]
    for (number, _), reply in zip(asked, ask_at_once(model, asked), strict=True):
        assert same(reply, reply_of(lite, number))
    locks = {model.decoder(modality).lock for modality in ("image", "audio", "video")}
    assert len(locks) == 1


def test_a_copy_of_a_model_has_locks_of_its_own() -> None:
    encoder = tiny_model().encoder
    assert copy.deepcopy(encoder)._lock is not encoder._lock
