"""What the notebooks share: the start cell, figures, players, the chat widget, exercises.

`start` begins a notebook; `plots` and `display` show things; `results.record` reports a figure
that a test reads; `exercises.check` judges an answer; `chat` is the widget; `build` makes the
.ipynb files from `notebooks/src/*.py`. Nothing outside this package depends on it.
"""
