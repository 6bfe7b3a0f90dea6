"""The official `imagebind` package in the place of our own code.

It is on no package index and needs packages that this project does without, so it is used only
where a user has installed it; a test then holds both to the same outputs.
Knows: its constructor and how it is called. Leaves to others: files, preprocessing.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from nextgpt_lite.encoders.config import ImageBindConfig
from nextgpt_lite.errors import PackageError


class OfficialImageBind(nn.Module):
    """Called as our `ImageBind` is.

    Args:
        config: its sizes; all six trunks, as the official model has them all.
        state: the checkpoint's tensors.

    Raises:
        PackageError: the package is not installed.
    """

    def __init__(self, config: ImageBindConfig, state: dict[str, Tensor]) -> None:
        super().__init__()
        try:
            from imagebind.models.imagebind_model import ImageBindModel
        except ImportError as error:
            raise PackageError(
                "The official encoder is asked for, but the package imagebind is not installed: "
                "install it from its repository or leave official_encoder off."
            ) from error
        self.config = config
        numbers: dict[str, Any] = {"out_embed_dim": config.out}
        for name, trunk in config.trunks.items():
            numbers[f"{name}_embed_dim"] = trunk.width
            numbers[f"{name}_num_blocks"] = trunk.blocks
            numbers[f"{name}_num_heads"] = trunk.heads
        with torch.device("meta"):
            self.inner = ImageBindModel(**numbers)
        self.inner.load_state_dict(state, assign=True)

    def forward(self, trunk: str, x: Tensor) -> Tensor:
        """(B, ...) as in `ImageBind.forward` -> (B, E)."""
        return self.inner({trunk: x})[trunk]
