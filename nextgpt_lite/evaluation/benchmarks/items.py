"""Media with their captions, from the benchmarks' own files or the reader's own data.

Knows: the annotation files of COCO-caption and NoCaps, of Karpathy's splits (COCO, Flickr 30K), of
MSR-VTT and of AudioCaps, as they are published.
Leaves to others: other data, which are read as training reads them (`data.folder`), reading media
(`media`), what is done with an item (`evaluation.tables`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from nextgpt_lite.data.folder import index_folder
from nextgpt_lite.data.report import Report
from nextgpt_lite.errors import DataError
from nextgpt_lite.evaluation.protocols import Item
from nextgpt_lite.media import safe_path
from nextgpt_lite.messages import Part, parts_of, text_of
from nextgpt_lite.reading import read_csv, read_json, reading


def read_items(
    annotations: str | Path, media: str | Path | None = None, modality: str | None = None,
    most: int = sys.maxsize,
) -> list[Item]:  # fmt: skip
    """The items of an annotation file, told by its fields, those with a medium at hand.

    Args:
        annotations: COCO's and NoCaps' `captions_*.json`, Karpathy's `dataset_*.json` (its test
            split), MSR-VTT's `*videodatainfo.json` (its test split), AudioCaps' `test.csv`; else
            the pairs of a folder or file in any format that training reads.
        media: where the media of a published file lie; None means beside it.
        modality: of the pairs that are read; None: all.
        most: items that are read; None: all.

    Raises:
        DataError: the file is none of these, lacks a field, or names no medium that is there.
    """
    path = Path(annotations)
    if not path.exists():
        raise DataError(f"{path} is no file or folder: give the benchmark's annotation file.")
    if not _is_published(path):
        return [*islice(_pairs(path, modality), most)]
    folder = path.parent if media is None else Path(media)
    with reading(path, remedy="fetch the file again"):
        named = [
            (modality, identity, [safe_path(folder, name) for name in names], captions)
            for modality, identity, names, captions in _read(path)
        ]
    items = []
    for modality, identity, places, captions in named:
        found = next((place for place in places if place.is_file()), None)
        if found is not None:
            items.append(Item(identity, modality, tuple(captions), found))
    if not items:
        raise DataError(
            f"{path}: none of its {len(named)} media lies in {folder}; name their folder "
            "by --media."
        )
    return items[:most]


def _is_published(path: Path) -> bool:
    """Whether a file has the outer form of a benchmark's: an object of JSON, or AudioCaps' head."""
    if path.is_dir() or path.suffix not in (".json", ".csv"):
        return False
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        head = file.readline(1000).strip()
    audiocaps = {"youtube_id", "audiocap_id"} <= {*head.split(",")}
    return audiocaps if path.suffix == ".csv" else not head.startswith("[")


def _pairs(path: Path, modality: str | None) -> Iterator[Item]:
    """Pairs as training reads them; captions that follow each other may be of one medium."""
    root = path if path.is_dir() else path.parent
    report = Report()
    found = index_folder(path, report=report).get("pair", ())
    shown = ((parts_of(r.messages[0])[0], text_of(r.messages[1]), r.id) for r in found)

    def place(each: tuple[Part, str, str]) -> Any:
        part = each[0]
        return str(root / part["path"]) if "path" in part else part["source"]

    count = 0
    for source, group in groupby(shown, place):
        pairs = [*group]
        part, _, identity = pairs[0]
        medium = Path(source) if isinstance(source, str) else source
        fits = modality in (None, part["type"])
        if not fits or (isinstance(medium, Path) and not medium.is_file()):
            continue
        count += 1
        yield Item(identity, part["type"], tuple(said for _, said, _ in pairs), medium)
    if not count:
        told = "; ".join(str(report).splitlines())
        raise DataError(f"{path}: holds no {modality or 'medium'} with a caption; {told}")


Named = Iterator[tuple[str, str, list[str], list[str]]]  # modality, id, file names, captions


def _read(path: Path) -> Named:
    if path.suffix == ".csv":
        return _audiocaps(path)
    values = read_json(path)
    keys = set(values)
    readers: tuple[tuple[set[str], Callable[[Any], Named]], ...] = (
        ({"annotations", "images"}, _coco),
        ({"videos", "sentences"}, _msr_vtt),
        ({"images"}, _karpathy),
    )
    for fields, reader in readers:
        if fields <= keys:
            return reader(values)
    raise DataError(
        f"{path} has the fields {sorted(keys)}: give COCO's, NoCaps', Karpathy's or MSR-VTT's JSON "
        "or AudioCaps' CSV."
    )


def _coco(values: dict[str, Any]) -> Named:
    captions: dict[Any, list[str]] = {}
    for entry in values["annotations"]:
        captions.setdefault(entry["image_id"], []).append(entry["caption"].strip())
    for image in values["images"]:
        if said := captions.get(image["id"]):
            yield "image", str(image["id"]), [image["file_name"]], said


def _karpathy(values: dict[str, Any]) -> Named:
    for image in values["images"]:
        if image["split"] == "test":
            name = image["filename"]
            names = [name, f"{image['filepath']}/{name}"] if "filepath" in image else [name]
            identity = str(image.get("imgid", name))
            yield "image", identity, names, [s["raw"].strip() for s in image["sentences"]]


def _msr_vtt(values: dict[str, Any]) -> Named:
    captions: dict[str, list[str]] = {}
    for entry in values["sentences"]:
        captions.setdefault(entry["video_id"], []).append(entry["caption"].strip())
    for video in values["videos"]:
        name = video["video_id"]
        if video["split"] == "test" and name in captions:
            yield "video", name, [f"{name}.mp4"], captions[name]


def _audiocaps(path: Path) -> Named:
    captions: dict[str, list[str]] = {}
    numbers: dict[str, list[str]] = {}
    for row in read_csv(path, ("youtube_id", "caption", "audiocap_id")):
        name = row["youtube_id"]
        captions.setdefault(name, []).append(row["caption"].strip())
        numbers.setdefault(name, []).append(row["audiocap_id"])
    for name, said in captions.items():
        stems = [name, f"Y{name}", *numbers[name]]
        files = [stem + suffix for stem in stems for suffix in (".wav", ".flac", ".mp3")]
        yield "audio", name, files, said
