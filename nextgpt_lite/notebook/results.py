"""Figures that a notebook reports, once for the reader and once for the test.

`record` prints "name: value" and leaves the same value in the notebook file as JSON;
`recorded` reads them back from an executed notebook. Bounds are the tests' business.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from IPython.display import display

from nextgpt_lite.display import MIME, Bundle


def record(name: str, value: float | int | bool | str) -> None:
    """Shows "name: value" and lets `recorded` find the value in the executed notebook."""
    plain = value.item() if hasattr(value, "item") else value  # numpy and torch scalars
    if not isinstance(plain, bool | int | float | str):
        raise TypeError(f'record("{name}"): pass a number, a truth value or a text, not {plain!r}')
    shown = f"{plain:.4g}" if isinstance(plain, float) else str(plain)
    display(
        Bundle(
            {
                "text/plain": f"{name}: {shown}",
                MIME: {"kind": "figure", "name": name, "value": plain},
            }
        )
    )


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
            if shown := output.get("data", {}).get(MIME):
                yield shown
