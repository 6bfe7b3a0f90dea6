"""A data set for instruction tuning as a row of the paper's Table 15.

Knows: the columns. Leaves to others: formats (`folder`), how a set was made (`kept`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nextgpt_lite.data.builders.kept import SETTINGS, read_decisions, settings_of
from nextgpt_lite.data.folder import index_folder
from nextgpt_lite.data.places import data_files
from nextgpt_lite.data.records import Record
from nextgpt_lite.data.report import Report
from nextgpt_lite.messages import parts_of
from nextgpt_lite.model.modality import MODALITIES

COLUMNS = (
    "Dataset", "Data Source", "In→Out Modality", "Approach", "Multi-turn Reason", "#Img/Vid/Aud",
    "#Dialog Turn", "#Instance",
)  # fmt: skip
LETTERS = {"image": "I", "audio": "A", "video": "V"}
COUNTED = ("image", "video", "audio")


def table_15(folder: Path) -> str:
    """One row for each data file of a folder, as Markdown.

    Media are counted once each, however often they come; a turn is a question and its answer.
    Where a person has looked at what was built, the approach is "Auto+Manu.".
    """
    lines = [COLUMNS, ("---",) * len(COLUMNS)]
    for path in data_files(folder):
        found = index_folder(path, report=Report())
        records = [record for kind in found.values() for record in kind]
        if records:
            lines.append(_row(path, records))
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _row(path: Path, records: Sequence[Record]) -> tuple[str, ...]:
    source, approach, folder = "-", "-", path.parent
    if (folder / SETTINGS).is_file():
        source = ", ".join(Path(name).stem for name in settings_of(folder)["pairs"])
        approach = "Auto+Manu." if read_decisions(folder) else "Auto"
    sides: dict[str, set[str]] = {"user": set(), "assistant": set(), "system": set()}
    media: dict[str, set[str]] = {modality: set() for modality in MODALITIES}
    turns = 0
    for record in records:
        for message in record.messages:
            turns += message["role"] == "assistant"
            for part in parts_of(message):
                if part["type"] != "text":
                    sides[message["role"]].add(part["type"])
                    name = part.get("path") or part.get("caption") or part.get("source")
                    media[part["type"]].add(str(name))
    counted = "/".join(f"{len(media[m]):,}" if media[m] else "-" for m in COUNTED)
    others = [
        f"{name}: {len(some):,}" for name, some in media.items() if some and name not in COUNTED
    ]
    mean = turns / len(records)
    return (
        path.stem, source, f"{_side(sides['user'])}→{_side(sides['assistant'])}", approach,
        "yes" if mean > 1 else "no", "; ".join([counted, *others]), f"{mean:.2g}",
        f"{len(records):,}",
    )  # fmt: skip


def _side(modalities: set[str]) -> str:
    return "+".join(["T", *(LETTERS.get(m, m) for m in MODALITIES if m in modalities)])
