"""What the notebooks share: the start cell, figures, players, the chat widget, exercises.

`start` begins a notebook; `plots` and `display` show things; `results.record` reports a figure
that a test reads; `exercises.check` judges an answer; `chat` is the widget; `build` makes the
.ipynb files from `notebooks/src/*.py`. Nothing outside this package depends on it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
