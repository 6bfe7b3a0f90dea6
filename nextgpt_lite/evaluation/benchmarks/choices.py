"""Questions with fixed answers, read from the benchmarks' own files: MME, MMBench and SEED-Bench.

Knows: the three formats as they are published. Leaves to others: which answer a model takes
(`tables.ranking`), and the scores (`tables.choosing`).

    MME         a folder a subtask: images, beside each a .txt of two lines "question<tab>Yes|No"
                (or in images/ and questions_answers_YN/)
    MMBench     a TSV: index, question, hint, A to D, answer, category, l2-category, image (base64)
    SEED-Bench  a JSON: {"questions": [{"question", "choice_a" to "choice_d", "answer", "data_type",
                "data_id", "question_type_id", "segment"}], "question_type": {name: id}}
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nextgpt_lite.errors import DataError, MediaError
from nextgpt_lite.media import Video, safe_path
from nextgpt_lite.model.modality import MODALITIES
from nextgpt_lite.reading import read_csv, read_json, read_text, reading

YES_NO = ("Yes", "No")
LETTERS = "ABCD"


@dataclass(frozen=True)
class Choice:
    """One question about one medium.

    Attributes:
        options: the answers to choose from.
        answer: index of the right one; None where the benchmark keeps it to itself.
        category: subtask (MME), level-2 ability (MMBench) or question type (SEED-Bench).
        item: what belongs together: the image of two MME questions.
        source: the medium's file, or the bytes of an image.
        segment: what of a video is asked about, in seconds; as whole numbers, in frames.
    """

    id: str
    question: str
    options: tuple[str, ...]
    answer: int | None
    category: str
    modality: str
    source: Path | bytes
    item: str = ""
    segment: tuple[float, float] | None = None

    def media(self) -> Any:
        """The image, or the video's segment; raises MediaError."""
        if isinstance(self.source, bytes):
            from PIL import Image

            try:
                return Image.open(io.BytesIO(self.source)).convert("RGB")
            except OSError as error:
                raise MediaError(f"Question {self.id}: its picture is damaged.") from error
        medium = MODALITIES[self.modality].load(self.source)
        if self.segment is None or not isinstance(medium, Video):
            return medium
        by_frame = isinstance(self.segment[0], int)
        start, end = (int(at) if by_frame else round(at * medium.fps) for at in self.segment)
        start = min(start, len(medium.frames) - 1)
        return Video(medium.frames[start : max(end, start + 1)], medium.fps)


def read_mme(folder: str | Path) -> list[Choice]:
    """Every question of every subtask below a folder.

    Raises:
        DataError: there is none, or a line is not "question<tab>Yes|No".
    """
    root = Path(folder)
    choices = [choice for task in sorted(root.glob("*/")) for choice in _mme_task(task)]
    if not choices:
        raise DataError(f"{root} holds no subtask of MME: give the folder that holds existence/.")
    return choices


def _mme_task(folder: Path) -> Iterator[Choice]:
    apart = folder / "questions_answers_YN"
    texts, pictures = (apart, folder / "images") if apart.is_dir() else (folder, folder)
    suffixes = MODALITIES["image"].extensions
    for path in sorted(texts.glob("*.txt")):
        picture = next((p for s in suffixes if (p := pictures / (path.stem + s)).is_file()), None)
        if picture is None:
            raise DataError(f"{path} has no picture of its name in {pictures}; put it there.")
        for number, line in enumerate(read_text(path).splitlines(), start=1):
            if not line.strip():
                continue
            question, _, truth = line.strip().rpartition("\t")
            if not question or truth.strip().capitalize() not in YES_NO:
                raise DataError(f"{path}, line {number}: write it as question<tab>Yes or No.")
            answer = YES_NO.index(truth.strip().capitalize())
            name = f"{folder.name}/{path.stem}"
            yield Choice(
                f"{name}/{number}", question.strip(), YES_NO, answer, folder.name, "image",
                picture, item=name,
            )  # fmt: skip


def read_mmbench(path: str | Path) -> list[Choice]:
    """Every question of a TSV; a hint comes before its question.

    A row whose image is the index of another one shares that image.

    Raises:
        DataError: a column is missing, or an image cannot be decoded.
    """
    rows = read_csv(Path(path), ("A", "B", "image", "index", "question"), delimiter="\t")
    pictures = {row["index"]: row["image"] for row in rows}
    choices = []
    for row in rows:
        letters = [letter for letter in LETTERS if _given(row.get(letter))]
        coded = pictures.get(row["image"], row["image"])
        try:
            picture = base64.b64decode(coded, validate=True)
        except ValueError as error:
            raise DataError(f"{path}, index {row['index']}: image is no base64.") from error
        hint = f"{row['hint'].strip()} " if _given(row.get("hint")) else ""
        answer = row.get("answer") or ""
        choices.append(
            Choice(
                row["index"], hint + row["question"].strip(),
                tuple(row[letter].strip() for letter in letters),
                letters.index(answer) if answer in letters else None,
                row.get("l2-category") or row.get("category") or "", "image", picture,
            )
        )  # fmt: skip
    return choices


def _given(text: str | None) -> bool:
    return bool(text) and text != "nan"  # as pandas writes an empty cell


def read_seed_bench(path: str | Path, media: str | Path | None = None) -> list[Choice]:
    """Every question of the JSON file whose image or video lies in `media` (None: beside it).

    Raises:
        DataError: a field is missing, or no medium is there.
    """
    path = Path(path)
    folder = path.parent if media is None else Path(media)
    values = read_json(path)
    choices = []
    with reading(path):
        names = {number: name for name, number in values["question_type"].items()}
        for entry in values["questions"]:
            place = _place(folder, entry["data_id"], entry["data_type"])
            if place is None:
                continue
            segment = entry.get("segment")
            options = tuple(str(entry[f"choice_{letter.lower()}"]) for letter in LETTERS)
            choices.append(
                Choice(
                    str(entry["question_id"]), entry["question"].strip(), options,
                    LETTERS.index(entry["answer"]), names[entry["question_type_id"]],
                    entry["data_type"], place,
                    segment=(segment[0], segment[1]) if segment else None,
                )
            )  # fmt: skip
    if not choices:
        raise DataError(f"{path}: none of its media lies in {folder}; name it by --media.")
    return choices


def _place(folder: Path, name: str, modality: str) -> Path | None:
    """The file of a `data_id`, which SEED-Bench writes with and without its ending."""
    places = [safe_path(folder, name + end) for end in ("", *MODALITIES[modality].extensions)]
    return next((place for place in places if place.is_file()), None)
