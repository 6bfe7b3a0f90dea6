"""Which media a model knows: those that look to its encoder like those of its training.

A Gaussian in the first principal directions of how media look (`Encoder.look`: what goes into the
trunk, for what comes out of it holds only what the encoder has learnt to see), and the length of
what is left beside them; as far from the middle as hardly any training medium is, a medium is
unknown (the Mahalanobis distance of Lee et al. 2018, arXiv:1807.03888, without classes).

Knows: these statistics and their file, which lies in a model's folder. Leaves to others: where the
media come from (`training.known_media`), and telling the user (`turn`).

Letters: N media, L length of a look, K directions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from nextgpt_lite.errors import CheckpointError, ConfigError
from nextgpt_lite.reading import read_tensors

FILE = "known_media.safetensors"
DIRECTIONS = 128
LEAST = 200  # media that statistics can be made of
ROOM = 1.1  # times the distance that all but 0.5 % of training media keep


class KnownMedia:
    """Statistics by modality; a modality without them has no unknown media.

    Args:
        tensors: of each modality "mean" (L,), "axes" (K, L), "deviation" (K + 1,), the last for
            what is left, and "limit" (), behind its name and a dot.
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self.tensors = {name: tensor.float() for name, tensor in tensors.items()}

    @classmethod
    def of(cls, looks: Mapping[str, Tensor]) -> KnownMedia:
        """Statistics of looks (N, L) by modality; a fifth of them sets the limit.

        Raises:
            ConfigError: they are too few.
        """
        tensors: dict[str, Tensor] = {}
        for modality, every in looks.items():
            if len(every) < LEAST:
                raise ConfigError(f"{len(every)} {modality} items: statistics need {LEAST}.")
            fitted, others = every[len(every) // 5 :].float().cpu(), every[: len(every) // 5]
            # In half precision, as they are kept, before all else: rounding would move what is
            # measured in deviations of a direction in which media hardly differ.
            mean = fitted.mean(0).half().float()
            count = min(DIRECTIONS, every.shape[1] - 1)
            axes = torch.linalg.svd(fitted - mean, full_matrices=False).Vh[:count]  # (K, E)
            tensors |= {f"{modality}.mean": mean, f"{modality}.axes": axes.half().float()}
            along = cls(tensors)._along(modality, fitted)  # (N, K + 1)
            tensors[f"{modality}.deviation"] = along.square().mean(0).sqrt().clamp_min(1e-6)
            distances = cls(tensors).distance(modality, others.float().cpu())  # (N,)
            tensors[f"{modality}.limit"] = ROOM * distances.quantile(0.995)
        return cls(tensors)

    def _along(self, modality: str, looks: Tensor) -> Tensor:
        """(N, L) -> (N, K + 1) how far along each axis, and beside all of them."""
        axes = self.tensors[f"{modality}.axes"]
        centred = looks - self.tensors[f"{modality}.mean"]
        along = centred @ axes.T
        return torch.cat([along, (centred - along @ axes).norm(dim=1, keepdim=True)], 1)

    def distance(self, modality: str, looks: Tensor) -> Tensor:
        """(N, L) looks -> (N,) distances, in deviations, the root mean square of K + 1."""
        deviations = self._along(modality, looks) / self.tensors[f"{modality}.deviation"]
        return deviations.square().mean(1).sqrt()

    def knows(self, modality: str, look: Tensor) -> bool:
        """Whether a medium that looks so, (L,), is like those of the training."""
        if f"{modality}.limit" not in self.tensors:
            return True
        distance = self.distance(modality, look.float().cpu()[None])
        return bool(distance <= self.tensors[f"{modality}.limit"])

    def save(self, folder: Path) -> Path:
        """Writes the file into a model's folder."""
        state = {
            name: tensor.half().contiguous() if name.endswith((".mean", ".axes")) else tensor
            for name, tensor in self.tensors.items()
        }
        save_file(state, folder / FILE)
        return folder / FILE

    @classmethod
    def load(cls, folder: Path, width: Callable[[str], int]) -> KnownMedia:
        """What a model's folder holds; nothing is unknown where it holds none.

        Args:
            width: L of a modality.

        Raises:
            CheckpointError: the statistics are of another encoder.
        """
        path = folder / FILE
        known = cls(read_tensors(path) if path.is_file() else {})
        for name, tensor in known.tensors.items():
            wanted = width(name.partition(".")[0])
            if name.endswith((".mean", ".axes")) and tensor.shape[-1] != wanted:
                raise CheckpointError(
                    f"{path}: {name} has width {tensor.shape[-1]}, the encoder {wanted}: "
                    f"delete it; `nextgpt-lite known-media {folder}` makes it anew."
                )
        return known
