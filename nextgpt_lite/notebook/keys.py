"""A box in a notebook cell whose every key does something at once.

Knows: how a front end tells what was typed. Leaves to others: what a key does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import ipywidgets as widgets


def key_box(press: Callable[[str], None]) -> widgets.Text:
    """A box that hands each key to `press`, and "-" for backspace.

    What is typed is not shown. The text is never cleared: a fast typist's next key would be on its
    way, and come with the earlier ones a second time.
    """
    box = widgets.Text(
        placeholder="click, then type",
        layout=widgets.Layout(width="130px"),
        style={"text_color": "transparent"},
    )

    def on_keys(change: Mapping[str, Any]) -> None:
        old, new = change["old"], change["new"]
        if new == old[:-1]:
            press("-")
        for key in new[len(old) :] if new.startswith(old) else "":
            press(key)

    box.observe(on_keys, "value")
    return box
