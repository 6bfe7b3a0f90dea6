"""The frozen encoder as the model uses it: media in, one vector (E,) an item out.

Knows: which trunk reads which modality, how items become batches. Leaves to others: the network
(`imagebind`), its files (`files`), the tensors (`preprocess`), what follows (the input projection).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from nextgpt_lite.encoders.config import RELEASED_TRUNKS, ImageBindConfig, TextConfig, TrunkConfig
from nextgpt_lite.encoders.files import build_imagebind, find_weights, load_tokenizer, read_tensors
from nextgpt_lite.encoders.imagebind import ImageBind
from nextgpt_lite.encoders.preprocess import PreprocessConfig
from nextgpt_lite.errors import ConfigError
from nextgpt_lite.locks import LOADING, Lock
from nextgpt_lite.model.modality import get_modality
from nextgpt_lite.reading import check_sums, checked, read_sizes, reading, write_sums

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


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
        self._lock = Lock()

    @property
    def width(self) -> int:
        """E, the length of a vector."""
        return self.model.config.out

    def train(self, mode: bool = True) -> Encoder:
        """Does nothing: the encoder is frozen and stays in evaluation mode."""
        return self

    def look_width(self, modality: str) -> int:
        """The length of what `look` tells of a medium besides its vector; 0 without its trunk."""
        config = self.model.config.trunks.get(get_modality(modality).trunk)
        return 2 * config.width if config else 0

    def encode(self, items: Sequence[tuple[str, Any]], batch_size: int = 32) -> Tensor:
        """Encodes media of any mixture of modalities.

        Args:
            items: pairs of a modality and its medium: "image" and a PIL image, ...
            batch_size: items that go through a trunk at once.

        Returns:
            float32 (N, E), in the order of the items.
        """
        return self.look(items, batch_size)[0]

    @torch.no_grad()
    def look(
        self, items: Sequence[tuple[str, Any]], batch_size: int = 32
    ) -> tuple[Tensor, list[Tensor]]:
        """As `encode`, and of each item mean and deviation (2D,) of its tokens before its trunk."""
        parameter = next(self.model.parameters())
        result = torch.zeros(len(items), self.width, device=parameter.device)
        looks: dict[int, Tensor] = {}
        for modality in dict.fromkeys(name for name, _ in items):
            row = get_modality(modality)
            indices = [i for i, (name, _) in enumerate(items) if name == modality]
            for start in range(0, len(indices), batch_size):
                batch = indices[start : start + batch_size]
                inputs = [row.preprocess(items[i][1], self.preprocess) for i in batch]
                result[batch], seen = self._run(row.trunk, inputs, parameter)
                looks |= zip(batch, seen, strict=True)
        return result, [looks[i] for i in range(len(items))]

    def _run(self, trunk: str, inputs: list[Tensor], like: Tensor) -> tuple[Tensor, Tensor]:
        lengths = {x.shape for x in inputs}
        if len(lengths) > 1:  # audio is padded to whole clips, so this mixture is rare
            each = [self._run(trunk, [x], like) for x in inputs]
            vectors, looks = (torch.cat(parts) for parts in zip(*each, strict=True))
            return vectors, looks
        vectors, looks = self.model.look(trunk, torch.stack(inputs).to(like))
        return vectors.float(), looks.float()

    def add_trunk(self, name: str, config: TrunkConfig) -> list[nn.Parameter]:
        """Gives the encoder a further trunk and returns its parameters, the only ones that learn.

        Args:
            name: what the rows of the modality table say in `trunk`.
        """
        return self.model.add(name, config)

    @torch.no_grad()
    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Encodes texts with the text trunk: float32 (N, E), times its learned scale."""
        return self.model("text", self.tokenize(texts)).float()

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        """Token ids (N, context): start, text, end, then zeros; a long text keeps its end mark.

        Raises:
            ConfigError: the encoder was loaded without its text trunk or tokenizer.
        """
        config = self.model.config.trunks.get("text")
        if self.tokenizer is None or not isinstance(config, TextConfig):
            raise ConfigError("encoder: no text trunk or tokenizer is loaded, so no text encoding")
        with self._lock:  # a tokenizer cannot be set to cut while another thread uses it
            ids = self.tokenizer(list(texts), truncation=True, max_length=config.context)[
                "input_ids"
            ]
        rows = [row + [0] * (config.context - len(row)) for row in ids]
        return torch.tensor(rows, device=next(self.model.parameters()).device)

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes config.json, float16 model.safetensors and tokenizer/ into the folder."""
        from safetensors.torch import save_file

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        config = {"imagebind": self.model.config.to_dict(), "preprocess": asdict(self.preprocess)}
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        state = {name: t.half().contiguous() for name, t in self.model.state_dict().items()}
        save_file(state, folder / "model.safetensors")
        if self.tokenizer is not None:
            self.tokenizer.save_pretrained(folder / "tokenizer")
        write_sums(folder)

    @classmethod
    @LOADING
    def from_pretrained(
        cls,
        source: str | Path,
        trunks: Sequence[str] | None = None,
        dtype: torch.dtype | None = None,
        official: bool = False,
        released: Sequence[str] = RELEASED_TRUNKS,
    ) -> Encoder:
        """Loads a folder written by `save_pretrained`, or the released weights.

        Args:
            source: a file (`imagebind_huge.pth`, a safetensors port), or a folder that holds one;
                without a config.json of ours its tensors tell the sizes.
            trunks: which to load; None means all of ours, and `released` of the released ones.
            dtype: of the parameters; None means float32.
            official: run the installed `imagebind` package instead of the code here.

        Raises:
            MissingError: there are no weights.
            CheckpointError: naming the file and the first tensor that does not fit.
            PackageError: the official package is asked for and not installed.
        """
        path = find_weights(Path(source))
        config_path = path.parent / "config.json"
        check_sums(path.parent)
        values = read_sizes(config_path) if config_path.is_file() else {}
        if "imagebind" in values:
            with reading(config_path):
                config = ImageBindConfig.from_dict(values["imagebind"])
                preprocess = checked(values["preprocess"], PreprocessConfig, f"{config_path}")
            config = config.only(trunks) if trunks is not None else config
            state = read_tensors(path, config.trunks)
        else:
            wanted = ImageBindConfig.TRUNKS if official else trunks or released
            state = read_tensors(path, wanted)
            shapes = {name: tensor.shape for name, tensor in state.items()}
            with reading(path.parent, "config.json", path.name):
                config = ImageBindConfig.from_shapes(shapes, wanted, values)
            preprocess = PreprocessConfig()
        model: Any
        if official:
            from nextgpt_lite.encoders.official import OfficialImageBind

            model = OfficialImageBind(config, state)
        else:
            with reading(path.parent, "config.json", path.name):
                model = build_imagebind(path, config, state)
        tokenizer = load_tokenizer(path.parent) if "text" in config.trunks else None
        return cls(model.to(dtype or torch.float32), preprocess, tokenizer)
