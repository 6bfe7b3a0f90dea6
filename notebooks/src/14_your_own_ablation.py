# %% [markdown]
# # 14. Your own ablation
#
# A design has dials, and papers print one setting of each. This notebook
# turns one: you write a **grid** (which settings, which budget, which
# questions), the package trains and scores each cell, and you read what
# came out as a paper would have to: with intervals, on the same questions,
# taken apart into words, channel and decoder.
#
# **What you will learn**
#
# - what a grid file says, and which dials there are
# - what makes a comparison fair: the same data, parts, noise and budget
# - how to read a table of cells, and what three minutes cannot tell
# - how your cells stand beside the shipped ones
# - how the same file runs on a GPU with `profile: colab`
#
# Time and memory: `lite` about 1 minute on two cores, 1.5 GB · `colab`,
# `paper`: not measured
#
# Study: about 40 minutes, and 10 for the exercises. Before it: [notebook
# 7](07_pipeline_vs_end_to_end.ipynb), whose three aspects and factors it uses.
# Next: [notebook 12](12_training_at_scale.ipynb), to run a grid at size.
#
# Papers:
# [NExT-GPT](https://arxiv.org/abs/2309.05519),
# [GILL](https://arxiv.org/abs/2305.17216),
# [DreamLLM](https://arxiv.org/abs/2309.11499),
# [MetaQueries](https://arxiv.org/abs/2504.06256).
#
# ```text
# grid ─> cells x seeds ─> stages ─> answers ─> one table
#          same data, same frozen parts, same noise
# ```

# %% tags=["parameters"]
profile = "lite"
seed = 0
steps = 24  # of each cell's training
prompts = 6  # simple and as many complex requests for images
inference_steps = 8  # of the image decoder

# %%
from nextgpt_lite.notebook import start

session = start(profile, seed)

# %% [markdown]
# ## The question, before the run
#
# The paper teaches signal tokens to become what the text encoder makes of a
# caption: the l2 distance. DreamLLM and MetaQueries never look at that
# vector: they send the gradient of the *denoising error* through the frozen
# UNet. Both are settings here. Say what you expect, before you look: **which
# loss keeps more of the channel that the shipped model has, when it trains
# on for a few steps?**

# %%
import yaml

grid = {
    "title": "two losses for the condition",
    "profile": profile,
    "seeds": [seed],
    "fixed": {  # of every cell
        "init": "lite",  # go on from the shipped model; null begins with nothing
        "stages": [3],
        "learns": {3: ["output_projections"]},
        "modalities": {3: ["image"]},
        "mixture": {3: {"t2m": 1.0}},
        "schedule": {
            3: {"steps": steps, "batch_size": 16, "warmup": 4, "learning_rate": 3e-4}
        },
    },
    "cells": [
        {"name": "l2", "beside": ["own words", "gold caption"]},
        {"name": "denoising alone", "distance_weight": 0.0, "denoising": 1.0},
    ],
    "score": {
        "groups": ["image"], "prompts": prompts, "num_inference_steps": inference_steps
    },
}  # fmt: skip
print(yaml.safe_dump(grid, sort_keys=False))

# %% [markdown]
# Every dial has a name in `Settings`; a wrong one is refused in a sentence
# before anything is trained.

# %%
import tempfile
from pathlib import Path

from nextgpt_lite import ConfigError
from nextgpt_lite.evaluation import read_grid

folder = tempfile.TemporaryDirectory(prefix="grid-")  # gone afterwards
path = Path(folder.name) / "losses.yaml"
path.write_text(yaml.safe_dump({**grid, "fixed": {"messanger": "signal"}}))
try:
    read_grid(path)
except ConfigError as error:
    print(str(error).replace(folder.name, "..."))

# %% [markdown]
# ## Train and score
#
# `ablate` is what `nextgpt-lite ablate losses.yaml --output DIR` calls.
# Cells that share a beginning share its folder; what is done is not done
# again, so a broken run is started with the same line.

# %%
from nextgpt_lite.evaluation import ablate

path.write_text(yaml.safe_dump(grid))
table = ablate(path, Path(folder.name) / "out")

# %% [markdown]
# ## Read
#
# One row an answer. The settings of its cell and a key of all that made it
# stand beside.

# %%
from nextgpt_lite.evaluation.comparison import read_rows
from nextgpt_lite.notebook import record

rows = read_rows(table)
last = rows[-1]
print({k: last[k] for k in ("system", "id", "given", "rationality", "told", "told_right", "key")})
cells = list(dict.fromkeys(row["system"] for row in rows))
record("systems", len(cells))
record("rows", len(rows))

# %%
from IPython.display import Markdown, display

from nextgpt_lite.evaluation import summary

display(Markdown(summary(table)))

# %% [markdown]
# Four lines a level: the two cells, and beside the first its *own words*
# (what it said, through the text encoder) and *gold captions* (the bound of
# all that hand over captions). `words` must be alike in the two cells, for
# only their projections learned; what the loss did is in `channel`.
#
# Now the discipline. A dozen prompts and one seed: how far does the interval
# of a difference reach? If it holds zero, the run has shown nothing about
# the two losses. It has shown what it would cost to.

# %%
from nextgpt_lite.evaluation.comparison import difference, factors, where

found = difference(rows, "denoising alone", "l2", "rationality")
low, high = found.interval.low, found.interval.high
print(f"denoising alone minus l2: {found}")
print("zero is inside" if low <= 0 <= high else "zero is outside")
simple = where(rows, level="simple")
words = [factors(simple, name).words.mean for name in ("l2", "denoising alone")]
record("words are alike", words[0] == words[1])

# %% [markdown]
# **How many prompts would do?** The half-width of an interval shrinks with
# the root of their number. What would be needed to see ten points?

# %%
needed = len({row["id"] for row in rows}) * ((high - low) / 2 / 10) ** 2
if needed:
    print(f"about {needed:.0f} prompts of this kind, for a difference of ten points")
else:
    print("no answer differs: so few prompts do not even tell how far they could")

# %% [markdown]
# ## Beside the shipped ones
#
# The grids in `configs/ablation/` ask for 100 prompts a level and three
# seeds: `messenger` (signal tokens, captions, states of captions), `loss`,
# `geometry` (tokens x connector), `recipes` (GILL, NExT-GPT, DreamLLM,
# MetaQueries), `stages`, `budget`. `nextgpt-lite ablate --all --output DIR`
# makes them all, over several sittings if need be. What ships of their
# results may stand on weights that have gone on: the first line says so.

# %%
from nextgpt_lite.evaluation import outdated
from nextgpt_lite.evaluation.comparison import decomposition

results = session.data.parent / "results"
shipped = []
for name in ("messenger", "baselines"):
    file = results / f"lite_{name}" / f"{name}.csv"
    if file.is_file():
        print(outdated(file))
        shipped += read_rows(file)
gold = "gold caption, yours"
mine = [
    {**row, "system": gold if "gold" in row["system"] else f"{row['system']}, yours"}
    for row in rows
]
display(Markdown(decomposition(mine, reference=gold)))
display(Markdown(decomposition(shipped)))

# %% [markdown]
# They are beside each other, not against each other: other weights, other
# budgets, other prompts. A claim needs both in *one* grid.
#
# ## On a GPU
#
# The same file with three lines changed runs at `colab` size, where nothing
# is the lite world's: your own data and instructions, and the judge that
# needs no world.
#
# ```yaml
# profile: colab              # presets: rates, batch and precision come with it
# data: MY_FOLDER             # in a released format, see `nextgpt-lite data check`
# score: {instructions: my.jsonl, judge: likeness, prompts: 100}
# ```
#
# `init` must then be a folder that your own stage 3 wrote, or be left out,
# with `stages: [1, 2, 3]`. Nothing of this size has been measured here.

# %% [markdown]
# ## Exercises
#
# **14.1 Which cells are fair?** (easy, 3 minutes). A grid compares
# `{distance: l2}` with `{distance: cosine, schedule: {3: {steps: 2000}}}`,
# and `steps` is 500 in `fixed`. What do the two differ in? Answer with the
# set of the names of settings.

# %%
from nextgpt_lite.notebook import check

differ = ...
check("ablation.fair", differ)

# %% tags=["solution"]
differ = {"distance", "schedule"}  # so no difference is the distance's
check("ablation.fair", differ)

# %% [markdown]
# **14.2 Where is it lost?** (medium, 5 minutes). Of 200 answers 130 tell
# rightly what was wanted. Gold captions get 91 of these 130 right, the
# system 65. Give words, channel and decoder in per cent.

# %%
apart = ...
check("ablation.factors", apart)

# %% tags=["solution"]
apart = (100 * 130 / 200, 100 * 65 / 91, 100 * 91 / 130)
check("ablation.factors", apart)

# %% [markdown]
# **14.3 A grid of your own** (open). Take `geometry.yaml`, cut it to one
# row, and run it over night. Say beforehand what you expect, and in which
# of the three factors.

# %% [markdown]
# ## Do you remember?
#
# <details><summary>Why are cells asked the same prompts?</summary>What is hard
# for all of them cancels out of the difference.</details>
# <details><summary>What does the mark OLD say?</summary>The hashes of the
# frozen parts that a table names are not those of the parts that are
# here.</details>
# <details><summary>An interval holds zero. Are the two losses
# equal?</summary>No: these prompts and seeds cannot tell them
# apart.</details>
#
# ## Summary
#
# - A grid is a file: fixed settings, cells, seeds, questions. Its table has
#   a row for each answer, with the settings and a key of all that made it.
# - Cells are compared on the same prompts, from the same noise, on the same
#   frozen parts; an interval that holds zero is no finding.
# - Words, channel and decoder say where a difference comes from.
#
# | paper | here | held by |
# |---|---|---|
# | not in the paper | `evaluation.ablate` | `test_runner.py` |
# | not in the paper | `NextGPTModel.condition_loss` | `test_nextgpt.py` |
# | not in the paper | `evaluation.comparison.factors` | `test_decomposition.py` |
#
# Next: a [project](../docs/course.md) of your own, or [notebook
# 12](12_training_at_scale.ipynb), what a larger run costs.
