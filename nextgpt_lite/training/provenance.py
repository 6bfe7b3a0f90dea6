"""Where a run comes from: base model, data, versions, commit; written into each checkpoint.

Knows: how each is named so that another one is told apart. Leaves to others: the files
(`checkpoint`), token ids and configuration (`NextGPT.save_pretrained`).
"""

from __future__ import annotations

import hashlib
import logging
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.data.sources import Source
from nextgpt_lite.errors import CheckpointError
from nextgpt_lite.model.config import locate
from nextgpt_lite.training.schedule import FREE

logger = logging.getLogger(__name__)

PACKAGES = (
    "nextgpt-lite",
    "torch",
    "transformers",
    "peft",
    "accelerate",
    "diffusers",
    "safetensors",
    "tokenizers",
    "numpy",
)


def provenance(model: NextGPT, source: Source) -> dict[str, Any]:
    """Everything that a run's result depends on besides its schedule, as plain values."""
    return {
        "base": base(model),
        "data": source.identity(),
        "media": source.media(),
        "commit": _commit(),
    }


def base(model: NextGPT) -> dict[str, Any]:
    """The base LLM: id, revision, vocabulary, fingerprint and the hash of its weight files."""
    return {**model.llm.base, **_files(model.config.llm)}


def same_base(ours: dict[str, Any], theirs: dict[str, Any], where: Path) -> None:
    """Refuses a run that would go on from another base model.

    Args:
        ours, theirs: of `base`; what only one of them knows is not compared.
        where: the file `theirs` was read from.

    Raises:
        CheckpointError: naming what differs.
    """
    for field in ("vocabulary", "fingerprint", "revision", "sha256"):
        mine, other = ours.get(field), theirs.get(field)
        if mine is not None and other is not None and mine != other:
            raise CheckpointError(
                f"{where}: field 'base.{field}' is {other}, the base model here has {mine}; take "
                f"the base model {theirs.get('name')!r} it was trained on, or start anew from it."
            )


def same_run(
    ours: dict[str, Any], theirs: dict[str, Any], where: Path, anyway: bool = False
) -> None:
    """Refuses a checkpoint from which another run would come than the one that is asked for.

    Args:
        ours, theirs: what `run.json` says, of this run and of a checkpoint.
        where: the file `theirs` was read from.
        anyway: other packages, which round otherwise, and other media are only warned of.

    Raises:
        CheckpointError: naming what differs.
    """
    if "base" in ours:
        same_base(ours["base"], theirs.get("base", {}), where)
    pairs = [
        (name, theirs["schedule"].get(name, value), value)  # older ones lack newer numbers
        for name, value in ours["schedule"].items()
        if name not in FREE
    ]
    pairs += [(n, theirs.get(n), ours[n]) for n in ("stage", "batch", "data") if n in ours]
    for name, before, now in pairs:
        if before != now:
            raise CheckpointError(
                f"{where}: {name} was {before!r} and is now {now!r}; give the same again or "
                "choose another --output."
            )
    then, now = theirs.get("versions") or {}, ours.get("versions") or {}
    changed = [
        f"{name} {old} -> {now.get(name)}" for name, old in then.items() if old != now.get(name)
    ]
    what = [f"other packages ({', '.join(changed)})"] if changed else []
    before, now = (
        held if isinstance(held := run.get("media"), dict) else {} for run in (theirs, ours)
    )  # older checkpoints have one hash of all files
    if others := [name for name in before if now.get(name, before[name]) != before[name]]:
        what.append(f"other contents of the data's media files ({others[0]}, ...)")
    if what and not anyway:
        raise CheckpointError(
            f"{where} was written with {' and '.join(what)}: the run would not go on bit for bit. "
            "Bring those back, or go on all the same with --anyway (in Python resume='anyway')."
        )
    if what:
        logger.warning(
            "%s was written with %s: the run goes on, but not bit for bit.",
            where, " and ".join(what),
        )  # fmt: skip


def _files(name: str) -> dict[str, str | None]:
    """Revision and hash of the files a base model was loaded from; None where there are none."""
    try:
        folder = locate(name)
    except FileNotFoundError:
        return {"revision": None, "sha256": None}
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    snapshot = folder.resolve()  # the hub's cache lays revisions out as snapshots/<revision>
    revision = snapshot.name if snapshot.parent.name == "snapshots" else None
    return {"revision": revision, "sha256": digest.hexdigest()}


def versions() -> dict[str, str | None]:
    """Of what a run computes with; None of a package that is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


def _commit() -> str | None:
    """The commit of this package's source, "-dirty" after changes; None outside a checkout."""
    folder = Path(__file__).parent
    tracked = ["git", "ls-files", "--error-unmatch", Path(__file__).name]
    describe = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        for command in (tracked, describe):
            answer = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, check=True, timeout=10
            )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()
