"""Encoders: media in, one vector an item out (ImageBind, frozen)."""

from nextgpt_lite.encoders.config import ImageBindConfig
from nextgpt_lite.encoders.encoder import Encoder
from nextgpt_lite.encoders.files import load_imagebind
from nextgpt_lite.encoders.imagebind import ImageBind
from nextgpt_lite.encoders.preprocess import PreprocessConfig
from nextgpt_lite.encoders.width import encoder_width

__all__ = [
    "Encoder",
    "ImageBind",
    "ImageBindConfig",
    "PreprocessConfig",
    "encoder_width",
    "load_imagebind",
]
