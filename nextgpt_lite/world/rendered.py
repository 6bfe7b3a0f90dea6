"""A scene as a medium that is rendered when it is opened (`messages.MediaSource`).

Knows: what names such a medium. Leaves to others: rendering (`render`), keeping what is computed
from it (`training.features`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any
from zlib import crc32

from nextgpt_lite.training.cache import hash_files
from nextgpt_lite.world.render import render
from nextgpt_lite.world.scene import Scene

# What settles how a render looks.
CODE = ("render.py", "scene.py", "sounds.py", "sprites.py", "sprites.yaml")
PACKAGES = ("numpy", "scipy", "pillow")


@dataclass(frozen=True)
class Rendered:
    """A scene's medium; another variant, or another seed, is another render of the same scene.

    Attributes:
        seed: of the render; None takes one from the scene and the variant.
    """

    scene: Scene
    variant: int = 0
    seed: int | None = None

    @property
    def key(self) -> str:
        """Names the medium by its scene, its variant and the code that renders it."""
        return f"{_renderer()} {self._name}"

    def open(self) -> Any:
        """Renders it."""
        return render(self.scene, crc32(self._name.encode()) if self.seed is None else self.seed)

    @property
    def _name(self) -> str:
        seed = "" if self.seed is None else f":seed {self.seed}"
        return f"scene:{self.scene}:{self.variant}{seed}"


@cache
def _renderer() -> str:
    """Hash of the code that renders scenes."""
    packages = " ".join(f"{name} {version(name)}" for name in PACKAGES)
    folder = Path(__file__).parent
    return f"{hash_files(folder / name for name in CODE)} {packages}"
