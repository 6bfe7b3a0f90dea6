"""What the paper's tables are measured on: real files as published, or items of the lite world.

Rooms: `items` are media with captions (COCO, NoCaps, Flickr 30K, MSR-VTT, AudioCaps, the lite
world), `choices` are questions with fixed answers (MME, MMBench, SEED-Bench), `lite_choices` writes
the lite world's own in the same formats; `edits` are wishes of the lite world to change a medium,
`edit_files` those for DAVIS and VCTK.
"""
