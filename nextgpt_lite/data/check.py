"""Looks through a data folder before a training does, and writes a page on what it found.

Knows: what is told. Leaves to others: what is wrong with an item (`released`, `tidy`), media.
"""

from __future__ import annotations

from html import escape
from pathlib import Path

from tqdm.auto import tqdm

from nextgpt_lite.data.folder import Records, index_cache, index_folder
from nextgpt_lite.data.report import Report
from nextgpt_lite.data.sources import medium
from nextgpt_lite.media import follow_links
from nextgpt_lite.messages import parts_of
from nextgpt_lite.model.modality import MODALITIES
from nextgpt_lite.writing import beside

PAGE = "data_check.html"
SHOWN = 5  # records of each kind


def check(
    folder: Path, output: Path | None = None, media: bool = False, links: bool = False
) -> Report:
    """What a folder holds: records by kind, and what is wrong with the others.

    Args:
        folder: the data folder, or one file.
        output: folder for a page with the same and the first records of each kind.
        media: open every medium, too, which takes as long as reading all files.
        links: let symbolic links lead out of the folder.

    Raises:
        DataError: there is no data file.
    """
    root = folder if folder.is_dir() else folder.parent
    if links:
        follow_links(root)
    report = Report()
    keep = index_cache() / ("linked" if links else "")
    found = index_folder(folder, report=report, keep=keep, anew=True)
    for kind, records in found.items():
        failed = _open_all(records, report) if media else 0
        report.notes[f"of kind {kind!r}, with their media"] += records.present - failed
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        with beside(output / PAGE) as path:
            path.write_text(_page(folder, root, found, report), encoding="utf-8")
    return report


def _open_all(records: Records, report: Report) -> int:
    """Opens all media; how many records have one that cannot be opened."""
    failed = 0
    for number in tqdm(range(len(records)), desc="media", mininterval=1.0):
        if records.places[number]["missing"]:
            continue
        try:
            for message in records[number].messages:
                for part in parts_of(message) if message["role"] == "user" else ():
                    if part["type"] != "text":
                        medium(part, records.root)
        except (OSError, ValueError) as error:
            report.read -= 1
            failed += 1
            path, item = (records.places[number][name] for name in ("file", "number"))
            report.skip(records.files[path], f"{records.files[path]}, item {item}: {error}")
    return failed


def _page(folder: Path, root: Path, found: dict[str, Records], report: Report) -> str:
    rows = [
        f"<tr><td>{escape(kind)}</td><td>{len(records):,}</td><td>{records.present:,}</td></tr>"
        for kind, records in found.items()
    ]
    shown = [
        f"<h2>{escape(kind)}</h2>"
        + "".join(_shown(records, n, root) for n in range(min(SHOWN, len(records))))
        for kind, records in found.items()
    ]
    return (
        "<!doctype html><meta charset='utf-8'><title>Data check</title>"
        "<style>body{font:15px sans-serif;max-width:60em;margin:2em auto}td,th{padding:.2em 1em;"
        "text-align:left}pre{white-space:pre-wrap}div{border-left:3px solid #ccc;margin:1em 0;"
        "padding-left:1em}</style>"
        f"<h1>{escape(str(folder))}</h1><table><tr><th>kind</th><th>records</th><th>with media"
        f"</th></tr>{''.join(rows)}</table><h2>Report</h2><pre>{escape(str(report))}</pre>"
        + "".join(shown)
    )


def _shown(records: Records, number: int, root: Path) -> str:
    lines = []
    for message in records[number].messages:
        pieces = []
        for part in parts_of(message):
            if part["type"] == "text":
                pieces.append(escape(part["text"]))
            elif "path" in part and (root / part["path"]).is_file():
                link = MODALITIES[part["type"]].link
                pieces.append(link.format(escape((root / part["path"]).resolve().as_uri())))
            else:
                told = part.get("caption") or part.get("path") or "in the archive"
                pieces.append(escape(f"<{part['type']}: {told}>"))
        lines.append(f"<p><b>{message['role']}</b>: {' '.join(pieces)}</p>")
    return f"<div>{''.join(lines)}</div>"
