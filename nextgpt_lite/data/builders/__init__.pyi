from .build import build_mosit as build_mosit, build_t2m as build_t2m
from .review import Review as Review
from .statistics import table_15 as table_15
