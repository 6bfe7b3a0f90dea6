from .build import build_cache as build_cache
from .features import Features as Features
from .loop import Trainer as Trainer
from .part import PartRecipe as PartRecipe, PartTrainer as PartTrainer
from .refine import refine as refine
from .run import train as train
from .schedule import Schedule as Schedule
from .stages import (
    STAGES as STAGES,
    Stage as Stage,
    frozen_state as frozen_state,
    ledger as ledger,
    open_for as open_for,
    part_of as part_of,
)
