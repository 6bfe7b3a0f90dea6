# %% [markdown]
# # 9. Evaluation: what a number in a table means
#
# **What you will learn**
# - what CIDEr counts, and what it cannot see
# - why a Frechet distance (FID, FAD) is a number *of an extractor and an N*
# - how a model is asked questions with fixed answers, and how it fails
# - how to run every table of the paper's section 6, ours next to theirs
#
# Time and memory: `lite` about 1.5 minutes, 0.9 GB · `colab`, `paper`: not
# measured
#
# Study: about 50 minutes, and 15 for the exercises. Before it: [notebook
# 6](06_any_to_any_inference.ipynb). Next: [notebook
# 10](10_real_checkpoints_on_colab.ipynb).
#
# Papers:
# [NExT-GPT](https://arxiv.org/abs/2309.05519),
# [CIDEr](https://arxiv.org/abs/1411.5726),
# [FID](https://arxiv.org/abs/1706.08500),
# [MME](https://arxiv.org/abs/2306.13394),
# [MMBench](https://arxiv.org/abs/2307.06281).
#
# You need to have seen the model answer (notebook 6). The paper's Tables 2
# to 13 are measured on COCO, MSR-VTT, AudioCaps, MME and others, which are
# not here; the same code reads their files and runs on the lite world.
#
# ```text
#               ┌─ words:    CIDEr, facts          against references
# the model ────┼─ media:    FID, FAD, verifier    against a floor
#               └─ choices:  MME, MMBench          against guessing
# ```

# %% tags=["parameters"]
profile = "lite"
seed = 0
inference_steps = 8  # diffusion steps of each decoder
checkpoint = "lite"  # or a folder that your own stage 3 wrote
items = 8  # behind each measured figure
questions = 4  # of each kind, in Tables 12 and 13

# %%
from nextgpt_lite.notebook import start

session = start(profile, seed)

# %%
from nextgpt_lite import NextGPT

model = NextGPT.from_pretrained(checkpoint)

# %% [markdown]
# ## A caption metric by hand
#
# CIDEr asks how much a caption talks like people do *about this image and
# no other*: runs of one to four words, weighed by how few images of the set
# they are said of, compared by cosine. Here it is, in the variant CIDEr-D
# that tables print.

# %%
import math
from collections import Counter

from nextgpt_lite.evaluation.metrics import cider_each, words_of


def runs(text, n):
    words = words_of(text)
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def cider(candidates, references):
    """CIDEr-D of each candidate, 0 to 10."""
    scores = [0.0] * len(candidates)
    for n in (1, 2, 3, 4):
        said_of = Counter(
            run for texts in references for run in set().union(*(runs(t, n) for t in texts))
        )

        def weigh(text, n=n, said_of=said_of):
            return {
                run: c * math.log(len(candidates) / max(1, said_of[run]))
                for run, c in runs(text, n).items()
            }

        for i, (said, texts) in enumerate(zip(candidates, references, strict=True)):
            ours = weigh(said)
            for text in texts:
                theirs = weigh(text)
                size = math.hypot(*ours.values()) * math.hypot(*theirs.values())
                common = sum(
                    min(ours[r], theirs[r]) * theirs[r] for r in ours.keys() & theirs.keys()
                )
                longer = len(words_of(said)) - len(words_of(text))
                if size:
                    penalty = math.exp(-(longer**2) / 72)
                    scores[i] += common / size * penalty / len(texts) * 2.5
    return scores


# %% [markdown]
# The model describes images it has never seen. Each has five references:
# the canonical caption and four paraphrases.

# %%
from nextgpt_lite.evaluation import describe
from nextgpt_lite.notebook import record, show_images
from nextgpt_lite.world import lite_items, lite_spice

shown = lite_items("image", items, seed=seed)
said = describe(model, shown)
references = [item.captions for item in shown]
by_hand = cider(said, references)
package = cider_each(said, references)
assert all(abs(a - b) < 1e-9 for a, b in zip(by_hand, package, strict=True))
record(
    "largest difference to the package",
    max(abs(a - b) for a, b in zip(by_hand, package, strict=True)),
)
facts = lite_spice(said, references)
show_images(
    [item.media() for item in shown[:4]],
    [
        f"{text}\nCIDEr {c:.1f}, facts {100 * f:.0f} %"
        for text, c, f in zip(said[:4], package, facts, strict=False)
    ],
)

# %% [markdown]
# ## What it cannot see
#
# Take the right caption of each image and do two things to it: say the
# same in other words, or change nothing but the size into the wrong one.

# %%
from dataclasses import replace
from random import Random

from nextgpt_lite.evaluation import compare
from nextgpt_lite.world import SIZES, caption, paraphrase

rng = Random(seed)
many = lite_items("image", 60, seed=seed + 1)
truths = [item.captions for item in many]


def wrong_size(picture):
    first, *rest = picture.groups
    (other,) = set(SIZES) - {first.size}
    return replace(picture, groups=(replace(first, size=other), *rest))


reworded = [paraphrase(item.source.scene, rng) for item in many]
lying = [caption(wrong_size(item.source.scene)) for item in many]
print("truth:   ", truths[0][0])
print("reworded:", reworded[0])
print("lying:   ", lying[0])

# %%
import numpy as np

scores = {
    name: np.array([cider_each(texts, truths)])
    for name, texts in (("reworded", reworded), ("lying", lying))
}
gap = compare(scores["lying"], scores["reworded"])
print("CIDEr, lying minus reworded:", gap)
assert abs(scores["lying"].mean() - scores["reworded"].mean()) < 0.5  # of 10: "about as much"
record("CIDEr, lying", float(scores["lying"].mean()))
record("CIDEr, reworded", float(scores["reworded"].mean()))
true_facts = float(np.mean(lite_spice(lying, truths)))
print(f"{true_facts:.0%} of the facts in the lies hold")
record("share of facts that hold in the lies", true_facts)

# %% [markdown]
# In brackets the 95 % interval over the 60 images. A lie in the right
# words is worth about as much as the truth in others. That is why SPICE
# looks at facts, why Table 5 prints SPIDEr (the mean of both), and why this
# project reads every image with a verifier instead. (SPICE itself is a
# Java program; `lite_spice` compares what the lite world's own parser reads.)
#
# ## A distance between two heaps of images
#
# FID fits a Gaussian to the features of each heap and takes the Frechet
# distance of the two Gaussians (Heusel et al., 2017, eq. 6):
#
# $$d^2 = \lVert m_1 - m_2 \rVert^2 + \mathrm{Tr}\left(C_1 + C_2 -
# 2 (C_1 C_2)^{1/2}\right)$$
#
# In one dimension, with standard deviations: (m1 - m2)² + (s1 - s2)². In
# many, there is a matrix root, for which a sum
# of singular values stands here (`frechet_distance`), so that few items
# with many features are no trouble.

# %%
import torch

from nextgpt_lite.evaluation.metrics import Features, frechet_distance

features = Features.of(model)
print(features.name)
first, second = torch.tensor([[-1.0], [1.0]]), torch.tensor([[3.0], [7.0]])
by_formula = (0 - 5) ** 2 + (2**0.5 - 8**0.5) ** 2
print(frechet_distance(first, second), by_formula)
record(
    "closed form met",
    abs(frechet_distance(first, second) - by_formula) < 1e-9,
)

# %% [markdown]
# Now two heaps of renders of the **same** world, N images each. Their true
# distance is 0. What is measured?

# %% tags=["hide-input"]
from matplotlib.figure import Figure

from nextgpt_lite.notebook import show_figure

heap = features.media("image", [i.media() for i in lite_items("image", 256)])
sizes = (8, 16, 32, 64, 128)
measured = {
    n: [
        frechet_distance(*heap[torch.randperm(256, generator=g)[: 2 * n]].split(n))
        for g in [torch.Generator().manual_seed(s) for s in range(5)]
    ]
    for n in sizes
}
figure = Figure(figsize=(7, 3.2), layout="constrained")
axes = figure.subplots()
for n, values in measured.items():
    axes.plot([n] * len(values), values, "o", color="#0072b2")
axes.set(xscale="log", xlabel="N images on each side", ylim=(0, None))
axes.set(ylabel="Frechet distance", title="same world on both sides")
axes.set_xticks(sizes, sizes)
show_figure(
    figure,
    "Frechet distance of two heaps of the same world by their size: "
    + ", ".join(f"{np.mean(values):.2f} at {n}" for n, values in measured.items()),
)
record(
    "distance at N = 8 over N = 128",
    float(np.mean(measured[8]) / np.mean(measured[128])),
)

# %% [markdown]
# Not 0, and larger the smaller N is. A distance is to be compared only with
# one of the same N, the same extractor, the same image size; so each of
# our tables states all three, and has a floor: the same captions rendered
# once more.
#
# ## Tables 2 and 4, small
#
# `run_table(n, model)` is what `nextgpt-lite evaluate --table n` prints.

# %%
from IPython.display import Markdown, display

from nextgpt_lite.evaluation import Setting, run_table

setting = Setting(items, steps=inference_steps, seed=seed)
sheets = {n: run_table(n, model, setting) for n in (2, 4)}
display(Markdown(sheets[2].markdown()))

# %%
rows = sheets[2].rows
floor = rows["floor: the same captions rendered again"][0]
print(f"the model's distance over the floor: {rows['NExT-GPT, signal tokens'][0] / floor:.2f}")
record("FID, model over floor", rows["NExT-GPT, signal tokens"][0] / floor)
display(Markdown(sheets[4].markdown().split("| the paper")[0]))

# %% [markdown]
# Compare the two upper rows with each other, as in the paper's Table 2,
# where SD's own row and NExT-GPT's differ by 0.07: signal tokens can hardly
# be better than the decoder they steer. With so few items a difference of
# a few hundredths says nothing: even the floor can be undercut by luck. What
# such a number stands for in a single case:

# %%
from nextgpt_lite.evaluation import from_signals
from nextgpt_lite.notebook import show_audio

sound = lite_items("audio", 3, seed=seed)[0]
show_audio(sound.media(), f"rendered: {sound.captions[0]}")
(made,) = from_signals(model, "audio", [sound.captions[0]], setting)
show_audio(made, "made by the model")

# %% [markdown]
# ## Questions with fixed answers
#
# MME asks each image twice, once to be answered yes and once no; its score
# is 100 (acc + acc+), where acc+ counts images with both right. MMBench
# and SEED-Bench give four options. The model takes the option that it finds
# likeliest as its reply. The lite world's own questions are written into the
# benchmarks' real files first, then read back from them.

# %%
few = Setting(questions, seed=seed)
sheets |= {n: run_table(n, model, few) for n in (12, 13)}
for n in (12, 13):
    display(Markdown(sheets[n].markdown().split("| the paper")[0]))
mme = [v for v in sheets[12].rows["NExT-GPT"] if v is not None]
print(f"MME, mean of the subtasks: {np.mean(mme):.0f} of 200; guessing: 75")
record("MME, mean of the subtasks", float(np.mean(mme)))
record("MMBench, all questions", sheets[13].rows["NExT-GPT"][0])
record("MMBench, instance level", sheets[13].rows["NExT-GPT"][4])

# %% [markdown]
# Does a benchmark tell a good model from a worse one? Here is a deliberately
# weak one, which opens no signal block any more: the same model without what
# stage 3 taught its LLM (LoRA's B at zero; notebook 6 shows it).

# %%
weak = NextGPT.from_pretrained(checkpoint)
weak.decoders = model.decoders  # frozen, so sharing them is safe
with torch.no_grad():
    for name, parameter in weak.named_parameters():
        if "lora_B" in name:
            parameter.zero_()
worse = run_table(13, weak, few).rows["NExT-GPT"][0]
best = sheets[13].rows["NExT-GPT"][0]
print(f"MMBench: shipped {best:.0f} %, without LoRA {worse:.0f} %")
if worse > best - 10:
    print("It cannot: it takes the likeliest of four options, and asks for no medium.")

# %%
from nextgpt_lite.evaluation import Score

_, _, _, relation, *look, _, _, _ = sheets[13].rows["NExT-GPT"]
settled = Score(round(sum(look) * questions / 100), 3 * questions)
related = Score(round(relation * questions / 100), questions)
print("colour, number and place:", settled)
print("relations:               ", related)

# %% [markdown]
# Facts that one look settles (colour, number, place) come out well. Of
# relations a quarter would be right by guessing: see whether the interval
# leaves that out. And a yes or no can be worse than the fact behind it. Let
# the model go on speaking:

# %%
from pathlib import Path
from tempfile import TemporaryDirectory

from nextgpt_lite.evaluation import YES_NO, read_mme
from nextgpt_lite.world import write_mme

with TemporaryDirectory() as folder:
    write_mme(Path(folder), items, seed)
    asked = [q for q in read_mme(folder) if q.category == "color"]
    pictures = [question.media() for question in asked]
begins, knows = [], []
for index, (question, picture) in enumerate(zip(asked, pictures, strict=True)):
    reply = model.chat(question.question, images=[picture], output_modalities=[]).text
    right = YES_NO[question.answer]
    colour = asked[index - index % 2].question.rstrip("?").split()[-1]
    begins.append(reply.startswith(right))
    knows.append(colour in reply)  # of the pair the first one is true
    if index < 6:
        print(f"{question.question:<28} {right:<4} {reply}")
print("yes or no right:", Score.of(begins))
print("colour right:   ", Score.of(knows))
record("colour named right", Score.of(knows).rate)

# %% [markdown]
# Where the two figures differ, a reply contradicts itself, and a benchmark
# that reads the first word and one that reads the fact disagree about it. Yes
# or no has to be said *before* the colour: what is asked must be compared with
# what is seen within one token, the hardest step for so small an LLM.
#
# ## Figure 5: from anything to anything
#
# The paper asked people to score conversions from 1 to 10. Here the world's
# verifiers do, two requests a cell: enough to see the figure, far too few to
# judge a cell by it. Two equal scores have no width, and mean nothing yet. The
# hatched bars are the weak model's, which MMBench could hardly tell apart.

# %%
from nextgpt_lite.world import figure as draw, grid

wanted = [("text",), ("image",), ("audio",), ("image", "audio")]
options = {"wanted": wanted, "seed": seed, "num_inference_steps": inference_steps}
cells = grid(model, 2, **options)
weaker = grid(weak, 2, **options)
show_figure(
    draw(cells, weaker),
    "Mean scores: "
    + ", ".join(f"{s} to {' and '.join(t)} {v.mean:.1f}" for (s, t), v in cells.items()),
)
means = [cell.mean for cell in cells.values()]
print(f"{len(cells)} cells, mean score {np.mean(means):.1f}")
lost = float(np.mean(means)) - float(np.mean([cell.mean for cell in weaker.values()]))
print(f"the weak model's mean score is lower by {lost:.1f}")
assert lost > 1  # as the text says
record("cells of the grid", len(cells))
record("mean score of the conversions", float(np.mean(means)))

# %% [markdown]
# `grid(model, count)` with all eight targets, videos among them, is the whole
# figure; it takes some minutes.
#
# ## Exercises
#
# **9.1 Score** (easy, 3 minutes). Ten images with two questions each; 16 of
# the 20 answers are right, and 7 images have both right. MME's score?

# %%
from nextgpt_lite.notebook import check

score = ...
check("evaluation.mme", score)

# %% tags=["solution"]
score = 100 * (16 / 20 + 7 / 10)
check("evaluation.mme", score)

# %% [markdown]
# **9.2 Frechet in one dimension** (medium, 5 minutes). Write
# `frechet(m1, v1, m2, v2)` from means and **variances**.

# %%
frechet = ...
check("evaluation.frechet", frechet)

# %% tags=["solution"]


def frechet(m1, v1, m2, v2):
    return (m1 - m2) ** 2 + (v1**0.5 - v2**0.5) ** 2


check("evaluation.frechet", frechet)

# %% [markdown]
# **9.3 The coin** (easy, 3 minutes). What does a model score on MME that
# tosses a coin for every question?

# %%
coin = ...
check("evaluation.coin", coin)

# %% tags=["solution"]
coin = 100 * (1 / 2 + 1 / 4)
check("evaluation.coin", coin)

# %% [markdown]
# ## Do you remember?
#
# <details><summary>Why is a Frechet distance of two equal heaps not
# 0?</summary>Both are samples: the smaller N, the larger the
# distance.</details>
# <details><summary>Which row stands under a table of FID, and what
# for?</summary>The floor: the same captions rendered again. No model can be
# asked for less.</details>
# <details><summary>Why does MME ask each image twice?</summary>Who always says
# yes has half of the answers right, and no image with both.</details>
#
# ## Summary
#
# - CIDEr sees words: a fluent lie scores like a clumsy truth.
# - A Frechet distance belongs to its extractor and its N; read it against a
#   floor and against the decoder alone.
# - How an answer is read decides the score as much as the model does.
# - `nextgpt-lite evaluate --table N` prints ours next to the paper's; with
#   `--data` it reads the benchmark's own file.
#
# | paper | here | held by |
# |---|---|---|
# | Tables 5, 6, 7, 11 | `evaluation.metrics.captioning` | `test_captioning.py` |
# | Tables 2, 3, 4 | `evaluation.metrics.distances` | `test_distances.py` |
# | Tables 12, 13 | `evaluation.tables.choosing` | `test_choosing.py` |
# | Figure 5 | `world.benchmarks.conversions` | `test_conversions.py` |
# | every table | `evaluation.tables.sheet` | `test_tables.py` |
#
# Next: [notebook 10](10_real_checkpoints_on_colab.ipynb).
