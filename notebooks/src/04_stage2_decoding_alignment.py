# %% [markdown]
# # 4. Stage 2: how words become images, audio and videos
#
# The LLM can write a caption, and a diffusion model can paint from one.
# NExT-GPT joins them without writing the caption down: the LLM emits a
# few **signal tokens**, and a small transformer turns their hidden states
# into what the diffusion model reads (section 4.2 of the paper).
#
# **What you will learn**
#
# - what signal tokens are, and why they come in blocks
# - how to teach a frozen LLM new tokens by training their rows alone
# - the output projection: a small transformer with learned queries
# - the two losses of stage 2, which need captions only: not one image
# - the training loop, written out, until images of unseen captions are right
#
# Time and memory: `lite` 1.7 minutes (one core), 1.1 GB · `colab`, `paper`: not measured
#
# Study: about 70 minutes, and 40 for the exercises. Before it: [notebook
# 3](03_stage1_encoding_alignment.ipynb). Next: [notebook
# 5](05_stage3_instruction_tuning.ipynb).
#
# Papers:
# [NExT-GPT](https://arxiv.org/abs/2309.05519),
# [GILL](https://arxiv.org/abs/2305.17216),
# [AudioLDM](https://arxiv.org/abs/2301.12503).
#
# ```text
# "A red car." [IMG0] .. [IMG4] ─> LLM, frozen ─> N states (N, D)
#               rows learn                            │
#         L learned queries ─> OUTPUT PROJECTION <────┘
#                                     │ (L, C)
#                                     ▼   distance (loss)
# "A red car." ─> decoder's text encoder ─> (L, C)       no image needed
# ```

# %% tags=["parameters"]
profile = "lite"
seed = 0
steps = 150  # training steps of this notebook
count = 40  # captions a modality, among which the nearest is looked for
own_steps = 400  # of the loop that is written out

# %%
import json
import tempfile
import warnings
from pathlib import Path
from random import Random

import numpy as np
import torch
from PIL import Image
from torch import nn

from nextgpt_lite import NextGPT, NextGPTConfig
from nextgpt_lite.notebook import (
    check,
    check_shape,
    plot_losses,
    record,
    show_audio,
    show_images,
    show_video,
    start,
)

session = start(profile, seed)
config = NextGPTConfig.from_profile(profile)
untrained = NextGPT.from_config(config, seed).to(session.device)

# %% [markdown]
# ## Signal tokens
#
# Each modality has its own tokens: `[IMG0]` to `[IMG4]`, `[AUD0]` to
# `[AUD8]`, `[VID0]` to `[VID24]`. Here is what stage 2 trains on: a
# caption, and the block behind it. No user says anything, and no image
# is needed.

# %%
from nextgpt_lite.world import dialogue

example = dialogue.caption_record(Random(f"caption/{seed}"), "image")
encoded = untrained.conversation.encode(example.messages)
names = untrained.llm.describe_ids(encoded.ids)
print(" ".join(name.replace("Ġ", "_") for name in names))
print("block starts at position", encoded.signals[0].start)
print("to be drawn:", encoded.signals[0].caption)

# %% [markdown]
# Why a *block* of tokens? An image or a video decoder reads far more numbers
# than one hidden state holds. The table compares them. (An audio decoder reads
# a single vector; the paper gives it nine tokens all the same.)

# %%
D = untrained.llm.width
print(f"{'':8}{'tokens N':>9}{'N x D':>8}   decoder reads L x C")
for modality, ids in untrained.llm.signal_ids.items():
    length, width = config.conditions[modality]
    size = f"{length:4} x {width} = {length * width}"
    print(f"{modality:8}{len(ids):9}{len(ids) * D:8}   {size}")
    assert (length * width > 2 * D) == (modality != "audio")

# %% [markdown]
# The tokens of a block mean nothing one by one; together they say "make a
# picture", and their hidden states say which. So the LLM only ever
# *chooses* the first one. The rest are appended and go through it in one
# forward pass, and a block is well formed by construction
# (`generation.generate`). In the released code each token is chosen on
# its own, and an incomplete block ends in an error.
#
# ## New rows only
#
# A new token needs a row in the embedding table and one in the output
# matrix. All other rows should stay as they are: the LLM already knows
# its words. peft keeps the new rows apart and lays them over the frozen
# table. In three lines:

# %%
llm = untrained.llm
V = llm.causal_lm.config.vocab_size
every_id = torch.arange(V, device=session.device)
wrapped = llm.causal_lm.get_input_embeddings().token_adapter
frozen_table = wrapped.base_layer.weight  # (V, D)
new_rows = wrapped.trainable_tokens_delta["default"]  # (39, D)

with torch.no_grad():
    own_table = frozen_table.clone()
    own_table[llm.new_ids] = new_rows
    same = torch.equal(own_table, llm.embed(every_id))
check_shape(new_rows, (len(llm.new_ids), D))
print(tuple(frozen_table.shape), tuple(new_rows.shape))
record("inline rows equal LanguageModel.embed", same)

# %%
rows = 2 * new_rows.numel()  # embedding table and output matrix
whole = 2 * frozen_table.numel()
print(f"lite: {rows:,} numbers learn, not {whole:,}")
print(f"paper: {2 * 39 * 4096:,} numbers would do")  # 319,488
print(f"released code: {2 * 32038 * 4096:,} learn")  # 262,455,296
print(f"{rows / whole:.2%} of both matrices")
record("share of both matrices that learns", rows / whole)

# %% [markdown]
# The paper's text says that only the output projections learn in stage 2.
# But it also asks for a cross-entropy on signal tokens, and no output
# projection can change the LLM's next token. Somebody must learn the
# rows. The released code trains both matrices whole, words included.
#
# ## The output projection
#
# L learned queries each ask the block: what should stand at my place of
# the condition? An encoder lets the N signal positions see each other, a
# decoder lets the queries look at them. What enters is the *sum* of a
# signal token's hidden state and its input embedding.


# %%
class OwnProjection(nn.Module):
    def __init__(self, D, L, C, hidden, layers, feed_forward):
        super().__init__()
        self.query_embs = nn.Parameter(torch.randn(1, L, hidden))
        self.fc = nn.Linear(D, hidden)
        self.tfm = nn.Transformer(
            hidden, 4, layers, layers, feed_forward, dropout=0.0,
            batch_first=True, norm_first=True,
        )  # fmt: skip
        self.model = nn.Linear(hidden, C)

    def forward(self, hidden, embedding):
        source = self.fc(hidden + embedding)  # (B, N, hidden)
        queries = self.query_embs.expand(len(source), -1, -1)
        return self.model(self.tfm(source, queries))  # (B, L, C)


# %%
numbers = config.output_projection
length, width = config.conditions["image"]
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # torch mentions an unused fast path
    own = OwnProjection(
        D, length, width, numbers.hidden, numbers.layers,
        numbers.feed_forward,
    ).to(session.device).eval()  # fmt: skip
package = untrained.output_projections["image"]
own.load_state_dict(package.state_dict())  # the same names throughout

N = len(llm.signal_ids["image"])
hidden = torch.randn(2, N, D, device=session.device)
embedding = torch.randn(2, N, D, device=session.device)
with torch.no_grad():
    ours, theirs = own(hidden, embedding), package(hidden, embedding)
print(tuple(ours.shape))  # (2, 24, 128)
close = torch.allclose(ours, theirs, atol=1e-5)
record("inline projection equals OutputProjection", close)

# %% [markdown]
# ## The target: what the decoder's own text encoder says
#
# A diffusion model is conditioned on the output of *its* text encoder.
# Give that encoder the caption, and the result is the target. So the
# learning needs captions only. (What a decoder does with a condition, and
# what this choice of target costs, is the subject of notebook 13.)

# %%
from nextgpt_lite.world import caption, sample_scene, sentence

draw = Random(f"notebook 4/{seed}")
scenes = {
    "image": [sample_scene("image", draw) for _ in range(5)],
    "audio": [sample_scene("audio", draw)],
    "video": [sample_scene("video", draw)],
}
gold = {}
for modality, chosen in scenes.items():
    words = [caption(scene) for scene in chosen]
    gold[modality] = untrained.decoder(modality).encode_text(words)
    print(modality, tuple(gold[modality].shape))
# image (5, 24, 128), audio (1, 1, 128), video (1, 24, 128)

# %% [markdown]
# The other side: a caption read by the LLM, then its block. These few
# lines are what the whole stage is about.


# %%
@torch.no_grad()
def block_states(model, modality, captions):
    """Captions -> hidden states and embeddings of their blocks, (B, N, D)."""
    made = []
    for words in captions:
        reply = [
            {"type": "text", "text": sentence(words)},
            {"type": modality},
        ]
        encoded = model.conversation.encode(
            [
                {"role": "user", "content": ""},
                {"role": "assistant", "content": reply},
            ]
        )
        ids = torch.tensor([encoded.ids], device=model.device)  # (1, S)
        embedding = model.llm.embed(ids)  # (1, S, D)
        hidden = model.llm.hidden(embedding)  # (1, S, D)
        first = encoded.signals[0].start
        block = slice(first, first + len(model.llm.signal_ids[modality]))
        made.append((hidden[0, block], embedding[0, block]))  # (N, D) each
    hidden, embedding = (torch.stack(part) for part in zip(*made, strict=True))
    return hidden, embedding


@torch.no_grad()
def from_signals(model, modality, captions):
    """Captions -> conditions (B, L, C), by way of signal tokens."""
    return model.project(modality, *block_states(model, modality, captions))


words = [caption(scene) for scene in scenes["image"]]
projected = from_signals(untrained, "image", words)
check_shape(projected, (5, 24, 128))

# %% [markdown]
# The paper measures the l2 distance of the two (section 4.2), beside the
# negative log-likelihood of the signal tokens $s_1 \dots s_N$ (N = 5, 9, 25):
#
# $$\mathcal{L} = -\frac{1}{N} \sum_n \log P(s_n \mid \text{caption}, s_{<n})
# + \frac{\lVert g(h_1 \dots h_N) - c \rVert^2}{\lVert c \rVert^2}$$
#
# with $g$ the output projection and $c$ the condition (77 x 768 for Stable
# Diffusion 1.5, 1 x 512 for AudioLDM, 77 x 1024 for Zeroscope). Conditions differ much in
# size (AudioLDM's is one vector of length 1, CLIP's has 77 rows of about
# one a number), so here the squared error is divided by the target's mean
# square. 1 then means "no better than zeros" for every decoder. The plain
# distance is there too: `distance="plain-l2"` (configs/runs/paper.yaml).

# %%
from nextgpt_lite.model import condition_distance

target = gold["image"]
own_distance = (projected - target).pow(2).mean() / target.pow(2).mean()
theirs = condition_distance(projected, target)
same = torch.allclose(own_distance, theirs)
record("inline distance equals condition_distance", same)
print(f"distance before training: {own_distance:.3f}")
record("distance before training", own_distance)

# %% [markdown]
# ## Training
#
# Two parts learn: the new rows and the three output projections.

# %%
from nextgpt_lite.training import STAGES, ledger

stage = STAGES[2]
print(f"{'part':20}{'parameters':>12}  learns  from")
for row in ledger(untrained, stage):
    learns = "yes" if row.learns else "-"
    losses = ", ".join(row.losses)
    print(f"{row.part:20}{row.parameters:12,}  {learns:6}  {losses}")

# %%
from nextgpt_lite import train

folder = tempfile.TemporaryDirectory(prefix="stage2-")  # gone afterwards
trainer = train(
    2, folder.name, profile=profile, seed=seed, steps=steps, batch_size=16,
    warmup=20, learning_rate=2e-3, log_every=1,
)  # fmt: skip
model = trainer.model
parts = ["text", "signal", "condition"]
metrics_file = Path(folder.name) / "metrics.jsonl"
plot_losses(metrics_file, parts, "stage 2")

# %% [markdown]
# Three curves, three stories. **signal**: that a block follows the
# caption is quickly learned. **condition**: the distance falls more
# slowly, for here the block must carry *what* to draw. **text**: the
# cross-entropy of the caption's own words is counted too, but the rows of
# signal tokens can hardly change it: the words come from a frozen LLM.

# %%
lines = metrics_file.read_text().splitlines()
metrics = [json.loads(line) for line in lines]
tenth = max(1, steps // 10)
for part in ("signal", "condition"):
    curve = [line[part] for line in metrics]
    record(f"{part} loss, first tenth", sum(curve[:tenth]) / tenth)
    record(f"{part} loss, last tenth", sum(curve[-tenth:]) / tenth)


# %% [markdown]
# Did only the new rows move? We compare both matrices, row by row and bit
# by bit, with those of a model that was built but never trained.


# %%
@torch.no_grad()
def matrices(llm):
    """Embedding table and output matrix as the model uses them."""
    unit = torch.eye(llm.width, device=every_id.device)
    return llm.embed(every_id), llm.logits(unit).T  # (V, D) each


moved = []
both = zip(matrices(untrained.llm), matrices(model.llm), strict=True)
for old, now in both:
    changed = (old != now).any(-1).nonzero()[:, 0].tolist()
    moved.append(changed)
    print(len(changed), "of", len(old), "rows changed")  # 39 of 1017
only_new = all(changed == sorted(llm.new_ids) for changed in moved)
record("only the new rows changed", only_new)

# %% [markdown]
# A caption's target is the same in every step, and so is the LLM's work on the
# caption, for nothing that learns stands before the block. Neither is done
# twice; [notebook 12](12_training_at_scale.ipynb) has both, and what they save.

# %% [markdown]
# ## How near is near enough?
#
# A distance is hard to judge. Three yardsticks: zeros (1 by definition),
# the *mean* condition (one answer for every caption: it reads nothing),
# and the shipped model. Much of a condition is common to all captions, so
# the mean alone comes far below 1: only what lies under *its* line has
# been read. And a question with a clear chance level: of 40 different
# captions, is the projected block nearest to its own?

# %%
shipped = NextGPT.from_pretrained("lite").to(session.device)
draw = Random(f"nearest in notebook 4/{seed}")
asked, targets = {}, {}
for modality in ("image", "audio", "video"):
    drawn = (caption(sample_scene(modality, draw)) for _ in range(1000))
    chosen = list(dict.fromkeys(drawn))[:count]  # all different
    asked[modality] = chosen
    targets[modality] = untrained.decoder(modality).encode_text(chosen)


def nearest_own(projected, targets):
    """Share of blocks that are nearest to their own caption."""
    apart = torch.cdist(projected.flatten(1), targets.flatten(1))
    own = torch.arange(len(targets), device=apart.device)
    return (apart.argmin(1) == own).float().mean()


models = {"before": untrained, "after": model, "shipped": shipped}
nearest, away = {}, {}
print(f"{'':22}{'distance':>9}{'nearest is own':>16}")
for modality, target in targets.items():
    blind = target.mean(0, keepdim=True).expand_as(target)
    distance = away[modality, "mean"] = condition_distance(blind, target)
    print(f"{modality + ', mean':22}{distance:9.3f}{1 / count:16.0%}")
    for name, each in models.items():
        projected = from_signals(each, modality, asked[modality])
        distance = away[modality, name] = condition_distance(projected, target)
        nearest[modality, name] = nearest_own(projected, target)
        share = nearest[modality, name]
        print(f"{modality + ', ' + name:22}{distance:9.3f}{share:16.0%}")

# %%
for name in models:
    rates = [float(nearest[modality, name]) for modality in targets]
    record(f"nearest is own, {name}", sum(rates) / len(rates))
for modality in targets:  # as the text below says
    assert away[modality, "shipped"] < away[modality, "mean"] / 5
    if steps >= 150:
        assert away[modality, "after"] < 1.2 * away[modality, "mean"]


# %% [markdown]
# Read the table with the mean's line in view. Before training, a block says
# nothing. After our short run the distance has come down about as far as one
# fixed answer would bring it: the projections have learned what all
# conditions have in common, and have hardly begun to read the caption, audio
# first. The shipped model, which trained far longer, lies far below that
# line, and its blocks are nearest to their own captions. The signal loss was
# learned in seconds; *what* to draw takes hours.
#
# The conditions of one caption as images: 24 places down, 128 numbers
# across. In the gold condition the rows above are words and the even
# stripes below are padding. Which of the two did the short run find?


# %%
def heat(condition):
    """(L, C) as an image: blue below zero, red above."""
    values = condition.detach().cpu().numpy()
    values = np.clip(values / np.abs(values).max() * 1.5, -1, 1)
    red, blue = np.clip(1 + values, 0, 1), np.clip(1 - values, 0, 1)
    green = np.minimum(red, blue)
    pixels = (255 * np.stack([red, green, blue], -1)).astype(np.uint8)
    return Image.fromarray(pixels).resize((128, 96), Image.Resampling.NEAREST)


found = [from_signals(m, "image", words[:1])[0] for m in models.values()]
show_images(
    [heat(condition) for condition in (gold["image"][0], *found)],
    ["gold: text encoder", *models],
)
print(words[0])

# %% [markdown]
# ## Look at it
#
# The same captions, decoded from four conditions with the same noise: the
# decoder's own text encoder (the best that the block could do), and the
# blocks before training, after it, and of the shipped model. Under each
# image is what the world's verifier says.

# %%
from nextgpt_lite.world import verify


def verdict(scene, media):
    judged = verify(scene, media)
    wrong = [name for name, good in judged.attributes.items() if not good]
    return "right" if judged.correct else f"wrong: {', '.join(wrong)}"


def decode(modality, condition):
    noise = torch.Generator().manual_seed(seed)
    return untrained.decoder(modality).generate(condition, generator=noise)


tally = {}
conditions = {"gold": gold["image"]} | {
    name: from_signals(each, "image", words) for name, each in models.items()
}
for number, scene in enumerate(scenes["image"]):
    print(f"{number + 1}: {caption(scene)}")
for name, condition in conditions.items():
    drawn = decode("image", condition)
    pairs = zip(scenes["image"], drawn, strict=True)
    told = [verdict(scene, picture) for scene, picture in pairs]
    tally[name] = sum(text == "right" for text in told)
    titles = [f"{name} {i + 1}, {text}" for i, text in enumerate(told)]
    show_images(drawn, titles)

# %%
for name, right in tally.items():
    print(f"{name + ':':9}{right} of {len(scenes['image'])} right")
assert tally["before"] <= tally["after"] <= tally["shipped"]  # as the text below says
record("images right, shipped", tally["shipped"])

# %% [markdown]
# The decoder is frozen, so "gold" is the ceiling. "before" is what it makes
# of a condition that says nothing. "after" makes clean images of wrong
# things: the blocks sound like captions, but not like these. The shipped
# model's blocks come out nearly as the captions themselves do. Where "gold"
# is wrong as well, blame the decoder; where only "shipped" is, the little
# that was left of the distance has tipped it, most easily in a count.
#
# An audio clip and a video from the shipped model's blocks:

# %%
(sound,) = scenes["audio"]
block = from_signals(shipped, "audio", [caption(sound)])
heard = decode("audio", block)[0]
show_audio(heard, caption(sound))
print("verifier:", verdict(sound, heard))

# %%
(clip,) = scenes["video"]
block = from_signals(shipped, "video", [caption(clip)])
film = decode("video", block)[0]
print(caption(clip))
show_video(film)
print("verifier:", verdict(clip, film))

# %% [markdown]
# How much of a block is needed? The projection can read fewer tokens than
# there are. In a live notebook a slider chooses how many; elsewhere you see
# all, and below them what the verifier says.

# %%
from nextgpt_lite.notebook import explore

hidden, embedding = block_states(shipped, "image", words[:1])  # (1, N, D)


def drawn_from(tokens):
    """The first caption's image from the first tokens of its block."""
    block = hidden[:, :tokens], embedding[:, :tokens]
    with torch.no_grad():
        return decode("image", shipped.project("image", *block))[0]


sheet = explore(drawn_from, tokens=range(1, N + 1))
print(words[0])
for (tokens,), picture in sheet.items():
    print(f"{tokens} of {N} tokens: {verdict(scenes['image'][0], picture)}")

# %% [markdown]
# ## The loop written out
#
# `train` did three modalities, every kind of sentence and the token rows at
# once. Ask for less: images of one thing, and the output projection alone.
# Then nothing that learns stands before the projection, so the states of
# every block are computed once, and what is left of stage 2 is a loop over
# a table. Twenty captions are kept out of it.

# %%
import copy
from itertools import product

from nextgpt_lite.world import (
    COLOURS,
    KINDS,
    PLACES,
    SIZES,
    Group,
    Picture,
    is_held_out,
)

single = [
    Picture((Group(kind, colour, size),), None, place)
    for kind, colour, size, place in product(KINDS, COLOURS, SIZES, PLACES)
]
single = [scene for scene in single if not is_held_out(scene)]
Random(seed).shuffle(single)
captions = [caption(scene) for scene in single]
seen = len(captions) - 20
hidden, embedding = block_states(untrained, "image", captions)
targets = untrained.decoder("image").encode_text(captions)
check_shape(hidden, (len(captions), N, D))
check_shape(targets, (len(captions), length, width))

# %%
projection = copy.deepcopy(untrained.output_projections["image"]).train()
optimizer = torch.optim.AdamW(projection.parameters(), weight_decay=0.0)
schedule = torch.optim.lr_scheduler.OneCycleLR(
    optimizer, max_lr=3e-3, total_steps=own_steps, pct_start=0.1
)
draw_rows = torch.Generator().manual_seed(seed)
for step in range(1, own_steps + 1):
    rows = torch.randint(seen, (32,), generator=draw_rows)
    projected = projection(hidden[rows], embedding[rows])  # (32, L, C)
    loss = condition_distance(projected, targets[rows])
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(projection.parameters(), 1.0)
    optimizer.step()
    schedule.step()
    if step % max(1, own_steps // 8) == 0:
        with torch.no_grad():
            made = projection(hidden[seen:], embedding[seen:])  # (20, L, C)
        apart = torch.cdist(made.flatten(1), targets.flatten(1))  # (20, all)
        own = torch.arange(seen, len(captions), device=apart.device)
        share = (apart.argmin(1) == own).float().mean()
        print(f"{step:4}: loss {loss:.3f}, unseen", end=" ")
        print(f"{condition_distance(made, targets[seen:]):.3f},", end=" ")
        print(f"nearest of {len(captions)} is own {share:4.0%}")

# %% [markdown]
# The loss falls in two moves: first to what all conditions share, then, once
# the blocks begin to be read, to a small fraction of it. That the unseen
# captions follow says that parts were learned (a colour, a size), not
# sentences by heart. Their images:

# %%
pictures = decode("image", made)
pairs = zip(single[seen:], pictures, strict=True)
told = [verdict(scene, picture) for scene, picture in pairs]
right = sum(text == "right" for text in told)
print(f"{right} of {len(told)} images of unseen captions are right")
show_images(
    pictures[:5],
    [f"{w}: {t}" for w, t in zip(captions[seen:], told[:5], strict=False)],
)
record("unseen images right, own loop", right)

# %% [markdown]
# So the channel is learned quickly where little is to be said. What the
# shipped model needed its hours for is the rest: several things and their
# places, numbers, audio and videos, and blocks behind sentences as people
# write them. Try it with fewer captions, with one colour left out, or with
# `loss` replaced by `(projected - targets[rows]).abs().mean()`.

# %% [markdown]
# ## Exercises
#
# **1. Rows at the paper's size** (easy, 2 minutes) 5 + 9 + 25 signal
# tokens, width 4096, an LLM whose embedding table and output matrix are
# not shared. How many numbers learn in stage 2 apart from the output
# projections?

# %%
rows = ...
check("stage2.rows", rows)

# %% tags=["solution"]
rows = (5 + 9 + 25) * 4096 * 2
check("stage2.rows", rows)

# %% [markdown]
# **2. Your own distance** (medium, 5 minutes) Write
# `distance(projected, condition)`: the mean squared error divided by the
# mean square of the condition, one number for the whole batch.

# %%
distance = ...
check("stage2.distance", distance)


# %% tags=["solution"]
def distance(projected, condition):
    error = (projected - condition).pow(2).mean()
    return error / condition.pow(2).mean()


check("stage2.distance", distance)

# %% [markdown]
# **3. Well formed by construction** (medium, 8 minutes) Write
# `complete(chosen, blocks)`. `chosen` are the tokens an LLM picked, one
# by one; it can only pick words and *first* tokens of blocks. `blocks`
# maps a modality to its list of token ids. Return the whole sequence, in
# which each first token is followed by the rest of its block.

# %%
complete = ...
check("stage2.complete", complete)


# %% tags=["solution"]
def complete(chosen, blocks):
    rest = {ids[0]: ids[1:] for ids in blocks.values()}
    sequence = []
    for token in chosen:
        sequence += [token, *rest.get(token, [])]
    return sequence


check("stage2.complete", complete)

# %% [markdown]
# **4. How a learned query asks** (hard, 25 minutes) The heart of the output
# projection is cross-attention: each of L learned queries shares itself out
# among the N signal tokens. Write `ask(queries, states, attention)` for
# queries (B, L, H) and states (B, N, H); the result is (B, L, H).
# `attention` holds the weights as torch's `nn.MultiheadAttention` does:
# `in_proj_weight` (3 H, H) and `in_proj_bias` (3 H,), one third each for q, k
# and v; `out_proj.weight`, `out_proj.bias`; `num_heads`. Do not call it.
#
# <details><summary>A hint</summary>Queries become q, states become k and v.
# Each is then cut into heads of H / num_heads neighbouring numbers:
# <code>unflatten(-1, (num_heads, -1)).transpose(1, 2)</code>.</details>
# <details><summary>Another hint</summary>softmax(q k<sup>T</sup> / root of a
# head's width), over the N states; times v; heads side by side again; then
# out_proj.</details>

# %%
ask = ...
check("stage2.ask", ask)


# %% tags=["solution"]
def ask(queries, states, attention):
    weights = attention.in_proj_weight.chunk(3)
    biases = attention.in_proj_bias.chunk(3)
    inputs = (queries, states, states)
    q, k, v = (
        (x @ w.T + b).unflatten(-1, (attention.num_heads, -1)).transpose(1, 2)
        for x, w, b in zip(inputs, weights, biases, strict=True)
    )  # (B, heads, L or N, H / heads)
    shares = (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1)  # (B, heads, L, N)
    read = (shares @ v).transpose(1, 2).flatten(-2)  # (B, L, H)
    return read @ attention.out_proj.weight.T + attention.out_proj.bias


check("stage2.ask", ask)

# %% [markdown]
# Yours inside the shipped model: each layer of its projection asks your way,
# and the first caption is drawn.

# %%
from nextgpt_lite.notebook import solved

if solved("stage2.ask"):
    with torch.no_grad():
        theirs = from_signals(shipped, "image", words[:1])  # (1, L, C)
    for layer in shipped.output_projections["image"].tfm.decoder.layers:
        inner = layer.multihead_attn
        inner.forward = lambda q, k, v, inner=inner, **_: (ask(q, k, inner), None)
    yours = from_signals(shipped, "image", words[:1])
    record("your attention serves the model", torch.allclose(yours, theirs, atol=1e-4))
    (drawn,) = decode("image", yours)
    show_images([drawn], [f"{words[0]}: {verdict(scenes['image'][0], drawn)}"])
    for layer in shipped.output_projections["image"].tfm.decoder.layers:
        del layer.multihead_attn.forward  # torch's own again

# %% [markdown]
# *Go further:* keep `shares` of the last layer. To which of the five signal
# tokens do the queries of the colour's place in the caption listen? Train the
# loop above with a single query that is used L times: what is lost?

# %% [markdown]
# ## Do you remember?
#
# <details><summary>Why can a block never be malformed here?</summary>Only its
# first token is chosen; the rest is appended.</details>
# <details><summary>What does a distance of 1 mean?</summary>No better than
# zeros. The mean condition comes far below 1, and reads nothing.</details>
# <details><summary>Which gradient reaches the rows of signal
# tokens?</summary>That of their cross-entropy, and that of the condition
# through the LLM.</details>
#
# ## Summary
#
# - A block of signal tokens stands for one item; its hidden states, with
#   their embeddings, say which one.
# - Only the rows of new tokens learn in the LLM. The rest of both
#   matrices is bit for bit as before.
# - A transformer with learned queries turns N states into the L x C
#   numbers that the frozen decoder reads.
# - The target comes from the decoder's own text encoder, so captions are
#   all the data there is.
#
# | paper | here | tested in |
# |---|---|---|
# | section 4.2, signal tokens | `MODALITIES`, `LanguageModel` | `test_conversation.py` |
# | section 4.2, output projection | `projections.OutputProjection` | `test_projections.py` |
# | section 4.2, negative log-likelihood | `losses.token_losses` | `test_stages.py` |
# | section 4.2, l2 distance | `losses.condition_distance` | `test_stages.py` |
# | appendix C, stage 2 | `training.stages.STAGES[2]`, `train` | `test_stages.py` |
# | appendix E, blocks at inference | `generation.generate` | `test_generation.py` |
#
# Next: [notebook 5](05_stage3_instruction_tuning.ipynb), where the LLM learns *when* to
# answer with which modality. Or first [notebook 13](13_the_decoder_from_scratch.ipynb): what
# the frozen decoder does with a condition, in sixty lines of your own.
