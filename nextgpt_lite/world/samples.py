"""The small data set that ships with the project, made anew by one command.

Knows: what is in it and in which of the released formats; the same seed gives the same bytes.
Leaves to others: scenes and conversations (`world`), the formats (`data.released`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from nextgpt_lite.data.places import HELD_OUT_SUFFIX
from nextgpt_lite.data.records import Kind, Record
from nextgpt_lite.data.writing import conversation_item, mosit_item, pair_item, write_file
from nextgpt_lite.messages import Part, parts_of
from nextgpt_lite.model.modality import get_modality
from nextgpt_lite.world.describe import caption, description, paraphrase
from nextgpt_lite.world.dialogue import records as dialogue
from nextgpt_lite.world.dialogue.parts import modality_of, sentence, telling, text_part
from nextgpt_lite.world.dialogue.questions import ask
from nextgpt_lite.world.dialogue.wordings import say
from nextgpt_lite.world.render import render
from nextgpt_lite.world.scene import MODALITIES, Scene, Split, sample_scene

DATASHEET = Path(__file__).with_name("datasheet.md")
PICTURES = 24
_SHARES = {"image": 1.0, "audio": 0.75, "video": 2 / 3}  # of the number of pictures
_HELD_OUT = 0.25  # of every file
_SOURCE = "nextgpt_lite.world"
_WISHES = {
    "image": "Show me a picture of this: {}.",
    "audio": "Let me hear this: {}.",
    "video": "Show me a clip of this: {}.",
}

Item = dict[str, Any]


def write_samples(folder: str | Path, seed: int = 0, size: int = PICTURES) -> list[Path]:
    """Writes pictures, sounds, clips, data files and the data sheet; returns all files, sorted.

    Args:
        folder: made where missing; files of the same name are written over.
        seed: of everything; equal seeds give equal bytes.
        size: number of pictures in the pair files; all else is in proportion.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return _Samples(folder, seed, size).write()


class _Samples:
    """Writes one data set, file by file."""

    def __init__(self, folder: Path, seed: int, size: int) -> None:
        self.folder = folder
        self.seed = seed
        self.size = size
        self.files: list[Path] = []
        self.media: dict[str, int] = dict.fromkeys(MODALITIES, 0)

    def write(self) -> list[Path]:
        for split in ("train", "held_out"):
            for modality in MODALITIES:
                self._write_pairs(modality, split)
            self._write_dialogues(split)
        sheet = self.folder / "README.md"
        counts = {get_modality(name).plural: number for name, number in self.media.items()}
        sheet.write_text(
            DATASHEET.read_text("utf-8").format(seed=self.seed, size=self.size, **counts),
            encoding="utf-8",
            newline="\n",
        )
        return sorted([*self.files, sheet])

    def _write_pairs(self, modality: str, split: Split) -> None:
        """Pairs, and the same media described, asked about and wished for."""
        rng = Random(f"{self.seed}/{modality}/{split}")
        number = self._number(split, _SHARES[modality])
        scenes = [sample_scene(modality, rng, split, None) for _ in range(number)]
        names = [self._render(scene) for scene in scenes]
        pairs, described, wished, asked = [], [], [], []
        for scene, path in zip(scenes, names, strict=True):
            shown: Part = {"type": modality, "path": path}
            words = say(f"describe_{modality}", split, rng)
            question = ask(scene, rng, split)
            wish = _WISHES[modality].format(paraphrase(scene, rng, split))
            name = Path(path).stem
            seen = description(scene)
            pairs.append(_record(name, "pair", [shown], seen))
            described.append(_record(name, "pair", [shown, words], sentence(seen)))
            made: Part = {"type": modality, "caption": caption(scene), "path": path}
            wished.append(_record(name, "caption", [wish], telling(scene), made))
            asked.append(_record(name, "understand", [shown, question.text], question.answer))
        self._write_file(f"{modality}_pairs", split, [pair_item(r) for r in pairs])
        for kind, records in (("comprehension", described), ("generation", wished)):
            items = [conversation_item(r, lists=False) for r in records]
            self._write_file(f"{modality}_{kind}", split, items)
        items = [conversation_item(r, lists=True) for r in asked]
        self._write_file(f"{modality}_questions", split, items)

    def _write_dialogues(self, split: Split) -> None:
        rng = Random(f"{self.seed}/dialogues/{split}")
        number = self._number(split, 1.0)
        wishes = [dialogue.t2m(rng, split) for _ in range(number)]
        talk = [dialogue.text(rng, split) for _ in range(number)]
        turns = [dialogue.mosit(rng, split) for _ in range(max(1, number // 3))]
        for name, records in (("t2m", wishes), ("chat", talk), ("mosit", turns)):
            stem = name + (HELD_OUT_SUFFIX if split == "held_out" else "")
            for index, record in enumerate(records):
                record.id = f"{stem}_{index:06d}"
                self._give_up_scenes(record, with_files=name == "mosit")
            items = [
                mosit_item(r, _SOURCE) if name == "mosit" else conversation_item(r, lists=True)
                for r in records
            ]
            self._write_file(name, split, items)

    def _number(self, split: Split, share: float) -> int:
        held_out = max(1, round(self.size * share * _HELD_OUT))
        return held_out if split == "held_out" else max(1, round(self.size * share) - held_out)

    def _give_up_scenes(self, record: Record, with_files: bool) -> None:
        """Scenes give way to files, or to nothing but their captions."""
        for message in record.messages:
            for part in parts_of(message):
                scene = part.pop("scene", None)
                part.pop("source", None)
                if scene is not None and with_files:
                    part["path"] = self._render(scene)

    def _render(self, scene: Scene) -> str:
        """Writes the scene's medium and returns its name relative to the folder."""
        modality = modality_of(scene)
        row = get_modality(modality)
        number = self.media[modality]
        self.media[modality] += 1
        name = f"{row.plural}/{modality}_{number:04d}{row.suffix}"
        row.save(render(scene, seed=self.seed * 100_003 + number), self.folder / name)
        self.files.append(self.folder / name)
        return name

    def _write_file(self, name: str, split: Split, items: list[Item]) -> None:
        path = self.folder / f"{name}{HELD_OUT_SUFFIX if split == 'held_out' else ''}.json"
        write_file(path, items)
        self.files.append(path)


def _record(identity: str, kind: Kind, asked: list[Part | str], *said: Part | str) -> Record:
    """One question and one answer, strings as text parts."""

    def parts(content: Sequence[Part | str]) -> list[Part]:
        return [text_part(p) if isinstance(p, str) else p for p in content]

    return Record(
        identity,
        [{"role": "user", "content": parts(asked)}, {"role": "assistant", "content": parts(said)}],
        kind,
    )
