"""The lite suite: the whole table of what the shipped parts and the shipped model can do.

Knows: the examinations in their order, which files each depends on, how they are shared out among
processes, and what is kept of an earlier run. Leaves to others: the examinations themselves, rows
(`rows`), pictures (`contact`).

    DIR/scores.json   every row, with the seconds it took
    DIR/scores.md     the same as a table
    DIR/sheets/*.png  the first 64 media of each kind, framed green (right) or red (wrong)

A run that was interrupted goes on where it stopped: an examination is not repeated while the files
of its parts, the number of prompts, the steps and the seed are the same. The process that held it
writes its rows, under a lock: any number of processes may be at one folder.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from tqdm.auto import tqdm
from typing_extensions import TypedDict

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.errors import RunError
from nextgpt_lite.model.config import locate, trained_folder
from nextgpt_lite.model.device import pick_device, precision_name
from nextgpt_lite.reading import read_json
from nextgpt_lite.world.scene import MODALITIES
from nextgpt_lite.world.suite import cost, decoders, dialogues, frozen, kinds, stages, typed
from nextgpt_lite.world.suite.contact import write_sheets
from nextgpt_lite.world.suite.examination import Examination, Examiner
from nextgpt_lite.world.suite.rows import Row, markdown
from nextgpt_lite.writing import beside

COUNT, QUICK = 500, 40  # prompts of each row
EVERYTHING = ("llm", "encoder", *MODALITIES, "model")
EXAMINATIONS: dict[str, Examination] = {
    "autoencoders": Examination(MODALITIES, decoders.autoencoders),
    "image decoder": Examination(("image",), decoders.image_decoder),
    "audio decoder": Examination(("audio",), decoders.audio_decoder),
    "video decoder": Examination(("video",), decoders.video_decoder),
    "probes": Examination(("encoder",), frozen.probes),
    "retrieval": Examination(("encoder",), frozen.retrieval),
    "text encoders": Examination(MODALITIES, frozen.text_encoders),
    "language model": Examination(("llm",), frozen.language_model),
    "stage 1": Examination(("llm", "encoder", "model"), stages.stage_1),
    "stage 2": Examination(("llm", "image", "model"), stages.stage_2),
    "requests": Examination(EVERYTHING, dialogues.requests),
    "complex requests": Examination(EVERYTHING, dialogues.complex_requests),
    "conversations": Examination(EVERYTHING, dialogues.conversations),
    "number of kinds": Examination(("llm", "encoder", "image", "model"), kinds.number_of_kinds),
    "poor recordings": Examination(("llm", "encoder", "model"), kinds.poor_recordings),
    "as people type": Examination(EVERYTHING, typed.typed_requests),
    "speed": Examination(EVERYTHING, cost.speed),
    "size": Examination(EVERYTHING, cost.size),
}
# How they are shared out among processes: the longest first, those with common pictures together.
SHARES: tuple[tuple[str, ...], ...] = (
    ("video decoder",),
    ("conversations",),
    ("image decoder", "stage 2"),
    ("requests",),
    ("complex requests",),
    ("as people type",),
    ("number of kinds",),
    ("autoencoders",),
    ("stage 1",),
    ("language model",),
    ("poor recordings",),
    ("probes",),
    ("audio decoder",),
    ("text encoders",),
    ("retrieval",),
)
ALONE = ("speed", "size")  # by the calling process with all its threads, while no other is at work
WORKER_MEMORY = 4 * 2**30  # bytes of a card: the lite model, its batches and the driver's share
MAX_WORKERS = 4  # the longest examination takes a quarter of the time: more processes save none
# Without the time left, which tqdm would guess from the longest: they come first.
BAR_FORMAT = "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}{postfix}]"


def run_suite(
    name: str | Path,
    folder: Path,
    count: int = COUNT,
    steps: int = 20,
    names: Sequence[str] = tuple(EXAMINATIONS),
    workers: int = 1,
    device: str = "auto",
    dtype: str | None = None,
) -> list[Row]:
    """Measures what `folder` does not hold yet, and writes the table anew after each examination.

    Args:
        name: "lite" or the folder of a training run.
        count: prompts of each row.
        steps: of sampling.
        names: the examinations to be held; rows of others are left as they are.
        workers: processes that share them, and the threads of this one; each loads the model.
        device, dtype: as of `NextGPT.from_pretrained`.

    Returns:
        every row of the table, also those kept.

    Raises:
        RunError: a worker ended early; start again and it goes on.
    """
    model = NextGPT.from_pretrained(name, device=device, dtype=dtype)
    examiner = Examiner(model, count, steps)
    path = folder / "scores.json"
    saved = _saved(path)
    of = {
        each: {
            "files": _fingerprint(_files(model, name, EXAMINATIONS[each].parts)),
            "count": count, "steps": steps, "seed": examiner.seed, **_place(model),
        }
        for each in names
    }  # fmt: skip
    left = {each: of[each] for each in names if saved.get(each, {}).get("of") != of[each]}
    with tqdm(
        total=len(names),
        initial=len(names) - len(left),
        desc=f"lite suite on {model.device}, processes: {workers}",
        bar_format=BAR_FORMAT,
    ) as bar:
        if workers > 1:
            shared = {each: left.pop(each) for each in names if each in left and each not in ALONE}
            for each in _share_out(shared, folder, workers, name, count, steps, device, dtype):
                bar.set_postfix_str(f"{each} done")
                bar.update()
        for each in left:
            bar.set_postfix_str(each)
            _hold(each, examiner, folder, of[each])
            bar.update()
    return read_rows(path)


def default_workers(device: str = "auto") -> int:
    """Processes that `run_suite` is best given: one for each thread of torch, for drawing and
    verifying are a processor's work on every device, as far as the device has memory for them."""
    workers, chosen = min(torch.get_num_threads(), MAX_WORKERS), pick_device(device)
    if chosen.type == "cuda":
        workers = min(workers, torch.cuda.mem_get_info(chosen)[0] // WORKER_MEMORY)
    return max(1, workers)


def _place(model: NextGPT) -> dict[str, str]:
    """What else tells rows apart: a device or number format that is not the ordinary one."""
    if model.device.type == "cpu" and model.dtype == torch.float32:
        return {}
    return {"device": model.device.type, "precision": precision_name(model.dtype)}


def _share_out(left: dict[str, Any], folder: Path, workers: int, *examiner: Any) -> Iterator[str]:
    """Holds examinations in processes with a share of the threads each, and names those done.

    What is interrupted leaves no process behind.

    Args:
        examiner: the arguments of `_examiner`.
    """
    shares = [share for some in SHARES if (share := [each for each in some if each in left])]
    threads = max(1, torch.get_num_threads() // workers)
    before = multiprocessing.active_children()
    with ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), _start, (threads,)
    ) as pool:
        try:
            held = [
                pool.submit(_work, {each: left[each] for each in some}, folder, *examiner)
                for some in shares
            ]
            for future in as_completed(held):
                yield from future.result()
        except BaseException as error:
            for process in multiprocessing.active_children():
                if process not in before:
                    process.terminate()
            pool.shutdown(cancel_futures=True)
            if isinstance(error, BrokenProcessPool):
                raise RunError(
                    "A process of the suite ended early, perhaps for want of memory: start again "
                    f"with the same folder {folder}, with fewer workers; what is done stays done."
                ) from error
            raise


def _start(threads: int) -> None:
    """Readies a worker; Ctrl-C and the progress bar are the calling process's."""
    import diffusers
    import transformers

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(threads)
    for library in (transformers, diffusers):
        library.utils.logging.disable_progress_bar()


def _work(of: dict[str, Any], folder: Path, *examiner: Any) -> list[str]:
    """A worker's share; what it has made is kept for the next examination that needs it."""
    for each in of:
        _hold(each, _examiner(*examiner), folder, of[each])
    return list(of)


@cache
def _examiner(name: str | Path, count: int, steps: int, device: str, dtype: str | None) -> Examiner:
    return Examiner(NextGPT.from_pretrained(name, device=device, dtype=dtype), count, steps)


def _hold(each: str, examiner: Examiner, folder: Path, of: dict[str, Any]) -> None:
    """Holds one examination and keeps its rows and sheets."""
    wall, processor = time.monotonic(), time.process_time()
    found = EXAMINATIONS[each].run(examiner)
    entry = {
        "of": of,
        "seconds": round(time.monotonic() - wall, 1),
        "processor_seconds": round(time.process_time() - processor, 1),
        "rows": [row.to_dict() for row in found.rows],
    }
    for sheet, tiles in found.sheets.items():
        write_sheets(tiles, folder / "sheets", sheet)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "scores.json"
    with FileLock(folder / "scores.lock"):
        saved = {**_saved(path), each: entry}
        saved = {each: saved[each] for each in EXAMINATIONS if each in saved}
        with beside(path) as draft:
            draft.write_text(json.dumps(saved, indent=1) + "\n", encoding="utf-8")
        (folder / "scores.md").write_text(markdown(read_rows(path)), encoding="utf-8")


class Entry(TypedDict):
    """What `scores.json` says of one examination, among others."""

    rows: list[Row]


def _saved(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    read_rows(path)  # refuses what is damaged before anything is measured
    return read_json(path)


def read_rows(path: Path) -> list[Row]:
    """The rows of a `scores.json`."""
    saved = read_json(path, dict[str, Entry], "remove the file to measure everything again")
    return [row for each in saved.values() for row in each["rows"]]


def _files(model: NextGPT, name: str | Path, wanted: Sequence[str]) -> list[Path]:
    """Every file behind some of `EVERYTHING`."""
    folders: list[Path] = []
    for part in wanted:
        if part == "model":
            folders.append(trained_folder(name))
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
