from .baselines import (
    Chat as Chat,
    GoldCaption as GoldCaption,
    GroundTruth as GroundTruth,
    ToolPipeline as ToolPipeline,
    answer as answer,
    share_frozen as share_frozen,
)
from .baselines.pipeline import frozen_words as frozen_words
from .benchmarks.choices import YES_NO as YES_NO, read_mme as read_mme
from .benchmarks.items import lite_items as lite_items
from .ratings.items import item_of as item_of
from .ratings.session import Session as Session
from .statistics import Score as Score, compare as compare, interval as interval, table as table
from .tables.conversions import figure as figure, grid as grid
from .tables.describing import describe as describe, lite_spice as lite_spice
from .tables.generating import from_signals as from_signals
from .tables.run import Setting as Setting, run_table as run_table
