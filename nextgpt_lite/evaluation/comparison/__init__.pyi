from .decomposition import (
    both_told as both_told,
    decomposition as decomposition,
    factors as factors,
    factors_figure as factors_figure,
)
from .rows import (
    decided as decided,
    difference as difference,
    judged as judged,
    markdown as markdown,
    mean as mean,
    read_rows as read_rows,
    where as where,
)
from .table14 import systems_of as systems_of, table14 as table14
