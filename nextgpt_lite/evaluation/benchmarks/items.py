"""Media with their captions, from the benchmarks' own files.

Knows: the annotation files of COCO-caption and NoCaps, of Karpathy's splits (COCO, Flickr 30K), of
MSR-VTT and of AudioCaps, as they are published.
Leaves to others: reading media (`media`), what is done with an item (`evaluation.tables`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from nextgpt_lite.errors import DataError
from nextgpt_lite.evaluation.protocols import Item
from nextgpt_lite.media import safe_path
from nextgpt_lite.reading import read_csv, read_json, reading


def read_items(annotations: str | Path, media: str | Path | None = None) -> list[Item]:
    """The items of a published annotation file, told by its fields, those with a medium at hand.

    Args:
        annotations: COCO's and NoCaps' `captions_*.json`, Karpathy's `dataset_*.json` (its test
            split), MSR-VTT's `*videodatainfo.json` (its test split), AudioCaps' `test.csv`.
        media: where the media lie; None means beside the file.

    Raises:
        DataError: the file is none of these, lacks a field, or names no medium that is there.
    """
    path = Path(annotations)
    if not path.is_file():
        raise DataError(f"{path} is no file: give the annotation file of the benchmark.")
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
    return items


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
