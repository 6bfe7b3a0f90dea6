from .batch import Batch as Batch, collate as collate, first_fit as first_fit
from .config import (
    CHECKPOINTS as CHECKPOINTS,
    DECODER_SETTINGS as DECODER_SETTINGS,
    NextGPTConfig as NextGPTConfig,
    folder_name as folder_name,
    locate as locate,
)
from .conversation import ConversationTokenizer as ConversationTokenizer
from .generation import Sampling as Sampling, generate as generate
from .llm import LanguageModel as LanguageModel
from .losses import Divisors as Divisors, Losses as Losses, condition_distance as condition_distance
from .modality import (
    MODALITIES as MODALITIES,
    Modality as Modality,
    get_modality as get_modality,
    markers as markers,
    register as register,
    unregister as unregister,
)
from .nextgpt import NextGPTModel as NextGPTModel
from .projections import (
    InputProjection as InputProjection,
    OutputProjection as OutputProjection,
    output_projection as output_projection,
)
