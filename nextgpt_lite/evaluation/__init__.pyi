from .ablation.figures import summary as summary
from .ablation.grid import read_grid as read_grid
from .ablation.runner import ablate as ablate
from .ablation.table import outdated as outdated
from .baselines import (
    Chat as Chat,
    GoldCaption as GoldCaption,
    GroundTruth as GroundTruth,
    OwnWords as OwnWords,
    ToolPipeline as ToolPipeline,
    answer as answer,
    share_frozen as share_frozen,
)
from .baselines.pipeline import frozen_words as frozen_words
from .benchmarks.choices import YES_NO as YES_NO, read_mme as read_mme
from .comparison.run import compare_models as compare_models
from .metrics.named import Outcome as Outcome
from .protocols import (
    Answer as Answer,
    Instruction as Instruction,
    Item as Item,
    Judge as Judge,
    System as System,
)
from .ratings.items import item_of as item_of
from .ratings.session import Session as Session
from .registry import find as find, register as register
from .statistics import Score as Score, compare as compare, interval as interval, table as table
from .tables.describing import describe as describe
from .tables.generating import from_signals as from_signals
from .tables.sheet import Setting as Setting, Sheet as Sheet, run_table as run_table
