# %% [markdown]
# # 12. From one core to many GPUs
#
# The same command trains on a laptop's core, on a free T4, and on several
# machines with eight GPUs each. This notebook asks what changes on the
# way, and what must not: the loss. Everything that can be shown on a CPU
# is run here; everything that needs a GPU is computed, and says so.
#
# **What you will learn**
#
# - why the mean of two losses is not the loss of both, and what is
# - why nothing frozen is computed twice: kept features, frozen prefixes
# - that two processes learn what one does, shown by running them
# - what fits on a GPU: weights, optimiser, activations, one by one
# - how long a step takes as batch and length grow, and what that means
#   for seven billion parameters
#
# Time and memory: `lite` 0.7 minutes (one core), 1.2 GB · `colab`, `paper`: not measured
#
# Study: about 50 minutes, and 20 for the exercises. Before it: [notebook
# 5](05_stage3_instruction_tuning.ipynb). Next: [notebook
# 14](14_your_own_ablation.ipynb).
#
# Papers:
# [checkpointing](https://arxiv.org/abs/1604.06174),
# [ZeRO](https://arxiv.org/abs/1910.02054),
# [mixed precision](https://arxiv.org/abs/1710.03740).
#
# ```text
#               ┌─ share ─> loss ÷ divisors of ALL ─> gradient ─┐
# one batch ────┼─ share ─> loss ÷ divisors of ALL ─> gradient ─┼─ mean
#               └─ share ─> loss ÷ divisors of ALL ─> gradient ─┘
#  passes, processes, packed rows: the step is that of the whole batch
# ```

# %% tags=["parameters"]
profile = "lite"
seed = 0
steps = 6  # of the runs that are compared

# %%
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from nextgpt_lite import NextGPT, NextGPTConfig
from nextgpt_lite.notebook import LivePlot, check, record, show_figure, start

session = start(profile, seed)
work = tempfile.TemporaryDirectory(prefix="scale-")  # gone afterwards
folder = Path(work.name)

# %% [markdown]
# ## What must not change: the loss
#
# A batch that is too large for one device is shared out. Each device
# computes the loss of its share, and the gradients are averaged. Is that
# the gradient of the whole batch? Only if all shares are alike. Here are
# two that are not: one short reply, and three long conversations.

# %%
from nextgpt_lite.model import Divisors, collate
from nextgpt_lite.training import STAGES, Features
from nextgpt_lite.world import WorldMixture

stage = STAGES[3]
config = NextGPTConfig.from_profile(profile)
model = NextGPT.from_config(config, seed).to(session.device)
mixture = WorldMixture(stage, seed)
features = Features(model, cache=folder / "cache")
talks = sorted(
    (model.conversation.encode(mixture(i).messages) for i in range(16)),
    key=len,
)


def batch_of(talks, pack=0):
    return collate(
        talks, pad_id=model.llm.tokenizer.pad_token_id,
        width=model.encoder_width, features=features.media,
        conditions=features.conditions, pack=pack,
    ).to(session.device)  # fmt: skip


shares = [batch_of(talks[:1]), batch_of(talks[-3:])]
whole = batch_of(talks[:1] + talks[-3:])
with torch.no_grad():
    expected = model.loss(whole).total
    naive = sum(model.loss(share).total for share in shares) / 2
print("trained positions:", [int(s.divisors().positions) for s in shares])
print(f"loss of the whole batch {expected:.4f}, mean of two {naive:.4f}")
record("mean of two losses is off by", abs(naive - expected))

# %% [markdown]
# A loss is a sum divided by a count. Sums may be added up across devices;
# means may not. So each share divides its *sum* by the count of *all*
# shares, and what has to travel beforehand is a handful of numbers.
# Inline, for the cross-entropy:

# %%
import torch.nn.functional as F


@torch.no_grad()
def error_sum(batch):
    """Summed cross-entropy over the trained positions of a share."""
    hidden = model.read(batch).hidden  # (B, S, D)
    wanted = batch.labels[:, 1:]
    logits = model.llm.logits(hidden[:, :-1][wanted != -100])
    return F.cross_entropy(logits, wanted[wanted != -100], reduction="sum")


count = sum(share.divisors().positions for share in shares)
inline = sum(error_sum(share) for share in shares) / count

# The package's version, with all three parts of the loss. `Divisors` are
# means over the shares, so that a mean over devices comes out right.
both = zip(*(share.divisors() for share in shares), strict=True)
divisors = Divisors(*(torch.stack(each).mean(0) for each in both))
with torch.no_grad():
    parts = [model.loss(share, divisors) for share in shares]
    words = sum(part.text + part.signal for part in parts) / 2
    total = sum(part.total for part in parts) / 2
same = torch.allclose(inline, words, atol=1e-4)
record("inline cross-entropy equals the package's", same)
same = torch.allclose(total, expected, atol=1e-4)
record("shared divisors give the whole batch's loss", same)

# %% [markdown]
# The same numbers let one device read a batch in several passes, which is
# `--accumulate`, and let conversations share rows (notebook 5).
#
# ## What may change: how a step is computed
#
# Five runs of stage 3, each with another way of computing the same steps.
# Batches in passes, activations computed twice, or rows unpacked: the
# losses agree to rounding. bfloat16 rounds more coarsely and stays near.
# The first run draws its curves while it trains; so few steps of so few
# conversations jump about, and show no learning yet.

# %%
from nextgpt_lite.training import Schedule, Trainer


def trained(name, watchers=(), **changes):
    """The logged lines of a few steps of stage 3 from the same start."""
    fresh = NextGPT.from_config(config, seed)
    fresh.decoders = model.decoders  # frozen, so sharing them is safe
    fresh.to(session.device)
    numbers = Schedule.of(
        stage, steps=steps, batch_size=4, seed=seed, log_every=1,
        **changes,
    )  # fmt: skip
    trainer = Trainer(
        fresh, stage, mixture, folder / name, numbers,
        cache=folder / "cache", watchers=watchers,
    )  # fmt: skip
    return trainer.run()


plot = LivePlot(["total", "text", "signal"], "drawn while it trains")
runs = {"plain": trained("plain", [plot])}
runs["in 4 passes"] = trained("passes", accumulate=4)
runs["checkpointing"] = trained("again", checkpointing=True)
runs["unpacked"] = trained("unpacked", packed=False)
runs["bfloat16"] = trained("half", mixed_precision="bf16")

# %%
plain = np.array([line["total"] for line in runs["plain"]])
print(f"{'':16}{'last loss':>10}{'largest difference':>20}")
for name, lines in runs.items():
    totals = np.array([line["total"] for line in lines])
    apart = np.abs(totals - plain).max()
    print(f"{name:16}{totals[-1]:10.4f}{apart:20.1e}")
    if name != "bfloat16":
        record(f"largest difference, {name}", float(apart))
    else:
        record("bfloat16 stays near", bool(apart < 0.1 * plain.max()))

# %% [markdown]
# ### What the backward pass keeps
#
# A forward pass keeps what the backward pass will need. That, and not the
# weights, is what grows with the batch. It can be counted: autograd hands
# every tensor it keeps to a hook.

# %%


def kept_bytes(batch, checkpointing=False):
    """Bytes that one forward keeps, parameters and buffers left out."""
    own = {p.data_ptr() for p in (*model.parameters(), *model.buffers())}
    seen = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            seen[storage.data_ptr()] = storage.nbytes()
        return tensor

    lm = model.llm.causal_lm
    model.train()
    if checkpointing:
        lm.gradient_checkpointing_enable({"use_reentrant": False})
    try:
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
            loss = model.loss(batch).total
    finally:
        lm.gradient_checkpointing_disable()
        model.eval()
    del loss
    return sum(seen.values())


from nextgpt_lite.training import open_for

open_for(model, stage)
sizes = (1, 2, 4, 8)
plain_bytes = [kept_bytes(batch_of(talks[:n])) for n in sizes]
again_bytes = [kept_bytes(batch_of(talks[:n]), True) for n in sizes]
tokens = [sum(map(len, talks[:n])) for n in sizes]
print(f"{'tokens':>8}{'kept, MB':>12}{'checkpointing, MB':>20}")
for n, one, two in zip(tokens, plain_bytes, again_bytes, strict=True):
    print(f"{n:8}{one / 1e6:12.1f}{two / 1e6:20.1f}")
print(f"of the largest batch {again_bytes[-1] / plain_bytes[-1]:.0%} is kept")
record("kept with checkpointing, share", again_bytes[-1] / plain_bytes[-1])
rest = 1 - again_bytes[-1] / plain_bytes[-1]
print(f"checkpointing keeps {rest:.0%} less and computes the LLM twice")

# %% [markdown]
# ## Nothing frozen is computed twice
#
# The released code sends every image through the encoder in every step.
# But the encoder is frozen: the same image gives the same vector in
# step 1 and in step 1000. So keep the vector, under a name that holds all
# it depends on. Here that is the key of its source: the scene, the number of
# its rendering, and the code that renders it.

# %%
from random import Random

from nextgpt_lite.world import dialogue

kept, computed = {}, 0


def once(part):
    """The vector of a medium, computed when it is first asked for."""
    global computed
    name = part["source"].key
    if name not in kept:
        computed += 1
        medium = [(part["type"], features.open(part))]
        kept[name] = model.encoder.encode(medium)[0].cpu()
    return kept[name]


draw = Random(f"frozen work/{seed}")
asked = [dialogue.pair(draw, "image").messages[0]["content"] for _ in range(8)]
media = [part for parts in asked for part in parts if "source" in part]
first = torch.stack([once(part) for part in media])
again = torch.stack([once(part) for part in media])
print(computed, "of", 2 * len(media), "vectors were computed")
exact = torch.equal(first, again)
close = torch.allclose(first, features.media(media), atol=1e-5)
record("kept vectors are the same bit for bit", exact)
record("inline cache agrees with Features", close)

# %% [markdown]
# `Features` does the same, and keeps the vectors on disk for the next
# run. Its names hold more: the bytes of a file, the encoder's weights and
# code, torch's version and the device. Whatever of these changes, the
# name changes, and a stale vector cannot be found. One thing more makes
# it exact: matrix products round a little differently for batches of
# different sizes, so it always encodes in groups of four. A vector then
# does not depend on what else was asked for with it, and a run with a
# full cache has the very losses of one with an empty cache.

# %%
for run in ("first run", "next run"):  # each as if in a new process
    fresh = Features(model, cache=folder / "a run of its own")
    begin = time.perf_counter()
    fresh.media(media)
    fresh.flush()
    print(f"{run}: {fresh.computed} computed, {time.perf_counter() - begin:.3f} s")
record("computed in the next run", fresh.computed)

# %% [markdown]
# In the next run the encoder is not even loaded. The table of
# `nextgpt-lite cache` shows what is kept, and `--prune` empties it.
#
# **Captions, too.** In stage 2 no token that learns stands before the signal
# block. So nothing before it changes, no gradient leads there, and only the
# block needs a backward pass. Inline: the caption goes through the LLM
# without a graph and leaves its keys and values; the block attends to them.

# %%
from transformers import DynamicCache

captions = [dialogue.caption_record(draw, "image").messages for _ in range(16)]
captions = [model.conversation.encode(each) for each in captions]
start_of_block = captions[0].signals[0].start
every = torch.tensor([captions[0].ids], device=session.device)  # (1, S)
past = DynamicCache()
with torch.no_grad():
    whole = model.llm.hidden(model.llm.embed(every))  # (1, S, D)
    model.llm.hidden(model.llm.embed(every[:, :start_of_block]), cache=past)
states = model.llm.hidden(model.llm.embed(every[:, start_of_block:]), cache=past)
close = torch.allclose(states, whole[:, start_of_block:], atol=1e-4)
record("inline states after a frozen caption are the same", close)
print(start_of_block, "positions without a backward pass,", states.shape[1], "with one")

# %% [markdown]
# `NextGPT.loss` does so for a whole batch while only token rows and output
# projections learn, and reads a caption once that several blocks follow
# (`prefix.py` says when this is valid: not in stages 1 and 3, where something
# learns that the caption's states depend on). Losses and gradients are those
# of reading every row whole:

# %%
from unittest.mock import patch

open_for(model, STAGES[2])
batch = batch_of(captions, pack=None)
table = model.llm.causal_lm.get_input_embeddings().token_adapter
new_rows = table.trainable_tokens_delta["default"]


def losses_and_gradients():
    """(loss, gradient of the new rows, seconds)."""
    model.zero_grad()
    begin = time.perf_counter()
    loss = model.loss(batch).total
    loss.backward()
    return loss.detach(), new_rows.grad.clone(), time.perf_counter() - begin


apart = [losses_and_gradients() for _ in range(5)]
with patch.object(NextGPT, "prefixes_frozen", False):
    together = [losses_and_gradients() for _ in range(5)]
same_loss = torch.allclose(apart[0][0], together[0][0], atol=1e-4)
same_gradient = torch.allclose(apart[0][1], together[0][1], atol=1e-4, rtol=1e-3)
record("frozen captions change no loss", same_loss)
record("frozen captions change no gradient", same_gradient)
quick, slow = (sorted(each[2] for each in runs)[2] for runs in (apart, together))
print(f"read whole: {slow:.3f} s, captions apart: {quick:.3f} s, output projections included")
_ = open_for(model, stage)  # as before

# %% [markdown]
# The gain depends on how long captions are compared with the blocks, and on
# how much of a step the LLM is. Here it is small and its output projections
# are comparatively large; with a 7B LLM nearly the whole step is LLM.
#
# ## Two processes learn what one does
#
# Now in earnest: `torchrun` starts two processes, which find each other,
# share each batch between them and average their gradients (DDP, over
# gloo, for there is no GPU). Beside it runs one process with the whole
# batch. Stage 1, so that it is quick.

# %%


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def command(processes, batch):
    """Stage 1 from the shell, in one process or several."""
    launcher = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node",
        str(processes), "--master-addr", "127.0.0.1",
        "--master-port", free_port(), "-m", "nextgpt_lite",
    ]  # fmt: skip
    what = [
        "train", "--stage", "1", "--profile", profile, "--steps", str(steps),
        "--batch-size", str(batch), "--seed", str(seed),
        "--cache", str(folder / "cache"),
        "--output", str(folder / f"by {processes}"),
    ]  # fmt: skip
    return launcher + what


environment = {
    **os.environ,
    "ACCELERATE_USE_CPU": "true",
    "OMP_NUM_THREADS": "1",
    "PYTHONPATH": os.pathsep.join(["..", *sys.path]),
}
losses = {}
for processes in (1, 2):
    done = subprocess.run(
        command(processes, 8 // processes), env=environment,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    lines = (folder / f"by {processes}" / "metrics.jsonl").read_text()
    last = json.loads(lines.splitlines()[-1])
    losses[processes] = last["total"]
    print(f"{processes} process(es): loss {last['total']:.6f}")
record("two processes differ from one by", abs(losses[1] - losses[2]))

# %% [markdown]
# Step n reads the same conversations on one process as on two; each takes
# its half. What differs is the order in which numbers are added.
#
# ## What fits where
#
# For seven billion parameters, memory decides how a model is spread. The
# numbers of parameters below are counted on the paper's real
# configuration; the bytes are computed from them, not measured.

# %%
from nextgpt_lite.checkpoints import count as count_parameters

if profile == "lite":  # counted without any weight
    rows = count_parameters(NextGPTConfig.from_profile("paper"))
learning = sum(row.parameters for row in rows if 3 in row.stages)
llm = sum(row.parameters for row in rows if row.part == "llm")
encoder = sum(row.parameters for row in rows if row.part == "encoder")
GB = 1e9
weights = 2 * llm / GB  # bfloat16
adam = (4 + 4 + 8) * learning / GB  # float32: weight, gradient, 2 moments
whole_adam = (4 + 4 + 8) * llm / GB
print(f"LLM, bfloat16: {weights:.1f} GB")
print(f"learning parts with gradients and AdamW: {adam:.1f} GB")
print(f"the same, if the whole LLM learned: {whole_adam:.0f} GB")
kept_encoder = 2 * encoder / GB
print(f"encoder {kept_encoder:.1f} GB: not loaded with a warm cache")
print(f"{learning / llm:.1%} of as many parameters as the LLM has learn")
record("learning share of the paper's LLM", learning / llm)

# %% [markdown]
# That LoRA and projections are small is what lets *copies* of the whole
# model work (DDP): each GPU holds all of it, and only the small gradients
# travel. When one GPU cannot hold the frozen LLM either, it is *cut*
# (FSDP2): each GPU holds a piece of every layer and collects the layer
# when it is needed.

# %%
sent = 2 * 4 * learning / GB  # around the ring, float32
collected = 2 * 2 * llm / GB  # forward and backward, bfloat16
print(f"{'':22}{'1 GPU':>8}{'8 GPUs':>9}{'sent a step':>14}")
copy = f"{weights + adam:8.1f}{weights + adam:9.1f}{sent:14.1f}"
print(f"{'copied, GB each':22}{copy}")
cut = (weights + adam) / 8
print(f"{'cut, GB each':22}{weights + adam:8.1f}{cut:9.1f}{collected:14.1f}")

# %% [markdown]
# ## How long does it take?
#
# A step has a fixed part (Python, the optimiser, small kernels) and a
# part that grows with its tokens. Measured here, for `lite`, with a
# straight line through the points:

# %%
model.train()
learning_here = [p for p in model.parameters() if p.requires_grad]


def step_seconds(batch):
    """The fastest of three: forward and backward."""
    found = []
    for _ in range(3):
        begin = time.perf_counter()
        model.loss(batch).total.backward()
        found.append(time.perf_counter() - begin)
        model.zero_grad()
    return min(found)


even = sorted(talks, key=len)[4:8] * 4
points = []
for n in (1, 2, 4, 8, 12, 16):
    batch = batch_of(even[:n])
    size = int(batch.attention_mask.sum())
    points.append((size, step_seconds(batch)))
model.eval()
xs, ys = np.array(points).T
slope, fixed = np.polyfit(xs, ys, 1)
print(f"{fixed * 1000:.0f} ms + {slope * 1e6:.0f} microseconds a token")
record("time grows with tokens", bool(slope > 0))

# %% tags=["hide-input"]
from matplotlib.figure import Figure

figure = Figure(figsize=(7, 3.4), layout="constrained")
axes = figure.subplots()
axes.plot(xs, ys * 1000, "o")
axes.plot(xs, (fixed + slope * xs) * 1000)
axes.set(xlabel="tokens in a step", ylabel="milliseconds")
axes.set_ylim(0)
show_figure(figure, "Time of a step over its tokens: nearly a straight line")

# %% [markdown]
# From here to a GPU by arithmetic. A frozen matrix costs 4 floating-point
# operations a weight and token: 2 forward, 2 to pass the gradient on. (A
# learning one costs 6.) A GPU does not reach the speed on its data sheet;
# 40 % is good. With both one can say what a plan takes before it is run:

# %%
sheet = {"T4, fp16": 65e12, "A100, bf16": 312e12, "H100, bf16": 989e12}
work_done = 4 * llm + 6 * learning  # FLOPs a token
print(f"{work_done / 1e9:.0f} GFLOPs a token")
print(f"{'':12}{'tokens/s':>10}{'hours for 100 M tokens':>25}")
for name, speed in sheet.items():
    rate = 0.4 * speed / work_done
    print(f"{name:12}{rate:10.0f}{100e6 / rate / 3600:25.1f}")
print("computed at 40 % of the data sheet, not measured")

# %% [markdown]
# What this loop reaches *on a CPU*, compared with a plain loop that does what
# the authors' code does, is measured by `python -m benchmarks.training`;
# the part for a GPU is `benchmarks/gpu.py`, and has not been run on one.

# %%
measured = Path("..") / "benchmarks" / "training.json"
if measured.exists():
    found = json.loads(measured.read_text())
    for number, each in found["stages"].items():
        for form, one in each.items():
            speed = one["samples per second"]
            ours, theirs = (speed[n]["median"] for n in ("ours", "plain"))
            print(f"stage {number}, {form}: {ours:.1f} samples a CPU second, ", end="")
            print(f"plain loop {theirs:.1f}")

# %% [markdown]
# ## What changes when you move
#
# The command stays the same; what is put before it changes:
#
# ```
# accelerate launch --config_file configs/accelerate/several_gpus.yaml \
#     -m nextgpt_lite train --stage 3 --profile paper --output runs/s3
# ```
#
# Such a file says on what the processes run. Here is all in which three
# of them differ from the one for a single GPU:

# %%
configs = session.data.parent / "configs" / "accelerate"


def settings(name):
    lines = (configs / f"{name}.yaml").read_text().splitlines()
    return [line.split("#")[0].rstrip() for line in lines]


for name in ("several_gpus", "several_nodes", "fsdp2"):
    print(f"{name}.yaml")
    for line in settings(name):
        if line not in settings("one_gpu"):
            print("   ", line)

# %% [markdown]
# | from | to | changes | stays |
# |---|---|---|---|
# | one core | one GPU | `--precision auto`, longer rows | losses, but for rounding |
# | one GPU | a smaller one | `--accumulate`, `--checkpointing` | the step itself |
# | one GPU | several | `accelerate launch`, `--batch-size` of each | the losses |
# | several GPUs | too small ones | FSDP2: the model is cut | checkpoints are whole |
# | one run | the next | the encoder is not loaded | features, bit for bit |
#
# ## Exercises
#
# **1. AdamW's memory** (easy, 2 minutes) LoRA of rank 32 has 33,554,432
# parameters. How many bytes do its weights, gradients and AdamW's two
# moments take together in float32?

# %%
adam_bytes = ...
check("scale.adam", adam_bytes)

# %% tags=["solution"]
adam_bytes = 33_554_432 * 4 * 4
check("scale.adam", adam_bytes)

# %% [markdown]
# **2. The loss of the whole** (medium, 5 minutes) Write
# `whole(means, counts)`: from the mean loss of each device and the number
# of positions it is a mean of, the mean loss of the whole batch.

# %%
whole_loss = ...
check("scale.whole", whole_loss)


# %% tags=["solution"]
def whole_loss(means, counts):
    sums = (m * c for m, c in zip(means, counts, strict=True))
    return sum(sums) / sum(counts)


check("scale.whole", whole_loss)

# %% [markdown]
# **3. Rows** (hard, 10 minutes) Write `rows(lengths, room)`: how many
# rows of `room` positions conversations of these lengths need, if you
# take the longest first and lay each into the first row with space.

# %%
rows_needed = ...
check("scale.rows", rows_needed)


# %% tags=["solution"]
def rows_needed(lengths, room):
    free = []
    for length in sorted(lengths, reverse=True):
        for row, left in enumerate(free):
            if left >= length:
                free[row] -= length
                break
        else:
            free.append(room - length)
    return len(free)


check("scale.rows", rows_needed)

# %% [markdown]
# ## Do you remember?
#
# <details><summary>Why is the mean of two shares' losses wrong?</summary>The
# shares hold unequally many trained positions.</details>
# <details><summary>What does checkpointing save, and what does it
# cost?</summary>Activations; each layer is computed once more.</details>
# <details><summary>Why do conversations share rows?</summary>Padding costs as
# much as words do, and a row padded to the longest is mostly padding.</details>
#
# ## Summary
#
# - A loss is a sum over a count; devices share the count, and then their
#   mean is the loss of the whole batch.
# - Passes, checkpointing, packing and processes change how a step is
#   computed, not what it learns. bfloat16 changes rounding.
# - Frozen parts are cheap: no gradients, no moments, no traffic; and with
#   a warm cache some of them are not even loaded.
# - Time has a fixed part and one that grows with tokens; a small model is
#   mostly the first, a large one the second.
#
# | idea | here | tested in |
# |---|---|---|
# | one loss over many shares | `losses.Divisors` | `test_stages.py` |
# | passes, checkpointing, half precision | `training.schedule.Schedule` | `test_loop.py` |
# | packed rows | `batch.collate`, `batch.first_fit` | `test_batch.py` |
# | frozen work once | `training.features.Features` | `test_features.py` |
# | frozen captions | `prefix.read_after_prefix` | `test_prefix.py` |
# | speed against a plain loop | `benchmarks/training.py` | `test_benchmarks.py` |
#
# Next: [notebook 14](14_your_own_ablation.ipynb), where such runs answer a question.
