"""Messages in the forms people have: each gives the reply that ours gives."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from nextgpt_lite.errors import ConfigError
from nextgpt_lite.messages import in_our_form
from tests.test_chat import BEEP, BLUE, RED
from tests.tiny import tiny_model

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype=np.uint8))
FILE = io.BytesIO()
PICTURE.save(FILE, "PNG")
CODE = base64.b64encode(FILE.getvalue()).decode()
URL = f"data:image/png;base64,{CODE}"
OPTIONS: dict[str, Any] = {
    "output_modalities": ["image"], "max_new_tokens": 2, "num_inference_steps": 1,
}  # fmt: skip


class Rendered:
    key = "a picture"

    def open(self) -> Image.Image:
        return PICTURE


@pytest.fixture(scope="module")
def model():
    return tiny_model()


def condition(model: Any, message: Any, **media: Any) -> torch.Tensor:
    return model.chat(message, **media, **OPTIONS).made[0].condition


def asking(*parts: Any) -> list[Any]:
    return [{"role": "user", "content": [*parts, {"type": "text", "text": "Describe it."}]}]


FORMS = {
    "ours": {"type": "image", "data": PICTURE},
    "a source": {"type": "image", "source": Rendered()},
    "transformers": {"type": "image", "image": PICTURE},
    "transformers, with bytes": {"type": "image", "image": FILE.getvalue()},
    "transformers' url": {"type": "image", "url": URL},
    "transformers' base64": {"type": "image", "base64": CODE},
    "a data URL as base64": {"type": "image", "base64": URL},
    "OpenAI's chat": {"type": "image_url", "image_url": {"url": URL, "detail": "low"}},
    "image_url alone": {"type": "image_url", "image_url": URL},
    "OpenAI's responses": {"type": "input_image", "image_url": URL},
    "Anthropic's": {
        "type": "image",
        "source": {"type": "base64", "media_type": "image/png", "data": CODE},
    },
    "Anthropic's url": {"type": "image", "source": {"type": "url", "url": URL}},
    "a row of a data set": {"type": "image", "image": {"bytes": FILE.getvalue(), "path": None}},
}


@pytest.mark.parametrize("part", FORMS.values(), ids=FORMS)
def test_every_form_of_a_part_gives_one_reply(model, part: dict[str, Any]) -> None:
    before = dict(part)
    assert torch.equal(condition(model, asking(part)), condition(model, asking(FORMS["ours"])))
    assert part == before


def test_sounds_and_words_have_such_forms_too(model) -> None:
    file = io.BytesIO()
    import soundfile

    soundfile.write(file, BEEP.samples.T, BEEP.rate, format="WAV", subtype="FLOAT")
    code = base64.b64encode(file.getvalue()).decode()
    row = {"array": BEEP.samples[0], "sampling_rate": BEEP.rate}
    expected = condition(model, asking({"type": "audio", "data": BEEP}))
    for part in (
        {"type": "input_audio", "input_audio": {"data": code, "format": "wav"}},
        {"type": "audio_url", "audio_url": {"url": f"data:audio/wav;base64,{code}"}},
        {"type": "audio", "audio": row},
    ):
        assert torch.equal(condition(model, asking(part)), expected)
    said = [{"role": "user", "content": [{"type": "input_text", "text": "Draw"}]}]
    assert torch.equal(condition(model, said), condition(model, "Draw"))


def test_media_fill_the_parts_that_name_none(model) -> None:
    empty = asking({"type": "image"}, {"type": "text", "text": "and"}, {"type": "image"})
    full = asking(
        {"type": "image", "data": RED}, {"type": "text", "text": "and"},
        {"type": "image", "data": BLUE},
    )  # fmt: skip
    assert torch.equal(condition(model, empty, images=[RED, BLUE]), condition(model, full))
    assert empty[0]["content"][0] == {"type": "image"}
    with pytest.raises(ConfigError, match="1 given as image for 2 parts of that type"):
        model.chat(empty, images=[RED])


def test_one_medium_needs_no_list(model) -> None:
    expected = condition(model, "Draw", images=[RED])
    assert torch.equal(condition(model, "Draw", images=RED), expected)


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (None, "message is of type NoneType: give words, or a list of messages"),
        ({"role": "user", "content": "Draw"}, "message is of type dict"),
        (["Draw"], "message is of type list"),
        ([{"content": "Draw"}], "role is None: use 'system', 'user' or 'assistant'"),
        ([{"role": "tool", "content": "Draw"}], "role is 'tool'"),
        ([{"role": "user", "content": None}], "'content' must be a string or a list"),
        ([{"role": "user", "content": ["Draw"]}], "has no 'type'"),
        (asking({"type": "image", "picture": RED}), "fields type, picture names no medium"),
        (asking({"type": "image"}), "names no medium: give it as 'image', 'path', 'url'"),
        (asking({"type": "smell_url", "smell_url": URL}), "Unknown modality 'smell'"),
        (asking({"type": "text"}), "lacks the field 'text'"),
        (asking({"type": "image_url", "image_url": {"href": URL}}), "dict"),
        (asking({"type": "image", "base64": 7}), "int"),
        (asking({"type": "image", "url": "http://a.b/c.png"}), "nothing is fetched"),
    ],
)
def test_other_messages_are_refused_in_a_sentence(model, message: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        model.chat(message)


def test_ours_stays_as_it_is() -> None:
    ours = asking({"type": "image", "path": "a.png", "caption": "a car"})
    assert [in_our_form(message) for message in ours] == ours
