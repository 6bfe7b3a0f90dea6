"""Frozen work, done once: encoder embeddings and caption conditions, in memory and on disk.

Knows: what each result depends on, and so when a kept one may be used. Leaves to others: which
items are needed (`data`), and files (`cache`).

**When a kept result is valid.** Encoder, text encoders and decoders are frozen in every stage, so
a result depends on (1) the item: the bytes of a file, of an image, audio or a video in memory, the
words of a caption, or the key of a source (`messages.MediaSource`); (2) the component: its weights,
its settings and the code that runs it; (3) torch, device and number format. All three are in the
key or in the folder's name, so that a change of any of them leads elsewhere and nothing has to be
thrown away. Nothing that learns is ever kept: not the projections of these features, and not the
LLM's states, which change with token rows and LoRA.

**Exact.** A row read back is bit for bit the row computed. Matrix products round differently for
different batch sizes, so items always go through in groups of one size, `GROUP` on a CPU: what an
item's row is does not depend on what else was asked for, in this run or another. A warm cache
therefore gives the same losses as a cold one.

**Given.** A condition that was computed elsewhere (a part's "embedding", a .npy file) is read in
the place of its caption's, if it has the decoder's shape. It is never kept.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.data.sources import medium, path_of
from nextgpt_lite.errors import DataError
from nextgpt_lite.messages import Part
from nextgpt_lite.model.device import precision_name
from nextgpt_lite.training.cache import LIMIT, Rows, hash_files

logger = logging.getLogger(__name__)

GROUP = 4
ON_ACCELERATOR = 32  # the group there, where small ones leave most of it idle
_SOURCE = Path(__file__).parents[1]
_SETTINGS = ("precision", "official_encoder", "decoder_settings")  # of a configuration


class NotKept(Exception):
    """Frozen work is wanted where none may be done."""


class Features:
    """Embeddings of media parts and conditions of captions, each computed at first use.

    With a warm cache neither encoder nor decoder is loaded.

    Args:
        model: its encoder and decoders do the work.
        folder: where the `path` of a media part is resolved, and nowhere outside it.
        cache: folder that outlives the run (see `cache.Rows`); None keeps results in memory only.
        limit: bytes of that folder; None is `cache.LIMIT`.
        half: keep conditions in float16, in half the room.

    Attributes:
        only_kept: raise `NotKept` instead of computing.
    """

    only_kept = False

    def __init__(
        self,
        model: NextGPT,
        folder: Path | None = None,
        cache: Path | None = None,
        limit: int | None = None,
        half: bool = False,
    ) -> None:
        self.half = half
        self.group = GROUP if model.device.type == "cpu" else ON_ACCELERATOR
        self.limit = LIMIT if limit is None else limit
        self.model, self.folder, self.cache = model, folder, cache
        self.computed = 0  # items that were not kept from before
        self._rows: dict[str, Rows] = {}
        self._digests: dict[tuple[str, int, int], str] = {}
        self._opened: dict[bytes, Any] = {}
        self._new: dict[tuple[str, int, int], str] = {}  # of the digests, where only kept is used
        self._odd: set[str] = set()  # modalities whose given conditions have another shape

    def fresh(self) -> tuple[dict[bytes, Any], dict[tuple[str, int, int], str]]:
        """What `ready` opened and was not used, and new hashes of files, for `take` elsewhere."""
        opened, self._opened = self._opened, {}
        digests, self._new = self._new, {}
        return opened, digests

    def take(self, opened: dict[bytes, Any], digests: dict[tuple[str, int, int], str]) -> None:
        """Takes up what another process's `fresh` gave."""
        self._opened |= opened
        self._digests |= digests

    def ready(self, parts: Sequence[Part]) -> None:
        """Opens the media of one record that are not kept, for the next `media` or `latents`.

        Raises:
            MediaError: one cannot be read.
        """
        rows = self._rows_of("encoder")
        opened = {}
        for part in parts:
            if {"data", "path", "source"} & part.keys() and (key := self._key(part)) not in rows:
                opened[key] = self._opened[key] if key in self._opened else self.open(part)
        self._opened |= opened  # of a record that is bad nothing stays

    def media(self, parts: Sequence[Part]) -> Tensor:
        """(M, E) embeddings of M media parts."""
        rows = self._rows_of("encoder")
        keys = [self._key(part) for part in parts]
        missing = {k: p for k, p in zip(keys, parts, strict=True) if k not in rows}
        for modality in dict.fromkeys(part["type"] for part in missing.values()):
            asked = {k: p for k, p in missing.items() if p["type"] == modality}

            def encode(items: list[Any], modality: str = modality) -> Tensor:
                return self.model.encoder.encode([(modality, item) for item in items])

            self._compute(rows, asked, encode, self.open)
        return rows.stack(keys)

    def conditions(
        self, modality: str, captions: Sequence[str], parts: Sequence[Part] = ()
    ) -> Tensor:
        """(X, L, C) the decoder's own conditions of X captions, or those that X parts name."""
        given = dict(enumerate(self.given(part) for part in parts))
        read = [n for n in range(len(captions)) if given.get(n) is None]
        found: dict[int, Tensor] = {n: row for n, row in given.items() if row is not None}
        if read:
            rows = self._rows_of(modality)
            keys = [sha256(captions[n].encode()).digest() for n in read]
            missing = {k: captions[n] for k, n in zip(keys, read, strict=True) if k not in rows}

            def encode(items: list[str]) -> Tensor:
                encoded = self.model.decoder(modality).encode_text(items)
                return encoded.half() if self.half else encoded

            self._compute(rows, missing, encode)
            kept = rows.stack(keys)
            if not found:
                return kept.float() if self.half else kept
            found |= dict(zip(read, kept.float(), strict=True))
        return torch.stack([found[n] for n in range(len(captions))])

    def given(self, part: Part) -> Tensor | None:
        """(L, C) the condition computed before that a part names, if the decoder takes such.

        Raises:
            DataError: its file is damaged.
        """
        modality, name = part["type"], part.get("embedding")
        if name is None or modality in self._odd:
            return None
        path = path_of({"type": modality, "path": name}, self.folder)
        if not path.is_file():
            return None
        try:
            values = np.load(path, allow_pickle=False).astype(np.float32)
        except (OSError, ValueError, EOFError) as error:
            raise DataError(f"{path}: is no array of numpy ({error}); fetch it again.") from error
        if not np.isfinite(values).all():
            raise DataError(f"{path}: holds NaN or infinity; compute it again.")
        length, width = self.model.config.conditions[modality]
        if values.shape[-1:] != (width,) or values.size != length * width:
            self._odd.add(modality)
            logger.warning(
                "%s is %s, and the %s decoder takes (%d, %d): captions are read by its own text "
                "encoder instead.", path, values.shape, modality, length, width,
            )  # fmt: skip
            return None
        return torch.from_numpy(values.reshape(length, width))

    def latents(self, modality: str, parts: Sequence[Part]) -> Tensor:
        """(X, ...) what the denoiser of a modality works on, of X media parts.

        Raises:
            DataError: a part has no medium.
        """
        for part in parts:
            if not {"data", "path", "source"} & {k for k, v in part.items() if v is not None}:
                raise DataError(
                    f"The denoising loss needs the medium of every signal block, but {modality} "
                    f"{part.get('caption')!r} has none: set denoising to 0 or give the media."
                )
        rows = self._rows_of(f"{modality} latents")
        keys = [self._key(part) for part in parts]
        missing = {k: p for k, p in zip(keys, parts, strict=True) if k not in rows}
        if missing:
            self._compute(rows, missing, self.model.decoder(modality).latents, self.open)
        return rows.stack(keys)

    def flush(self) -> None:
        """Writes to disk what is new."""
        for rows in self._rows.values():
            rows.flush()

    def _compute(
        self,
        rows: Rows,
        asked: dict[bytes, Any],
        work: Callable[[list[Any]], Tensor],
        prepare: Callable[[Any], Any] = lambda item: item,
    ) -> None:
        """Computes rows in groups of one size, in full precision whatever the loop uses."""
        if asked and self.only_kept:
            raise NotKept
        self.computed += len(asked)
        keys = [*asked]
        for first in range(0, len(keys), self.group):
            group = keys[first : first + self.group]
            items = [prepare(asked[key]) for key in group]
            items += [items[-1]] * (self.group - len(items))
            with torch.no_grad(), torch.autocast(self.model.device.type, enabled=False):
                rows.add(group, work(items)[: len(group)])

    def _rows_of(self, part: str) -> Rows:
        if part in self._rows:
            self._rows[part].settle()
        else:
            folder = None
            card = {"name": part}
            if self.cache is not None:
                digest, source = self._identity(part)
                name = part.replace(" ", "-")
                folder, card = self.cache / f"{name}-{digest[:20]}", {"name": source}
            self._rows[part] = Rows(folder, card, self.limit)
        return self._rows[part]

    def _identity(self, part: str) -> tuple[str, str]:
        """(hash of all that the component's results depend on, its name for people)."""
        what, part = part, part.partition(" ")[0]
        folders = self.model.frozen_folders(part)
        if not folders:  # made in memory: its weights are all there is to know it by
            module: nn.Module = (
                self.model.encoder if part == "encoder" else self.model.decoder(part)
            )
            content, name = _hash_module(module), f"{type(module).__name__} in memory"
        else:
            files = [path for folder in folders for path in component_files(folder, what)]
            content, name = hash_files(files, self.cache), str(folders[0])
        code = "encoders" if part == "encoder" else "decoders"
        source = hash_files((_SOURCE / code).glob("*.py"))
        config = {
            **self.model.config.to_dict(), "precision": precision_name(self.model.dtype)
        }  # fmt: skip
        settings = [config.get(field) for field in _SETTINGS]
        environment = f"{torch.__version__} {self.model.device.type} {settings}"
        if self.group != GROUP:
            environment += f" groups of {self.group}"
        if self.half and part in self.model.config.conditions and what == part:
            environment += " float16"
        return sha256(f"{content} {source} {environment}".encode()).hexdigest(), name

    def open(self, part: Part) -> Any:
        """The medium of a part."""
        if self._opened and (key := self._key(part)) in self._opened:
            return self._opened.pop(key)
        return medium(part, self.folder)

    def _key(self, part: Part) -> bytes:
        """Parts of the same key hold the same medium."""
        if (data := part.get("data")) is not None:
            content = _hash_media(data)
        elif "path" in part:
            content = self._hash_file(path_of(part, self.folder))
        else:
            content = part["source"].key
        return sha256(f"{part['type']} {content}".encode()).digest()

    def _hash_file(self, path: Path) -> str:
        if not path.is_file():
            return str(path)  # reading it will say what is wrong
        stat = path.stat()
        name = (str(path), stat.st_size, stat.st_mtime_ns)
        if name not in self._digests:
            with path.open("rb") as file:
                self._digests[name] = file_digest(file, "sha256").hexdigest()
            if self.only_kept:
                self._new[name] = self._digests[name]
        return self._digests[name]


def component_files(folder: Path, part: str) -> Iterable[Path]:
    """The files that a component's results come from.

    Of a decoder those of its text encoder, or, for its latents, of its autoencoder.
    """
    if folder.is_file():
        return [folder]
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".md"]
    modules = ("vae",) if part.endswith(" latents") else ("text_encoder", "tokenizer")
    own = [path for path in files if path.relative_to(folder).parts[0] in modules]
    return own if part != "encoder" and own else files


def _hash_module(module: nn.Module) -> str:
    digest = sha256(type(module).__name__.encode())
    for name, value in module.state_dict().items():
        array = value.detach().cpu().contiguous().flatten().view(torch.uint8)
        digest.update(f"{name} {tuple(value.shape)}".encode() + array.numpy().tobytes())
    return digest.hexdigest()


def _hash_media(data: Any) -> str:
    values = np.ascontiguousarray(getattr(data, "samples", getattr(data, "frames", data)))
    speed = getattr(data, "rate", getattr(data, "fps", None))
    about = f"{values.shape} {values.dtype} {speed} {getattr(data, 'mode', '')}"
    return sha256(about.encode() + values.tobytes()).hexdigest()
