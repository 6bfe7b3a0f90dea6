"""Every reader of files on damaged ones: it reads them, or says in a sentence what is wrong.

    python -m tests.fuzz --count 20000 [--seed 0] [--only model,ckpt] [--keep out/damaged]

Knows: good folders of each kind, made of tiny models, and how files are damaged. Each case takes a
good folder, puts one mutated file in the place of a good one, writes sums of the new content where
there were some (so that what the sums would catch is met by the readers themselves), and reads it.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import io
import json
import logging
import os
import random
import shutil
import struct
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.checkpoints.stand_ins import write_stand_ins
from nextgpt_lite.data.folder import index_folder
from nextgpt_lite.decoders import load_decoder
from nextgpt_lite.encoders import Encoder
from nextgpt_lite.errors import NextGPTError
from nextgpt_lite.evaluation.ablation.grid import read_grid
from nextgpt_lite.evaluation.ablation.table import write_table
from nextgpt_lite.evaluation.benchmarks.items import read_items as read_benchmark
from nextgpt_lite.evaluation.comparison.rows import read_rows, write_rows
from nextgpt_lite.evaluation.comparison.table14 import report
from nextgpt_lite.evaluation.ratings.items import Item, read_items, write_items
from nextgpt_lite.evaluation.ratings.results import Results
from nextgpt_lite.evaluation.ratings.session import Session
from nextgpt_lite.model.config import NextGPTConfig, folder_name
from nextgpt_lite.notebook.plots import plot_losses
from nextgpt_lite.reading import SUMS, write_sums
from nextgpt_lite.reply import read_reply
from nextgpt_lite.training.cache import Rows, hash_files, listing
from nextgpt_lite.training.report import keep_until
from nextgpt_lite.world.suite.rows import Row
from nextgpt_lite.world.suite.run import read_rows as read_scores
from tests.tiny import tiny_config, tiny_model
from tests.training.runs import finished, trainer

LLM = "TinyLlama/TinyLlama-1.1B-Chat-v1.0"
ENCODER = "nielsr/imagebind-huge"
DECODERS = {
    "decoder": "stable-diffusion-v1-5/stable-diffusion-v1-5",
    "audio decoder": "cvssp/audioldm-s-full-v2",
}
SECONDS, GIGABYTES = 10.0, 2.0  # that a case may take, the memory beyond what there was before it
ENDINGS = (".json", ".jsonl", ".yaml", ".csv", ".safetensors", ".jinja", ".txt", ".bin", ".pth")


@dataclass(frozen=True)
class Target:
    """A good folder of one kind, and how it is read.

    Attributes:
        read: what a user does with the folder; raises what it refuses.
        weight: how often it is chosen; readers that cost much are chosen less.
    """

    name: str
    folder: Path
    read: Callable[[Path], object]
    weight: float = 1.0

    def files(self) -> list[Path]:
        """What can be damaged."""
        return sorted(p for p in self.folder.rglob("*") if p.is_file() and p.suffix in ENDINGS)


# --- good folders -------------------------------------------------------------------------------


def targets(root: Path) -> list[Target]:
    """One of each kind, written below `root`."""
    stand_ins = write_stand_ins(root / "parts", [LLM, ENCODER, *DECODERS.values()])
    places = {name: stand_ins / folder_name(name) for name in (LLM, ENCODER, *DECODERS.values())}
    config = NextGPTConfig.from_dict(
        {
            **tiny_config().to_dict(),
            "llm": f"{places[LLM]}",
            "encoder": f"{places[ENCODER]}",
            "conditions": {"image": [6, 12]},
            "signal_tokens": {"image": 2, "audio": 0, "video": 0},
        }
    )
    NextGPT.from_config(config, new=False).save_pretrained(root / "model")
    ours = tiny_model()
    ours.encoder.save_pretrained(root / "encoder")
    run = finished(root / "run")
    newest = next(iter(run.checkpoints))

    def resume(folder: Path) -> None:
        output = folder.parent / "again"
        shutil.copytree(folder, output / "checkpoints" / newest.name)
        trainer(tiny_model(), 3, output, checkpoint_every=1).run(resume=True)

    shutil.copytree(newest, root / "checkpoint")
    made = [
        Target("model", root / "model", NextGPT.from_pretrained, 3),
        Target("llm", places[LLM], lambda f: NextGPT.from_config(_with_llm(config, f)), 3),
        Target("released encoder", places[ENCODER], Encoder.from_pretrained),
        Target("encoder", root / "encoder", Encoder.from_pretrained, 2),
        Target("checkpoint", root / "checkpoint", resume, 2),
        *(Target(name, places[of], load_decoder) for name, of in DECODERS.items()),
    ]
    return [*made, *_records(root / "records")]


def _with_llm(config: NextGPTConfig, folder: Path) -> NextGPTConfig:
    return NextGPTConfig.from_dict({**config.to_dict(), "llm": f"{folder}"})


def _records(root: Path) -> list[Target]:
    """What is no model: tables, judgements, replies, grids, caches, data."""

    def place(name: str) -> Path:
        (root / name).mkdir(parents=True)
        return root / name

    scores = {
        name: {
            "of": {"count": 3}, "seconds": 1.0,
            "rows": [Row("part", "measure", 50.0, 40.0, 60.0, 3, 45.0).to_dict()],
        }
        for name in ("stage 1", "stage 2")
    }  # fmt: skip
    (place("scores") / "scores.json").write_text(json.dumps(scores, indent=1))
    answers = {name: [{"type": "text", "text": name}] for name in ("a", "b")}
    asked = [{"type": "text", "text": "Draw <b>it</b>"}]
    items = [Item(f"i{n}", "image", "simple", asked, answers) for n in range(2)]
    write_items(items, place("ratings"))
    session = Session(items, root / "ratings" / "ada.jsonl", "ada")
    for _ in range(3):
        session.judge([3, 7])
    reply = {"text": "Here.", "media": [{"modality": "image", "path": "image_0.png"}]}
    (place("reply") / "reply.json").write_text(json.dumps({**reply, "signal_tokens": []}))
    rows = [
        {"system": system, "seed": seed, "id": f"p{n}", "group": "image", "level": "simple",
         "wanted": "image", "given": "image", "content": 50.0 + n, "text": "Here, it is."}
        for system in ("end-to-end", "pipeline") for seed in (0, 1) for n in range(4)
    ]  # fmt: skip
    write_rows(place("rows") / "rows.csv", rows)
    grid = {
        "title": "messengers", "profile": "lite", "seeds": [0, 1],
        "fixed": {"stages": [2, 3]}, "product": {"messenger": ["signal", "caption"]},
    }  # fmt: skip
    (place("grid") / "grid.yaml").write_text(yaml.safe_dump(grid))
    result = {
        "config": tiny_config().to_dict(), "key": "0123456789abcdef", "settings": {"mixture": {}},
        "stages": [{"stage": 3, "schedule": {"steps": 10}}], "answers": rows[:2],
    }  # fmt: skip
    (place("result") / "result.json").write_text(json.dumps(result))
    lines = [{"step": n, "total": 3.0 - n, "gradient": 1.0} for n in range(5)]
    metrics = place("metrics") / "metrics.jsonl"
    metrics.write_text("".join(json.dumps(line) + "\n" for line in lines))
    kept = Rows(place("cache") / "part", {"name": "encoder"})
    kept.add([bytes([n] * 32) for n in range(4)], torch.arange(8.0).view(4, 2))
    kept.flush()
    hash_files(kept.folder.glob("*.safetensors"), root / "cache")  # type: ignore[union-attr]
    record = {
        "id": "1", "kind": "t2t",
        "conversation": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello."}],
    }  # fmt: skip
    (place("data") / "data.json").write_text(json.dumps([record, record]))
    coco = {
        "images": [{"id": 1, "file_name": "a.png"}],
        "annotations": [{"image_id": 1, "caption": "a car"}],
    }
    (place("benchmark") / "captions.json").write_text(json.dumps(coco))
    (root / "benchmark" / "a.png").write_bytes(b"")

    def judged(folder: Path) -> None:
        Session(read_items(folder), folder / "ada.jsonl", "ada")
        Results.read(folder).markdown()

    def cached(folder: Path) -> None:
        found = Rows(folder / "part")
        keys = [key for key in [bytes([n] * 32) for n in range(4)] if key in found]
        if keys:
            found.stack(keys)
        listing(folder)
        hash_files([], folder)

    def logged(folder: Path) -> None:
        keep_until(3, shutil.copy(folder / "metrics.jsonl", folder / "copy"))
        with contextlib.redirect_stdout(io.StringIO()):
            plot_losses(folder / "metrics.jsonl")

    return [
        Target("scores", root / "scores", lambda f: read_scores(f / "scores.json"), 2),
        Target("ratings", root / "ratings", judged, 3),
        Target("reply", root / "reply", lambda f: read_reply(f / "reply.json")),
        Target("rows", root / "rows", lambda f: report(read_rows(f / "rows.csv")), 0.5),
        Target("grid", root / "grid", lambda f: read_grid(f / "grid.yaml")),
        Target("result", root / "result",
               lambda f: write_table([("x", f / "result.json")], f / "table.csv")),
        Target("metrics", root / "metrics", logged, 0.5),
        Target("cache", root / "cache", cached, 2),
        Target("data", root / "data", index_folder),
        Target("benchmark", root / "benchmark", lambda f: read_benchmark(f / "captions.json")),
    ]  # fmt: skip


# --- damage -------------------------------------------------------------------------------------

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:%064d\nsize 12345\n" % 7
ODD: tuple[Any, ...] = (
    None, True, False, -1, 0, 10**9, 2**63, -(2**63), 1e308, float("nan"), float("inf"), 0.5,
    "", "x", "..", "../../etc/passwd", "<b>", "é\u2028", "a" * 5000, [], {}, [[]], [None], {"": {}},
)  # fmt: skip


def damaged(path: Path, chance: random.Random) -> tuple[bytes, str]:
    """The bytes of a file after one kind of damage, and which it was."""
    content = path.read_bytes()
    kinds: list[Callable[[bytes, random.Random], bytes]] = [
        _cut, _empty, _pointer, _flipped, _spliced, _doubled, _zeros, _deep, _hole, _page, _packed,
    ]  # fmt: skip
    if path.suffix in (".json", ".jsonl", ".yaml"):
        kinds += 3 * [_other_value, _without, _renamed] + [_not_text, _other_text, _bomb]
    if path.suffix == ".safetensors":
        kinds += 3 * [_not_finite, _other_header]
    if path.suffix == ".csv":
        kinds += 3 * [_other_cell]
    kind = chance.choice(kinds)
    try:
        return kind(content, chance), kind.__name__[1:]
    except (ValueError, IndexError, struct.error):  # there is nothing of that sort in it
        return _cut(content, chance), "cut"


def _cut(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(len(content) + 1)]


def _empty(_: bytes, chance: random.Random) -> bytes:
    return chance.choice([b"", b"\n", b"{}", b"[]", b"null", b"0"])


def _pointer(_: bytes, __: random.Random) -> bytes:
    return POINTER


def _flipped(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content or b" ")
    for _ in range(chance.choice([1, 1, 3, 20])):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _spliced(content: bytes, chance: random.Random) -> bytes:
    at, end = sorted(chance.randrange(len(content) + 1) for _ in range(2))
    return content[:at] + chance.randbytes(chance.choice([0, 1, 50])) + content[end:]


def _doubled(content: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(content) + 1)
    return content[:at] + content[at:] * 2


def _zeros(content: bytes, _: random.Random) -> bytes:
    return bytes(len(content))


def _hole(content: bytes, chance: random.Random) -> bytes:
    """A block that never came to the disk."""
    at = chance.randrange(len(content) + 1)
    block = content[at : at + chance.choice([16, 512, 4096])]
    return content[:at] + bytes(len(block)) + content[at + len(block) :]


def _page(_: bytes, __: random.Random) -> bytes:
    """What a server says in place of the file."""
    return b"<!DOCTYPE html>\n<html><head><title>404: Not Found</title></head></html>\n"


def _packed(content: bytes, _: random.Random) -> bytes:
    return gzip.compress(content)


def _other_text(content: bytes, chance: random.Random) -> bytes:
    """As editors of Windows may write it."""
    text = content.decode()
    encoding = chance.choice(["utf-16", "utf-32", "cp1252"])
    return text.replace("\n", "\r\n").replace("a", "\u00e4", 1).encode(encoding)


def _bomb(_: bytes, chance: random.Random) -> bytes:
    """Little text that means much."""
    laughs = "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}' if n else 'ha'] * 9)}]\n" for n in range(9)
    )
    long = '{"a": ' + "9" * 5000 + "}"
    tag = "a: !!python/object/apply:os.system [exit]\n"
    return chance.choice([laughs, long, tag, '{"a": 1e999}', '{"a": 1, "a": 2}']).encode()


def _deep(_: bytes, chance: random.Random) -> bytes:
    return chance.choice([b"[", b'{"a":']) * 50_000


def _not_text(content: bytes, chance: random.Random) -> bytes:
    return chance.choice([b"\xff\xfe", b"\xef\xbb\xbf", b"\x00"]) + content


def _nodes(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) in a value."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in [*pairs]:
        yield value, key
        if isinstance(inner, dict | list):
            yield from _nodes(inner)


def _changed(
    content: bytes, chance: random.Random, change: Callable[[Any, Any], None]
) -> bytes:  # fmt: skip
    """One node of JSON (of one line, where there are several) or YAML changed."""
    lines = content.decode().splitlines(keepends=True)
    several = len(lines) > 1 and all(line.startswith("{") for line in lines)
    number = chance.randrange(len(lines)) if several else 0
    text = lines[number] if several else content.decode()
    value = yaml.safe_load(text) if not text.startswith(("{", "[")) else json.loads(text)
    change(*chance.choice([*_nodes(value)]))
    text = json.dumps(value)
    return (
        "".join([*lines[:number], text + "\n", *lines[number + 1 :]]) if several else text
    ).encode()


def _other_value(content: bytes, chance: random.Random) -> bytes:
    def change(where: Any, key: Any) -> None:
        where[key] = chance.choice(ODD)

    return _changed(content, chance, change)


def _without(content: bytes, chance: random.Random) -> bytes:
    def change(where: Any, key: Any) -> None:
        del where[key]

    return _changed(content, chance, change)


def _renamed(content: bytes, chance: random.Random) -> bytes:
    def change(where: Any, key: Any) -> None:
        if isinstance(where, dict):
            where[f"{key}_"] = where.pop(key)
        else:
            where.append(where[key])

    return _changed(content, chance, change)


def _not_finite(content: bytes, chance: random.Random) -> bytes:
    """A NaN in a tensor: all bits of some values set."""
    (length,) = struct.unpack("<Q", content[:8])
    at = chance.randrange(8 + length, len(content) - 8) & ~7
    return content[:at] + b"\xff" * 8 + content[at + 8 :]


def _other_header(content: bytes, chance: random.Random) -> bytes:
    (length,) = struct.unpack("<Q", content[:8])
    change = chance.choice([_other_value, _without, _renamed])
    header = change(content[8 : 8 + length].strip(), chance)
    return struct.pack("<Q", len(header)) + header + content[8 + length :]


def _other_cell(content: bytes, chance: random.Random) -> bytes:
    lines = content.split(b"\n")
    cells = lines[number := chance.randrange(len(lines))].split(b",")
    cells[chance.randrange(len(cells))] = chance.choice([b"", b"x", b"nan", b"-1", b'"', b"1e999"])
    return b"\n".join([*lines[:number], b",".join(cells), *lines[number + 1 :]])


# --- cases --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fault:
    """A reader that failed, and on what."""

    target: str
    file: str
    kind: str
    what: str
    content: bytes

    def __str__(self) -> str:
        return f"{self.target}, {self.file}, {self.kind}: {self.what}"


def cases(made: Sequence[Target], count: int, seed: int, work: Path) -> Iterator[Fault | None]:
    """So many cases; what is given is what went wrong, None where nothing did."""
    weights = [target.weight for target in made]
    for number in range(count):
        chance = random.Random(f"{seed}/{number}")
        (target,) = chance.choices(made, weights)
        path = chance.choice(target.files())
        content, kind = damaged(path, chance)
        name = path.relative_to(target.folder)
        place = work / "case"
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(target.folder, place, copy_function=_linked)
        (place / name).unlink()
        (place / name).write_bytes(content)
        if (place / SUMS).is_file():
            (place / SUMS).unlink()
            write_sums(place)
        wrong = _tried(target.read, place, name.name)
        yield None if wrong is None else Fault(target.name, f"{name}", kind, wrong, content)


def _linked(source: str, to: str) -> None:
    os.link(source, to)


def _tried(read: Callable[[Path], object], folder: Path, name: str) -> str | None:
    """What is wrong with how a folder is read."""
    started, before = time.process_time(), _memory(anew=True)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            read(folder)
    except (NextGPTError, OSError) as error:
        if name not in str(error):
            return f"unnamed: {error}"
        if "\n" in str(error):
            return f"several lines: {error}"
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a panic of Rust is no Exception
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if "nextgpt_lite" in frame.filename]
        where = [f"{Path(f.filename).name}:{f.lineno}" for f in (*own[-2:], frames[-1])]
        return f"traceback: {type(error).__name__}: {f'{error}'[:200]} at {', '.join(where)}"
    seconds, memory = time.process_time() - started, _memory() - before
    if seconds > SECONDS:
        return f"took {seconds:.0f} s"
    return f"took {memory:.1f} GB" if memory > GIGABYTES else None


def _memory(anew: bool = False) -> float:
    """The most GB that this process had at once, of late (`anew`: from here on); 0 but on Linux."""
    status, marks = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not marks.exists():
        return 0.0
    if anew:
        marks.write_text("5")
    return int(status.read_text().partition("VmHWM:")[2].split()[0]) / 2**20


def main() -> int:
    """Runs the cases that are asked for, and lists the kinds of faults."""
    parser = argparse.ArgumentParser(description="Damages files and reads them.")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="kinds of folders, separated by commas")
    parser.add_argument("--keep", type=Path, help="folder for the files that made faults")
    asked = parser.parse_args()
    found: Counter[str] = Counter()
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as root:
        made = targets(Path(root) / "good")
        wanted = [t for t in made if not asked.only or t.name in asked.only.split(",")]
        for number, fault in enumerate(cases(wanted, asked.count, asked.seed, Path(root) / "work")):
            if fault is not None:
                found[f"{fault}"] += 1
                print(f"{number}: {fault}", flush=True)
                if asked.keep:
                    asked.keep.mkdir(parents=True, exist_ok=True)
                    name = f"{number}_{fault.target}_{Path(fault.file).name}"
                    (asked.keep / name).write_bytes(fault.content)
    print(f"{asked.count} cases, {sum(found.values())} faults.")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
