"""Encoder and decoders of a model: named by its configuration, loaded when first needed.

A text reply needs neither, and no more does a run whose features were kept by an earlier one.

Knows: where they come from, and that a decoder must fit what is projected to it. Leaves to others:
what they do (`encoders`, `decoders`), and everything that learns (`nextgpt`).
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import nn

from nextgpt_lite.decoders import condition_shape, load_decoder
from nextgpt_lite.decoders.base import TEXT_ENCODER, Decoder
from nextgpt_lite.encoders import Encoder, encoder_width
from nextgpt_lite.errors import ConfigError
from nextgpt_lite.locks import LOADING, Lock
from nextgpt_lite.model.config import PROFILES, NextGPTConfig, locate


class FrozenParts(nn.Module):
    """What a model is given and never changes.

    Args:
        encoder: None loads that of the configuration at first use.
    """

    def __init__(self, config: NextGPTConfig, encoder: Encoder | None) -> None:
        super().__init__()
        self.config = config
        self._given_encoder = encoder is not None
        if encoder is None:
            self.encoder_width = encoder_width(locate(config.encoder))
        else:
            self.encoder_width = encoder.width
            self._modules["encoder"] = encoder.requires_grad_(False).eval()
        self.decoders = nn.ModuleDict()
        self._loaded_decoders: set[str] = set()
        self._turn = Lock()  # of the decoders that share a device

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        raise NotImplementedError

    @property
    def dtype(self) -> torch.dtype:
        """The number format of what is frozen, also of parts that are still to be loaded."""
        raise NotImplementedError

    @property
    def encoder(self) -> Encoder:
        """The frozen encoder, loaded once and kept."""
        with LOADING:
            if "encoder" not in self._modules:
                encoder = Encoder.from_pretrained(
                    locate(self.config.encoder),
                    dtype=self.dtype,
                    official=self.config.official_encoder,
                    released=self.config.trunks,
                )
                self._modules["encoder"] = encoder.to(self.device)
        return self._modules["encoder"]  # type: ignore[return-value]

    def frozen_folders(self, part: str) -> list[Path]:
        """What the encoder, or the decoder of a modality, is loaded from; empty if it was given."""
        if part == "encoder":
            return [] if self._given_encoder else [locate(self.config.encoder)]
        if part in self.decoders and part not in self._loaded_decoders:
            return []
        settings = self.config.settings_of(part)
        base = [locate(settings["base"])] if "base" in settings else []
        return [locate(self.config.decoders[part]), *base]

    def decoder(self, modality: str) -> Decoder:
        """The frozen decoder of a modality, loaded once and kept.

        Raises:
            ConfigError: its condition has another shape than the output projection gives.
        """
        with LOADING:
            if modality not in self.decoders:
                self.decoders[modality] = self._loaded(modality)
                self._loaded_decoders.add(modality)
        return self.decoders[modality]  # type: ignore[return-value]

    def _loaded(self, modality: str) -> Decoder:
        name = self.config.decoders[modality]
        decoder = load_decoder(
            locate(name),
            self.config.settings_of(modality),
            modality=modality,
            dtype=self.dtype,
        )
        shape = [decoder.condition_length, decoder.condition_width]
        if shape != list(self.config.conditions[modality]):
            raise ConfigError(
                f"The {modality} decoder {name!r} reads a condition of {shape}, but the output "
                f"projection gives {list(self.config.conditions[modality])}: set "
                f"conditions[{modality!r}] in the configuration and train stage 2 again."
            )
        if not self.config.text_encoders:
            decoder.drop_text_encoder()
        if not self.config.offload:
            return decoder.to(self.device)
        decoder.lock, decoder.fetch = self._turn, partial(self._fetch, modality)
        return decoder

    def _fetch(self, modality: str, reads: bool) -> None:
        """Moves one decoder to the model's device and the others off it, once none of them runs.

        Text encoders take turns of their own: while captions are read, what paints stays in place.
        """
        with self._turn:
            for other, decoder in [*self.decoders.items()]:  # another thread may add one
                for name, part in decoder.parts.items():  # type: ignore[operator, union-attr]
                    if not reads or name.startswith(TEXT_ENCODER):
                        part.to(self.device if other == modality else "cpu")


def with_found_conditions(config: NextGPTConfig) -> NextGPTConfig:
    """The configuration with the condition shapes of those decoders that are on this machine.

    Raises:
        MissingError: a decoder is not here, and it is not the preset's, whose shape is known.
    """
    found = dict(config.conditions)
    known = PROFILES.get(config.profile, {}).get("decoders", {})
    for modality, name in config.decoders.items():
        try:
            folder = locate(name)
        except FileNotFoundError:
            if name != known.get(modality):
                raise
            continue  # it will be asked for when it is needed, and no sooner
        found[modality] = condition_shape(folder, config.settings_of(modality), modality=modality)
    return replace(config, conditions=found)
