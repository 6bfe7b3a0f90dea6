"""The paper's Tables 2 to 13 and its Figure 5 on any model.

    nextgpt-lite evaluate --table N --profile P

Rooms: `run` finds the task of a table: `generating` (2, 3, 4), `describing` (5, 6, 7, 11),
`editing` (8, 9, 10), `choosing` (12, 13; by `ranking` answers). `conversions` is Figure 5. `sheet`
prints ours above the paper's numbers, which `paper` holds.
"""
