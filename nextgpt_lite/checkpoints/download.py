"""Public checkpoints from the hub: pinned, resumed where they broke off, checked by hash.

Knows: which files of a repository are needed (weights once, safetensors where there are any), and
how to say in one sentence why a fetch failed. Leaves to others: which checkpoints a preset names
(`config`), their revisions and licences (`catalogue`), loading them.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from nextgpt_lite.checkpoints.catalogue import Checkpoint, checkpoint, components, licences
from nextgpt_lite.errors import CheckpointError, DownloadError
from nextgpt_lite.model.config import NextGPTConfig, folder_name
from nextgpt_lite.model.hub import hub_errors
from nextgpt_lite.reading import read_json

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoSibling

LOCK = "nextgpt_lite_download.json"
TIMEOUT = 5.0  # seconds until a hub that does not answer counts as out of reach
_TEXTS = (".json", ".txt", ".model", ".jinja")
_WEIGHTS = (".safetensors", ".bin", ".pth")  # best first; others (onnx, flax, ...) are not read


def download(
    profile: str,
    output: str | Path,
    say: Callable[[str], None] = print,
    endpoint: str | None = None,
) -> list[Path]:
    """Fetches every public checkpoint of a preset into `output`; returns their folders.

    Licences are said before anything is fetched. A file that is there whole is not fetched again,
    one that broke off goes on where it stopped. Each folder keeps a note of commit and hashes.

    Args:
        profile: "colab" or "paper" ("lite" ships with the package and needs nothing).
        output: folders named by hub id (owner--name) are made inside.
        say: told what happens, line by line.
        endpoint: another hub than huggingface_hub's own (its HF_ENDPOINT).

    Raises:
        DownloadError: the hub is out of reach.
        OSError: the disk is too small.
        CheckpointError: a file's hash differs from the hub's, or the hub lacks what is pinned.
    """
    from huggingface_hub import HfApi

    config = NextGPTConfig.from_profile(profile)
    wanted = [row for name in components(config) if (row := checkpoint(name)) is not None]
    for line in licences(config):
        say(line)
    api = HfApi(endpoint=endpoint)
    return [fetch(row, Path(output), api, say) for row in wanted]


def fetch(row: Checkpoint, output: Path, api: HfApi, say: Callable[[str], None]) -> Path:
    """Fetches one checkpoint into its folder inside `output`; see `download`."""
    folder = output / folder_name(row.name)
    noted = _noted(folder)
    revision = row.revision or noted.revision
    with hub_errors(row.name, revision, api):
        info = api.model_info(row.name, revision=revision, files_metadata=True, timeout=TIMEOUT)
        files = choose(info.siblings or [], row.files)
        _check_room(row.name, output, sum(file.size or 0 for file in files))
        say(f"{row.name} at {info.sha}: {len(files)} files")
        for file in files:
            api.hf_hub_download(
                row.name, file.rfilename, revision=info.sha, local_dir=folder, etag_timeout=TIMEOUT
            )
    hashes = {f.rfilename: _checked(folder, f, noted.sha256.get(f.rfilename)) for f in files}
    note = {"name": row.name, "revision": info.sha, "sha256": hashes}
    (folder / LOCK).write_text(json.dumps(note, indent=1) + "\n", encoding="utf-8")
    return folder


def choose(files: Iterable[RepoSibling], patterns: tuple[str, ...]) -> list[RepoSibling]:
    """The files to fetch: those that a pattern names, weights of a folder in one format only.

    Of several formats safetensors wins; half-precision and other variants
    (`model.fp16.safetensors`) are left out.
    """
    fitting = [
        file
        for file in files
        if any(
            fnmatch(file.rfilename, p) and file.rfilename.count("/") == p.count("/")
            for p in patterns
        )
    ]
    best: dict[str, str] = {}  # kind of weights to take, by folder
    for path in map(PurePosixPath, (file.rfilename for file in fitting)):
        if path.suffix in _WEIGHTS and not _is_variant(path):
            known = best.get(str(path.parent), path.suffix)
            best[str(path.parent)] = min(known, path.suffix, key=_WEIGHTS.index)
    return [
        file
        for file in fitting
        if (path := PurePosixPath(file.rfilename)).suffix in _TEXTS
        or (path.suffix == best.get(str(path.parent)) and not _is_variant(path))
    ]


def _is_variant(path: PurePosixPath) -> bool:
    """`model.fp16.safetensors` is one, a shard `model-00001-of-00002.safetensors` is none."""
    return any(word in path.stem.split(".")[1:] for word in ("fp16", "bf16", "non_ema"))


@dataclass
class _Note:
    """What was fetched: the commit, so that a row without one stays put, and each file's hash."""

    name: str = ""
    revision: str | None = None
    sha256: dict[str, str] = field(default_factory=dict)


def _noted(folder: Path) -> _Note:
    note: _Note = read_json(folder / LOCK, _Note) if (folder / LOCK).is_file() else _Note()
    return note


def _check_room(name: str, output: Path, needed: int) -> None:
    output.mkdir(parents=True, exist_ok=True)
    there = sum(f.stat().st_size for f in (output / folder_name(name)).rglob("*") if f.is_file())
    free = shutil.disk_usage(output).free
    if needed - there > free:
        raise DownloadError(
            f"{output}: {name} needs {needed / 1e9:.1f} GB and {free / 1e9:.1f} GB are free; "
            "make room or choose another --output."
        )


def _checked(folder: Path, file: RepoSibling, kept: str | None) -> str:
    """The file's SHA-256, once it is found to be what the hub states, or was when first fetched."""
    path = folder / file.rfilename
    sha256 = hashlib.sha256()
    git = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as stream:
        while block := stream.read(2**20):
            sha256.update(block)
            git.update(block)
    stated, found = file.blob_id, git.hexdigest()
    if file.lfs is not None:
        stated, found = file.lfs.sha256, sha256.hexdigest()
    elif stated is None:
        stated, found = kept, sha256.hexdigest()
    if stated is not None and stated != found:
        raise CheckpointError(
            f"{path}: its hash is {found}, the hub states (or stated at first) {stated}; delete "
            "the file and run the same command again."
        )
    return sha256.hexdigest()
