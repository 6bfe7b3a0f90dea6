"""How good a model is: by metrics and the paper's tables, against other systems, and by people.

    nextgpt-lite evaluate --table N     nextgpt-lite compare     nextgpt-lite ablate GRID.yaml

Rooms: `tables` are the paper's Tables 2 to 13, `metrics` what they count, `benchmarks` the files
they are measured on; `comparison` is Table 14, `baselines` the systems in it; `ablation` trains and
scores a grid of settings; `ratings` is people's judgement. `protocols` say what all of them work
on, `registry` finds each by its name, `statistics` tell how far a number can be trusted.

What is asked, and whether an answer is right, comes from a plugin such as the lite world, or from a
reader's own code (docs/add_a_metric.md).
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
