# %% [markdown]
# # 10. Real checkpoints on a Colab GPU
#
# **What you will learn**
# - how to set this suite up on Colab without replacing Colab's torch
# - what the public checkpoints weigh, part by part, and why they fit a
#   16 GB card only one decoder at a time
# - that the three stages and the conversation are the same calls at every
#   size: one word, `profile`, is all that changes
# - how the authors' own checkpoint files become a folder of ours
#
# Time and memory: `lite` about 1 minute, 2 GB · `colab`: not measured,
# calculated below · `paper`: not measured
#
# Study: about 30 minutes, and 10 for the exercises. Before it: [notebook
# 0](00_tour.ipynb); a GPU only for the larger presets. Next: [notebook
# 11](11_a_modality_of_your_own.ipynb).
#
# Papers:
# [NExT-GPT](https://arxiv.org/abs/2309.05519),
# [TinyLlama](https://arxiv.org/abs/2401.02385),
# [AnimateDiff](https://arxiv.org/abs/2307.04725).
#
# At `lite` this notebook runs on **stand-ins**: folders in the exact
# layouts of the public checkpoints (files, tensor names, tokenizers,
# configurations), but small and random. Every line that will handle your
# gigabytes is run. What comes out of a random decoder is noise, and should
# be.
#
# ```text
# preset  encoder          LLM             decoders
# lite    ImageBind, tiny  Llama, tiny     image, audio, video, tiny
# colab   ImageBind-huge   TinyLlama 1.1B  SD 1.5, AudioLDM, AnimateDiff
# paper   ImageBind-huge   Vicuna 7B       SD 1.5, AudioLDM, Zeroscope
#         the same calls in every row
# ```

# %% tags=["parameters"]
profile = "lite"  # on a GPU: "colab"
seed = 0
steps = 3  # of each stage; some thousands with real checkpoints
inference_steps = 2  # diffusion steps; 20 and more with real checkpoints
checkpoints = "checkpoints"  # where downloads go; on Colab perhaps a Drive

# %% [markdown]
# ## Set up
#
# On Colab and Kaggle the folded cell above installs the suite. They bring a
# torch that fits their driver, and a newer one from PyPI would cost
# gigabytes and may not run at all. So pip is told to keep torch, numpy and
# whatever the session has loaded; if it cannot, the cell says that the
# session must be restarted. Where the suite is installed, it does nothing.

# %%
import os
import tempfile
from pathlib import Path

from nextgpt_lite.notebook import start

session = start(profile, seed)
work = tempfile.TemporaryDirectory(prefix="checkpoints-")  # gone afterwards
runs = Path(work.name)

# %% [markdown]
# ## What will be loaded, and under which licence
#
# A preset is a configuration: a hub id for each frozen part. Nothing is
# fetched or loaded behind your back, and some of these weights are not for
# commercial use, so that comes first.

# %%
from nextgpt_lite import NextGPTConfig
from nextgpt_lite.checkpoints import checkpoint, components, licences

preset = "paper" if profile == "paper" else "colab"
config = NextGPTConfig.from_profile(preset)
print("\n".join(licences(config)))
rows = [checkpoint(name) for name in components(config)]
bound = sum(not row.commercial for row in rows)
print(f"{bound} of {len(rows)} are not for commercial use")

# %% [markdown]
# ## The memory plan
#
# On torch's `meta` device a model has shapes and no memory, so the real
# sizes can be counted here, from the real configurations. A weight in half
# precision takes two bytes.
#
# Not everything is loaded. NExT-GPT reads media, not texts, so of
# ImageBind's six trunks two are enough; the safety checker of Stable
# Diffusion is left out. AnimateDiff on the other hand is a set of motion
# modules for a Stable Diffusion, and brings its own copy of one.

# %%
from nextgpt_lite.checkpoints import GIB, count, memory, sizes
from nextgpt_lite.model import DECODER_SETTINGS

HALF = 2  # bytes
parts = count(config)
weights = {}
for row in parts:
    inside = row.inside or {"": row.parameters}
    left_out = {"safety_checker"}
    if row.part == "encoder":
        left_out |= set(inside) - {"vision", "audio"}
    weights[row.part] = HALF * sum(
        number for name, number in inside.items() if name not in left_out
    )
for modality, name in config.decoders.items():
    if base := DECODER_SETTINGS.get(name, {}).get("base"):
        weights[f"decoders.{modality}"] += HALF * sum(sizes(base).values())
for part, size in weights.items():
    print(f"{part.replace('_', ' '):26}{size / GIB:6.2f} GiB")

decoders = [size for part, size in weights.items() if "decoders." in part]
everything = sum(weights.values())
one_decoder = everything - sum(decoders) + max(decoders)
print(f"{'all parts':26}{everything / GIB:6.2f} GiB")
print(f"{'with one decoder at a time':26}{one_decoder / GIB:6.2f} GiB")

# %% [markdown]
# What learns needs more: itself, its gradient and Adam's two moments, all
# in float32, are 16 bytes a parameter. The package's `memory` calculates
# the same (`nextgpt-lite doctor` prints it for your machine):

# %%
from nextgpt_lite.notebook import record

learns = sum(row.parameters for row in parts if row.stages)
training = 16 * learns
plan = memory(config, parts, HALF)
assert (plan.resident, plan.frugal, plan.learning) == (everything, one_decoder, training)

T4 = 14.75  # GiB that a process can use of the card's 16 GB
left = T4 - (one_decoder + training) / GIB
print(f"{learns / 1e6:.0f} M parameters learn: {training / GIB:.2f} GiB more")
print(f"left on a T4 for activations: {left:.1f} GiB (calculated, not measured)")
record("GiB of weights, all parts", everything / GIB)
record("GiB of weights, one decoder at a time", one_decoder / GIB)
if preset == "colab":
    record("fits a T4", left > 0)

# %% [markdown]
# The rest is for activations and caches. **They were not measured here: no
# GPU was available.** The calculation says what cannot fit, not that the rest
# will; `nextgpt-lite doctor` on the GPU says what is free there.
#
# ## The weights
#
# `nextgpt-lite download --profile colab --output DIR` does the following
# from the command line: it fetches pinned commits, goes on where it broke
# off, and compares every file's hash with the hub's. The environment
# variable then tells the presets where to look. At `lite` the stand-ins
# take their place.

# %%
from nextgpt_lite.model import CHECKPOINTS, folder_name

if profile == "lite":
    from nextgpt_lite.checkpoints import write_stand_ins

    checkpoints = runs / "stand_ins"
    write_stand_ins(checkpoints, components(config), seed)
else:
    from nextgpt_lite.checkpoints import download

    download(preset, checkpoints)
os.environ[CHECKPOINTS] = str(checkpoints)

for name in components(config):
    folder = Path(checkpoints) / folder_name(name)
    files = [path for path in folder.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    print(f"{name:46}{len(files):4} files {size / 1e6:9.1f} MB")

# %% [markdown]
# ## The three stages
#
# These are the calls of notebooks 03 to 05 with another `profile`. Each
# stage starts from the folder of the one before; nothing that was learned
# is lost on the way. The conversations are those of `data_samples`: real
# files of images, audio and videos.

# %%
import json

from nextgpt_lite import train
from nextgpt_lite.notebook import plot_losses

earlier = None
metrics = {}
for stage in (1, 2, 3):
    folder = runs / f"stage{stage}"
    train(
        stage,
        folder,
        profile=preset,
        data=session.data,
        init=earlier,
        steps=steps,
        batch_size=4,
        warmup=1,
        log_every=1,
        seed=seed,
    )
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    metrics[stage] = [json.loads(line) for line in lines]
    earlier = folder

# %%
for stage, lines in metrics.items():
    told = {name: f"{lines[-1][name]:.2f}" for name in ("text", "signal", "condition")}
    print(f"stage {stage} after {len(lines)} steps: {told}")
    record(f"stage {stage}: last loss", lines[-1]["total"])
plot_losses(metrics[3], ("text", "signal", "condition"), "stage 3")

# %% [markdown]
# Who learned in which stage is in the ledger that each run keeps. It is the
# table of the paper with other numbers: everything that is large is frozen.

# %%
ledger = json.loads((runs / "stage3" / "ledger.json").read_text())
for row in ledger:
    mark = "learns" if row["learns"] else "frozen"
    print(f"{row['part']:20}{row['parameters']:>14,}  {mark}")

# %% [markdown]
# ## The conversation
#
# Load the folder of stage 3 and talk. `output_modalities` forces all three
# media here, for a random LLM would hardly ask for them.

# %%
from nextgpt_lite import NextGPT

model = NextGPT.from_pretrained(runs / "stage3").to(session.device)
picture = next((session.data / "images").glob("*.png"))
reply = model.chat(
    "What is this? Show it to me again, let me hear it, and film it.",
    images=[picture],
    output_modalities=["image", "audio", "video"],
    seed=seed,
    num_inference_steps=inference_steps,
    max_new_tokens=24,
)
reply

# %%
media = {"images": reply.images, "audio": reply.audios, "videos": reply.videos}
print({name: len(found) for name, found in media.items()})
record("media in the reply", sum(map(len, media.values())))

# %% [markdown]
# ## The authors' own checkpoints
#
# The authors released their trained model as one flat file of 647 tensors.
# `nextgpt-lite convert` turns it (and the files of their current code) into
# a folder like the one just loaded, and back, bit for bit. It knows which
# row of the embedding belongs to which new token, and refuses a base model
# that the file was not trained on. Here our stage 3 makes the way there
# and back; the released code has 4, 8 and 24 signal tokens, so a model of
# that shape is needed first.

# %%
from nextgpt_lite.checkpoints import SIGNAL_TOKENS, from_released, to_released

theirs = NextGPTConfig.from_profile(preset)
theirs.signal_tokens = dict(SIGNAL_TOKENS)
NextGPT.from_config(theirs, seed).save_pretrained(runs / "ours")
written = to_released("legacy", runs / "ours", runs / "released")
flat = runs / "released" / "pytorch_model.pt"
base = Path(checkpoints) / folder_name(config.llm)
from_released("legacy", flat, runs / "converted", str(base))
to_released("legacy", runs / "converted", runs / "again")
same = flat.read_bytes() == (runs / "again" / "pytorch_model.pt").read_bytes()
print(written[-1])
record("released file comes back bit for bit", same)

# %% [markdown]
# A file for another base model is refused in a sentence. (The released code
# took it, and answered gibberish.)

# %%
numbers = json.loads((base / "config.json").read_text())
other = runs / "other"
other.mkdir()
(other / "config.json").write_text(json.dumps({**numbers, "vocab_size": 99}))
try:
    from_released("legacy", flat, runs / "refused", str(other))
    refused = False
except ValueError as error:
    print(str(error).replace(str(runs), "..."))
    refused = True
record("another base model is refused", refused)

# %% [markdown]
# ## Exercises
#
# **1. Half precision.** (easy, 2 minutes) TinyLlama has 1,100,048,384
# parameters. How many gigabytes (10^9 bytes) is that in float16?

# %%
from nextgpt_lite.notebook import check

gigabytes = ...
check("checkpoints.half", gigabytes)

# %% tags=["solution"]
gigabytes = 1_100_048_384 * 2 / 1e9  # 2.2
check("checkpoints.half", gigabytes)

# %% [markdown]
# **2. A quarter of that.** (medium, 6 minutes) Vicuna-7B has 6,738,415,616
# parameters; 6,476,005,376 of them are in the matrices of its layers, and
# nf4 keeps these in four bits, with a scale of one byte for each 64 of
# them. The rest stays in float16. How many gigabytes are that?

# %%
gigabytes = ...
check("checkpoints.quarter", gigabytes)

# %% tags=["solution"]
matrices = 6_476_005_376
rest = 6_738_415_616 - matrices
gigabytes = (matrices * (4 / 8 + 1 / 64) + rest * 2) / 1e9  # 3.9
check("checkpoints.quarter", gigabytes)

# %% [markdown]
# ## Do you remember?
#
# <details><summary>What changes in the code from lite to paper?</summary>The
# name of the preset.</details>
# <details><summary>Why are decoders loaded one after the other on a small
# GPU?</summary>Only one works at a time, and together they are most of the
# weights.</details>
# <details><summary>Where does the file of a checkpoint come
# from?</summary>From your own download: nothing is fetched behind your
# back.</details>
#
# ## Summary
#
# - A preset is a configuration. The same classes load the shipped parts,
#   the stand-ins and the public checkpoints; `profile` picks.
# - Sizes can be counted before a byte is fetched. Weights and optimiser of
#   the `colab` preset fit a T4 by calculation; activations were not
#   measured.
# - What a stage learned is a small folder that names its base model, and a
#   wrong base is refused.
# - The authors' files come in and go out unchanged.
#
# | paper | here | tested in |
# |---|---|---|
# | Table 1 | `parameters.count`, `nextgpt-lite params` | `test_parameters.py` |
# | section 3, the components | `catalogue` | `test_parameters.py` |
# | section 4 and 5, the stages | `training.run.train` | `test_stages.py` |
# | released checkpoints | `convert`, `legacy` | `test_convert.py` |
# | released data | `data.released`, `data.folder` | `test_released.py` |
#
# Next: [notebook 11](11_a_modality_of_your_own.ipynb).

# %% tags=["hide-input"]
work.cleanup()
