"""How long an encoder's vectors are, said without loading it."""

from __future__ import annotations

import json
from pathlib import Path

from nextgpt_lite.encoders.config import ImageBindConfig


def encoder_width(folder: Path) -> int:
    """E of a folder's encoder; of one without a config.json of ours, the released encoder's."""
    path = folder / "config.json"
    values = json.loads(path.read_text()) if path.is_file() else {}
    return int(values.get("imagebind", {}).get("out", ImageBindConfig.out))
