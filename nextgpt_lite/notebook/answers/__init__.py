"""The judges of the exercises, one module a notebook; see `notebook.exercises`."""
