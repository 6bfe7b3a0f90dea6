from .captioning import cider_each as cider_each, words_of as words_of
from .distances import (
    frechet_distance as frechet_distance,
    mel_cepstral_distortion as mel_cepstral_distortion,
    similarities as similarities,
)
from .features import Features as Features
