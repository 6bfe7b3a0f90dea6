"""Files in and out: what loads, what is refused, and that a refusal is one sentence."""

from __future__ import annotations

import shutil
import struct
import warnings

import numpy as np
import pytest
from PIL import Image

from nextgpt_lite.media import (
    Audio,
    MediaError,
    Video,
    audios,
    files as media,
    load_array,
    load_audio,
    load_image,
    load_video,
    safe_path,
    save_array,
    save_audio,
    save_image,
    save_video,
)
from nextgpt_lite.model.modality import MODALITIES


@pytest.fixture(scope="module")
def image() -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.fixture(scope="module")
def audio() -> Audio:
    time = np.arange(24000) / 16000
    left, right = np.sin(2 * np.pi * 440 * time), 0.5 * np.sin(2 * np.pi * 660 * time)
    return Audio(np.stack([left, right]).astype(np.float32), 16000)


@pytest.fixture(scope="module")
def video() -> Video:
    ramp = np.linspace(0, 200, 40, dtype=np.uint8)
    frames = np.zeros((12, 33, 40, 3), np.uint8) + ramp[:, None]
    frames += np.arange(12, dtype=np.uint8)[:, None, None, None] * 4
    return Video(frames, 6.0)


@pytest.fixture
def files(tmp_path, image, audio, video):
    """One good file of each modality."""
    save_image(image, tmp_path / "image.png")
    save_audio(audio, tmp_path / "audio.wav")
    save_video(video, tmp_path / "video.mp4")
    return {
        "image": tmp_path / "image.png",
        "audio": tmp_path / "audio.wav",
        "video": tmp_path / "video.mp4",
    }


def refusal(modality, path) -> str:
    """The sentence with which the file is refused."""
    with pytest.raises(MediaError) as caught:
        MODALITIES[modality].load(path)
    sentence = str(caught.value)
    assert str(path) in sentence
    assert "\n" not in sentence
    assert len(sentence) < 300 + len(str(path))
    return sentence


# --- round trips


def test_png_comes_back_exactly(files, image):
    assert np.array_equal(np.asarray(load_image(files["image"])), np.asarray(image))


def test_wav_comes_back_within_a_quantum(files, audio):
    again = load_audio(files["audio"])
    assert again.rate == audio.rate
    assert np.abs(again.samples - audio.samples).max() < 2 / 32768
    assert again.samples.dtype == np.float32


def test_mp4_comes_back_nearly_with_even_sides(files, video):
    again = load_video(files["video"])
    assert again.frames.shape == (12, 34, 40, 3)
    assert again.fps == pytest.approx(6.0)
    assert again.duration == pytest.approx(2.0)
    difference = again.frames[:, :33].astype(int) - video.frames
    assert np.abs(difference).mean() < 4


@pytest.mark.parametrize("suffix", ["flac", "ogg", "mp3"])
def test_other_sound_formats_load(tmp_path, audio, suffix):
    import soundfile

    path = tmp_path / f"sound.{suffix}"
    soundfile.write(path, audio.samples.T, audio.rate)
    again = load_audio(path)
    assert again.samples.shape[0] == 2
    assert again.duration == pytest.approx(1.5, abs=0.1)


@pytest.mark.parametrize("suffix", ["jpg", "webp", "bmp", "gif", "tiff"])
def test_other_picture_formats_load(tmp_path, image, suffix):
    image.save(tmp_path / f"picture.{suffix}")
    again = load_image(tmp_path / f"picture.{suffix}")
    assert (again.size, again.mode) == (image.size, "RGB")


def write_container(
    path, codec: str, audio: Audio | None, video: Video | None, video_codec=""
) -> None:
    """A container with an audio track, a video track, or both."""
    import av

    with av.open(str(path), "w") as container:
        sound = picture = None
        if audio is not None:
            sound = container.add_stream(codec, rate=48000, layout="stereo")
        if video is not None:
            picture = container.add_stream(video_codec, rate=6)
            picture.width, picture.height, picture.pix_fmt = 40, 32, "yuv420p"
        if sound is not None:
            from nextgpt_lite.media import resample

            samples = resample(audio.samples, audio.rate, 48000)
            length = sound.codec_context.frame_size or 960
            for start in range(0, samples.shape[1] - length, length):
                piece = np.ascontiguousarray(samples[:, start : start + length])
                frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="stereo")
                frame.rate, frame.pts = 48000, start
                container.mux(sound.encode(frame))
            container.mux(sound.encode())
        if picture is not None:
            for array in video.frames[:, :32]:
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(array), format="rgb24")
                container.mux(picture.encode(frame))
            container.mux(picture.encode())


def test_sound_inside_m4a_and_clips_loads(tmp_path, audio, video):
    write_container(tmp_path / "sound.m4a", "aac", audio, None)
    write_container(tmp_path / "clip.mp4", "aac", audio, video, "libx264")
    for name in ("sound.m4a", "clip.mp4"):
        again = load_audio(tmp_path / name)
        assert again.samples.shape[0] == 2
        assert again.duration == pytest.approx(1.5, abs=0.15)
    assert len(load_video(tmp_path / "clip.mp4").frames) == 12
    write_container(tmp_path / "only_sound.mp4", "aac", audio, None)
    assert "no video track" in refusal("video", tmp_path / "only_sound.mp4")
    assert "type M4A" in refusal("video", tmp_path / "sound.m4a")


def test_webm_and_animated_gif_load_as_clips(tmp_path, video):
    write_container(tmp_path / "clip.webm", "", None, video, "libvpx-vp9")
    assert len(load_video(tmp_path / "clip.webm").frames) == 12
    frames = [Image.fromarray(frame) for frame in video.frames]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:], duration=100)
    assert len(load_video(tmp_path / "moving.gif").frames) > 6
    assert load_image(tmp_path / "moving.gif").size == (40, 33)


# --- pictures of every kind


def test_exif_orientation_is_applied(tmp_path):
    image = Image.new("RGB", (40, 20), "red")
    exif = image.getexif()
    exif[0x0112] = 6  # to be turned by a quarter
    image.save(tmp_path / "phone.jpg", exif=exif)
    assert load_image(tmp_path / "phone.jpg").size == (20, 40)


def test_transparency_lies_over_white(tmp_path):
    Image.new("RGBA", (4, 4), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert load_image(tmp_path / "clear.png").getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "CMYK", "I;16", "F"])
def test_every_picture_mode_becomes_rgb(tmp_path, mode):
    if mode == "I;16":
        image = Image.fromarray(np.full((8, 8), 40000, np.uint16))
    else:
        image = Image.new("RGB", (8, 8), (156, 156, 156)).convert("L").convert(mode)
    image.save(tmp_path / "picture.tiff")
    loaded = load_image(tmp_path / "picture.tiff")
    assert loaded.mode == "RGB"
    assert max(loaded.getpixel((0, 0))) > 100


# --- long and large


def test_a_long_clip_is_thinned_evenly(tmp_path):
    frames = (
        np.zeros((100, 16, 16, 3), np.uint8)
        + (2 * np.arange(100, dtype=np.uint8))[:, None, None, None]
    )
    save_video(Video(frames, 10.0), tmp_path / "long.mp4")
    thin = load_video(tmp_path / "long.mp4", max_frames=16)
    assert 8 <= len(thin.frames) <= 16
    assert thin.duration == pytest.approx(10.0, rel=0.2)
    steps = np.diff(thin.frames[:, 8, 8, 0].astype(int))
    assert steps.max() - steps.min() <= 4


def test_large_frames_are_scaled_down(tmp_path):
    save_video(Video(np.zeros((2, 1000, 500, 3), np.uint8), 2.0), tmp_path / "large.mp4")
    assert load_video(tmp_path / "large.mp4").frames.shape == (2, 768, 384, 3)


def test_a_sound_beyond_the_limit_is_cut_with_a_warning(files, monkeypatch):
    monkeypatch.setattr(audios, "MAX_SECONDS", 1)
    with pytest.warns(UserWarning, match="only its first"):
        assert load_audio(files["audio"]).duration == pytest.approx(1.0)


def test_a_gigantic_picture_is_refused_before_it_is_decoded(tmp_path):
    path = tmp_path / "huge.png"
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    import zlib

    chunk = b"IHDR" + header
    png = (
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    )
    path.write_bytes(png + b"\0\0\0\0IDAT" + struct.pack(">I", zlib.crc32(b"IDAT")))
    assert "megapixels" in refusal("image", path)


def test_a_gigantic_file_is_refused_unread(files, monkeypatch):
    monkeypatch.setattr(media, "MAX_BYTES", 100)
    for modality, path in files.items():
        assert "larger than" in refusal(modality, path)


# --- refusals


@pytest.mark.parametrize("modality", ["image", "audio", "video"])
def test_missing_folder_empty_and_nonsense_are_refused(tmp_path, modality):
    assert "does not exist" in refusal(modality, tmp_path / "nowhere.png")
    assert "is a folder" in refusal(modality, tmp_path)
    (tmp_path / "empty.wav").touch()
    assert "is empty" in refusal(modality, tmp_path / "empty.wav")
    (tmp_path / "text.mp4").write_text("hello, I am a text\n" * 50)
    assert "no known" in refusal(modality, tmp_path / "text.mp4")


@pytest.mark.parametrize("modality", ["image", "video"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.97])
def test_truncated_files_are_refused(files, modality, share):
    path = files[modality]
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    assert "cut off" in refusal(modality, path)


@pytest.mark.parametrize("suffix", ["webp", "flac", "ogg"])
def test_other_truncated_formats_are_refused(tmp_path, image, audio, suffix):
    import soundfile

    path = tmp_path / f"cut.{suffix}"
    modality = "image" if suffix == "webp" else "audio"
    if modality == "image":
        image.save(path)
    else:
        soundfile.write(path, audio.samples.T, audio.rate)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "cut off" in refusal(modality, path)


def test_mislabelled_files_are_named_for_what_they_are(files, tmp_path):
    names = {"image": "PNG", "audio": "WAV", "video": "MP4"}
    for really, path in files.items():
        for claimed in set(files) - {really}:
            wrong = tmp_path / f"mislabelled{files[claimed].suffix}"
            shutil.copy(path, wrong)
            if (really, claimed) == ("video", "audio"):
                assert "no audio track" in refusal(claimed, wrong)
                continue
            sentence = refusal(claimed, wrong)
            assert names[really] in sentence
            assert f"pass it as {really}" in sentence


def test_a_wrong_ending_within_the_modality_does_not_matter(tmp_path, image, files):
    image.save(tmp_path / "really_jpeg.png", "JPEG")
    assert load_image(tmp_path / "really_jpeg.png").size == image.size
    shutil.copy(files["audio"], tmp_path / "really_wav.mp3")
    assert load_audio(tmp_path / "really_wav.mp3").duration == pytest.approx(1.5)


def test_a_wav_of_no_samples_is_refused(tmp_path):
    save_audio(Audio(np.zeros((1, 0), np.float32), 16000), tmp_path / "silent.wav")
    assert "no audio" in refusal("audio", tmp_path / "silent.wav")


def test_unusual_samples_are_made_usable(tmp_path):
    import soundfile

    samples = np.array([np.nan, np.inf, -3.0, 0.5], np.float32)
    soundfile.write(tmp_path / "wild.wav", samples, 8000, subtype="FLOAT")
    with pytest.warns(UserWarning, match="no numbers"):
        loaded = load_audio(tmp_path / "wild.wav").samples
    assert np.array_equal(loaded, np.array([[0, 1, -1, 0.5]], np.float32))


# --- numbers of a modality of one's own


def test_arrays_come_back_exactly_under_any_suffix(tmp_path):
    values = np.random.default_rng(0).standard_normal((6, 40)).astype(np.float32)
    for name in ("record.npy", "record.imu"):
        save_array(values, tmp_path / name)
        assert np.array_equal(load_array(tmp_path / name), values)


def test_files_that_hold_no_numbers_are_refused(tmp_path):
    (tmp_path / "text.npy").write_text("no numbers")
    np.save(tmp_path / "pickle.npy", np.array([{}]), allow_pickle=True)
    np.save(tmp_path / "words.npy", np.array(["a"]))
    for name in ("text.npy", "pickle.npy", "words.npy", "missing.npy"):
        with pytest.raises(MediaError, match=name):
            load_array(tmp_path / name)


# --- helpers of the dataclasses


def test_mono_mixes_and_resamples(audio):
    mono = audio.mono(8000)
    assert mono.shape == (12000,)
    assert mono.dtype == np.float32
    spectrum = np.abs(np.fft.rfft(mono))
    peaks = sorted(int(i) for i in np.argsort(spectrum)[-2:])
    assert [round(p / 1.5) for p in peaks] == [440, 660]


# --- paths in data files


def test_paths_stay_inside_their_folder(tmp_path):
    folder = tmp_path / "data"
    (folder / "inside").mkdir(parents=True)
    (tmp_path / "secret.png").touch()
    (folder / "out.png").symlink_to(tmp_path / "secret.png")
    (folder / "up").symlink_to(tmp_path)
    (folder / "inside" / "fine.png").touch()
    (folder / "link.png").symlink_to(folder / "inside" / "fine.png")
    assert safe_path(folder, "inside/fine.png") == folder / "inside" / "fine.png"
    assert safe_path(folder, "link.png").exists()
    refused = (
        "../secret.png",
        "/etc/passwd",
        "out.png",
        "up/secret.png",
        "inside/../../secret.png",
        "",
        "C:\\secret.png",
        "..\\secret.png",
        "a\0b.png",
        "\\\\host\\share\\x.png",
    )
    for name in refused:
        with pytest.raises(MediaError, match="outside its data folder"):
            safe_path(folder, name)


def test_no_warning_for_an_ordinary_file(files):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for modality, path in files.items():
            MODALITIES[modality].load(path)
