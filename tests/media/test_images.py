"""Images as viewers show them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nextgpt_lite.media import MediaError, images, load_image, noted

RAMP = Image.fromarray(
    np.stack([np.tile(np.arange(0, 240, 3, dtype=np.uint8), (80, 1))] * 3, axis=-1)
)


@pytest.mark.parametrize("suffix", ["ppm", "jp2", "tga", "tiff", "avif", "png"])
def test_what_pillow_reads_is_accepted_whatever_its_name(tmp_path: Path, suffix: str) -> None:
    RAMP.save(tmp_path / f"ramp.{suffix}")
    path = (tmp_path / f"ramp.{suffix}").rename(tmp_path / "nameless")
    assert abs(np.asarray(load_image(path)).astype(int) - np.asarray(RAMP)).mean() < 3


BRANDS = [
    (b"heic", "HEIC"),
    (b"mif1", "HEIC"),
    (b"heix", "HEIC"),
    (b"hevc", "HEIC"),
    (b"crx ", "CR3"),
]


@pytest.mark.parametrize(("brand", "name"), BRANDS)
def test_what_cannot_be_read_is_named_for_what_it_is(
    tmp_path: Path, brand: bytes, name: str
) -> None:
    path = tmp_path / "telephone.jpg"
    path.write_bytes(b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0mif1heic" + bytes(100))
    with pytest.raises(MediaError, match=f"type {name}, which cannot be read here: convert it"):
        load_image(path)
    for beginning, kind in ((b"\xff\x0a", "JXL"), (b'\n<svg xmlns="', "SVG")):
        path.write_bytes(beginning + bytes(100))
        with pytest.raises(MediaError, match=f"type {kind}, which cannot be read here"):
            load_image(path)


@pytest.mark.parametrize("missing", [1, 2, 40])
def test_a_jpeg_without_its_end_is_read_with_a_warning(tmp_path: Path, missing: int) -> None:
    RAMP.save(tmp_path / "ramp.jpg", quality=95)
    whole = load_image(tmp_path / "ramp.jpg")
    content = (tmp_path / "ramp.jpg").read_bytes()
    (tmp_path / "ramp.jpg").write_bytes(content[:-missing])
    with noted() as notes:
        cut = load_image(tmp_path / "ramp.jpg")
    assert all("ramp.jpg is cut off" in sentence for sentence in notes)
    assert notes or missing < 40
    assert np.array_equal(np.asarray(cut)[:32], np.asarray(whole)[:32])
    (tmp_path / "ramp.jpg").write_bytes(content[:150])
    with pytest.raises(MediaError, match=r"ramp\.jpg is damaged or cut off"):
        load_image(tmp_path / "ramp.jpg")


def test_a_huge_jpeg_is_decoded_at_a_part_of_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    RAMP.save(tmp_path / "huge.jpg")
    RAMP.save(tmp_path / "huge.png")
    monkeypatch.setattr(images, "MAX_PIXELS", 2000)
    small = load_image(tmp_path / "huge.jpg")
    assert small.size == (10, 10)
    assert np.asarray(small)[5, :, 0].tolist() == sorted(np.asarray(small)[5, :, 0].tolist())
    with pytest.raises(MediaError, match="megapixels"):
        load_image(tmp_path / "huge.png")
    monkeypatch.setattr(images, "MAX_REDUCED", 4000)
    with pytest.raises(MediaError, match="megapixels"):
        load_image(tmp_path / "huge.jpg")


def test_pixels_that_are_no_numbers_are_told(tmp_path: Path) -> None:
    values = np.full((16, 16), 0.5, np.float32)
    values[0, 0] = np.nan
    Image.fromarray(values).save(path := tmp_path / "nan.tif")
    with noted() as notes:
        assert load_image(path).getpixel((0, 0)) == (0, 0, 0)
    assert [sentence.partition(" holds")[0] for sentence in notes] == [str(path)]


@pytest.mark.parametrize("suffix", ["pcx", "sgi", "dds", "qoi", "dib", "icns"])
def test_rare_formats_are_read_where_pillow_reads_them(tmp_path: Path, suffix: str) -> None:
    image = Image.new("RGB", (64, 64), "orange")
    image.save(path := tmp_path / f"rare.{suffix}")
    assert load_image(path.rename(tmp_path / "nameless")).getpixel((9, 9)) == (255, 165, 0)
