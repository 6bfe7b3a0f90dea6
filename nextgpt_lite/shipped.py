"""Files that come with the package beside its code: data_samples, results, configs, the tour.

Knows: where they lie, in a clone and in an installed wheel. Leaves to others: what is in them.
"""

from __future__ import annotations

from pathlib import Path

from nextgpt_lite.errors import MissingError

PACKAGE = Path(__file__).parent


def shipped(name: str | Path) -> Path:
    """The path of such a file or folder, such as "configs/ablation/messenger.yaml".

    Raises:
        MissingError: nothing of that name ships.
    """
    for folder in (PACKAGE / "files", PACKAGE.parent):  # of a wheel; of a clone
        if (folder / name).exists():
            return folder / name
    raise MissingError(f"{name} is not there, nor does it come with nextgpt-lite: check the path.")
