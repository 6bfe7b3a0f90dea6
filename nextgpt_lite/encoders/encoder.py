"""The frozen encoder as the model uses it: media in, one vector (E,) an item out.

Knows: which trunk reads which modality, how items become batches, where weights are in a folder.
Leaves to others: the network (`imagebind`), the tensors (`preprocess`), what follows (the input
projection).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from nextgpt_lite.encoders.config import ImageBindConfig
from nextgpt_lite.encoders.imagebind import ImageBind
from nextgpt_lite.encoders.preprocess import (
    PreprocessConfig,
    preprocess_audio,
    preprocess_image,
    preprocess_video,
)
from nextgpt_lite.modality import MODALITIES

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_PREPROCESS: dict[str, Any] = {
    "image": preprocess_image,
    "audio": preprocess_audio,
    "video": preprocess_video,
}
_WEIGHTS = ("model.safetensors", "imagebind_huge.safetensors", "imagebind_huge.pth")


class Encoder(nn.Module):
    """ImageBind with its preprocessing and, where texts are encoded too, its tokenizer."""

    def __init__(
        self,
        model: ImageBind,
        preprocess: PreprocessConfig,
        tokenizer: PreTrainedTokenizerBase | None = None,
    ) -> None:
        super().__init__()
        self.model = model.requires_grad_(False).eval()
        self.preprocess = preprocess
        self.tokenizer = tokenizer

    @property
    def width(self) -> int:
        """E, the length of a vector."""
        return self.model.config.out

    def train(self, mode: bool = True) -> Encoder:
        """Does nothing: the encoder is frozen and stays in evaluation mode."""
        return self

    @torch.no_grad()
    def encode(self, items: Sequence[tuple[str, Any]], batch_size: int = 32) -> Tensor:
        """Encodes media of any mixture of modalities.

        Args:
            items: pairs of a modality ("image", "audio", "video") and its PIL image, `Audio` or
                `Video`.
            batch_size: items that go through a trunk at once.

        Returns:
            float32 (N, E), in the order of the items.
        """
        parameter = next(self.model.parameters())
        result = torch.zeros(len(items), self.width, device=parameter.device)
        for modality in dict.fromkeys(name for name, _ in items):
            if modality not in _PREPROCESS:
                raise ValueError(f"unknown modality {modality!r}: use one of {[*_PREPROCESS]}")
            indices = [i for i, (name, _) in enumerate(items) if name == modality]
            for start in range(0, len(indices), batch_size):
                batch = indices[start : start + batch_size]
                inputs = [_PREPROCESS[modality](items[i][1], self.preprocess) for i in batch]
                result[batch] = self._run(MODALITIES[modality].trunk, inputs, parameter)
        return result

    def _run(self, trunk: str, inputs: list[Tensor], like: Tensor) -> Tensor:
        lengths = {x.shape for x in inputs}
        if len(lengths) > 1:  # sounds shorter than a clip are padded, so this is a rare mixture
            return torch.cat([self._run(trunk, [x], like) for x in inputs])
        return self.model(trunk, torch.stack(inputs).to(like)).float()

    @torch.no_grad()
    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Encodes texts with the text trunk: float32 (N, E), times its learned scale."""
        return self.model("text", self.tokenize(texts)).float()

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        """Token ids (N, context): start, text, end, then zeros; a long text keeps its end mark.

        Raises:
            ValueError: the encoder was loaded without its text trunk or tokenizer.
        """
        config = self.model.config.text
        if self.tokenizer is None or config is None:
            raise ValueError("encoder: no text trunk or tokenizer is loaded, so no text encoding")
        ids = self.tokenizer(list(texts), truncation=True, max_length=config.context)["input_ids"]
        rows = [row + [0] * (config.context - len(row)) for row in ids]
        return torch.tensor(rows, device=next(self.model.parameters()).device)

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes config.json, float16 model.safetensors and tokenizer/ into the folder."""
        from safetensors.torch import save_file

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        config = {"imagebind": self.model.config.to_dict(), "preprocess": asdict(self.preprocess)}
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        state = {name: t.half().contiguous() for name, t in self.model.state_dict().items()}
        save_file(state, folder / "model.safetensors")
        if self.tokenizer is not None:
            self.tokenizer.save_pretrained(folder / "tokenizer")

    @classmethod
    def from_pretrained(
        cls,
        folder: str | Path,
        trunks: Sequence[str] | None = None,
        dtype: torch.dtype | None = None,
    ) -> Encoder:
        """Loads a folder written by `save_pretrained`, or one with the released huge weights.

        Args:
            folder: holds model.safetensors or imagebind_huge.pth; without a config.json of ours
                the numbers of the huge encoder are assumed.
            trunks: which to load; None means all of ours, vision and audio of the huge one.
            dtype: of the parameters; None means float32.
        """
        folder = Path(folder)
        path = next((folder / name for name in _WEIGHTS if (folder / name).is_file()), None)
        if path is None:
            raise FileNotFoundError(
                f"{folder} holds no encoder weights: put one of {_WEIGHTS} there"
            )
        config_path = folder / "config.json"
        values = json.loads(config_path.read_text()) if config_path.is_file() else {}
        if "imagebind" in values:
            config = ImageBindConfig.from_dict(values["imagebind"])
            preprocess = PreprocessConfig(**values["preprocess"])
        else:
            config, preprocess = (
                ImageBindConfig.huge(trunks or ("vision", "audio")),
                PreprocessConfig(),
            )
        config = config.only(trunks) if trunks is not None else config
        model = load_imagebind(path, config).to(dtype or torch.float32)
        return cls(model, preprocess, _load_tokenizer(folder) if config.text is not None else None)


def load_imagebind(path: Path, config: ImageBindConfig) -> ImageBind:
    """Builds the trunks of `config` from a .safetensors or .pth file that may hold more.

    Raises:
        ValueError: naming the file and the first tensor that is missing or of another shape.
    """
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        state = load_file(path)
    else:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    with torch.device("meta"):  # nothing is allocated twice
        model = ImageBind(config)
    wanted = model.state_dict()
    for name, tensor in wanted.items():
        if name not in state:
            raise ValueError(f"{path} lacks {name}: it is no ImageBind checkpoint of these trunks")
        if state[name].shape != tensor.shape:
            raise ValueError(
                f"{path}: {name} has shape {tuple(state[name].shape)}, expected "
                f"{tuple(tensor.shape)}: use the config.json that belongs to it"
            )
    model.load_state_dict({name: state[name] for name in wanted}, assign=True)
    return model


def _load_tokenizer(folder: Path) -> PreTrainedTokenizerBase | None:
    """The tokenizer of the text trunk; the released one is CLIP's, in the same folder layout."""
    from transformers import AutoTokenizer

    place = folder / "tokenizer"
    return AutoTokenizer.from_pretrained(place) if place.is_dir() else None
