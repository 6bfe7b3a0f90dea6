"""What the paper's tables are measured on, as it is published.

Rooms: `items` are media with captions (COCO, NoCaps, Flickr 30K, MSR-VTT, AudioCaps), `choices` are
questions with fixed answers (MME, MMBench, SEED-Bench), `edits` are wishes for DAVIS and VCTK.
"""
