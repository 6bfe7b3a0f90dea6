"""A run of a builder: asks, reads, refuses, finds media, and keeps all of it, attempt by attempt.

Paper section 5.2: T2M wraps captions into instructions, MosIT are dialogues on a hundred topics.
Knows: the order of a run, and how it goes on. Leaves to others: models (`writers`), requests
(`plans`), rules (`filters`), media (`shelf`), files (`kept`).
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

from tqdm.auto import tqdm

from nextgpt_lite.data.builders import script
from nextgpt_lite.data.builders.filters import Refused, check_mosit, check_wish, check_words
from nextgpt_lite.data.builders.kept import (
    ATTEMPTS,
    PLACE,
    SETTINGS,
    Attempt,
    Built,
    Kind,
    read_attempts,
    write,
)
from nextgpt_lite.data.builders.plans import ask_dialogue, ask_wish, read_topics, wordings
from nextgpt_lite.data.builders.shelf import Shelf
from nextgpt_lite.data.builders.writers import Writer, open_writer
from nextgpt_lite.data.folder import identity
from nextgpt_lite.data.records import Record
from nextgpt_lite.errors import ConfigError, DataError, RunError
from nextgpt_lite.messages import Conversation, Message, Part, parts_of, text_of
from nextgpt_lite.reading import read_json
from nextgpt_lite.writing import append, beside, owned

TRIES = 10  # attempts for each dialogue that is wanted, at most
LEAST = 0.8  # cosine of a caption that was written with that of the medium that is taken for it


class _Builder(ABC):
    """Asks for number 0, 1, 2, ... and makes records of the replies."""

    kind: Kind

    def __init__(self, shelf: Shelf, output: Path, seed: int) -> None:
        self.shelf, self.output, self.seed = shelf, output, seed
        self.earlier: set[str] = set()  # words of what was kept

    @abstractmethod
    def ask(self, number: int) -> Conversation:
        """The request."""

    @abstractmethod
    def messages(self, number: int, text: str) -> list[Message]:
        """What became of the reply, media found; raises `Refused`."""

    def read(self, number: int, text: str) -> Attempt:
        """The attempt, which is remembered if it is kept."""
        messages: list[Message] = []
        refused = ""
        try:
            messages = self.messages(number, text)
            if _words(messages) in self.earlier:
                raise Refused("equals an earlier one")
        except Refused as error:
            refused, messages = str(error), []
        else:
            self.earlier.add(_words(messages))
        return Attempt(number, text, refused, Record("", messages, self.kind).to_dict()["messages"])

    def script(self, text: str) -> list[Message]:
        """The turns of a reply that pass what both kinds must pass."""
        try:
            turns = script.read(text)
        except DataError as error:
            raise Refused("is not in the form that was asked for") from error
        check_words(turns, wordings()["refused"])
        return turns


class _T2M(_Builder):
    """One wish for each pair, in an order that is drawn."""

    kind: Kind = "t2m"

    @cached_property
    def order(self) -> list[int]:
        order = [*range(len(self.shelf))]
        Random(self.seed).shuffle(order)
        return order

    def ask(self, number: int) -> Conversation:
        rng = Random(f"{self.seed}/t2m/{number}")
        return ask_wish(rng, self.shelf[self.order[number]])

    def messages(self, number: int, text: str) -> list[Message]:
        pair = self.shelf[self.order[number]]
        turns = self.script(text)
        check_wish(turns, pair.caption)
        said: Part = {"type": "text", "text": text_of(turns[1])}
        made = self.shelf.put(pair, self.output)
        return [turns[0], {"role": "assistant", "content": [said, made]}]


class _MosIT(_Builder):
    """Dialogues whose media are those nearest to the captions that were written."""

    kind: Kind = "mosit"

    def __init__(
        self, shelf: Shelf, output: Path, seed: int, topics: Sequence[str], least: float
    ) -> None:
        super().__init__(shelf, output, seed)
        self.topics, self.least = topics, least

    def ask(self, number: int) -> Conversation:
        return ask_dialogue(Random(f"{self.seed}/mosit/{number}"), self.shelf, self.topics)

    def messages(self, number: int, text: str) -> list[Message]:
        turns = self.script(text)
        templates = (each["dialogue"] for each in wordings()["templates"])
        check_mosit(turns, len(self.shelf.modalities) > 1, templates)
        wanted = [p for turn in turns for p in parts_of(turn) if p["type"] != "text"]
        vectors = self.shelf.vectors([part["caption"] for part in wanted])  # (media, E)
        found = [
            self.shelf.find(part["type"], part["caption"], vector)
            for part, vector in zip(wanted, vectors, strict=True)
        ]
        if any(alike < self.least for _, alike in found):
            raise Refused("shows what no pair shows")
        media = (self.shelf.put(self.shelf[number], self.output) for number, _ in found)
        return [
            {
                "role": turn["role"],
                "content": [p if p["type"] == "text" else next(media) for p in parts_of(turn)],
            }
            for turn in turns
        ]


def build_t2m(
    pairs: Sequence[Path], llm: str | Writer, output: Path, count: int | None = None,
    *, seed: int = 0, batch_size: int = 8, device: str = "auto", precision: str = "auto",
) -> Built:  # fmt: skip
    """Wraps captions into wishes: the paper's T2M.

    Args:
        pairs: data files, or folders of them; media may be missing.
        llm: who writes, see `open_writer`.
        output: folder; what is there goes on.
        count: wishes; None writes one for each pair.
        seed: of the order, of manners, of what the model draws.
        batch_size: wishes asked for at once.
        device, precision: of a model in this process.

    Raises:
        DataError: there is no pair.
        ConfigError: the folder was begun with other settings.
        RunError: nothing that was written could be used.
    """
    shelf = Shelf(pairs)
    builder = _T2M(shelf, output, seed)
    settings = _settings("t2m", pairs, llm, seed)
    settings |= {"count": len(shelf) if count is None else count}
    return _run(builder, llm, len(shelf), settings, batch_size, device, precision)


def build_mosit(
    pairs: Sequence[Path], llm: str | Writer, output: Path, count: int,
    *, seed: int = 0, topics: Path | None = None, encoder: str = "lite/encoder",
    least: float = LEAST, batch_size: int = 8, device: str = "auto", precision: str = "auto",
) -> Built:  # fmt: skip
    """Writes dialogues of three to seven turns that switch modalities: the paper's MosIT.

    Args:
        pairs, llm, output, seed, batch_size, device, precision: as of `build_t2m`.
        count: dialogues.
        topics: file of topics, one a line; None takes the package's own.
        encoder: whose text trunk compares captions.
        least: cosine of two captions from which on they count as the same.

    Raises:
        DataError: no pair has its medium.
        ConfigError, RunError: as of `build_t2m`.
    """
    builder = _MosIT(Shelf(pairs, encoder), output, seed, read_topics(topics), least)
    settings = _settings("mosit", pairs, llm, seed)
    settings |= {"topics": builder.topics, "encoder": encoder, "least": least, "count": count}
    return _run(builder, llm, TRIES * count, settings, batch_size, device, precision)


def _run(
    builder: _Builder, llm: str | Writer, most: int, settings: Mapping[str, Any],
    batch_size: int, device: str, precision: str,
) -> Built:  # fmt: skip
    """Asks until enough are kept, or `most` were asked for; groups are the same in every run."""
    output, wanted = builder.output, settings["count"]
    with owned(output / PLACE):
        _same(output / SETTINGS, settings)
        attempts = read_attempts(output)
        kept = sum(not each.refused for each in attempts)
        builder.earlier = {_words(each.messages) for each in attempts if not each.refused}
        writer = open_writer(llm, device, precision) if kept < wanted else None
        bar = tqdm(total=wanted, initial=min(kept, wanted), desc=builder.kind)
        for start in range(0, most, batch_size):
            group = range(start, min(start + batch_size, most))
            if group.stop <= len(attempts):
                continue
            if writer is None or kept >= wanted:
                break
            seeds = [_seed(builder, number) for number in group]
            texts = writer([builder.ask(number) for number in group], seeds)
            for number, text in zip(group, texts, strict=True):
                if number < len(attempts):
                    continue
                attempts.append(builder.read(number, text))
                append(output / ATTEMPTS, json.dumps(asdict(attempts[-1])) + "\n")
                kept += not attempts[-1].refused
            bar.update(min(kept, wanted) - bar.n)
        bar.close()
        built = write(output)
    if not built.kept:
        raise RunError(
            f"{output}: nothing that the language model wrote could be used ("
            f"{', '.join(built.refused) or 'it was asked nothing'}); take a larger one."
        )
    return built


def _words(messages: Any) -> str:
    return " ".join(text_of(message).lower() for message in messages)


def _seed(builder: _Builder, number: int) -> int:
    name = f"{builder.seed}/{builder.kind}/{number}"
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) >> 1


def _settings(kind: Kind, pairs: Sequence[Path], llm: str | Writer, seed: int) -> dict[str, Any]:
    names = [str(path) for path in pairs]
    contents = [identity(path) for path in pairs]
    writer = llm if isinstance(llm, str) else getattr(llm, "__name__", type(llm).__name__)
    return {"kind": kind, "pairs": names, "contents": contents, "llm": writer, "seed": seed}


def _same(path: Path, settings: Mapping[str, Any]) -> None:
    before = read_json(path) if path.is_file() else settings
    changed = [name for name, value in settings.items() if before.get(name) != value]
    if changed := [name for name in changed if name != "count"]:
        raise ConfigError(
            f"{path}: {changed[0]} was {before.get(changed[0])!r:.60} and is now "
            f"{settings[changed[0]]!r:.60}: give the same again or choose another --output."
        )
    with beside(path) as draft:
        draft.write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
