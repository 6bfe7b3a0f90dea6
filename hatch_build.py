"""What the metadata of the package takes from the one address in pyproject.toml.

Knows: README.md with links that also lead somewhere outside the repository, and the project's URLs.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

PAPER = "https://arxiv.org/abs/2309.05519"
LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?://|#)([^)\s]+)\)")


class CustomMetadataHook(MetadataHookInterface):
    """Called by hatchling for every wheel and every installation."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Fills in the fields that pyproject.toml calls dynamic."""
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        settings = tomllib.loads(Path(self.root, "pyproject.toml").read_text(encoding="utf-8"))
        place = settings["tool"]["nextgpt_lite"]
        address, branch = place["repository"], place["branch"]
        metadata["readme"] = {
            "content-type": "text/markdown",
            "text": absolute(text, address, branch),
        }
        metadata["urls"] = {"Paper": PAPER}
        if address:
            changes = f"{address}/blob/{branch}/CHANGELOG.md"
            metadata["urls"] |= {"Repository": address, "Changelog": changes}


def absolute(text: str, address: str, branch: str) -> str:
    """The page with absolute links; without an address links become words, and images go."""

    def replace(link: re.Match[str]) -> str:
        image, words, path = link.groups()
        if address:
            return f"{image}[{words}]({address}/{'raw' if image else 'blob'}/{branch}/{path})"
        return "" if image else words

    return LINK.sub(replace, text)
