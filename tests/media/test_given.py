"""Media in every form that people hold them in: each gives the reply that its path gives."""

from __future__ import annotations

import base64
import io
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
import torch
from PIL import Image

from nextgpt_lite.media import (
    Audio,
    MediaError,
    Video,
    as_audio,
    as_image,
    as_video,
    fetch,
    load_audio,
    load_image,
    load_video,
    save_audio,
    save_video,
    several,
)
from nextgpt_lite.model.modality import get_modality
from tests.tiny import tiny_model

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
SIXTEEN = np.random.default_rng(1).integers(0, 65536, (40, 60), dtype=np.uint16)
TIME = np.arange(12000) / 16000
STEREO = np.stack([np.sin(TIME * 2764), np.sin(TIME * 4146) / 2]).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files whose making is half of what can go wrong: turned, with a palette, of 16 bits."""
    folder = tmp_path_factory.mktemp("media")
    image = Image.fromarray(PIXELS)
    image.save(folder / "plain.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    image.save(folder / "turned.tiff", exif=turned)
    image.save(folder / "turned.jpg", exif=turned)
    image.quantize(16).save(folder / "palette.png", transparency=3)
    Image.fromarray(SIXTEEN).save(folder / "sixteen.png")
    image.convert("L").save(folder / "grey.png")
    seen = image.copy()
    seen.putalpha(Image.fromarray(PIXELS[..., 0]))
    seen.save(folder / "seen_through.png")
    image.convert("CMYK").save(folder / "cmyk.tiff")
    save_audio(Audio(STEREO, 16000), folder / "stereo.wav")
    frames = np.stack([np.roll(PIXELS, 4 * n, 1) for n in range(8)])
    save_video(Video(frames, 4.0), folder / "short.mp4")
    return folder


@pytest.fixture(scope="module")
def model():
    return tiny_model()


def condition(model: Any, modality: str, given: Any) -> torch.Tensor:
    """What a reply to the medium is made from; unlike words it shows every bit."""
    media = {get_modality(modality).plural: [given]}
    options = {"output_modalities": ["image"], "max_new_tokens": 2, "num_inference_steps": 1}
    return model.chat("Describe it", **media, **options).made[0].condition


def read(path: Path) -> bytes:
    return path.read_bytes()


def opened(path: Path) -> io.BytesIO:
    file = io.BytesIO()
    file.write(path.read_bytes())
    return file  # which stands at its end, as after saving into it


def data_url(path: Path) -> str:
    return "data:;base64," + base64.b64encode(path.read_bytes()).decode()


def audio(path: Path) -> np.ndarray:
    return load_audio(path).samples


def sixteen_bits(path: Path) -> np.ndarray:
    return np.rint(load_audio(path).samples * 32768).astype(np.int16)


def frames(path: Path) -> np.ndarray:
    return load_video(path).frames


FILES: dict[str, Callable[[Path], Any]] = {
    "text": str,
    "file URL": Path.as_uri,
    "data URL": data_url,
    "file URL of one slash": lambda path: path.as_uri().replace("file:///", "file:/"),
    "data URL as browsers read it": lambda path: (
        "DATA:;BASE64," + quote(data_url(path).partition(",")[2].rstrip("="))
    ),
    "bytes": read,
    "bytearray": lambda path: bytearray(read(path)),
    "file object": lambda path: path.open("rb"),
    "BytesIO at its end": opened,
    "undecoded row of a data set": lambda path: {"bytes": read(path), "path": None},
    "row with a path": lambda path: {"bytes": None, "path": str(path)},
}
IMAGES: list[tuple[str, str, Callable[[Path], Any]]] = [
    *(("PIL", name, Image.open) for name in (
        "plain.png", "turned.jpg", "turned.tiff", "palette.png", "sixteen.png", "grey.png",
        "seen_through.png", "cmyk.tiff")),
    ("numpy", "plain.png", lambda _: PIXELS),
    ("numpy, channels first", "plain.png", lambda _: PIXELS.transpose(2, 0, 1)),
    ("numpy, int64", "plain.png", lambda _: PIXELS.astype(np.int64)),
    ("numpy, to 1", "plain.png", lambda _: PIXELS / 255),
    ("numpy, to 255", "plain.png", lambda _: PIXELS.astype(np.float32)),
    ("numpy, 16 bits of grey", "sixteen.png", lambda _: SIXTEEN),
    ("numpy, grey", "grey.png", lambda path: np.asarray(Image.open(path))),
    ("numpy, one channel", "grey.png", lambda path: np.asarray(Image.open(path))[..., None]),
    ("numpy, RGBA", "seen_through.png", lambda path: np.asarray(Image.open(path))),
    ("torch", "plain.png", lambda _: torch.from_numpy(PIXELS).permute(2, 0, 1)),
    ("torch, channels last", "plain.png", lambda _: torch.from_numpy(PIXELS)),
    ("torch, to 1", "plain.png", lambda _: (torch.from_numpy(PIXELS) / 255).permute(2, 0, 1)),
    ("torch, with a gradient", "plain.png",
     lambda _: (torch.from_numpy(PIXELS).permute(2, 0, 1) / 255).requires_grad_()),
]  # fmt: skip
AUDIOS: list[tuple[str, str, Callable[[Path], Any]]] = [
    ("Audio", "stereo.wav", load_audio),
    ("pair", "stereo.wav", lambda path: (audio(path), 16000)),
    ("pair, rate first", "stereo.wav", lambda path: (16000, audio(path))),
    ("pair, channels last", "stereo.wav", lambda path: (audio(path).T, np.int64(16000))),
    ("pair, float64", "stereo.wav", lambda path: (audio(path).astype(np.float64), 16000.0)),
    ("pair, int16", "stereo.wav", lambda path: (sixteen_bits(path), 16000)),
    ("pair, int32", "stereo.wav", lambda path: (sixteen_bits(path).astype(np.int32) << 16, 16000)),
    ("pair, torch", "stereo.wav", lambda path: (torch.from_numpy(audio(path)), 16000)),
    ("row", "stereo.wav", lambda path: {"array": audio(path), "sampling_rate": 16000}),
    ("row of lists", "stereo.wav",
     lambda path: {"array": audio(path).tolist(), "sampling_rate": 16000, "path": "gone.wav"}),
]  # fmt: skip
VIDEOS: list[tuple[str, str, Callable[[Path], Any]]] = [
    ("Video", "short.mp4", load_video),
    ("pair", "short.mp4", lambda path: (frames(path), 4)),
    ("numpy", "short.mp4", frames),
    ("numpy, channels first", "short.mp4", lambda path: frames(path).transpose(0, 3, 1, 2)),
    ("numpy, to 1", "short.mp4", lambda path: frames(path) / 255),
    ("torch", "short.mp4", lambda path: torch.from_numpy(frames(path)).permute(0, 3, 1, 2)),
    ("list of PIL", "short.mp4", lambda path: [Image.fromarray(f) for f in frames(path)]),
    ("list of numpy", "short.mp4", lambda path: [*frames(path)]),
    ("list of torch", "short.mp4",
     lambda path: [torch.from_numpy(f).permute(2, 0, 1) for f in frames(path)]),
    ("list and a rate", "short.mp4", lambda path: ([*frames(path)], 4.0)),
]  # fmt: skip
TABLE = [
    *(("image", *row) for row in IMAGES),
    *(("audio", *row) for row in AUDIOS),
    *(("video", *row) for row in VIDEOS),
    *((modality, form, name, make)
      for modality, name in
      (("image", "turned.jpg"), ("audio", "stereo.wav"), ("video", "short.mp4"))
      for form, make in FILES.items()),
]  # fmt: skip


@pytest.mark.parametrize(
    ("modality", "form", "name", "make"), TABLE, ids=[f"{m}: {f}, {n}" for m, f, n, _ in TABLE]
)
def test_every_form_gives_what_the_path_gives(
    model, folder: Path, modality: str, form: str, name: str, make: Callable[[Path], Any]
) -> None:
    path = folder / name
    expected = condition(model, modality, path)
    assert torch.equal(condition(model, modality, make(path)), expected)


def test_editing_takes_the_same_forms(lite, folder: Path) -> None:
    def edited(given: Any) -> np.ndarray:
        options = {"num_inference_steps": 1, "messenger": "caption"}
        return np.asarray(lite.edit("image", given, "a red car", **options))

    expected = edited(folder / "turned.jpg")
    assert np.array_equal(edited(data_url(folder / "turned.jpg")), expected)
    assert np.array_equal(edited(Image.open(folder / "turned.jpg")), expected)


def test_the_reply_depends_on_the_medium(model, folder: Path) -> None:
    """Without this the table would say nothing."""
    made = [condition(model, "image", folder / name) for name in ("plain.png", "turned.jpg")]
    assert not torch.equal(*made)
    sounds = [(audio(folder / "stereo.wav") * loud, 16000) for loud in (1, 0.5)]
    assert not torch.equal(*(condition(model, "audio", sound) for sound in sounds))
    film = frames(folder / "short.mp4")
    assert not torch.equal(*(condition(model, "video", made) for made in (film, film[:, ::-1])))


def test_frames_are_thinned_and_scaled_as_those_of_a_file(tmp_path: Path) -> None:
    still = np.zeros((300, 16, 20, 3), np.uint8)
    save_video(Video(still, 30.0), tmp_path / "long.mp4")
    read, given = load_video(tmp_path / "long.mp4"), as_video((still, 30.0))
    assert len(given.frames) == len(read.frames) == 75
    assert given.fps == pytest.approx(read.fps)
    wide = as_video(np.zeros((2, 100, 1000, 3), np.uint8))
    assert wide.frames.shape == (2, 77, 768, 3)


def test_what_is_right_already_stays_the_object_that_it_is(folder: Path) -> None:
    """So that a medium given to many conversations is encoded once."""
    image = load_image(folder / "plain.png")
    sound, film = load_audio(folder / "stereo.wav"), load_video(folder / "short.mp4")
    assert as_image(image) is image
    assert as_audio(sound) is sound
    assert as_video(film) is film


@pytest.mark.parametrize(
    ("given", "count"),
    [(None, 0), ((), 0), ("a.png", 1), (Path("a.png"), 1), (PIXELS, 1), (["a", "b"], 2),
     ((STEREO, 16000), 1), ([STEREO, 16000], 1), (iter(["a", "b"]), 2), (io.BytesIO(), 1),
     (Image.new("RGB", (2, 2)), 1), ({"array": STEREO, "sampling_rate": 1}, 1)],
)  # fmt: skip
def test_one_may_stand_for_a_list(given: Any, count: int) -> None:
    assert len(several(given)) == count


def closed() -> io.BytesIO:
    file = io.BytesIO(b"once")
    file.close()
    return file


REFUSED = [
    ("image", None, "NoneType 'None' cannot be taken for image: give a path"),
    ("image", 7, "int '7' cannot be taken for image"),
    ("image", {"picture": 1}, "dict .* a PIL image, or an array"),
    ("image", np.zeros((2, 3, 4, 5)), r"ndarray of shape \(2, 3, 4, 5\) and float64"),
    ("image", np.zeros((0, 4, 3), np.uint8), "shape"),
    ("image", np.zeros((5, 5, 2)), "shape"),
    ("image", np.full((4, 4, 3), -1.0), "from 0 to 1"),
    ("image", np.full((4, 4), np.nan), "from 0 to 255"),
    ("image", np.full((4, 4), 256), "from 0 to 255"),
    ("image", np.array([["a", "b"]]), "ndarray"),
    ("image", [[1, 2], [3]], "list of 2"),
    ("image", b"no image", "What was given as bytes is no known image format"),
    ("image", b"", "What was given as bytes is empty"),
    ("image", "data:image/png;base64,@@@@", "no base64"),
    ("image", "https://example.com/a.png", r"nothing is fetched.*media\.fetch\(url\)"),
    ("image", "s3://bucket/a.png", "not on this machine"),
    ("image", "file://elsewhere/a.png", "not on this machine"),
    ("image", "a" * 5000, "does not exist"),
    ("image", "a\0b.png", "does not exist"),
    ("image", io.StringIO("text"), "gives text: open it with mode 'rb'"),
    ("image", closed(), "The file object cannot be read"),
    ("image", torch.zeros(3, 4, 4, device="meta"), r"Tensor of shape \(3, 4, 4\)"),
    ("image", torch.zeros(3, 4, 4).to_sparse(), "Tensor of shape"),
    ("image", Image.new("RGB", (0, 5)), "Image .* cannot be taken for image"),
    ("audio", STEREO, r"shape \(2, 12000\) and float32 .* a pair \(array, rate\)"),
    ("audio", (STEREO, 0), "tuple of 2"),
    ("audio", (STEREO, 16000.5), "tuple of 2"),
    ("audio", (STEREO, True), "tuple of 2"),
    ("audio", (STEREO, 10**12), "has a rate of 1000000000000 Hz: use one from"),
    ("audio", (STEREO, float("nan")), "tuple of 2"),
    ("audio", (np.zeros((2, 3, 4)), 16000), "tuple of 2"),
    ("audio", (np.zeros(0), 16000), "no samples"),
    ("audio", (np.zeros(9, np.int64), 16000), "neither int16"),
    ("audio", (np.full(9, 3000.0), 16000), "neither int16"),
    ("audio", {"array": STEREO}, "dict"),
    ("video", Image.new("RGB", (2, 2)), "a list of frames"),
    ("video", [], "unlike sizes, or none"),
    ("video", [PIXELS, PIXELS[:9]], "unlike sizes"),
    ("video", [PIXELS, "gone.png"], "gone.png does not exist"),
    ("video", (PIXELS[None], -1), "tuple of 2"),
    ("video", PIXELS, r"ndarray of shape \(40, 60, 3\) and uint8"),
]


@pytest.mark.parametrize(("modality", "given", "said"), REFUSED, ids=[r[2] for r in REFUSED])
def test_anything_else_is_refused_in_a_sentence(modality: str, given: Any, said: str) -> None:
    with pytest.raises(MediaError, match=said) as refused:
        get_modality(modality).take(given)
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 400
    assert "/tmp" not in str(refused.value)


def test_an_image_that_breaks_off_is_refused_when_it_is_read(folder: Path) -> None:
    cut = io.BytesIO(read(folder / "plain.png")[:900])
    with pytest.raises(MediaError, match="damaged or cut off"):
        as_image(Image.open(cut))


def test_an_address_is_fetched_only_for_who_asks(model, folder: Path) -> None:
    content = read(folder / "plain.png")

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/a.png" else 404)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    try:
        fetched = condition(model, "image", fetch(f"{address}/a.png"))
        with pytest.raises(MediaError, match=r"cannot be fetched.*404"):
            fetch(f"{address}/b.png")
    finally:
        server.shutdown()
        server.server_close()
    assert torch.equal(fetched, condition(model, "image", folder / "plain.png"))
    with pytest.raises(MediaError, match="no http address"):
        fetch((folder / "plain.png").as_uri())


def test_where_two_axes_could_be_channels_torch_has_them_first_and_numpy_last() -> None:
    array = np.zeros((3, 5, 4), np.uint8)
    assert as_image(array).size == (5, 3)
    assert as_image(torch.from_numpy(array)).size == (4, 5)
