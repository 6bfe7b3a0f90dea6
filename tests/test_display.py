"""How media and replies look as MIME bundles."""

from __future__ import annotations

import io
import json
import re
from base64 import b64decode

import numpy as np
import pytest
from PIL import Image

from nextgpt_lite.display import MIME, media_bundle, media_html, reply_bundle
from nextgpt_lite.media import Audio, Video
from nextgpt_lite.reply import Reply

RANDOM = np.random.default_rng(0)
NOISE = RANDOM.integers(0, 256, (8, 64, 64, 3), dtype=np.uint8)
PICTURE = Image.fromarray(NOISE[0])
CLIP = Video(NOISE, 4.0)
SOUND = Audio(RANDOM.normal(0, 0.1, (2, 32000)).astype(np.float32), 16000)


def embedded(html: str) -> bytes:
    found = re.search(r'src="data:[\w/]+;base64,([^"]+)"', html)
    assert found
    return b64decode(found[1])


def test_picture_is_enlarged_without_loss():
    data = media_bundle(PICTURE).data
    image = Image.open(io.BytesIO(b64decode(data["image/png"])))
    assert image.size == (192, 192)
    assert np.array_equal(np.asarray(image)[1::3, 1::3], NOISE[0])
    assert data[MIME] == {"kind": "image", "width": 64, "height": 64}


def test_sound_becomes_a_small_player_of_the_same_sound():
    import soundfile

    data = embedded(media_html(SOUND))
    samples, rate = soundfile.read(io.BytesIO(data))
    assert rate == 16000
    assert len(samples) / rate == pytest.approx(2.0, abs=0.2)  # MP3 pads at both ends
    assert len(data) < 20_000


def test_sound_at_a_rate_unknown_to_mp3_still_plays():
    import soundfile

    samples, rate = soundfile.read(io.BytesIO(embedded(media_html(Audio(SOUND.samples, 12345)))))
    assert (rate, samples.shape) == (12345, (32000,))


def test_clip_moves_at_its_own_pace():
    data = embedded(media_html(CLIP))
    animation = Image.open(io.BytesIO(data))
    assert animation.n_frames == 8
    animation.seek(1)
    animation.load()
    assert animation.info["duration"] == 250


def test_reply_shows_words_and_media_in_order_and_escapes_words():
    reply = Reply(
        parts=[
            {"type": "text", "text": "<script>no</script>"},
            {"type": "image", "data": PICTURE},
            {"type": "audio", "data": SOUND},
            {"type": "video", "data": CLIP},
        ],
        signal_tokens=["[IMG0]"],
    )
    data = reply._repr_mimebundle_()
    assert "<script>" not in data["text/html"]
    assert re.findall(r"<(p|img|audio)\b", data["text/html"]) == ["p", "img", "audio", "img"]
    assert [medium["kind"] for medium in data[MIME]["media"]] == ["image", "audio", "video"]
    assert "2.0 s, 16000 Hz" in data["text/plain"]
    json.dumps(data)
    assert data == reply_bundle(reply.parts, 1, 0.0)
    reply.warnings.append("<b> is odd.")
    data = reply._repr_mimebundle_()
    assert data["text/html"].endswith("Warning: &lt;b&gt; is odd.</small></p>")
    assert data["text/plain"].endswith("Warning: <b> is odd.")
