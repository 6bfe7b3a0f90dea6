"""Takes the README's figures from the committed notebooks' outputs: python docs/figures.py

So the README shows what a reader sees after `make tour`, and nothing drawn for it.
"""

from __future__ import annotations

import io
from base64 import b64decode
from pathlib import Path

import nbformat
from PIL import Image

DOCS = Path(__file__).resolve().parent
NOTEBOOKS = DOCS.parent / "notebooks"
GAP = 8
# file: notebook, what the cells with its pictures contain, side by side or one below the other
FIGURES = {
    "losses.png": ("00_tour", "run_stage(", True),
    "directions.png": ("06_any_to_any_inference", "figure.subplots(4, 4", False),
}


def pictures(notebook: str, content: str) -> list[Image.Image]:
    """The PNG outputs, in order, of all cells whose source contains `content`."""
    cells = nbformat.read(NOTEBOOKS / f"{notebook}.ipynb", as_version=4).cells
    outputs = [out for cell in cells if content in cell.source for out in cell.get("outputs", [])]
    found = [out["data"]["image/png"] for out in outputs if "image/png" in out.get("data", {})]
    return [Image.open(io.BytesIO(b64decode(png))).convert("RGB") for png in found]


def joined(images: list[Image.Image], beside: bool) -> Image.Image:
    """The images in one row or column on white."""
    sizes = [image.size if beside else image.size[::-1] for image in images]  # (along, across)
    along, across = sum(a for a, _ in sizes) + GAP * (len(sizes) - 1), max(c for _, c in sizes)
    sheet = Image.new("RGB", (along, across) if beside else (across, along), "white")
    at = 0
    for image, (length, _) in zip(images, sizes, strict=True):
        sheet.paste(image, (at, 0) if beside else (0, at))
        at += length + GAP
    return sheet


for name, (notebook, content, beside) in FIGURES.items():
    figure = joined(pictures(notebook, content), beside)
    figure.quantize(128, dither=Image.Dither.NONE).save(DOCS / name, optimize=True)
    print(f"docs/{name}: {(DOCS / name).stat().st_size / 1024:.0f} KiB, {figure.size}")
