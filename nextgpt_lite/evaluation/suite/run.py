"""The lite suite: the whole table of what the shipped parts and the shipped model can do.

Knows: the examinations in their order, which files each depends on, and what is kept of an earlier
run. Leaves to others: the examinations themselves, rows (`rows`), pictures (`contact`).

    DIR/scores.json   every row, with the seconds it took
    DIR/scores.md     the same as a table
    DIR/sheets/*.png  the first 64 media of each kind, framed green (right) or red (wrong)

A run that was interrupted goes on where it stopped: an examination is not repeated while the files
of its parts, the number of prompts, the steps and the seed are the same.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from nextgpt_lite.config import locate
from nextgpt_lite.evaluation.suite import (
    cost,
    decoders,
    dialogues,
    encoder,
    llm,
    stages,
    text_encoders,
)
from nextgpt_lite.evaluation.suite.contact import write_sheets
from nextgpt_lite.evaluation.suite.examination import Examination, Examiner
from nextgpt_lite.evaluation.suite.rows import Row, markdown
from nextgpt_lite.modality import MODALITIES
from nextgpt_lite.model import NextGPT
from nextgpt_lite.training.checkpoint import beside

COUNT, QUICK = 500, 40  # prompts of each row
EVERYTHING = ("llm", "encoder", *MODALITIES, "model")
EXAMINATIONS: dict[str, Examination] = {
    "autoencoders": Examination(tuple(MODALITIES), decoders.autoencoders),
    "image decoder": Examination(("image",), decoders.image_decoder),
    "audio decoder": Examination(("audio",), decoders.audio_decoder),
    "video decoder": Examination(("video",), decoders.video_decoder),
    "probes": Examination(("encoder",), encoder.probes),
    "retrieval": Examination(("encoder",), encoder.retrieval),
    "text encoders": Examination(tuple(MODALITIES), text_encoders.text_encoders),
    "language model": Examination(("llm",), llm.language_model),
    "stage 1": Examination(("llm", "encoder", "model"), stages.stage_1),
    "stage 2": Examination(("llm", "image", "model"), stages.stage_2),
    "requests": Examination(EVERYTHING, dialogues.requests),
    "complex requests": Examination(EVERYTHING, dialogues.complex_requests),
    "conversations": Examination(EVERYTHING, dialogues.conversations),
    "speed": Examination(EVERYTHING, cost.speed),
    "size": Examination(EVERYTHING, cost.size),
}


def run_suite(
    name: str | Path,
    folder: Path,
    count: int = COUNT,
    steps: int = 20,
    names: Sequence[str] = tuple(EXAMINATIONS),
) -> list[Row]:
    """Measures what `folder` does not hold yet, and writes the table anew after each examination.

    Args:
        name: "lite" or the folder of a training run.
        count: prompts of each row.
        steps: of sampling.
        names: the examinations to be held; rows of others are left as they are.

    Returns:
        every row of the table, also those kept.
    """
    model = NextGPT.from_pretrained(name)
    examiner = Examiner(model, count, steps)
    path = folder / "scores.json"
    saved: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    of = {
        each: {
            "files": _fingerprint(_files(model, name, EXAMINATIONS[each].parts)),
            "count": count, "steps": steps, "seed": examiner.seed,
        }
        for each in names
    }  # fmt: skip
    bar = tqdm(names, desc="lite suite")
    for each in bar:
        bar.set_postfix_str(each)
        if saved.get(each, {}).get("of") == of[each]:
            continue
        wall, processor = time.monotonic(), time.process_time()
        found = EXAMINATIONS[each].run(examiner)
        saved[each] = {
            "of": of[each],
            "seconds": round(time.monotonic() - wall, 1),
            "processor_seconds": round(time.process_time() - processor, 1),
            "rows": [row.to_dict() for row in found.rows],
        }
        for sheet, tiles in found.sheets.items():
            write_sheets(tiles, folder / "sheets", sheet)
        saved = {each: saved[each] for each in EXAMINATIONS if each in saved}
        with beside(path) as draft:
            draft.write_text(json.dumps(saved, indent=1) + "\n")
        (folder / "scores.md").write_text(markdown(read_rows(path)))
    return read_rows(path)


def read_rows(path: Path) -> list[Row]:
    """The rows of a `scores.json`."""
    saved = json.loads(path.read_text())
    return [Row.from_dict(row) for each in saved.values() for row in each["rows"]]


def _files(model: NextGPT, name: str | Path, wanted: Sequence[str]) -> list[Path]:
    """Every file behind some of `EVERYTHING`."""
    folders: list[Path] = []
    for part in wanted:
        if part == "model":
            folders.append(locate("lite/nextgpt" if name == "lite" else str(name)))
        elif part == "llm":
            folders.append(locate(model.config.llm))
        else:
            folders += model.frozen_folders(part)
    if "video" in wanted:  # which may take its autoencoder from the pictures' folder
        folders += model.frozen_folders("image")
    return sorted({path for folder in folders for path in folder.rglob("*") if path.is_file()})


def _fingerprint(files: Iterable[Path]) -> str:
    """One digest of what the files hold; cards and logs do not matter."""
    digest = hashlib.sha256()
    for path in files:
        if path.suffix in (".safetensors", ".json", ".jinja"):
            digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]
