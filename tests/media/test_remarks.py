"""What is said of media that are nothing to see or to hear."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from nextgpt_lite.media import Audio, Video, noted, remarks
from tests.tiny import tiny_model

NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 16000)).astype(np.float32)
PIXELS = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), np.uint8)
SILENT = NOISE * [[0], [1]]


@pytest.mark.parametrize(
    ("medium", "said"),
    [
        (Audio(NOISE, 16000), []),
        (Audio(NOISE * 0, 16000), ["is silent"]),
        (Audio(NOISE * 1e-5, 16000), ["is silent"]),
        (Audio(NOISE * 0 + 0.5, 16000), ["is silent"]),
        (Audio(NOISE[:, :160], 16000), ["lasts 10 ms"]),
        (Audio(SILENT.astype(np.float32), 16000), ["is silent in its first channel"]),
        (Image.fromarray(PIXELS[0]), []),
        (Image.new("RGB", (40, 40), "blue"), ["is blank"]),
        (Image.new("L", (1, 1)), ["has 1 x 1 pixels", "is blank"]),
        (Video(PIXELS, 4.0), []),
        (Video(PIXELS * 0 + 7, 4.0), ["is blank"]),
        (np.zeros((6, 100)), []),
    ],
)
def test_each_is_told(medium: object, said: list[str]) -> None:
    for sentence, begin in zip(remarks(medium), said, strict=True):
        assert sentence.startswith(begin)


def test_they_become_warnings_of_the_reply_whether_alone_or_one_of_many(tmp_path) -> None:
    model, path = tiny_model(), tmp_path / "blank.png"
    Image.new("RGB", (40, 40), "blue").save(path)
    options = {"output_modalities": [], "max_new_tokens": 2}
    reply = model.chat("What is it?", images=[path], audios=[Audio(NOISE * 0, 16000)], **options)
    assert [each.partition(":")[0] for each in reply.warnings] == [
        f"{path} is blank", "The audio given is silent"
    ]  # fmt: skip
    asked = {"role": "user", "content": [{"type": "image", "path": path}]}
    first, second = model.chat_batch([[asked], "Hello there"], **options)
    assert len(first.warnings) == 1 and not second.warnings


def test_notes_are_collected_where_someone_listens_and_warned_of_elsewhere() -> None:
    from nextgpt_lite.media import note

    with noted() as outer:
        with noted() as inner:
            note("one")
            note("one")
        note("two")
    assert (inner, outer) == (["one"], ["two"])
    with pytest.warns(UserWarning, match="three"):
        note("three")
