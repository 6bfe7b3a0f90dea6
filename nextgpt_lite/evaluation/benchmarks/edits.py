"""What DAVIS and VCTK are edited by: Tables 9 and 10 on the files as they are published.

Knows: both layouts, and the wishes below. Leaves to others: reading media (`media`), what is
measured (`tables.editing`).

    DAVIS 2017 (trainval, 480p)   ImageSets/2017/val.txt             names of sequences, one a line
                                  JPEGImages/480p/NAME/00000.jpg     frames, 24 a second
                                  Annotations/480p/NAME/00000.png    palette: 0 behind, 1... things
    VCTK 0.92                     txt/SPEAKER/SPEAKER_001.txt        one sentence
                                  wav48_silence_trimmed/SPEAKER/SPEAKER_001_mic1.flac

Neither says what to change, and the paper, which took both tables' protocols from its baselines,
prints none of its prompts. So that anyone gets the same numbers, the wishes are made by rule:

- a video's annotated things should look like a golden statue; what the things are is told by the
  sequence's name, and the mask is theirs;
- of a recording the middle third is silenced, and the sentence should be said again; the recording
  is the truth and the silence the mask, as where a speech editor is tested by what it fills in.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np

from nextgpt_lite.errors import DataError, MediaError
from nextgpt_lite.media import Audio, Video, load_audio, load_image, safe_path
from nextgpt_lite.reading import read_text

FILE_WISHES = {
    "video": "each sequence's things like a golden statue",
    "audio": "the silenced middle third of a recording said again",
}
DAVIS_FPS = 24
SEQUENCES, FRAMES, ANNOTATIONS = "ImageSets/2017/val.txt", "JPEGImages/480p", "Annotations/480p"
TEXTS, RECORDINGS = "txt", "wav48_silence_trimmed"


@dataclass(frozen=True)
class ClipEdit:
    """A `Wish` about some frames of a sequence of DAVIS, evenly over its length.

    Attributes:
        frames, annotations: files, one each a frame.
        fps: frames a second, of those taken.
    """

    words: str
    caption: str
    frames: tuple[Path, ...]
    annotations: tuple[Path, ...]
    fps: float
    truth: None = None  # nobody has filmed it

    @property
    def medium(self) -> Video:
        """The video; raises MediaError for a frame that cannot be read or has another size."""
        return Video(_pixels(self.frames), self.fps)

    @property
    def mask(self) -> np.ndarray:
        """(T, H, W) truth values: where a thing is, of whichever number."""
        return _pixels(self.annotations).max(-1) > 0  # number 0 is black

    def granted(self, medium: Video) -> None:
        """Nobody can tell."""


@dataclass(frozen=True)
class SpeechEdit:
    """A `Wish` about a recording of VCTK, its beginning where it is longer than a decoder makes.

    Attributes:
        path: of the recording.
        seconds: taken of it at most.
    """

    words: str
    caption: str
    path: Path
    seconds: float

    @property
    def truth(self) -> Audio:
        """The recording; raises MediaError where it cannot be read."""
        audio = load_audio(self.path)
        return Audio(audio.samples[:, : round(self.seconds * audio.rate)], audio.rate)

    @property
    def mask(self) -> tuple[float, float]:
        """(from, to) seconds of the gap."""
        seconds = self.truth.duration
        return seconds / 3, 2 * seconds / 3

    @property
    def medium(self) -> Audio:
        """The recording with its gap."""
        audio = self.truth
        samples = audio.samples.copy()
        length = samples.shape[1]
        samples[:, length // 3 : 2 * length // 3] = 0
        return Audio(samples, audio.rate)

    def granted(self, medium: Audio) -> None:
        """Nobody can tell."""


def read_davis(folder: str | Path, frames: int) -> list[ClipEdit]:
    """The validation sequences of DAVIS 2017 that are at hand, in the order of their list.

    Args:
        frames: of each sequence, evenly over it; all of a shorter one.

    Raises:
        DataError: the folder is no DAVIS, or has none of its sequences.
        MediaError: a name leads out of the folder.
    """
    folder = Path(folder)
    listed = folder / SEQUENCES
    if not listed.is_file():
        raise DataError(f"{folder} has no {SEQUENCES}: give the folder of DAVIS 2017, trainval.")
    names = read_text(listed).split()
    found = []
    for name in names:
        files = sorted(safe_path(folder, f"{FRAMES}/{name}").glob("*.jpg"))
        if not files:
            continue
        count = min(frames, len(files))
        taken = [files[i] for i in np.linspace(0, len(files) - 1, count).round().astype(int)]
        places = [folder / ANNOTATIONS / name / f"{file.stem}.png" for file in taken]
        fps, things = DAVIS_FPS * count / len(files), name.replace("-", " ")
        words = f"Make the {things} look like a golden statue."
        caption = f"a golden statue, {things}"
        found.append(ClipEdit(words, caption, tuple(taken), tuple(places), fps))
    if not found:
        raise DataError(
            f"{folder}/{FRAMES} has none of the {len(names)} sequences of {SEQUENCES}: unpack "
            "DAVIS 2017 at 480p."
        )
    return found


def read_vctk(folder: str | Path, count: int, seconds: float, seed: int = 0) -> list[SpeechEdit]:
    """`count` recordings of VCTK 0.92's first microphone, drawn from all that have their sentence.

    Drawn, since all speakers begin with the same sentences.

    Args:
        seconds: of each recording at most.

    Raises:
        DataError: the folder is no VCTK, or has none of its recordings.
    """
    folder = Path(folder)
    texts = sorted(folder.glob(f"{TEXTS}/*/*.txt"))
    if not texts:
        raise DataError(f"{folder} has no {TEXTS}/SPEAKER/*.txt: give the folder of VCTK 0.92.")
    Random(seed).shuffle(texts)
    found: list[SpeechEdit] = []
    for text in texts:
        path = folder / RECORDINGS / text.parent.name / f"{text.stem}_mic1.flac"
        if path.is_file():
            said = read_text(text).strip()
            words = f"Fill the gap in this recording. It says: {said}"
            found.append(SpeechEdit(words, f"a person says: {said}", path, seconds))
        if len(found) == count:
            break
    if not found:
        raise DataError(
            f"{folder}/{RECORDINGS} has no recording of the {len(texts)} sentences: unpack VCTK "
            "0.92, whose files end in _mic1.flac."
        )
    return found


def _pixels(files: tuple[Path, ...]) -> np.ndarray:
    """(T, H, W, 3) of images of one size."""
    pictures = [np.asarray(load_image(file)) for file in files]
    for file, picture in zip(files, pictures, strict=True):
        if picture.shape != pictures[0].shape:
            raise MediaError(
                f"{file} is {picture.shape[1]} x {picture.shape[0]}, others of its clip are "
                f"{pictures[0].shape[1]} x {pictures[0].shape[0]}: unpack the clip again."
            )
    return np.stack(pictures)
