from . import dialogue as dialogue, regimes as regimes
from .benchmarks.choices import write_mme as write_mme
from .benchmarks.conversions import figure as figure, grid as grid
from .benchmarks.edits import Edit as Edit, edits as edits
from .benchmarks.items import lite_items as lite_items, lite_spice as lite_spice
from .comparison.aspects import ASPECTS as ASPECTS, Judge as Judge
from .comparison.instructions import instructions as instructions
from .describe import caption as caption, paraphrase as paraphrase, parse as parse, tells as tells
from .dialogue.parts import assistant as assistant, sentence as sentence, telling as telling
from .hear import read_sound as read_sound
from .judge import (
    answered as answered,
    described as described,
    judge as judge,
    score_dialogues as score_dialogues,
    with_media as with_media,
)
from .mixture import WorldMixture as WorldMixture
from .pretraining.encoder_losses import contrast as contrast
from .pretraining.encoder_scores import top as top
from .render import layout as layout, render as render
from .same_one import Wishes as Wishes
from .scene import (
    COLOURS as COLOURS,
    HELD_OUT_COLOURS as HELD_OUT_COLOURS,
    HELD_OUT_COUNTS as HELD_OUT_COUNTS,
    KINDS as KINDS,
    MAX_COUNT as MAX_COUNT,
    MAX_TIMES as MAX_TIMES,
    MOTIONS as MOTIONS,
    OPPOSITE as OPPOSITE,
    PITCHES as PITCHES,
    PLACES as PLACES,
    RELATIONS as RELATIONS,
    SIZES as SIZES,
    Clip as Clip,
    Group as Group,
    Picture as Picture,
    Scene as Scene,
    Sound as Sound,
    is_held_out as is_held_out,
    sample_clip as sample_clip,
    sample_picture as sample_picture,
    sample_scene as sample_scene,
    sample_sound as sample_sound,
)
from .see import read_picture as read_picture
from .sprites import RGB_OF as RGB_OF, background as background, sprite as sprite
from .verify import read_clip as read_clip, verify as verify
