"""The numbers of an ImageBind encoder: one dataclass a trunk, and the sizes used here.

Knows: widths, depths, patch sizes. Leaves to others: modules (`imagebind`), pixels and samples
(`preprocess`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, ClassVar

from nextgpt_lite.errors import CheckpointError, ConfigError
from nextgpt_lite.reading import checked

# Where the last layer of a head stands in its `nn.Sequential`, if not third.
RELEASED_TRUNKS = ("vision", "audio")  # what NExT-GPT reads with, of the released six
_LAST_OF_HEAD = {"text": "proj.1", "imu": "3"}


@dataclass(frozen=True, kw_only=True)
class TrunkConfig:
    """What every trunk has: a pre-norm transformer of `blocks` blocks at `width`.

    `scale` multiplies the unit-length output; None leaves it at length one.
    """

    width: int
    blocks: int
    heads: int
    scale: float | None = None


@dataclass(frozen=True, kw_only=True)
class VisionConfig(TrunkConfig):
    """Images and videos (3, T, image_size, image_size), cut into `kernel` = (T, H, W) patches."""

    image_size: int = 224
    kernel: tuple[int, int, int] = (2, 14, 14)


@dataclass(frozen=True, kw_only=True)
class SpectrumConfig(TrunkConfig):
    """One-channel maps (1, height, width_in): filter banks, depth or thermal images."""

    height: int
    length: int
    kernel: int = 16
    stride: int = 16


@dataclass(frozen=True, kw_only=True)
class ImuConfig(TrunkConfig):
    """Six motion channels of `length` samples, in steps of `kernel`."""

    channels: int = 6
    length: int = 2000
    kernel: int = 8


@dataclass(frozen=True, kw_only=True)
class TextConfig(TrunkConfig):
    """Token ids (context,); `scale` is learned.

    The state at the first `eos_token_id` stands for the text; None takes the position of the
    highest id, which in CLIP's vocabulary is the end token.
    """

    context: int = 77
    vocab_size: int = 49408
    eos_token_id: int | None = None


KINDS: tuple[type[TrunkConfig], ...] = (VisionConfig, TextConfig, SpectrumConfig, ImuConfig)


@dataclass(init=False)
class ImageBindConfig:
    """Trunks by name, and `out`, the width E of what they all give.

    Args:
        trunks: any names; those of `TRUNKS` are the released encoder's.
    """

    TRUNKS: ClassVar[tuple[str, ...]] = ("vision", "text", "audio", "depth", "thermal", "imu")
    out: int
    trunks: dict[str, TrunkConfig]

    def __init__(self, *, out: int = 1024, **trunks: TrunkConfig) -> None:
        self.out, self.trunks = out, trunks

    def only(self, names: Sequence[str]) -> ImageBindConfig:
        """The same numbers with these trunks alone; raises ConfigError for one it has not."""
        if missing := [name for name in names if name not in self.trunks]:
            raise ConfigError(f"encoder: no {missing[0]} trunk here, only {[*self.trunks]}")
        kept = {name: trunk for name, trunk in self.trunks.items() if name in names}
        return ImageBindConfig(out=self.out, **kept)

    @classmethod
    def huge(cls, trunks: Sequence[str] = TRUNKS) -> ImageBindConfig:
        """The released `imagebind_huge` (1.2 B parameters), or only some of its trunks."""
        square = {"height": 224, "length": 224}
        every: dict[str, TrunkConfig] = {
            "vision": VisionConfig(width=1280, blocks=32, heads=16),
            "text": TextConfig(width=1024, blocks=24, heads=16, scale=1 / 0.07),
            "audio": SpectrumConfig(
                width=768, blocks=12, heads=12, scale=20.0, height=128, length=204, stride=10
            ),
            "depth": SpectrumConfig(width=384, blocks=12, heads=8, scale=5.0, **square),
            "thermal": SpectrumConfig(width=768, blocks=12, heads=12, scale=10.0, **square),
            "imu": ImuConfig(width=512, blocks=6, heads=8, scale=5.0),
        }
        if unknown := [name for name in trunks if name not in every]:
            raise ConfigError(f"the released encoder has no {unknown[0]} trunk, only {[*every]}")
        return cls(out=1024, **{name: every[name] for name in trunks})

    @classmethod
    def lite(cls, vocab_size: int, eos_token_id: int) -> ImageBindConfig:
        """The small encoder as its training begins: images of 64x64, videos, audio clips, captions.

        The shipped one has more vision blocks (`pretraining.encoder_gather`).
        """
        return cls(
            out=256,
            vision=VisionConfig(width=160, blocks=5, heads=5, image_size=64, kernel=(2, 8, 8)),
            text=TextConfig(
                width=128, blocks=3, heads=4, scale=1 / 0.07,
                context=28, vocab_size=vocab_size, eos_token_id=eos_token_id,
            ),
            audio=SpectrumConfig(width=128, blocks=3, heads=4, height=128, length=204),
        )  # fmt: skip

    @classmethod
    def from_shapes(
        cls,
        shapes: Mapping[str, Sequence[int]],
        trunks: Sequence[str],
        values: dict[str, Any],
    ) -> ImageBindConfig:
        """The released encoder at the widths and depths that a checkpoint's tensors have.

        Args:
            shapes: of the tensors, by name.
            trunks: which of them to read.
            values: the released constructor's arguments (`vision_num_heads`, ...), as the port on
                the hub has them; tensors do not tell heads, those of `huge` are assumed without.

        Raises:
            CheckpointError: a trunk is not there, or its width cannot be shared by its heads.
        """
        out, built = 1024, dict[str, TrunkConfig]()
        for name, trunk in cls.huge(trunks).trunks.items():
            norm = f"modality_trunks.{name}.blocks.{{}}.norm_1.weight"
            if norm.format(0) not in shapes:
                raise CheckpointError(
                    f"lacks {norm.format(0)}: it holds no {name} trunk of ImageBind"
                )
            blocks = 0
            while norm.format(blocks) in shapes:
                blocks += 1
            (width,) = shapes[norm.format(0)]
            heads = int(values.get(f"{name}_num_heads", trunk.heads))
            if width % heads:
                raise CheckpointError(
                    f"has a {name} trunk of width {width}, which {heads} heads cannot share: put a "
                    f"config.json with {name}_num_heads beside it"
                )
            built[name] = trunk = replace(trunk, width=width, blocks=blocks, heads=heads)
            head = f"modality_heads.{name}.{_LAST_OF_HEAD.get(name, '2')}.weight"
            out = shapes[head][0] if head in shapes else out
            if isinstance(trunk, TextConfig):
                table = shapes.get("modality_preprocessors.text.token_embedding.weight", (49408,))
                built[name] = replace(trunk, vocab_size=table[0])
        return cls(out=out, **built)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for `config.json`."""
        return {"out": self.out, **{name: asdict(trunk) for name, trunk in self.trunks.items()}}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ImageBindConfig:
        """The inverse of `to_dict`; a trunk's fields tell its kind.

        Raises:
            ConfigError: no kind of trunk has such fields.
        """
        built: dict[str, TrunkConfig] = {}
        for name, trunk in values.items():
            if name == "out" or trunk is None:
                continue
            kind = next((k for k in KINDS if set(trunk) <= {f.name for f in fields(k)}), None)
            if kind is None:
                raise ConfigError(f"encoder config: {name} has fields of no trunk: {sorted(trunk)}")
            built[name] = checked(trunk, kind, f"encoder config: {name}")
        return cls(out=checked(values["out"], int, "encoder config: out"), **built)
