# %% [markdown]
# # 7. Pipeline against end-to-end
#
# **What you will learn**
# - four ways from a request to an image, and what passes between the parts
#   in each: words, captions or signal tokens
# - what an upper bound says about an error: which part is to blame
# - words x channel x decoder: how an answer is taken apart into three factors
# - how instruction following, rationality and quality are measured without
#   asking people
# - why a difference needs an interval, and how seeds and prompts enter it
# - what came of the paper's central claim, Table 14, in the lite world
#
# Time and memory: `lite` about 1.5 minutes, 1.5 GB · `colab`, `paper`: not
# measured
#
# Study: about 50 minutes, and 15 for the exercises. Before it: [notebook
# 6](06_any_to_any_inference.ipynb). Next: [notebook
# 14](14_your_own_ablation.ipynb).
#
# Papers:
# [NExT-GPT](https://arxiv.org/abs/2309.05519),
# [HuggingGPT](https://arxiv.org/abs/2303.17580),
# [Visual ChatGPT](https://arxiv.org/abs/2303.04671).
#
# ```text
#            words          channel                decoder
# request ─> LLM ─┬─> signal tokens ─> projection ─┬─> UNet ─> image
#                 └─> caption ─> text encoder ─────┘
# ```
#
# The paper makes the comparison in appendices G and H: 200 instructions,
# images only, five people as judges. Here a program writes the
# instructions, so each comes with its truth, and verifiers are the judges.

# %% tags=["parameters"]
profile = "lite"
seed = 0
checkpoint = "lite"  # or a folder that your own stage 3 wrote
prompts = 12  # simple ones, and as many complex ones
tuning_steps = 60  # of the caption messenger, from the shipped model on
inference_steps = 10  # of the image decoder

# %%
from nextgpt_lite.notebook import start

session = start(profile, seed)

# %%
from nextgpt_lite import NextGPT

model = NextGPT.from_pretrained(checkpoint)

# %% [markdown]
# ## A pipeline by hand
#
# HuggingGPT and Visual-ChatGPT put a language model between tools. Nothing
# was trained for it: the model reads words, writes words, and each tool
# takes words. Here is such a pipeline in three lines. The planner is the
# **frozen** base LLM of the lite tier, without LoRA and without token rows.
# In its pretraining it has read wishes that begin with "Say what to make:",
# answered by a caption.

# %%
from nextgpt_lite.evaluation import frozen_words
from nextgpt_lite.notebook import show_images

wish = "I have 7 red apples and eat one. Draw the rest."  # Figure 7
asked = [{"role": "user", "content": f"Say what to make: {wish}"}]
caption = frozen_words(model, asked).rstrip(".").lower()  # plan
condition = model.decoder("image").encode_text([caption])  # (1, 24, 128)
print(caption, tuple(condition.shape))

# %% [markdown]
# The package's pipeline does the same, decides first whether a tool is
# needed at all, describes what the user shows, composes a reply, and keeps
# every word that passed between the parts.

# %%
import torch

from nextgpt_lite.evaluation import ToolPipeline, answer
from nextgpt_lite.notebook import record

pipeline = ToolPipeline(model)
options = {"seed": seed, "num_inference_steps": inference_steps}
piped = answer(pipeline, wish, **options)
print(piped)
alike = torch.equal(piped.conditions[0], condition[0])
assert alike
record("inline pipeline equals the package's", alike)

# %% [markdown]
# ## A caption as messenger
#
# The paper's NExT-GPT-caption is trained as NExT-GPT is, on the same
# dialogues, but writes `<Image>caption</Image>` where NExT-GPT writes
# signal tokens, and the decoder's own text encoder reads the caption. One
# setting of the configuration, `messenger="caption"`, makes such a model,
# and all stages train it.
#
# Training it from the beginning takes as long as NExT-GPT itself. Here it
# starts from the shipped model's
# LoRA and input projection and only has to learn the marks.

# %%
import tempfile
from dataclasses import replace
from pathlib import Path

from nextgpt_lite.training import STAGES, Schedule, Trainer
from nextgpt_lite.world import WorldMixture

config = replace(model.config, messenger="caption")
with_captions = NextGPT.from_config(config, seed)
learned = {
    name: value
    for name, value in model.state_dict().items()
    if "lora_" in name or name.startswith("input_projection.")
}
with_captions.load_state_dict(learned, strict=False)

folder = tempfile.TemporaryDirectory(prefix="captions-")  # gone afterwards
stage = replace(STAGES[3], mixture={"t2m": 0.6, "mosit": 0.4})
numbers = Schedule.of(
    stage, steps=tuning_steps, batch_size=8, warmup=5, learning_rate=1e-3,
    log_every=1, mixed_precision="bf16" if profile == "lite" else "auto",
)  # fmt: skip
trainer = Trainer(with_captions, stage, WorldMixture(stage, seed), Path(folder.name), numbers)
lines = trainer.run()
marks = [sum(row["signal"] for row in part) / 5 for part in (lines[:5], lines[-5:])]
print(f"loss on the marks: {marks[0]:.2f} at first, {marks[1]:.2f} at last")
record("loss on the marks, last over first", marks[1] / marks[0])

# %%
from nextgpt_lite.evaluation import Chat, GoldCaption, GroundTruth, OwnWords, share_frozen

share_frozen(model, with_captions)  # one encoder and one decoder for both
captions, end_to_end = Chat(with_captions), Chat(model)
print(answer(captions, wish, **options))
print(answer(end_to_end, wish, **options))

# %% [markdown]
# ## Two bounds
#
# A wrong image can be the fault of the words, of the vectors, or of the
# decoder. Two systems that know the truth tell which:
#
# - **gold caption**: the true caption through the decoder's text encoder.
#   Nothing that hands over words can be expected to beat it;
# - **ground truth**: the scene itself, rendered. It is what the verifiers
#   should give full marks.
#
# And a third one that knows nothing: **own words**, the caption that the
# end-to-end model itself wrote before its signal tokens, through the text
# encoder. It needs no training of its own, and only its condition is
# another one than the model's.
#
# All systems share the frozen parts and begin from the same noise, so that
# they differ in their conditions alone. The paper's Figures 6 to 8, in the
# lite world:

# %%
from nextgpt_lite.world import Group, Picture, assistant, telling

cases = {
    "Draw a cat in the garden.": Picture(
        (Group("cat", "black"),), None, "garden"
    ),
    wish: Picture((Group("apple", "red", count=6),)),
    "A small orange dog is left of a blue man. Draw it with the man first.":
        Picture(
            (Group("man", "blue"), Group("dog", "orange", "small")),
            "right of",
        ),
}  # fmt: skip
systems = [
    pipeline, captions, end_to_end, OwnWords(model), GoldCaption(model), GroundTruth(model)
]  # fmt: skip
for system in systems:  # not those of the shipped tables below
    system.name += ", today"
pictures, titles = [], []
for text, scene in cases.items():
    truth = assistant(telling(scene), scene)["content"]
    print(text)
    for system in systems:
        given = answer(system, text, truth=truth, **options)
        print(f"   {system.name}: {given.reply.text}")
        pictures += given.reply.images[:1]
        titles += [system.name] * len(given.reply.images[:1])
show_images(pictures, titles, columns=len(systems))

# %% [markdown]
# ## Instructions with their truth
#
# `instructions(n)` makes n simple and n complex ones for each group:
# images, audio, videos, several media at once, and none at all. Half of
# them use wordings and pairs that training never contains.

# %%
from nextgpt_lite.world import instructions

test = instructions(prompts, groups=("image",))
for one in test[: prompts + 6]:
    if one.level == "complex" or one.id.endswith("000"):
        turns = sum(message["role"] == "user" for message in one.messages)
        skill = one.about["skill"]
        print(f"{skill} ({turns} turns): {one.prompt} -> {one.words}")

# %% [markdown]
# ## Three aspects
#
# The paper's volunteers judged **instruction following** (does the reply
# answer what was asked?), **rationality** (does the image adhere to the
# instruction?) and **quality**. Here, from 0 to 100:
#
# - following: the share of the wanted attributes that the verifier finds
#   (and words that tell no other scene);
# - rationality: 100 if everything is right and nothing is added, else 0;
# - quality: how close the image is to a true render of *what it shows*,
#   in the space of the frozen encoder; 0 if the verifier cannot read it.

# %%
from nextgpt_lite.evaluation.comparison import judged
from nextgpt_lite.evaluation.metrics import Features
from nextgpt_lite.world import Judge

judge = Judge(Features(model.encoder, profile))
rows = []
for system in systems:
    found = judged(system, test, judge, seed=seed, num_inference_steps=inference_steps)
    rows += list(found)
print(len(rows), "answers, the first:", rows[0])

# %% [markdown]
# ## Asking people
#
# The volunteers saw the answers of four systems to an instruction. Whoever
# knows which is which cannot judge them fairly, so `RatingWidget` shows them
# in a random order and without names, and asks for one aspect after the
# other: 1 to 10 by keys or buttons (or the best of them, `mode="best"`).
# Every judgement is in the file before the next question comes. Where no
# kernel runs, as on a page, the question shows without its buttons.

# %%
from nextgpt_lite.evaluation import Session, item_of
from nextgpt_lite.notebook import RatingWidget

one = test[-1]
four = {s.name: answer(s, one.messages, truth=one.truth, **options) for s in systems[:4]}
people = Session([item_of(one, four)], Path(folder.name) / "you.jsonl", "you")
RatingWidget(people)

# %% [markdown]
# `Results.read(folder)` makes the tables of the paper's appendices F and G of
# such files, and Krippendorff's **alpha**: how far raters agree beyond
# chance (1: fully, 0: as by chance).

# %% [markdown]
# ## A mean is not a claim
#
# With few prompts a mean moves by many points when other prompts are drawn.
# The **bootstrap** asks how far: draw as many prompts from ours, with
# replacement, again and again, and look where 95 % of the means lie.

# %%
import numpy as np

from nextgpt_lite.evaluation import interval, table

mine = [row for row in rows if row["system"] == "end-to-end, today"]
values, names = table(mine, "following")  # (seeds, prompts)
random = np.random.default_rng(seed)
count = values.shape[1]
draws = random.multinomial(count, np.full(count, 1 / count), 2000)
means = draws @ values[0] / count  # (2000,)
low, high = np.percentile(means, [2.5, 97.5])
package = interval(values)
print(f"by hand {values.mean():.1f} [{low:.1f}, {high:.1f}], package {package}")
wide = max(1e-9, package.high - package.low)
off = max(abs(low - package.low), abs(high - package.high)) / wide
assert off < 0.15
print(f"the ends differ by {off:.1%} of the interval")
record("ends of the interval, by hand against package", off)

# %% [markdown]
# The live table, in the form of Table 14. The number in brackets is the
# paper's: people's judgement of large models' images. The scales differ;
# what can be compared is the order of the systems.

# %%
from IPython.display import Markdown, display

from nextgpt_lite.evaluation.comparison import table14

display(Markdown(table14(rows)))

# %% [markdown]
# Systems answered the **same** prompts, so they are compared prompt by
# prompt: what is hard for all of them cancels out. A difference whose
# interval holds zero is no difference that these prompts can show. The
# **sign-flip test** asks the same in another way: were both systems alike,
# each prompt's difference could as well have the other sign; how often would
# random signs give a mean as far from zero? With few prompts a bootstrap is
# too sure of itself, so a claim below needs both.

# %%
from nextgpt_lite.evaluation.comparison import difference, mean, where


def verdict(rows, first, second, aspect, level):
    """One sentence that an interval allows."""
    part = where(rows, group="image", level=level)
    if not all(where(part, system=name) for name in (first, second)):
        return None
    found = difference(part, first, second, aspect)
    low, high = found.interval.low, found.interval.high
    says = "cannot be told from"
    if (low > 0 or high < 0) and found.p < 0.05:
        says = "is above" if low > 0 else "is below"
    return f"{level:8}{aspect:12} {first} {says} {second}: {found}"


for level in ("simple", "complex"):
    for other in ("tool pipeline", "caption messenger", "own words", "gold caption"):
        print(verdict(rows, "end-to-end, today", f"{other}, today", "following", level))

# %%
by_system = {system.name: mean(where(rows, system=system.name), "following") for system in systems}
for system in systems:
    record(f"following, {system.name.split(',')[0]}", by_system[system.name].mean)
truth = mean(where(rows, system="ground truth, today"), "rationality")
record("rationality, ground truth", truth.mean)

# %% [markdown]
# ## Words, channel, decoder
#
# The end-to-end model says in words what it makes ("Here is a large red
# car.") before its signal tokens say it to the decoder. So its own words
# tell whether it *understood*, and an answer can be taken apart into three
# factors whose product is the share of answers right in words and image:
#
# - **words**: the reply tells exactly what was wanted (`told_right`);
# - **decoder**: of those, how many the gold caption gets right;
# - **channel**: how many of *them* come out of the system's own condition.
#   100 % loses nothing that a caption keeps; more than that, no caption can.
#
# By hand, from the columns of the rows:

# %%
from nextgpt_lite.evaluation.comparison import decomposition, factors


def parts(rows, name, level):
    told = [r for r in rows if r["system"] == name and r["level"] == level]
    asked = len(told)
    told = [r for r in told if float(r["told_right"]) == 100]
    gold = {r["id"]: float(r["rationality"]) for r in rows if r["system"] == "gold caption, today"}
    right = sum(float(r["rationality"]) for r in told)
    best = sum(gold[r["id"]] for r in told)
    return 100 * len(told) / asked, 100 * right / best, best / len(told)


by_hand = parts(rows, "end-to-end, today", "complex")
one = where(rows, level="complex")
package = factors(one, "end-to-end, today", "gold caption, today")
off = max(abs(a - b.mean) for a, b in zip(by_hand, package[:3], strict=True))
assert off < 1e-9
record("factors by hand against package", off)
display(Markdown(decomposition(rows, reference="gold caption, today")))

# %% [markdown]
# ## Which modality?
#
# Before an image can be wrong, the system must have decided to make one.
# Drafts are enough to measure that: no decoder runs. Among the instructions
# are some for audio, for videos, for several media, and some that want
# words alone.

# %%
from nextgpt_lite.evaluation.comparison import decided

choices = {}
asked = [one.opened() for one in instructions(4)]  # the user's media are loaded
for system in (pipeline, end_to_end):
    drafts = system.drafts(asked, [seed] * len(asked))
    choices[system.name] = [
        {
            "seed": seed, "id": one.id,
            "wanted": "+".join(part["type"] for part in one.wanted),
            "given": "+".join(part["type"] for part in draft.media),
        }
        for one, draft in zip(asked, drafts, strict=True)
    ]  # fmt: skip
    for modality in ("image", "audio", "video"):
        found = decided(choices[system.name], modality)
        print(f"{system.name}, {modality}: precision {found.precision}, "
              f"recall {found.recall}")  # fmt: skip
    kinds = [row["wanted"] == row["given"] for row in choices[system.name]]
    name = system.name.split(",")[0]
    print(f"{name}: exactly the wanted media in {sum(kinds)} of {len(kinds)}")
    record(f"exactly the wanted media, {name}", sum(kinds) / len(kinds))

# %% [markdown]
# ## The real comparison
#
# The runs that count cannot be made in a minute. Their answers to 100 simple
# and 100 complex instructions ship in `results/`, one row an answer, and
# everything below is computed from these rows. How they were made, with
# which weights and budgets, stands next to them:
#
# - `lite_messenger`: end-to-end and caption messenger, trained with the same
#   budget on the same dialogues, three seeds through all stages, by
#   `nextgpt-lite ablate`; for images, audio and videos;
# - `lite_baselines`: pipelines, bounds and the shipped model, which was
#   trained for longer, by `nextgpt-lite compare`.
#
# Mind the names. "end-to-end, today" in the small table above is the model
# that ships today. Below, "end-to-end" is the one of the ablation, with a
# small budget; the model that shipped when these tables were made is
# "end-to-end, shipped". The first lines below say whether the weights that a
# table stands on are still those that ship.

# %%
from nextgpt_lite.evaluation import outdated
from nextgpt_lite.evaluation.comparison import read_rows

results = session.data.parent / "results"
shipped = []
for name in ("messenger", "baselines"):
    path = results / f"lite_{name}" / f"{name}.csv"
    if path.is_file():
        shipped += read_rows(path)
        print(outdated(path))
print(f"{len(shipped)} shipped answers")
display(Markdown(table14(shipped or rows)))

# %% tags=["hide-input"]
from matplotlib.figure import Figure

from nextgpt_lite.evaluation.comparison import systems_of
from nextgpt_lite.notebook import show_figure
from nextgpt_lite.world import ASPECTS

shown = where(shipped or rows, group="image")
order = systems_of(shown)
figure = Figure(figsize=(11, 4.4), layout="constrained")
for axes, aspect in zip(figure.subplots(1, 3, sharey=True), ASPECTS, strict=True):
    for level, shift, colour, mark in (
        ("simple", 0.15, "#0072b2", "o"), ("complex", -0.15, "#d55e00", "s")
    ):  # fmt: skip
        for height, name in enumerate(reversed(order)):
            found = mean(where(shown, system=name, level=level), aspect)
            axes.plot(
                [found.low, found.mean, found.high], [height + shift] * 3, "-" + mark,
                markevery=[1], color=colour, label=level if not height else None,
            )  # fmt: skip
    axes.set(title=aspect, xlim=(0, 102), yticks=range(len(order)))
    axes.set_yticklabels(list(reversed(order)))
    axes.grid(alpha=0.25, axis="x")
figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
show_figure(figure, "Means and intervals of every system, by aspect and level; the table above")

# %% [markdown]
# And what may be claimed. A model is compared with what had the same budget:
# messengers with each other, the shipped model with the pipeline whose
# captioner it is.

# %%
pairs = [
    ("end-to-end", "caption messenger"),
    ("end-to-end, shipped", "tool pipeline"),
    ("end-to-end, shipped", "gold caption"),
]
for level in ("simple", "complex"):
    for aspect in ASPECTS:
        for first, second in pairs:
            line = verdict(shown, first, second, aspect, level)
            if line:
                print(line)

# %% [markdown]
# Where do the answers of the end-to-end model get lost? The same three
# factors, over three seeds. If `words` is alike for both messengers and
# `channel` is not, the two models understood equally well, and what differs
# is the way from states to condition.

# %%
from nextgpt_lite.evaluation.comparison import both_told, factors_figure

if where(shipped, system="gold caption"):
    display(Markdown(decomposition(shown)))
    for level in ("simple", "complex"):
        both = both_told(where(shown, level=level), "end-to-end", "caption messenger")
        print(f"{level}, told rightly by both ({both.answers}): end-to-end {both.first}, "
              f"captions {both.second}, difference {both.difference}")  # fmt: skip
    show_figure(
        factors_figure(shown), "Words, channel and decoder of every system; the table above"
    )

# %% [markdown]
# Audio and videos, which the paper left out:

# %%
for group in ("audio", "video"):
    if where(shipped, group=group):
        display(Markdown(f"**{group}**\n\n{table14(where(shipped, group=group), group)}"))

# %% [markdown]
# Read the lines one by one, and mind that of twenty tests of nothing one
# comes out below 0.05. Mind, too, what they do not say. The paper's claim is
# about systems whose language model has more to tell the decoder than a
# caption can hold. In the lite world a canonical caption holds *everything*
# about a scene, and the signal tokens are trained to imitate what the text
# encoder makes of that caption: the gold caption is then a bound for them
# too, and a messenger that is words starts without a handicap. Whichever way
# a line above went, it speaks of this world, this budget and this size.

# %% [markdown]
# ## Exercises
#
# **7.1 Four prompts** (easy, 3 minutes). A system beats another on four
# prompts out of four, each time by the same amount. What is the two-sided
# p-value of the sign-flip test?

# %%
from nextgpt_lite.notebook import check

p = ...
check("pipeline.signs", p)

# %% tags=["solution"]
p = 2 / 2**4  # all plus and all minus, of sixteen patterns
check("pipeline.signs", p)

# %% [markdown]
# **7.2 Who is to blame?** (easy, 3 minutes). For one prompt the pipeline's
# image is wrong and the gold caption's is right, from the same noise. Did
# the `"words"`, the `"decoder"` or the `"verifier"` fail?

# %%
culprit = ...
check("pipeline.blame", culprit)

# %% tags=["solution"]
culprit = "words"  # decoder and verifier were the same in both
check("pipeline.blame", culprit)

# %% [markdown]
# **7.3 An interval of your own** (medium, 8 minutes). Write
# `ends(values, random, rounds)`: it draws `rounds` times as many values as
# there are, with replacement, from the NumPy generator `random`, and returns
# the ends of the 95 % interval of the mean.

# %%
ends = ...
check("pipeline.bootstrap", ends)

# %% tags=["solution"]


def ends(values, random, rounds):
    drawn = random.choice(values, (rounds, len(values)))  # with replacement
    return np.percentile(drawn.mean(1), [2.5, 97.5])


check("pipeline.bootstrap", ends)

# %% [markdown]
# ## Do you remember?
#
# <details><summary>What does a channel of 50 % say?</summary>Of the answers
# that were told rightly and that a gold caption gets right, half come out of
# the system's own condition.</details>
# <details><summary>Why is own words a fair system without any
# training?</summary>It is the same model with the same words; only the
# condition comes from the text encoder.</details>
# <details><summary>Why must the noise be the same in all
# systems?</summary>Else a difference could be the noise's.</details>
#
# ## Summary
#
# - A pipeline hands over words; a caption messenger hands over words that
#   were tuned for it; NExT-GPT hands over vectors. All decoders are the same.
# - Gold caption and ground truth bound them, and tell which part failed.
# - Words, channel, decoder: three factors with intervals say where answers
#   are lost; own words re-encoded tell the same of one model without training.
# - Aspects come from verifiers and one frozen encoder; every answer is a row,
#   and tables, figures and sentences are computed from rows.
# - Seeds and prompts are both resampled in an interval; systems are compared
#   on the same prompts; an interval that holds zero is no claim.
#
# | paper | here | held by |
# |---|---|---|
# | appendix G, HuggingGPT | `baselines.ToolPipeline` | `test_pipeline.py` |
# | appendix G, NExT-GPT-caption | `messenger="caption"` | `test_nextgpt.py` |
# | appendix G, instructions | `world.comparison.instructions` | `test_instructions.py` |
# | appendix G, three aspects | `world.comparison.aspects` | `test_aspects.py` |
# | not in the paper | `evaluation.comparison.factors` | `test_decomposition.py` |
# | Table 14 | `evaluation.comparison.table14` | `test_table14.py` |
# | not in the paper | `evaluation.statistics` | `test_statistics.py` |
#
# Next: [notebook 14](14_your_own_ablation.ipynb).
