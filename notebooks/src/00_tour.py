# %% [markdown]
# # 0. The tour: three stages, then any to any
#
# **What you will learn**
# - what NExT-GPT consists of, and which small part of it learns
# - what each of its three training stages does to the loss, by running
#   each of them for a few seconds
# - how one model answers in text, image, audio and video, and what it
#   answers to an image, an audio clip or a video
# - how a program can tell whether a generated image, audio or video is
#   what was asked for
#
# Time and memory: `lite` about 1.5 minutes, 1.2 GB · `colab`, `paper`: not
# measured
#
# Study: about 40 minutes, and 10 for the exercises. Before it: nothing;
# Python, and what a neural network is. Next: [notebook
# 1](01_the_lite_world.ipynb).
#
# Papers:
# [NExT-GPT](https://arxiv.org/abs/2309.05519),
# [ImageBind](https://arxiv.org/abs/2305.05665),
# [LoRA](https://arxiv.org/abs/2106.09685),
# [latent diffusion](https://arxiv.org/abs/2112.10752),
# [AudioLDM](https://arxiv.org/abs/2301.12503).
#
# Everything below runs on a laptop without a network. The model is small
# and its world is a cartoon street made by program, but its parts are the
# real architectures: ImageBind, Llama with LoRA, Stable Diffusion, AudioLDM
# and a text-to-video diffusion model.

# %% tags=["parameters"]
profile = "lite"
seed = 0
steps = 45
checkpoint = "lite"  # or a folder that your own stage 3 wrote

# %%
from nextgpt_lite.notebook import start

session = start(profile, seed)

# %% [markdown]
# ## What NExT-GPT is
#
# A language model cannot see, hear or paint. NExT-GPT (Wu et al., ICML
# 2024) does not teach it to: it takes an **encoder** that already
# understands images, audio and videos, three **diffusion decoders** that
# already make them, and a **language model** that already talks, freezes
# all of them, and learns only the bridges between (orange).

# %% tags=["hide-input"]
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from nextgpt_lite.notebook import show_figure

FROZEN, LEARNS, INK = "#dde6f0", "#f9d9a8", "#7a7a7a"


def box(x, y, width, height, text, colour="white"):
    edge = {"ec": "#d55e00", "ls": "--"} if colour == LEARNS else {"ec": INK}
    axes.add_patch(Rectangle((x, y), width, height, fc=colour, lw=1.5, **edge))
    middle = {"ha": "center", "va": "center", "color": "#222"}
    axes.text(x + width / 2, y + height / 2, text, **middle)


def arrow(x, y, to_x):
    axes.annotate("", (to_x, y), (x, y), arrowprops={"arrowstyle": "->", "color": INK})


figure = Figure(figsize=(11, 4.2), layout="constrained")
axes = figure.subplots()
box(2.1, 0, 1.1, 2.7, "encoder\nImageBind", FROZEN)
box(3.5, 0, 1.0, 2.7, "input\nprojection\n(linear)", LEARNS)
box(4.8, 0, 1.3, 3.7, "LLM\n(Llama)", FROZEN)
box(4.9, 0.3, 1.1, 0.8, "LoRA +\ntoken rows", LEARNS)
arrow(3.2, 1.35, 3.5)
arrow(4.5, 1.35, 4.8)
box(0.8, 3.0, 0.9, 0.7, "text")
arrow(1.7, 3.35, 4.8)
arrow(6.1, 3.35, 10.6)
box(10.6, 3.0, 0.9, 0.7, "text")
for y, name, signal, decoder in (
    (2.0, "image", "[IMG0..4]", "Stable\nDiffusion"),
    (1.0, "audio", "[AUD0..8]", "AudioLDM"),
    (0.0, "video", "[VID0..24]", "text-to-\nvideo"),
):
    box(0.8, y, 0.9, 0.7, name)
    arrow(1.7, y + 0.35, 2.1)
    arrow(6.1, y + 0.35, 7.3)
    axes.text(6.7, y + 0.44, signal, ha="center")
    box(7.3, y, 1.2, 0.7, "output\nprojection", LEARNS)
    arrow(8.5, y + 0.35, 8.9)
    box(8.9, y, 1.3, 0.7, decoder, FROZEN)
    arrow(10.2, y + 0.35, 10.6)
    box(10.6, y, 0.9, 0.7, name)
axes.text(0.8, -0.45, "blue, solid edge: frozen", va="center")
axes.text(3.5, -0.45, "orange, dashed edge: learns", va="center")
axes.set(xlim=(0.7, 11.6), ylim=(-0.7, 3.8))
axes.axis("off")
show_figure(
    figure,
    "Image, audio and video go through the frozen encoder and a learned input "
    "projection into the LLM; text goes there directly. Out come text, and signal "
    "tokens that learned output projections turn into conditions of three frozen decoders.",
)

# %% [markdown]
# On the way in, an image becomes one vector, and a linear layer turns the
# vector into a few "words" that the LLM reads between its other words. On
# the way out, the LLM writes **signal tokens** such as `[IMG0] .. [IMG4]`
# when it wants an image. A small transformer turns their hidden states
# into what Stable Diffusion would otherwise get from a caption.

# %% [markdown]
# ## The data
#
# `data_samples/` holds some two hundred records in the file formats that the
# authors released. Its images, audio and videos show the *lite world*:
# ten things, eight colours, two sizes, one to seven of them, five places.

# %%
import json

from nextgpt_lite.data import read_folder
from nextgpt_lite.media import load_image
from nextgpt_lite.notebook import show_images

pairs = json.loads((session.data / "image_pairs.json").read_text())[:5]
show_images(
    [load_image(session.data / "images" / p["image_name"]) for p in pairs],
    [p["caption"] for p in pairs],
)

# %%
from collections import Counter

records = read_folder(session.data)
print(dict(Counter(record.kind for record in records)))

# %% [markdown]
# `pair` serves stage 1, `caption` stage 2, all others stage 3. Here is one
# of the conversations (`mosit`), as the model reads it:

# %%
import textwrap

talk = next(record for record in records if record.kind == "mosit")
for message in talk.messages:
    said = " ".join(
        part["text"] if part["type"] == "text" else f"<{part['type']}>"
        for part in message["content"]
    )
    print(textwrap.fill(f"{message['role']:>9}: {said}", 76))

# %% [markdown]
# ## Three stages, briefly
#
# The same function trains each stage; a stage begins where the one before
# it ended. With so few steps the result is no good model yet, but the
# losses must fall. Later we talk to the shipped model, which trained in the
# same way for longer.
#
# (`record` keeps a figure in this notebook's file, where tests read it. It
# shows nothing, unless a claim turns out false.)

# %%
import tempfile
from pathlib import Path

from nextgpt_lite import train
from nextgpt_lite.notebook import plot_losses, record
from nextgpt_lite.training import STAGES, ledger

runs = Path(tempfile.mkdtemp())
ledgers = {}


def run_stage(number, init=None, parts=("text", "signal", "condition")):
    """Trains a stage on data_samples, shows its losses, returns its folder."""
    trainer = train(
        number,
        runs / f"stage{number}",
        profile=profile,
        data=session.data,
        init=init,
        seed=seed,
        steps=steps,
        batch_size=8,
        warmup=5,
        log_every=1,
    )
    ledgers[number] = ledger(trainer.model, STAGES[number])
    lines = (trainer.output / "metrics.jsonl").read_text().splitlines()
    losses = [json.loads(line) for line in lines]
    plot_losses(losses, parts, f"stage {number}: {STAGES[number].title}")
    few = max(1, steps // 6)
    first = sum(line["total"] for line in losses[:few])
    last = sum(line["total"] for line in losses[-few:])
    record(f"stage {number} loss, last over first", last / first)
    return trainer.output


# %% [markdown]
# **Stage 1, encoding-side alignment** (section 4.1). An image, audio or
# video goes in, its caption has to come out. Only the input projection
# learns: it must find vectors that the frozen LLM understands.

# %%
stage1 = run_stage(1, parts=["text"])

# %% [markdown]
# **Stage 2, decoding-side alignment** (section 4.2). Now only captions are
# used, no images at all. The LLM reads a caption and must write the
# signal tokens behind it (*signal*), and the output projection must turn
# them into the vector sequence that the decoder's own text encoder makes
# of the same caption (*condition*; 1.0 would be no better than zeros).

# %%
stage2 = run_stage(2, init=stage1)

# %% [markdown]
# **Stage 3, instruction tuning** (section 5). Conversations, with media on
# both sides. LoRA joins in, so that the LLM learns *when* to answer with an
# image, and that "I have 7 apples and eat one" means six.

# %%
stage3 = run_stage(3, init=stage2)

# %% [markdown]
# The **ledger** says what learned where. Everything else is bit for bit the
# same after training as before; `tests/training/test_stages.py` holds us to
# it.

# %%
print("part                parameters   stage 1  stage 2  stage 3")
for rows in zip(*ledgers.values(), strict=True):
    learns = "  ".join("learns " if row.learns else "   -   " for row in rows)
    print(f"{rows[-1].part:<18} {rows[-1].parameters:>11,}   {learns}")

# %%
total = sum(row.parameters for row in ledgers[3])
learned = sum(row.parameters for row in ledgers[3] if row.learns)
print(f"{learned / total:.1%} of all parameters ever learn")
record("share of parameters that ever learn", learned / total)

# %% [markdown]
# In the paper this share is 1 % (Table 1). It is larger here because the
# frozen parts are tiny: the bridges did not shrink as much as the banks.

# %% [markdown]
# ## The shipped model
#
# It went through the same three stages for longer, with conversations drawn
# from the lite world without end instead of the few samples.

# %%
from IPython.display import display

from nextgpt_lite import NextGPT
from nextgpt_lite.notebook import show_audio, show_video
from nextgpt_lite.world import Clip, Group, Picture, Sound, caption, render, tells, verify

model = NextGPT.from_pretrained(checkpoint)


def show(parts):
    """Shows words and media in their order."""
    for part in parts:
        if part["type"] == "text":
            print(part["text"])
        elif part["type"] == "image":
            show_images([part["data"]])
        elif part["type"] == "audio":
            show_audio(part["data"])
        else:
            show_video(part["data"], frames=4)


# %% [markdown]
# Before we go on with it: what do the models say that were trained above, in
# a few seconds a stage? Each stage has left a folder, so each can be asked. All
# get the same requests. Media stand in brackets.

# %%
snapshots = {}
for number, folder in enumerate((stage1, stage2, stage3), 1):
    snapshots[f"your stage {number}"] = NextGPT.from_pretrained(folder)
for snapshot in snapshots.values():
    snapshot.decoders = model.decoders  # frozen, so sharing them is safe
opened = dict.fromkeys([*snapshots, "shipped"], 0)
red_car = Picture((Group("car", "red", "large"),), None, "garden")
for request in (
    "Draw a large red car in the garden.",
    "Let me hear a dog bark twice.",
    "I had 7 apples and ate one. How many are left?",
):
    print(f"user:          {request}")
    for name, each in {**snapshots, "shipped": model}.items():
        reply = each.chat(request, seed=seed, num_inference_steps=8)
        told = [part.get("text", f"<{part['type']}>") for part in reply.parts]
        opened[name] += len(reply.made)
        print(f"{name + ':':14} {' '.join(told)[:61]}")
        for image in reply.images:
            shows = "shows" if verify(red_car, image).correct else "does not show"
            print(f"{'':14} (the image {shows} a large red car in a garden)")
    print()
print("media in all three replies:", opened)
assert opened["shipped"] == 2

# %% [markdown]
# So few steps on two hundred records make no good model. Look at what the
# replies lack: the form (words, then signal tokens), or what they should say.
# After stage 1 no signal token has been trained; stage 2 knows that one follows
# a caption, but not what a request is; stage 3 has met requests.
#
# A first image. The model decides by itself that an image belongs to the
# answer, and says in words what it is about to show: so small an LLM does
# better when it spells things out before its signal tokens.

# %%
reply = model.chat("Draw a large red car in the garden.", seed=seed)
show(reply.parts)
print(reply.signal_tokens)

# %% [markdown]
# The image was made from five hidden states. We can do the last two
# steps ourselves: output projection, then decoder with the same seed.

# %%
import numpy as np
import torch

block = reply.made[0].block  # hidden states and embeddings of the 5 tokens
print(tuple(block.hidden.shape))  # (5, LLM width)
condition = model.project("image", block.hidden[None], block.embedding[None])
print(tuple(condition.shape))  # (1, 24, 128) in lite
again = model.decoder("image").generate(
    condition,
    num_inference_steps=20,
    generator=torch.Generator().manual_seed(seed),
)[0]
ours, theirs = (np.asarray(p, dtype=int) for p in (again, reply.images[0]))
equal = bool(np.abs(ours - theirs).max() <= 1)  # of 255: rounding
assert equal
record("image made by hand equals the reply's", equal)

# %% [markdown]
# ## Any to any, checked
#
# In the lite world a scene is an exact thing, and a program can read a
# generated image, audio or video back and compare it with the scene that
# was asked for, attribute by attribute. The scenes below were written down
# before the model was asked. Whatever it gets wrong stays in.

# %%
board = []  # (direction, right medium, right content)


def judge(direction, scene, wanted, reply):
    """Notes whether medium and content of a reply are what they should be."""
    made = [part["type"] for part in reply.parts if part["type"] != "text"]
    medium = made == ([] if wanted == "text" else [wanted])
    if wanted == "text":
        content = tells(reply.text, scene)
        detail = f"the truth: {caption(scene)}"
    else:
        found = [m.media for m in reply.made if m.block.modality == wanted]
        verdict = verify(scene, found[0]) if found else None
        content = bool(verdict and verdict.correct)
        detail = f"asked for: {caption(scene)}"
        if verdict and not content:
            wrong = [name for name, ok in verdict.attributes.items() if not ok]
            detail += f" (wrong: {', '.join(wrong) or 'not clear enough'})"
    board.append((direction, medium, content))
    print(f"-> {'right' if content else 'WRONG'} · {detail}")


def ask(direction, text, scene, wanted, given=None, figures=True):
    """One turn, shown and judged; `given` is a medium the user shows."""
    print(f"user: {text}")
    content = [{"type": "text", "text": text}]
    if given is not None:
        content.insert(0, {"type": direction.split()[0], "data": given})
    reply = model.chat([{"role": "user", "content": content}], seed=seed)
    if figures:
        show(reply.parts)
    else:
        display(reply)
    judge(direction, scene, wanted, reply)


# %% [markdown]
# **Text → image**

# %%
scene = Picture((Group("cat", "yellow", "small"),), None, "street")
wish = "Draw a small yellow cat on the street."
ask("text -> image", wish, scene, "image")

# %% [markdown]
# **Text → audio**. Look for the events in the waveform, and listen.

# %%
ask(
    "text -> audio",
    "Let me hear a dog bark three times in a high pitch.",
    Sound("dog", 3, "high"),
    "audio",
)

# %% [markdown]
# **Text → video**. Here the reply shows itself, as it does at the end of any
# cell.

# %%
scene = Clip("bird", "blue", "up", "large", "garden")
wish = "Make a video of a large blue bird moving up in the garden."
ask("text -> video", wish, scene, "video", figures=False)

# %% [markdown]
# **Image → text**. Now the user shows something. The answer is words, and
# words can be compared exactly: every attribute must be named rightly.

# %%
scene = Picture((Group("bird", "pink", "small", 3),), None, "sky")
picture = render(scene, seed)
show_images([picture])
ask("image -> text", "What does this picture show?", scene, "text", picture)

# %% [markdown]
# **Audio → text**

# %%
scene = Sound("bell", 2, "high")
sound = render(scene, seed)
display(sound)
ask("audio -> text", "What do you hear?", scene, "text", sound)

# %% [markdown]
# **Video → text**

# %%
scene = Clip("cat", "orange", "left", "large", "garden")
clip = render(scene, seed)
display(clip)
ask("video -> text", "What happens in the clip?", scene, "text", clip)

# %% [markdown]
# **Image → audio**. Nothing in the request says what to play: the model has
# to see that it is a train.

# %%
picture = render(Picture((Group("train", "blue", "large"),)), seed)
show_images([picture])
wish = "Let me hear it."
ask("image -> audio", wish, Sound("train"), "audio", picture, figures=False)

# %% [markdown]
# ## Everything at once
#
# The paper's Figure 10 in miniature: one turn that answers with words, an
# image, a video and an audio clip. Nothing is forced here; the model opens
# three signal blocks by itself.

# %%
text = "I want to see, watch and hear a large orange cat."
print(f"user: {text}")
together = model.chat(text, seed=seed)
show(together.parts)

# %%
cat = Group("cat", "orange", "large")
scenes = {
    "image": Picture((cat,)),
    "audio": Sound("cat"),
    "video": Clip("cat", "orange", "right", "large"),
}
modalities = [made.block.modality for made in together.made]
verdicts = {
    made.block.modality: verify(scenes[made.block.modality], made.media).correct
    for made in together.made
}
print(verdicts)
all_there = sorted(modalities) == sorted(scenes)
all_right = all_there and all(verdicts.values())
board.append(("text -> all four", all_there, all_right))
record("one turn gave text, image, audio and video", all_there)

# %% [markdown]
# ## Conversations
#
# Turns that refer back to earlier turns, change the modality and hide a
# sum: what the paper calls modality-switching instruction tuning (MosIT,
# section 5.2). Each conversation replays one of the paper's figures in the
# lite world. The model reads its *own* earlier answers, right or wrong.
#
# Read words and media apart. The words show what the LLM understood; the
# media, what the decoders can do: one kind in an image is easier than several
# (`nextgpt_lite/weights/lite/image/card.md` has the counts).

# %%
from nextgpt_lite.notebook import ChatWidget

MODALITY = {Picture: "image", Sound: "audio", Clip: "video"}
turns_right = []


def converse(turns):
    """Holds a conversation of (words, medium or None, expected answer)."""
    messages = []
    for text, given, expected in turns:
        content = [{"type": "text", "text": text}]
        if given is not None:
            content.insert(0, {"type": given[0], "data": given[1]})
        messages.append({"role": "user", "content": content})
        reply = model.chat(messages, seed=seed)
        messages.append(reply.message)
        made = [m.block.modality for m in reply.made]
        if isinstance(expected, str):
            wanted, right = expected, reply.text == expected and not made
        else:
            wanted, right = caption(expected), made == [MODALITY[type(expected)]]
            right = right and verify(expected, reply.made[0].media).correct
        turns_right.append(right)
        print(f"{'right' if right else 'WRONG'} · {text} -> {wanted}")
    display(ChatWidget(model).static(messages))


# %% [markdown]
# **Figure 7: seven apples, one is eaten.** The user never says six.

# %%
six = Picture((Group("apple", "red", "large", 6),))
on_the_table = Picture(six.groups, None, "table")
converse(
    [
        ("I had 7 apples and ate one. Draw what is left.", None, six),
        ("Put them on the table.", None, on_the_table),
        ("How many are left if two go away?", None, "Four apples are left."),
        ("Let me hear one of them.", None, Sound("apple")),
    ]
)

# %% [markdown]
# **Figure 8: a woman to the right of a man, and a dog.** Who stands where
# must not get lost when the scene grows.

# %%
woman, man = Group("woman", "purple", "small"), Group("man", "blue", "large")
couple = Picture((woman, man), "right of", "garden")
dog = Group("dog", "black", "small")
family = Picture((woman, man, dog), "right of", "garden")
told = "a small purple woman to the right of a large blue man"
converse(
    [
        (f"Draw {told} in the garden.", None, couple),
        ("Add a small black dog.", None, family),
    ]
)

# %% [markdown]
# **Figures 9 and 13: media as input.** The user plays an audio clip, and
# gets an image and a video of what made it.

# %%
heard = render(Sound("bird", 2, "high"), seed)
answer = "A bird chirps twice in a high pitch."
bird = Group("bird", "yellow", "large")
converse(
    [
        ("What do you hear?", ("audio", heard), answer),
        ("Draw it.", None, Picture((bird,))),
        ("Make it move left.", None, Clip("bird", "yellow", "left", "large")),
    ]
)

# %% [markdown]
# ## How it did

# %%
print("direction          medium  content")
for direction, medium, content in board:
    marks = ["right" if ok else "WRONG" for ok in (medium, content)]
    print(f"{direction:<18} {marks[0]:<7} {marks[1]}")
record("directions", len(board))
record("directions with the right medium", sum(row[1] for row in board))
record("directions with the right content", sum(row[2] for row in board))
print(f"turns of conversation that were right: {sum(turns_right)} of {len(turns_right)}")
record("turns of conversation", len(turns_right))
record("turns right", sum(turns_right))

# %% [markdown]
# These few are a demonstration, not a measurement: the later notebooks
# count over hundreds of scenes and give intervals.

# %% [markdown]
# ## Exercises
#
# **0.1 The paper's one percent** (easy, 3 minutes). In Table 1 of the paper
# these millions of parameters learn: 4 (input projection), 33 (LoRA), 31,
# 31 and 32 (output projections). These billions are frozen: 1.2 (ImageBind),
# 7 (Vicuna), 1.3, 1.8 and 0.975 (decoders). Which percentage of *all*
# parameters learns?

# %%
from nextgpt_lite.notebook import check

share = ...
check("tour.share", share)

# %% tags=["solution"]
learns = 4 + 33 + 31 + 31 + 32
frozen = 1000 * (1.2 + 7 + 1.3 + 1.8 + 0.975)
share = 100 * learns / (learns + frozen)
check("tour.share", share)

# %% [markdown]
# **0.2 Who learns when** (easy, 2 minutes). In which stages do the rows of
# the signal tokens learn? Answer with a set such as `{1, 2, 3}`, first
# without looking at the ledger.

# %%
stages = ...
check("tour.stages", stages)

# %% tags=["solution"]
stages = {2, 3}
check("tour.stages", stages)

# %% [markdown]
# **0.3 Your own request** (easy, 5 minutes). Ask for something so that the
# reply holds an image and an audio clip, but no video. `model.chat(...)`
# gives the reply; the wording is up to you, and `output_modalities` is not
# allowed.

# %%
mine = ...
check("tour.request", mine)

# %% tags=["solution"]
mine = model.chat("Draw a large green bell and let me hear it.", seed=seed)
check("tour.request", mine)

# %% [markdown]
# ## Do you remember?
#
# <details><summary>Which part of NExT-GPT reads pixels, and does it
# learn?</summary>The encoder, ImageBind. No: it is frozen in all three
# stages.</details>
# <details><summary>Which stage needs no image at all, and why?</summary>Stage
# 2. Its target is what the decoder's own text encoder makes of a
# caption.</details>
# <details><summary>What decides how many images a reply holds?</summary>The
# LLM: each signal block that it opens becomes one item.</details>
#
# ## Summary
#
# - Encoder, LLM and decoders are frozen; projections, signal-token rows and
#   LoRA learn.
# - Stage 1 makes inputs readable, stage 2 makes signal tokens mean
#   something to the decoders, stage 3 teaches when to use which.
# - A reply is text with signal blocks in it; each block becomes one item.
#
# | paper | here | held by |
# |---|---|---|
# | Figure 1, section 3 | `nextgpt_lite.chat.NextGPT` | `test_stages.py` |
# | section 4.1, stage 1 | `training.run.train(1, ...)` | `test_stages.py` |
# | section 4.2, stage 2 | `losses.condition_distance` | `test_stages.py` |
# | section 5, stage 3 | `training.run.train(3, ...)` | `test_stages.py` |
# | section 5.2, MosIT | `world.dialogue.mosit` | `test_world_words.py` |
# | appendix E, inference | `NextGPT.chat` | `test_chat.py` |
# | Table 1 | `training.stages.ledger` | this notebook |
#
# **Where next**
# - [notebook 1](01_the_lite_world.ipynb): scenes, renders, captions, and the verifiers
# - [notebook 2](02_encoders.ipynb): how ImageBind makes one vector of an image or an audio clip
# - [notebook 3](03_stage1_encoding_alignment.ipynb): the linear layer, from scratch
# - [notebook 4](04_stage2_decoding_alignment.ipynb): signal tokens and caption conditions
# - [notebook 5](05_stage3_instruction_tuning.ipynb): LoRA, masks, conversations
# - [notebook 6](06_any_to_any_inference.ipynb): the token loop from inside, and a chat widget
# - [notebook 7](07_pipeline_vs_end_to_end.ipynb): are signal tokens better than captions?
# - [notebook 8](08_editing.ipynb): change this, keep the rest
# - [notebook 9](09_evaluation.ipynb): what a number in a table means
# - [notebook 10](10_real_checkpoints_on_colab.ipynb): the same calls with public weights
# - [notebook 11](11_a_modality_of_your_own.ipynb): records of a sensor, in and out
# - [notebook 12](12_training_at_scale.ipynb): from one core to many GPUs
# - [notebook 13](13_the_decoder_from_scratch.ipynb): the diffusion loop, in sixty lines
