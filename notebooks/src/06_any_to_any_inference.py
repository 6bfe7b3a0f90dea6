# %% [markdown]
# # 6. Any-to-any inference: one reply from inside
#
# **What you will learn**
# - how a reply is written token by token, and why a signal block costs one
#   forward of the LLM instead of 5, 9 or 25
# - why a malformed block cannot happen
# - how close the projected signal tokens come to the caption condition that
#   the decoder knows
# - how to force or forbid modalities, repeat a reply exactly, watch it
#   arrive, and hold a conversation with media on both sides
#
# Time and memory: `lite` about 1 minute, 1 GB · `colab`, `paper`: not
# measured
#
# Study: about 50 minutes, and 40 for the exercises. Before it: [notebook
# 5](05_stage3_instruction_tuning.ipynb); a causal language model with its
# cache. Next: [notebook 7](07_pipeline_vs_end_to_end.ipynb).
#
# Papers:
# [NExT-GPT](https://arxiv.org/abs/2309.05519),
# [nucleus sampling](https://arxiv.org/abs/1904.09751),
# [GILL](https://arxiv.org/abs/2305.17216).
#
# You need to have seen a causal language model with a key-value cache. The
# paper describes this path in section 3 and appendix E. How a decoder turns
# a condition into an image is notebook 13.
#
# ```text
# prompt ─> LLM ─> "Here" "is" "a" "car" [IMG0]      one forward a word
#                                           │
#              the rest of the block <──────┘        one forward in all
#              [IMG1] .. [IMG4] ─> states ─> output projection
#                                                 ─> decoder ─> image
# ```

# %% tags=["parameters"]
profile = "lite"
seed = 0
inference_steps = 20  # diffusion steps of each decoder
checkpoint = "lite"  # or a folder that your own stage 3 wrote

# %%
from nextgpt_lite.notebook import start

session = start(profile, seed)

# %%
from nextgpt_lite import NextGPT

model = NextGPT.from_pretrained(checkpoint)
options = {"seed": seed, "num_inference_steps": inference_steps}

# %% [markdown]
# ## One reply, watched
#
# `trace` holds a turn as `model.chat` does and notes every position that
# goes through the LLM, forward by forward.

# %%
from nextgpt_lite import trace

text = "Draw a large red car and let me hear it."
traced = trace(model, text, **options)
print(traced)

# %% [markdown]
# Forward 0 reads the whole prompt at once. Each word then takes a forward
# of its own, because the next word depends on it. A signal block does not:
# as soon as the LLM has chosen `[IMG0]`, the tokens after it are known, so
# all of them go through in **one** forward.
#
# The model says what it is going to show before it shows it. The signal
# tokens attend to these words, which helps an LLM as small as this one.
#
# A shorter reply to play: drag the slider, or use the arrow keys.

# %%
from nextgpt_lite.notebook import show_trace

show_trace(trace(model, "Draw a large red car.", previews=5, **options))

# %%
from nextgpt_lite.notebook import record

words = len(traced.ids) - len(traced.reply.signal_tokens)
blocks = len(traced.blocks)
print([(block.modality, len(block.tokens)) for block in traced.blocks])
print("forwards:", len(traced.forwards))
print("token by token it would be:", 1 + len(traced.ids))
record("forwards", len(traced.forwards))
record("one forward a block", len(traced.forwards) == 1 + words + blocks)

# %%
traced.reply

# %% [markdown]
# ## The loop, by hand
#
# Greedy decoding with a cache, and two rules for signal tokens:
#
# 1. only the **first** token of a block can be chosen; all others are
#    closed, wherever we are;
# 2. once it is chosen, the rest of the block follows by itself.
#
# The released code lets the LLM write signal tokens one by one, and a block
# that comes out one token short ends in an exception. Here there is no such
# block: it cannot be written.

# %%
import torch
from transformers import DynamicCache

from nextgpt_lite.model import markers


@torch.inference_mode()
def greedy(llm, prompt, limit=60):
    """Prompt embeddings (1, S, D) to the ids of a reply."""
    opens = {ids[0]: ids for ids in llm.signal_ids.values()}
    closed = set(llm.all_signal_ids) - set(opens)  # rule 1
    closed |= set(llm.tokenizer.convert_tokens_to_ids(markers()))
    closed = [*closed, llm.tokenizer.pad_token_id]
    cache, reply = DynamicCache(), []
    hidden = llm.hidden(prompt, cache=cache)[:, -1]  # (1, D)
    while len(reply) < limit:
        logits = llm.logits(hidden)[0]  # (V,)
        logits[closed] = -torch.inf
        token = int(logits.argmax())
        if token == llm.eos_id:
            break
        ids = opens.get(token, [token])  # rule 2
        reply += ids
        asked = torch.tensor([ids], device=llm.device)  # (1, 1 or N)
        embedded = llm.embed(asked)  # (1, 1 or N, D)
        hidden = llm.hidden(embedded, cache=cache)[:, -1]
    return reply


messages = [{"role": "user", "content": text}]
encoded = model.conversation.encode(messages, reply_follows=True)
ids = torch.tensor([encoded.ids], device=session.device)  # (1, S)
prompt = model.llm.embed(ids)
print(tuple(prompt.shape))  # (1, prompt positions, LLM width)
by_hand = greedy(model.llm, prompt)
print(len(by_hand), "ids, the first words:", model.conversation.decode(by_hand))
assert by_hand == traced.ids
record("inline loop equals the package's", by_hand == traced.ids)

# %% [markdown]
# `llm.embed`, `llm.hidden` and `llm.logits` are the three steps of any
# causal LM. The package's loop, `nextgpt_lite.model.generation.generate`, is the
# same with sampling, a limit, and modalities that are forced or forbidden.

# %% [markdown]
# ## From five hidden states to a condition
#
# The output projection reads, for each signal token, the LLM's last hidden
# state plus the token's embedding, and answers with what the decoder would
# get from a caption: for the image 24 vectors, one a caption position.

# %%
block = traced.reply.made[0].block
projection = model.output_projections[block.modality]
with torch.inference_mode():
    condition = projection(block.hidden[None], block.embedding[None])[0]
print(tuple(block.hidden.shape))  # (5, LLM width)
print(tuple(condition.shape))  # (24, 128) in lite
assert torch.equal(condition, traced.blocks[0].condition)

# %% [markdown]
# How good is it? The decoder's own text encoder says what it would make of
# the caption. Compare the two, position by position.

# %%
from nextgpt_lite.world import Group, Picture, caption

scene = Picture((Group("car", "red", "large"),))
decoder = model.decoder("image")
wanted = decoder.encode_text([caption(scene)])[0]  # (24, 128)
cosine = torch.cosine_similarity(condition, wanted, dim=-1)  # (24,)
tokenizer = decoder.pipeline.tokenizer
ids = tokenizer(caption(scene), padding="max_length").input_ids
labels = tokenizer.convert_ids_to_tokens(ids)[: len(cosine)]
print(f"mean cosine: {cosine.mean():.3f}")
record("mean cosine to the caption condition", float(cosine.mean()))

# %% tags=["hide-input"]
from matplotlib.figure import Figure

from nextgpt_lite.notebook import show_figure

figure = Figure(figsize=(9, 3.4), layout="constrained")
axes = figure.subplots()
axes.plot(cosine.cpu().numpy(), "o")
axes.set_xticks(range(len(labels)), labels, rotation=90)
low = min(0.9, float(cosine.min()) - 0.01)
axes.set(ylim=(low, 1), ylabel="cosine")
axes.set_title(f'signal tokens against "{caption(scene)}"')
show_figure(
    figure, f"Cosine at each caption position: from {cosine.min():.3f} to {cosine.max():.3f}"
)

# %% [markdown]
# A high cosine alone says little if all captions look alike to the text
# encoder. So ask the other way round: among many captions, which one is
# nearest to the projected condition? Among them are all that differ from
# the right one in a single word.

# %%
from dataclasses import replace
from random import Random

from nextgpt_lite.world import COLOURS, KINDS, PLACES, SIZES, sample_picture

rng = Random(seed)
(car,) = scene.groups
near = [Picture((replace(car, colour=c),)) for c in COLOURS]
near += [Picture((replace(car, kind=k),)) for k in KINDS]
near += [Picture((replace(car, size=s),)) for s in SIZES]
near += [Picture((replace(car, count=n),)) for n in range(1, 8)]
near += [Picture((car,), None, place) for place in PLACES]
far = [sample_picture(rng) for _ in range(200)]
captions = list(dict.fromkeys(caption(s) for s in [*near, *far]))
conditions = decoder.encode_text(captions)  # (captions, 24, 128)
distance = (conditions - condition).pow(2).mean((1, 2))
distance = distance / conditions.pow(2).mean((1, 2))
for index in distance.argsort()[:5].tolist():
    print(f"{distance[index]:.3f}  {captions[index]}")
rank = 1 + int((distance < distance[captions.index(caption(scene))]).sum())
print(f"the right caption is number {rank} of {len(captions)}")
record("rank of the right caption", rank)
record("captions compared", len(captions))

# %% [markdown]
# This distance, error over the size of the target, is the *condition* loss
# of stages 2 and 3: 0 is perfect, 1 no better than zeros.

# %% [markdown]
# ## Seeds
#
# Words are chosen greedily unless you set a `temperature`; what remains is
# the noise from which a decoder starts. The same seed gives the same reply,
# bit for bit; another seed another image of the same scene.

# %%
import numpy as np

from nextgpt_lite.notebook import show_images

request = "Draw two small green birds in the sky."
seeds = (3, 3, 4, 5)
replies = [model.chat(request, **{**options, "seed": s}) for s in seeds]
pictures = [np.asarray(reply.images[0]) for reply in replies]
show_images(
    [reply.images[0] for reply in replies],
    ["seed 3", "seed 3 again", "seed 4", "seed 5"],
)
record("same seed, same image", np.array_equal(*pictures[:2]))
record("other seed, other image", not np.array_equal(*pictures[1:3]))

# %% [markdown]
# ## Forcing and forbidding
#
# `output_modalities="auto"` lets the model decide. A list forces every
# modality in it and forbids all others; `[]` means words only. Forcing
# opens the block where the reply would have ended; forbidding closes the
# block's first token, so the model must go on without it.

# %%
question = "I have never seen a small blue dog."
for wish in ("auto", [], ["audio"], ["image", "video"]):
    reply = model.chat(question, output_modalities=wish, **options)
    made = [m.block.modality for m in reply.made]
    print(f"{wish!s:<20} {reply.text!r} + {made}")
    if wish != "auto":
        assert set(made) == set(wish)

# %% [markdown]
# A forced audio clip at the end of an answer about an image is nothing the
# model learned to give: the force says *that* there is an audio clip, the
# context has to say *which*. Forcing is for programs that need an item; ask
# for it in words when you can.

# %% [markdown]
# ## Sixteen directions
#
# One thing, a dog, goes in as text, image, audio or video, and comes out
# as each of them. Where an item goes in, it is shown in a first turn and
# the wish comes in a second one, as in the conversations of stage 3. The
# model decides what to answer in; nothing is forced.

# %%
from nextgpt_lite.world import Clip, Sound, render

dog = Group("dog", "blue", "large")
given = {
    "text": None,
    "image": render(Picture((dog,)), seed),
    "audio": render(Sound("dog", 2), seed),
    "video": render(Clip("dog", "blue", "left"), seed),
}
wishes = {  # said of what was shown; or in words alone
    "text": ("What is this?", "Which thing barks?"),
    "image": ("Draw it.", "Draw a large blue dog."),
    "audio": ("Let me hear it.", "Let me hear a dog."),
    "video": ("Make it move right.", "Animate a large blue dog."),
}
changes = {  # the same medium again, but not the same thing
    ("image", "image"): "Make it yellow.",
    ("audio", "audio"): "Let me hear it three times.",
}


def turn(wish, modality=None, data=None):
    """A user's message."""
    media = [{"type": modality, "data": data}] if modality else []
    return {"role": "user", "content": [*media, {"type": "text", "text": wish}]}


table = {}
for source, medium in given.items():
    opening = []
    if medium is not None:
        opening = [turn("What is this?", source, medium)]
        answer = model.chat(opening, output_modalities=[], **options)
        table[source, "text"] = answer
        opening.append(answer.message)
    for target, (of_it, of_words) in wishes.items():
        if (source, target) not in table:
            wish = of_words if medium is None else of_it
            wish = changes.get((source, target), wish)
            table[source, target] = model.chat([*opening, turn(wish)], **options)

# %%
from nextgpt_lite.world import verify


def is_right(source, reply, target):
    """Whether a cell holds the right medium with the right thing in it."""
    made = [m.block.modality for m in reply.made]
    if target == "text":
        return made == [] and "dog" in reply.text.lower()
    if made != [target]:
        return False
    # of what is only heard, the colour cannot be known: orange by default
    colour = "orange" if source == "audio" else "blue"
    if (source, target) == ("image", "image"):
        colour = "yellow"
    asked = {
        "image": Picture((replace(dog, colour=colour),)),
        "audio": Sound("dog", 3 if source == "audio" else 1),
        "video": Clip("dog", colour, "right"),
    }[target]
    return verify(asked, reply.made[0].media).correct


right = {(s, t): is_right(s, reply, t) for (s, t), reply in table.items()}
medium_right = sum(
    [m.block.modality for m in reply.made] == ([] if t == "text" else [t])
    for (_, t), reply in table.items()
)
print(f"right: the medium in {medium_right}, the thing in {sum(right.values())} of {len(table)}")
record("directions", len(table))
record("directions with the right medium", medium_right)
record("directions with the right content", sum(right.values()))

# %% tags=["hide-input"]
import textwrap


def draw(axes, target, reply):
    """A thumbnail of what came back."""
    axes.set(xticks=[], yticks=[])
    media = [m.media for m in reply.made if m.block.modality == target]
    if target == "text" or not media:
        words = textwrap.fill(reply.text or "(nothing)", 18)
        axes.text(0.5, 0.5, words, ha="center", va="center")
    elif target == "image":
        axes.imshow(media[0])
    elif target == "audio":
        samples = media[0].samples.mean(0)
        axes.plot(samples[::16], linewidth=0.5)
        axes.set(ylim=(-1, 1))
    else:
        frames = media[0].frames
        chosen = frames[np.linspace(0, len(frames) - 1, 4).astype(int)]
        rows = [np.hstack(chosen[:2]), np.hstack(chosen[2:])]
        axes.imshow(np.vstack(rows))


figure = Figure(figsize=(9.2, 9.6), layout="constrained")
for row, source in zip(figure.subplots(4, 4), wishes, strict=True):
    row[0].set_ylabel(f"{source} in")
    for axes, target in zip(row, wishes, strict=True):
        draw(axes, target, table[source, target])
        ok = right[source, target]
        axes.set_title(f"{'✔' if ok else '✘'} {target} out")
        for side in axes.spines.values():
            side.set(color="#009e73" if ok else "#d55e00", linewidth=3)
            side.set_linestyle("-" if ok else "--")
show_figure(
    figure,
    "Replies in sixteen directions: "
    + ", ".join(f"{s} to {t} {'right' if ok else 'wrong'}" for (s, t), ok in right.items()),
)

# %% [markdown]
# Rows go in, columns come out; a video is shown by four of its frames, read
# line by line. A tick and a solid frame mean that the verifier found the right
# thing in every attribute (for words: that the dog is named), a cross and a
# dashed frame that it did not. What is only heard has no colour, so the model is expected to fall
# back on its default for dogs, orange. One dog is an example: notebook 9
# counts.

# %% [markdown]
# Replies that are right say little about what made them so. What does a model
# do that was not tuned? Stage 3's LoRA is a detour that can be closed: with B
# at zero the LLM is the frozen one. The same sixteen wishes, in fewer steps
# of the decoders:

# %%
updates = [p for name, p in model.named_parameters() if "lora_B" in name]
kept = [p.detach().clone() for p in updates]
with torch.no_grad():
    for p in updates:
        p.zero_()
few = {"seed": seed, "num_inference_steps": 6}
weak = {}
for source, medium in given.items():
    for target, (of_it, of_words) in wishes.items():
        wish = changes.get((source, target), of_words if medium is None else of_it)
        opening = []
        if medium is not None:  # the answer of before stands in the history
            opening = [turn("What is this?", source, medium)]
            if target != "text":
                opening.append(table[source, "text"].message)
        asked = [*opening, turn(wish)] if medium is None or target != "text" else opening
        weak[source, target] = model.chat(asked, **few)
with torch.no_grad():
    for p, before in zip(updates, kept, strict=True):
        p.copy_(before)  # the shipped model again

print(f"{'without LoRA':14}" + "".join(f"{target:>8}" for target in wishes))
for source in given:
    signs = ["✔" if is_right(source, weak[source, t], t) else "✘" for t in wishes]
    print(f"{source + ' in':14}" + "".join(f"{sign:>8}" for sign in signs))
wrong = [pair for pair in weak if not is_right(*pair[:1], weak[pair], pair[1])]
for source, target in wrong[:4]:
    made = [m.block.modality for m in weak[source, target].made]
    print(f"{source} -> {target}: {weak[source, target].text[:50]!r} + {made}")
print(f"{sum(right.values())} of 16 right with LoRA, {16 - len(wrong)} without")
opened = sum(len(reply.made) for reply in weak.values())
print(f"signal blocks that were opened without LoRA: {opened}")
assert opened < 6  # as the text below says

# %% [markdown]
# Read the words of what is marked wrong: they say what is going to be shown. The
# LLM was pretrained on conversations of this world, so it knows how replies
# sound. To *open* a signal block is what stage 3 taught it through LoRA.
#
# ## A reply arrives
#
# With `stream=True` the reply comes as events: pieces of text, decoder
# steps, finished media, and the whole reply at last. Where does the time
# go?

# %%
import time

begin = time.perf_counter()
clock = {"LLM": 0.0}
last = begin
kinds = []
for event in model.chat(
    "I want to see, watch and hear a large green bell.",
    stream=True,
    **options,
):
    now = time.perf_counter()
    if event.type != "done":
        name = event.modality or "LLM"
        clock[name] = clock.get(name, 0.0) + now - last
        kinds.append(event.type)
    last = now
print({kind: kinds.count(kind) for kind in dict.fromkeys(kinds)})
record("media in the stream", kinds.count("media"))

# %% tags=["hide-input"]
figure = Figure(figsize=(9, 2), layout="constrained")
axes = figure.subplots()
left = 0.0
for (name, seconds), colour, hatch in zip(
    clock.items(), ("#999999", "#0072b2", "#d55e00", "#009e73"), ("", "/", "x", "."), strict=False
):
    axes.barh(0, seconds, left=left, color=colour, label=name, hatch=hatch)
    left += seconds
axes.set(yticks=[], xlabel="seconds since the request")
axes.set(xlim=(0, left), ylim=(-0.5, 1.1))
axes.legend(ncols=4, loc="upper center")
show_figure(figure, "Time of the LLM and of each decoder: the LLM is done first")

# %% [markdown]
# The text is there first, and long before the media. The decoders work one
# after the other, each in as many steps as `num_inference_steps` says: with
# fewer steps you wait less, and see less.

# %% [markdown]
# ## What can go wrong says so in one sentence
#
# Files are opened before anything is generated, so a broken one costs
# nothing and the conversation goes on.

# %%
import contextlib
import tempfile
from pathlib import Path

from nextgpt_lite import MediaError
from nextgpt_lite.media import save_image

sentences = []
with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
    save_image(given["image"], "dog.png")
    Path("broken.png").write_bytes(Path("dog.png").read_bytes()[:99])
    Path("empty.wav").touch()
    for kind, name in (
        ("images", "broken.png"),
        ("audios", "empty.wav"),
        ("videos", "nowhere.mp4"),
        ("audios", "dog.png"),
    ):
        try:
            model.chat("What is this?", **{kind: [name]}, **options)
        except MediaError as error:
            sentences.append(str(error))
            print("-", textwrap.fill(str(error), 74, subsequent_indent="  "))
record("broken files named in a sentence", len(sentences))

# %%
try:
    model.chat("Draw a dog.", output_modalities=["smell"])
except ValueError as error:
    print(textwrap.fill(str(error), 76))

# %% [markdown]
# ## A conversation with media on both sides
#
# Messages are plain dictionaries; a reply's `message` is the next turn of
# the history. Media the user gave are read again each time; an item that
# the model made stands in the history as its signal block.

# %%
history = [turn("What colour is the dog?", "image", given["image"])]
reply = model.chat(history, **options)
print(reply.text)
history += [reply.message, turn("Make it yellow.")]
reply = model.chat(history, **options)
history += [reply.message, turn("Let me hear it.")]
heard = model.chat(history, **options)
history.append(heard.message)
yellow = Picture((replace(dog, colour="yellow"),))
followed = [m.block.modality for m in reply.made] == ["image"]
followed = followed and verify(yellow, reply.images[0]).correct
print("yellow dog:", followed, "·", [m.block.modality for m in heard.made])

# %% [markdown]
# `trace` shows the history from inside: the user's image as projected
# vectors, the model's image as a block.

# %%
long = trace(model, history[:-1], output_modalities=[], **options)
print(long)
origins = [row.origin for row in long.rows[: long.prompt_length]]
print({name: origins.count(name) for name in ("text", "media", "signal")})
record("media positions in the prompt", origins.count("media"))
record("signal positions in the prompt", origins.count("signal"))

# %% [markdown]
# ## Chat
#
# The widget below is live where a kernel runs: attach files, choose what to
# be answered in, set the seed. Elsewhere (on a web page, in the file as you
# see it on GitHub) its transcript shows as it was.

# %%
from nextgpt_lite.notebook import ChatWidget

chat = ChatWidget(model, seed)
chat.send("Draw a small pink bell on the table.")
chat.send("The same but purple.")
chat

# %% [markdown]
# ## Exercises
#
# **6.1 Count forwards** (easy, 3 minutes). A reply holds 12 words (one token
# each), one image and one video, with the paper's 5 and 25 signal tokens.
# How many forwards does the LLM make from prompt to end?

# %%
from nextgpt_lite.notebook import check

forwards = ...
check("inference.forwards", forwards)

# %% tags=["solution"]
forwards = 1 + 12 + 2  # the prompt, each word, each block
check("inference.forwards", forwards)

# %% [markdown]
# **6.2 Close what must not open** (medium, 8 minutes). Write
# `close(logits, signal_ids, allowed)`: it returns a copy of `logits` (V,) in
# which every signal token that may not be chosen is minus infinity.
# `signal_ids` maps a modality to the ids of its block; `allowed` lists the
# modalities whose block may open now.

# %%
close = ...
check("inference.close", close)

# %% tags=["solution"]


def close(logits, signal_ids, allowed):
    closed = logits.clone()
    for modality, ids in signal_ids.items():
        first = 1 if modality in allowed else 0
        closed[ids[first:]] = -torch.inf
    return closed


check("inference.close", close)

# %% [markdown]
# **6.3 Write the history** (easy, 5 minutes). A user showed `given["audio"]`
# and asked "What is this?", the model answered "A dog barks twice in a low
# pitch.", and the user now says "Draw it." Write the three messages as they
# go into `model.chat`.

# %%
written = ...
check("inference.history", written)

# %% tags=["solution"]
written = [
    {
        "role": "user",
        "content": [
            {"type": "audio", "data": given["audio"]},
            {"type": "text", "text": "What is this?"},
        ],
    },
    {"role": "assistant", "content": "A dog barks twice in a low pitch."},
    {"role": "user", "content": "Draw it."},
]
check("inference.history", written)

# %% [markdown]
# **6.4 A loop that cannot go wrong** (hard, 20 minutes). Write
# `write(next_logits, blocks, end)`, which returns the ids of a reply.
# `next_logits(ids)` gives the logits (V,) of what follows the reply's ids so
# far, a list that is empty at first. `blocks` maps a modality to the ids of
# its block, `end` is the end token, no part of the reply. The likeliest
# token is taken, but of a block only its first, and the rest of the
# block follows at once.
#
# <details><summary>A hint</summary>Your <code>close</code> of exercise 6.2 does
# half of it: every modality is allowed.</details>
# <details><summary>Another hint</summary>A dictionary from first tokens to
# whole blocks says what a chosen token brings with it.</details>

# %%
write = ...
check("inference.write", write)

# %% tags=["solution"]


def write(next_logits, blocks, end):
    opens = {ids[0]: ids for ids in blocks.values()}
    inner = [x for ids in blocks.values() for x in ids[1:]]
    reply = []
    while True:
        logits = next_logits(reply).clone()
        logits[inner] = -torch.inf
        token = int(logits.argmax())
        if token == end:
            return reply
        reply += opens.get(token, [token])


check("inference.write", write)

# %% [markdown]
# Yours with the real LLM, without a cache: each token reads everything again.

# %%
from nextgpt_lite.notebook import solved

if solved("inference.write"):

    @torch.inference_mode()
    def next_logits(ids):
        """The shipped LLM behind the prompt above."""
        read = torch.tensor([encoded.ids + ids], device=session.device)  # (1, S)
        logits = model.llm.logits(model.llm.hidden(model.llm.embed(read))[0, -1])
        logits[[*model.llm.marker_ids, model.llm.tokenizer.pad_token_id]] = -torch.inf
        return logits

    yours = write(next_logits, model.llm.signal_ids, model.llm.eos_id)
    print(model.conversation.decode(yours))
    record("your loop writes the shipped model's reply", yours == traced.ids)

# %% [markdown]
# *Go further:* draw instead of taking the likeliest (`temperature`, `top_p`),
# and let a list of modalities be *forced*, as `output_modalities` does. Where
# must a missing block open?

# %% [markdown]
# ## Do you remember?
#
# <details><summary>How many forwards does a block of 25 tokens
# take?</summary>One: once its first token is chosen, the others are
# known.</details>
# <details><summary>A high cosine to the caption's condition: why is that not
# enough?</summary>All captions may look alike to the text encoder. Ask which
# caption is nearest.</details>
# <details><summary>When should a modality be forced?</summary>When a program
# needs an item. The force says that there is one, not which.</details>
#
# ## Summary
#
# - One greedy loop writes words and signal blocks; a block is all or
#   nothing, and its rest goes through the LLM in one forward.
# - Each block becomes a decoder's condition through the output projection,
#   close enough to the caption's that its caption can be told from others.
# - A reply is repeated exactly by its seed; `output_modalities` forces and
#   forbids; `stream=True` shows it growing.
#
# | paper | here | held by |
# |---|---|---|
# | appendix E, Figure 4 | `turn.events` | `test_chat.py` |
# | section 4.2, `[IMG0] ..` | `generation.generate` | `test_generation.py` |
# | section 3, generation stage | `projections.OutputProjection` | `test_projections.py` |
# | section 5.2, several turns | `ConversationTokenizer` | `test_conversation.py` |
# | not in the paper | `trace.trace` | `test_trace.py` |
#
# Next: [notebook 7](07_pipeline_vs_end_to_end.ipynb).
