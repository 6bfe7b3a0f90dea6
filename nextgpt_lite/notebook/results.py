"""Figures that a notebook keeps for tests: in the file, not before the reader's eyes.

`record` leaves a value in the metadata of an output that shows nothing; `recorded` reads them back
from an executed notebook. Bounds are the tests' business.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from IPython.display import display

from nextgpt_lite.display import MIME


def record(name: str, value: float | int | bool | str) -> None:
    """Keeps a figure in the notebook's file, for `recorded`; shows a claim only if it is false."""
    plain = value.item() if hasattr(value, "item") else value  # numpy and torch scalars
    if not isinstance(plain, bool | int | float | str):
        raise TypeError(f'record("{name}"): pass a number, a truth value or a text, not {plain!r}')
    shown = {"text/plain": f"✘ should hold, and does not: {name}"} if plain is False else {}
    kept = {"kind": "figure", "name": name, "value": plain}
    display(shown, raw=True, metadata={MIME: kept})


def recorded(notebook: Mapping[str, Any]) -> dict[str, Any]:
    """Every recorded figure of an executed notebook; the last one of a name counts."""
    return {
        shown["name"]: shown["value"] for shown in objects(notebook) if shown["kind"] == "figure"
    }


def objects(notebook: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The JSON descriptions of all shown objects, in order; their "kind" tells them apart.

    Kinds: "figure" (`record`), "check" (`exercises.check`), "plot", "image", "audio", "video",
    "reply".
    """
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            for place in ("data", "metadata"):
                if shown := output.get(place, {}).get(MIME):
                    yield shown
