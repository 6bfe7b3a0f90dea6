from .config import ImageBindConfig as ImageBindConfig, ImuConfig as ImuConfig
from .encoder import Encoder as Encoder
from .files import load_imagebind as load_imagebind
from .imagebind import ImageBind as ImageBind
from .preprocess import (
    PIXEL_MEAN as PIXEL_MEAN,
    PIXEL_STD as PIXEL_STD,
    PreprocessConfig as PreprocessConfig,
    preprocess_audio as preprocess_audio,
    preprocess_image as preprocess_image,
    preprocess_video as preprocess_video,
)
from .width import encoder_width as encoder_width
