from .parts import assistant as assistant, telling as telling
from .records import (
    caption_record as caption_record,
    mosit as mosit,
    pair as pair,
    skill_record as skill_record,
    t2m as t2m,
    understand as understand,
)
