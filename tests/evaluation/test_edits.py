"""DAVIS and VCTK, written as published, and the wishes made of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from nextgpt_lite.evaluation.benchmarks.edits import read_davis, read_vctk
from nextgpt_lite.media import MediaError


def write_davis(folder: Path, lengths: dict[str, int]) -> Path:
    """DAVIS 2017 with sequences of so many frames: JPEGs, and palette PNGs of two things each."""
    (folder / "ImageSets" / "2017").mkdir(parents=True)
    (folder / "ImageSets" / "2017" / "val.txt").write_text("\n".join([*lengths, "gone"]) + "\n")
    numbers = np.zeros((6, 8), np.uint8)
    numbers[1:3, 2:5], numbers[4, 6] = 1, 2
    mask = Image.new("P", (8, 6))
    mask.putdata(numbers.flatten().tolist())
    mask.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    for name, length in lengths.items():
        for kind in ("JPEGImages", "Annotations"):
            (folder / kind / "480p" / name).mkdir(parents=True)
        for index in range(length):
            frame = Image.new("RGB", (8, 6), (40 * index,) * 3)
            frame.save(folder / "JPEGImages" / "480p" / name / f"{index:05}.jpg")
            mask.save(folder / "Annotations" / "480p" / name / f"{index:05}.png")
    return folder


def test_davis_as_published(tmp_path: Path) -> None:
    folder = write_davis(tmp_path / "DAVIS", {"bear": 5, "dogs-jump": 2})
    bear, dogs = read_davis(folder, frames=3)
    assert (bear.words, bear.caption) == (
        "Make the bear look like a golden statue.", "a golden statue, bear"
    )  # fmt: skip
    assert "dogs jump" in dogs.words
    clip = bear.medium
    assert clip.frames.shape == (3, 6, 8, 3)
    assert clip.frames[:, 0, 0, 0].tolist() == pytest.approx([0, 80, 160], abs=2), "evenly"
    assert clip.duration == pytest.approx(5 / 24)
    expected = np.zeros((6, 8), bool)
    expected[1:3, 2:5] = expected[4, 6] = True
    assert np.array_equal(bear.mask, np.stack([expected] * 3)), "things of every number"
    assert len(dogs.medium.frames) == len(dogs.mask) == 2, "a short sequence is taken whole"

    (folder / "Annotations" / "480p" / "bear" / "00002.png").unlink()
    with pytest.raises(MediaError, match=r"bear.00002\.png does not exist"):
        _ = bear.mask
    Image.new("RGB", (4, 4)).save(folder / "JPEGImages" / "480p" / "dogs-jump" / "00001.jpg")
    with pytest.raises(MediaError, match=r"00001\.jpg is 4 x 4, others of its clip are 8 x 6"):
        _ = dogs.medium
    listed = folder / "ImageSets" / "2017" / "val.txt"
    listed.write_text("gone\n")
    with pytest.raises(ValueError, match="none of the 1 sequences"):
        read_davis(folder, 3)
    listed.write_text("../../secret\n")
    with pytest.raises(MediaError, match="outside its data folder"):
        read_davis(folder, 3)
    with pytest.raises(ValueError, match="give the folder of DAVIS 2017"):
        read_davis(tmp_path, 3)


def write_vctk(folder: Path, sentences: dict[str, str], seconds: float = 0.6) -> Path:
    """VCTK 0.92 with these sentences by "SPEAKER_NUMBER": FLAC at 48 kHz, a tone each."""
    times = np.arange(int(48000 * seconds)) / 48000
    for name, sentence in sentences.items():
        speaker = name.split("_")[0]
        for place in ("txt", "wav48_silence_trimmed"):
            (folder / place / speaker).mkdir(parents=True, exist_ok=True)
        (folder / "txt" / speaker / f"{name}.txt").write_text(sentence + "\n")
        for microphone in ("mic1", "mic2"):
            soundfile.write(
                folder / "wav48_silence_trimmed" / speaker / f"{name}_{microphone}.flac",
                0.5 * np.sin(2 * np.pi * 440 * times), 48000,
            )  # fmt: skip
    return folder


def test_vctk_as_published(tmp_path: Path) -> None:
    sentences = {"p225_001": "Please call Stella.", "p226_001": "Please call Stella.",
                 "s5_003": "Six spoons of fresh snow peas."}  # fmt: skip
    folder = write_vctk(tmp_path / "VCTK", sentences)
    found = {wish.path.name: wish for wish in read_vctk(folder, 9, seconds=0.3)}
    assert {*found} == {f"{name}_mic1.flac" for name in sentences}
    wish = found["s5_003_mic1.flac"]
    assert all(sentences["s5_003"] in text for text in (wish.words, wish.caption))
    assert (wish.truth.rate, wish.truth.duration) == (48000, 0.3), "no longer than asked for"
    assert wish.mask == pytest.approx((0.1, 0.2))
    gap = slice(round(0.1 * 48000), round(0.2 * 48000))
    assert not wish.medium.samples[:, gap].any() and wish.truth.samples[:, gap].any()
    kept = np.delete(wish.truth.samples, gap, axis=1)
    assert np.array_equal(np.delete(wish.medium.samples, gap, axis=1), kept)
    assert found["p225_001_mic1.flac"].words.endswith("Please call Stella.")

    orders = {tuple(w.path.name for w in read_vctk(folder, 2, 1.0, seed)) for seed in range(9)}
    assert len(orders) > 1 and {len(order) for order in orders} == {2}, "drawn by the seed"
    for path in folder.rglob("*_mic1.flac"):
        path.unlink()
    with pytest.raises(ValueError, match=r"no recording of the 3 sentences.*_mic1\.flac"):
        read_vctk(folder, 1, 1.0)
    with pytest.raises(ValueError, match="give the folder of VCTK"):
        read_vctk(tmp_path / "nowhere", 1, 1.0)
