"""A turn of conversation around the models: messages, events, options, files."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nextgpt_lite.media import Audio, MediaError, Video
from nextgpt_lite.reply import Reply
from tests.tiny import tiny_model

RED = Image.new("RGB", (50, 40), "red")
BLUE = Image.new("RGB", (40, 50), "blue")
BEEP = Audio(np.sin(np.arange(16000) / 8)[None].astype(np.float32) * 0.5, 16000)
FILM = Video(np.zeros((8, 32, 32, 3), np.uint8), 4.0)
EVERY = ["image", "audio", "video"]


@pytest.fixture(scope="module")
def model():
    return tiny_model()


def differences(one: Reply, other: Reply) -> list[float]:
    """Of each medium the largest, in levels of 255 or, of sounds, in parts of full scale."""
    arrays = [
        [np.asarray(getattr(m, "samples", getattr(m, "frames", m)), np.float64) for m in media]
        for media in zip(*([part["data"] for part in r.media] for r in (one, other)), strict=True)
    ]
    return [float(abs(a - b).max()) for a, b in arrays]


def same(one: Reply, other: Reply) -> bool:
    return one.text == other.text and not any(differences(one, other))


def test_everything_in_and_everything_out(model) -> None:
    reply = model.chat(
        "Draw a red car", images=[RED, BLUE], audios=[BEEP], videos=[FILM],
        output_modalities=EVERY, max_new_tokens=4, num_inference_steps=2,
    )  # fmt: skip
    assert [p["type"] for p in reply.parts if p["type"] != "text"].count("image") >= 1
    assert len(reply.images) >= 1
    assert reply.audios[0].rate == 16000
    assert reply.videos[0].frames.shape == (8, 16, 16, 3)
    assert {"[IMG0]", "[IMG4]", "[AUD8]", "[VID24]"} <= set(reply.signal_tokens)


@pytest.mark.parametrize("wanted", [[], ["audio"], ["video", "image"], EVERY])
def test_modalities_are_forced_and_forbidden(model, wanted: list[str]) -> None:
    reply = model.chat("Draw", output_modalities=wanted, max_new_tokens=3, num_inference_steps=1)
    assert {part["type"] for part in reply.parts} - {"text"} == set(wanted)


def test_a_seed_repeats_a_reply_and_another_seed_does_not(model) -> None:
    def reply(seed: int) -> Reply:
        return model.chat(
            "Draw", seed=seed, output_modalities=EVERY, temperature=1.0, max_new_tokens=6
        )

    assert same(reply(3), reply(3))
    assert not same(reply(3), reply(4))


def test_events_tell_the_story_in_order(model) -> None:
    events = list(
        model.chat(
            "Draw", stream=True, output_modalities=["image"], max_new_tokens=5,
            num_inference_steps=3,
        )
    )  # fmt: skip
    kinds = [event.type for event in events]
    assert kinds == sorted(kinds, key=["text", "step", "media", "done"].index)
    assert [(e.step, e.total) for e in events if e.type == "step"][:3] == [(1, 3), (2, 3), (3, 3)]
    reply = events[-1].reply
    assert "".join(e.text for e in events if e.type == "text").split() == reply.text.split()
    assert reply.images[0] is next(e.media for e in events if e.type == "media")


def test_without_a_stream_decoders_run_in_the_calling_thread_and_make_the_same(
    model, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[threading.Thread] = []
    decoder = model.decoder("video")
    generate = decoder.generate

    def watched(*args, **options):
        seen.append(threading.current_thread())
        return generate(*args, **options)

    monkeypatch.setattr(decoder, "generate", watched)
    options = {"output_modalities": ["video"], "max_new_tokens": 4, "num_inference_steps": 2}
    reply = model.chat("Draw", **options)
    streamed = [*model.chat("Draw", stream=True, **options)][-1].reply
    assert [thread is threading.current_thread() for thread in seen] == [True, False]
    assert np.array_equal(reply.videos[0].frames, streamed.videos[0].frames)


def test_a_reply_goes_on_as_history(model) -> None:
    messages = [{"role": "user", "content": "Draw a red car"}]
    reply = model.chat(messages, output_modalities=["image"], max_new_tokens=4)
    messages += [reply.message, {"role": "user", "content": [{"type": "audio", "data": BEEP}]}]
    encoded = model.conversation.encode(messages, reply_follows=True)
    block = model.llm.signal_ids["image"]
    assert any(encoded.ids[i : i + 5] == block for i in range(len(encoded)))
    assert model.chat(messages, output_modalities=[], max_new_tokens=3).images == []


def test_a_bad_file_is_named_before_anything_happens_and_the_talk_goes_on(
    model, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"not a picture")
    with pytest.raises(MediaError, match=r"broken\.png"):
        model.chat("Describe it", images=[broken])
    assert model.chat("Draw", output_modalities=[], max_new_tokens=2).seconds > 0


@pytest.mark.parametrize(
    ("message", "options", "named"),
    [
        ([], {}, "user"),
        ([{"role": "assistant", "content": "hi"}], {}, "user"),
        ("hi", {"output_modalities": ["smell"]}, "smell"),
        ([{"role": "user", "content": [{"type": "image"}]}], {}, "path"),
    ],
)
def test_a_wrong_call_is_named(model, message, options: dict, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        model.chat(message, **options)


def test_a_decoder_of_another_shape_is_refused(model, monkeypatch) -> None:
    from nextgpt_lite.model import frozen as module
    from tests.tiny import TinyDecoder

    fresh = tiny_model()
    fresh.config.decoders["image"] = "."
    del fresh.decoders["image"]
    monkeypatch.setattr(module, "load_decoder", lambda *_, **__: TinyDecoder("image", 77, 768))
    with pytest.raises(ValueError, match=r"\[77, 768\].*\[6, 12\]"):
        fresh.decoder("image")


def conversations() -> list:
    """Of unlike lengths, with media given in one turn, in several, in none, one given twice."""
    seen = {"role": "user", "content": [{"type": "image", "data": RED}]}
    heard = {"role": "user", "content": [{"type": "audio", "data": BEEP}, {"type": "image",
             "data": BLUE}, {"type": "text", "text": "What do you hear?"}]}  # fmt: skip
    told = {"role": "assistant", "content": "A dog barks twice."}
    return ["Draw a red car in the garden", [seen], [seen, told, heard], "How?",
            [{"role": "user", "content": [{"type": "video", "data": FILM}]}]]  # fmt: skip


BATCHES = [
    {"output_modalities": EVERY, "max_new_tokens": 5},
    {"output_modalities": ["video"], "max_new_tokens": 7, "temperature": 1.0, "top_p": 0.9},
    {"output_modalities": [], "max_new_tokens": 9, "temperature": 1.5},
    {"max_new_tokens": 9},
]


@pytest.mark.parametrize("messenger", ["signal", "caption"])
@pytest.mark.parametrize("options", BATCHES, ids=str)
def test_many_replies_at_once_are_the_replies_one_by_one(messenger: str, options: dict) -> None:
    model = tiny_model(messenger=messenger)
    seeds = [7, 1, 2, 3, 4]
    options = {**options, "num_inference_steps": 1}
    alone = [
        model.chat(conversation, seed=seed, **options)
        for conversation, seed in zip(conversations(), seeds, strict=True)
    ]
    for batch_size in (1, 3, 16):
        together = model.chat_batch(conversations(), seeds=seeds, batch_size=batch_size, **options)
        compare(together, alone, exactly=batch_size == 1)


def compare(together: list[Reply], alone: list[Reply], exactly: bool) -> None:
    for ours, theirs in zip(together, alone, strict=True):
        assert ours.text == theirs.text
        assert [part["type"] for part in ours.parts] == [part["type"] for part in theirs.parts]
        assert ours.signal_tokens == theirs.signal_tokens
        assert all(difference <= 1 for difference in differences(ours, theirs))
        assert [made.media for made in ours.made] == [part["data"] for part in ours.media]
        if exactly:
            assert same(ours, theirs)
            for a, b in zip(ours.made, theirs.made, strict=True):
                assert torch.equal(a.condition, b.condition)


def test_seeds_are_one_for_all_or_one_each(model) -> None:
    options = {"output_modalities": ["image"], "max_new_tokens": 2}
    both = model.chat_batch(["Draw", "Draw"], seeds=4, **options)
    assert same(*both) and same(both[0], model.chat("Draw", seed=4, **options))
    assert not same(*model.chat_batch(["Draw", "Draw"], seeds=[4, 5], **options))
    with pytest.raises(ValueError, match="seeds has 3 numbers: give one, or 2"):
        model.chat_batch(["Draw", "Draw"], seeds=[1, 2, 3])


@pytest.mark.parametrize("wrong", [[], [{"role": "assistant", "content": "hi"}]])
def test_a_wrong_conversation_among_many_is_named(model, wrong: list) -> None:
    with pytest.raises(ValueError, match="user"):
        model.chat_batch(["Draw", wrong])


def test_the_shipped_model_answers_many_as_it_answers_one(lite) -> None:
    """Every medium in and out; pixels within a few levels, sounds within 1e-4."""
    asked = [
        "I want to see, watch and hear a large orange cat.",
        "Tell me about a dog.",
        "Let me hear a bell.",
        [{"role": "user", "content": [{"type": "image", "data": RED},
                                      {"type": "text", "text": "Describe it."}]}],
        [{"role": "user", "content": [{"type": "audio", "data": BEEP},
                                      {"type": "text", "text": "Show me a picture of it."}]}],
        [{"role": "user", "content": [{"type": "video", "data": FILM},
                                      {"type": "text", "text": "Describe it."}]}],
    ]  # fmt: skip
    options = {"num_inference_steps": 1, "temperature": 0.3}
    together = lite.chat_batch(asked, seeds=range(6), **options)
    found: set[str] = set()
    for seed, (conversation, ours) in enumerate(zip(asked, together, strict=True)):
        theirs = lite.chat(conversation, seed=seed, **options)
        assert ours.text == theirs.text
        assert [p["type"] for p in ours.parts] == [p["type"] for p in theirs.parts]
        for part, difference in zip(ours.media, differences(ours, theirs), strict=True):
            assert difference <= (1e-4 if part["type"] == "audio" else 12)
            found.add(part["type"])
    assert found == {*EVERY}


def test_the_decoders_text_encoder_reads_what_was_written() -> None:
    model = tiny_model(messenger="caption")
    reply = model.chat("Draw", output_modalities=["image"], max_new_tokens=6, num_inference_steps=1)
    part = next(part for part in reply.parts if part["type"] == "image")
    assert model.decoders["image"].asked[-1] == part["caption"]
    expected = model.decoders["image"].encode_text([part["caption"]])
    torch.testing.assert_close(reply.made[0].condition, expected[0])
    model.conversation.encode([{"role": "user", "content": "Draw"}, reply.message])
