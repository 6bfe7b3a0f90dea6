"""The data sheet of the shipped samples, as text.

Knows: what a user of the data must know. Leaves to others: making the data (`data.samples`).
"""

from __future__ import annotations

from typing import Final

DATASHEET: Final = """# Data samples of the lite world

A small data set for trying out all three training stages and all file formats of NExT-GPT without
a download: {images} pictures, {audios} sounds, {videos} clips, and conversations about them.

**Made by** `nextgpt-lite data samples --seed {seed} --size {size} --output data_samples`, byte for
byte the same each time. No person, photograph or recording is in it: every picture, sound and
word comes from the program `nextgpt_lite.world`. **Licence:** Apache-2.0, like the code.

## Media

| folder | what | form |
|---|---|---|
| `images/` | one to three groups of things, in a place or on white | PNG, 64 x 64, RGB |
| `audios/` | one thing heard one to four times, low or high | WAV, 16 kHz, mono, 16 bit, 2 s |
| `videos/` | one thing that moves, grows or shrinks | MP4 (H.264), 64 x 64, 8 frames, 2 s |

## Data files

Each is a JSON list in one of the formats released with NExT-GPT. Media are named without their
folder. `nextgpt_lite.data.released.read_folder` reads all of them.

| file | released counterpart | serves | content |
|---|---|---|---|
| `image_pairs`, `video_...`, `audio_...` | `cc3m`, `webvid`, `audiocap` | stage 1 | name, caption |
| `*_comprehension` | the same | stage 1 | "describe it" and the caption |
| `*_generation` | the same | stage 2 | a wish; a reply with the caption and the medium |
| `*_questions` | T+X-T (as LLaVA) | stage 3 | a question about a medium and its answer |
| `chat` | T+X-T (as Alpaca) | stage 3 | words alone |
| `t2m` | T-T+X | stage 3 | a wish in words; captions of what comes back |
| `mosit` | MosIT, raw | stage 3 | three to seven turns, media inline, any to any |

**Splits.** Files that end in `_held_out` are for measuring only: their wordings occur nowhere else,
and their pictures and clips hold a thing in a colour or number that training never sees. All sounds
occur in training; there the wordings alone are held out.

**Captions** are canonical: size, number, colour, kind, relation, place, always in this order, so
that `nextgpt_lite.world.describe.parse` gives back the scene. What a wish leaves open is filled by
defaults (large, plain place, a colour of the kind's own, once, low, to the right).

**Not included.** The fields `*_caption_embeddings` name arrays that depend on the decoder; this
package computes and caches them by itself. For the same reason the media of `t2m` are captions
alone, as in the released files.

**Limits.** A cartoon world with ten things, eight colours and fixed sentence frames; English only.
A model trained on it knows nothing about photographs, real sounds or free language.
"""
