# %% [markdown]
# # 13. The decoder from scratch
#
# Notebook 4 ends where the decoder begins: with a *condition*, some
# thousand numbers that say what to draw. Here we draw. About sixty lines
# of your own sample an image with the shipped UNet, and the world's
# verifier says whether it is right.
#
# **What you will learn**
#
# - what latents are, and how an image is drowned in noise by a formula
# - what a denoiser is asked and what it answers
# - the DDIM loop, classifier-free guidance, and strength
# - where in the image the denoiser looks for each word
# - what a condition is, why stage 2 aims at a caption's condition with an
#   l2 distance, and what that costs
#
# Time and memory: `lite` half a minute (one core), 0.8 GB · `colab`,
# `paper`: not measured
#
# Study: about 60 minutes, and 40 for the exercises. Before it: [notebook
# 4](04_stage2_decoding_alignment.ipynb). Next: [notebook
# 6](06_any_to_any_inference.ipynb).
#
# Papers:
# [DDPM](https://arxiv.org/abs/2006.11239),
# [DDIM](https://arxiv.org/abs/2010.02502),
# [guidance](https://arxiv.org/abs/2207.12598),
# [latent diffusion](https://arxiv.org/abs/2112.10752),
# [SDEdit](https://arxiv.org/abs/2108.01073),
# [velocity](https://arxiv.org/abs/2202.00512),
# [zero terminal noise](https://arxiv.org/abs/2305.08891),
# [heat maps](https://arxiv.org/abs/2210.04885).
#
# Read it after notebook 4, or before 6 and 8. You need to know what a
# trained network is; no diffusion model is presupposed.

# %% tags=["parameters"]
profile = "lite"
seed = 0
steps = 10  # of denoising
count = 8  # images behind each measured share

# %%
import math
from dataclasses import replace
from random import Random

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image

from nextgpt_lite import NextGPT, Video, trace
from nextgpt_lite.notebook import (
    check,
    check_shape,
    explore,
    record,
    show_figure,
    show_images,
    show_video,
    start,
)

session = start(profile, seed)

# %% [markdown]
# A latent diffusion model is four networks. Two of them only translate:
# the **text encoder** turns words into a condition, the **VAE** turns an
# image into fewer numbers and back. The **UNet** between them does the
# work: it looks at noisy latents, reads the condition, and says what is
# noise. The **scheduler** has no weights; it knows how much noise there is
# at which time.
#
# ```
# words ── text encoder ── condition (L, C) ─┐ cross-attention
# noise (16, 8, 8) ───────────────────────> UNet ──> a little less noise
#                       ^                              │
#                       └───────── `steps` times ──────┘ ──> VAE ──> image
# ```
#
# In NExT-GPT the output projection takes the text encoder's place.

# %%
model = NextGPT.from_pretrained(profile)
decoder = model.decoder("image")
pipeline = decoder.pipeline  # diffusers' StableDiffusionPipeline, frozen
for name in ("text_encoder", "vae", "unet"):
    part = getattr(pipeline, name)
    size = sum(p.numel() for p in part.parameters())
    print(f"{name:13}{type(part).__name__:23}{size:10,} parameters")

# %% [markdown]
# ## Latents
#
# The **VAE** (variational autoencoder; Kingma and Welling, 2014; Rombach
# et al., 2022) was trained to give images back after a narrow place. Its
# encoder answers with a mean and a variance for each latent number; we take
# the mean. Denoising then has 12 times fewer numbers to care about.

# %%
from nextgpt_lite.world import Group, Picture, caption, render, verify

scene = Picture((Group("car", "red", "large"),), None, "garden")
given = render(scene, seed)  # 64 x 64 pixels


@torch.no_grad()
def latents_of(images):
    """PIL images -> (B, 16, 8, 8)"""
    pixels = torch.from_numpy(np.stack([np.asarray(i) for i in images]))
    pixels = pixels.permute(0, 3, 1, 2).to(session.device) / 127.5 - 1
    return pipeline.vae.encode(pixels).latent_dist.mean


clean = latents_of([given])
check_shape(clean, (1, 16, 8, 8))
print(given.width * given.height * 3, "numbers, then", clean.numel())
close = torch.allclose(clean, decoder.latents([given]), atol=1e-5)
record("inline latents equal the package's", close)

# %% [markdown]
# And back. This is the first cell of yours that sampling needs.


# %% tags=["yours"]
def image_of(latents):
    """(B, 16, 8, 8) -> PIL images"""
    pixels = pipeline.vae.decode(latents).sample  # (B, 3, 64, 64), -1 to 1
    pixels = (pixels * 127.5 + 127.5).round().clamp(0, 255)
    arrays = pixels.permute(0, 2, 3, 1).to("cpu", torch.uint8).numpy()
    return [Image.fromarray(array) for array in arrays]


# %% tags=["hide-input"]
def channel(number):
    """One latent channel as a grey image."""
    values = clean[0, number].cpu().numpy()
    values = (values - values.min()) / (np.ptp(values) + 1e-6)
    return Image.fromarray((255 * values).astype(np.uint8))


with torch.no_grad():
    (again,) = image_of(clean)
show_images(
    [given, again, *(channel(n) for n in range(4))],
    ["given", "after the VAE", *(f"channel {n} of 16" for n in range(4))],
)
record("the verifier still reads it", bool(verify(scene, again).correct))

# %% [markdown]
# The channels are small blurred maps of the image: a latent's place is the
# image's place. That is why a convolutional UNet can work on them. What the
# VAE loses, such as the flowers, no denoiser can bring back.
#
# ## Noise
#
# At time $t$ of 1000 the latents $x_0$ are mixed with noise $\epsilon$ from a
# normal distribution (Ho et al., 2020, eq. 4):
#
# $$x_t = \sqrt{\bar\alpha_t}\, x_0 + \sqrt{1 - \bar\alpha_t}\, \epsilon$$
#
# $\bar\alpha_t$ falls from 1 to 0 on a cosine (Nichol and Dhariwal, 2021). It
# is stretched a little so that it ends in exactly 0 (Lin et al., 2024): the
# last $x_t$ is noise and nothing else. Otherwise a trace of the image would
# be left in training that sampling never has.


# %% tags=["yours"]
def schedule(times=1000):
    """How much of the signal's power is left at each time: (times,)"""
    t = torch.linspace(0, 1, times + 1, dtype=torch.float64)
    curve = torch.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2
    kept = (curve[1:] / curve[:-1]).clamp(min=1 - 0.999)
    root = kept.cumprod(0).sqrt()
    root = (root - root[-1]) * root[0] / (root[0] - root[-1])  # ends in 0
    return (root**2).float().to(session.device)


bar = schedule()


def noised(x0, noise, t):
    return bar[t].sqrt() * x0 + (1 - bar[t]).sqrt() * noise


# %%
theirs = pipeline.scheduler.alphas_cumprod.to(bar)
record("inline schedule equals diffusers'", torch.allclose(bar, theirs, atol=1e-5))
draw = torch.Generator().manual_seed(seed)
noise = torch.randn(clean.shape, generator=draw).to(clean)
times = [0, 200, 400, 600, 800, 999]
drowned = torch.cat([noised(clean, noise, t) for t in times])  # (6, 16, 8, 8)

# %% tags=["hide-input"]
figure = Figure(figsize=(8, 3), layout="constrained")
axes = figure.subplots()
axes.plot(bar.sqrt().cpu(), "-", label="image", lw=2)
axes.plot((1 - bar).sqrt().cpu(), "--", label="noise", lw=2)
axes.set(xlabel="time t", ylabel="share", ylim=(0, 1.02))
axes.legend()
show_figure(
    figure,
    "Shares of image and noise over time: the image's falls from 1 to 0, "
    "the noise's rises from 0 to 1, and they cross in the middle.",
)
with torch.no_grad():
    muddy = dict(zip(times, image_of(drowned), strict=True))
_ = explore(lambda t: muddy[t], t=times)

# %% [markdown]
# ## What the denoiser answers
#
# The UNet reads $x_t$, $t$ and a condition. This one was trained to answer
# with the *velocity* $v = \sqrt{\bar\alpha_t}\,\epsilon -
# \sqrt{1-\bar\alpha_t}\,x_0$ (Salimans and Ho, 2022, section 4 and appendix
# D); others answer with $\epsilon$. It is the same knowledge: two equations
# with two unknowns give both the image and the noise that the UNet believes
# in.

# %% tags=["yours"]
tokenizer, unet = pipeline.tokenizer, pipeline.unet


@torch.no_grad()
def condition_of(captions):
    """Captions -> (B, L, C): the text encoder's last hidden states."""
    length = tokenizer.model_max_length
    ids = tokenizer(captions, padding="max_length", max_length=length, return_tensors="pt")
    return pipeline.text_encoder(ids.input_ids.to(session.device)).last_hidden_state


def believed(xt, v, t):
    """(image, noise) that an answer v stands for, at time t."""
    image, dirt = bar[t].sqrt(), (1 - bar[t]).sqrt()
    return image * xt - dirt * v, image * v + dirt * xt


# %%
told = condition_of([caption(scene)])
check_shape(told, (1, decoder.condition_length, decoder.condition_width))
same = torch.allclose(told, decoder.encode_text([caption(scene)]), atol=1e-5)
record("inline condition equals encode_text", same)
with torch.no_grad():
    t = torch.tensor(times, device=session.device)
    v = unet(drowned, t, told.expand(6, -1, -1)).sample
    guesses = [believed(x, a, at)[0] for x, a, at in zip(drowned, v, times, strict=True)]
    show_images(image_of(torch.stack(guesses)), [f"seen from t = {t}" for t in times])

# %% [markdown]
# From little noise the guess is the image itself. From pure noise (t = 999)
# the UNet can see nothing. It answers with the *mean* of all images that
# fit the words: a garden, and a car that may stand anywhere and so is seen
# nowhere. One step is not enough, and sampling takes many small ones.
#
# **Training** is nothing but this question, asked at random times, and the
# mean squared error of the answer:


# %%
@torch.no_grad()
def loss(condition, x0, number):
    """Mean squared error of v at random times; same number, same noise."""
    draw = torch.Generator().manual_seed(number)
    noise = torch.randn(x0.shape, generator=draw).to(x0)
    t = torch.randint(1000, (len(x0),), generator=draw).to(x0.device)
    share = bar[t].reshape(-1, 1, 1, 1)  # (B, 1, 1, 1)
    xt = share.sqrt() * x0 + (1 - share).sqrt() * noise
    wanted = share.sqrt() * noise - (1 - share).sqrt() * x0
    return (unet(xt, t, condition).sample - wanted).pow(2).mean()


# %%
from nextgpt_lite.world import sample_picture

chance = Random(f"notebook 13/{seed}")
drawn = (sample_picture(chance) for _ in range(1000))
scenes = [s for s in drawn if len(s.groups) == 1 and s.groups[0].count < 5]
scenes = scenes[:count]
captions = [caption(each) for each in scenes]
conditions = condition_of(captions)  # (count, L, C)
x0 = latents_of([render(s, seed + i) for i, s in enumerate(scenes)])
draw = torch.Generator().manual_seed(seed)
with torch.no_grad():
    theirs = decoder.denoising_errors(conditions, x0, draw).mean()
close = torch.allclose(loss(conditions, x0, seed), theirs, atol=1e-5)
record("inline loss equals denoising_errors", close)
own = np.mean([loss(conditions, x0, n).item() for n in range(4)])
others = np.mean([loss(conditions.roll(1, 0), x0, n).item() for n in range(4)])
print(f"denoising loss: own caption {own:.3f}, another image's {others:.3f}")
record("denoising loss, own caption", own)
record("denoising loss, another image's caption", others)
assert own < others  # the words help

# %% [markdown]
# ## The loop
#
# **DDIM** (Song et al., 2021, eq. 12 without its noise term): begin with
# noise. At each step ask the UNet, take its answer apart into image and
# noise, and mix these two again, with a little less noise. Nothing is drawn
# at random after the start, so the same noise gives the same image.
#
# **Classifier-free guidance** (Ho and Salimans, 2022, eq. 6): ask twice, with
# the words and with none, and go further in the direction in which the
# words pulled: `empty + scale * (told - empty)`. A scale of 1 is no guidance
# at all, 0 forgets the words.
#
# **Strength** (SDEdit; Meng et al., 2022) comes for free: begin not with
# noise but with a given image under some noise, and take only the last
# steps.

# %% tags=["yours"]
empty = condition_of([""])


def answer(x, t, condition, scale):
    """The UNet's v, guided."""
    if scale == 1:
        return unet(x, t, condition).sample
    both = torch.cat([empty.expand_as(condition), condition])
    without, told = unet(torch.cat([x, x]), t, both).sample.chunk(2)
    return without + scale * (told - without)


@torch.no_grad()
def sample(condition, noise, steps, scale=2.0, given=None, strength=1.0):
    """(images, what was believed at each step (steps, B, 16, 8, 8))"""
    times = [round(1000 - i * 1000 / steps) - 1 for i in range(steps)]
    taken = times[steps - int(steps * strength) :]
    x = noise if given is None else noised(given, noise, taken[0])
    film = []
    for t, following in zip(taken, [*taken[1:], None], strict=True):
        v = answer(x, t, condition, scale)
        image, dirt = believed(x, v, t)
        film.append(image)
        x = image if following is None else noised(image, dirt, following)
    return image_of(x), torch.stack(film)


def noise_of(seeds):
    """(B, 16, 8, 8) one seed an image, the same on every device"""
    each = [torch.randn(16, 8, 8, generator=torch.Generator().manual_seed(s)) for s in seeds]
    return torch.stack(each).to(session.device)


# %% [markdown]
# Does it draw? One image, and a film of its denoising: what the UNet believes
# in each step.

# %%
(mine,), film = sample(told, noise_of([seed]), steps)
verdict = verify(scene, mine)
print(f'"{caption(scene)}":', "right" if verdict.correct else verdict.attributes)
with torch.no_grad():
    frames = image_of(film[:, 0])
frames = np.stack([np.asarray(f.resize((128, 128), Image.Resampling.NEAREST)) for f in frames])
show_video(Video(frames, 4.0))
_ = explore(lambda step: Image.fromarray(frames[step - 1]), step=range(1, steps + 1))

# %% [markdown]
# Coarse things come out of the noise before fine ones: first the place, then
# where a thing may stand, last what it is.
#
# Is it diffusers' DDIM? The shipped decoder samples by another solver, which
# adds fresh noise in each step and so corrects early mistakes (DPM-Solver++ in
# its SDE form; three kinds of things come out right more often). With DDIM in
# its place the same noise must give the same pixels; and how often is an image
# of yours right?

# %%
from diffusers import DDIMScheduler

from nextgpt_lite.evaluation import Score

pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)

mine, _ = sample(conditions, noise_of(range(count)), steps)
theirs = list(
    decoder.generate_each(conditions, range(count), num_inference_steps=steps, guidance_scale=2.0)
)
apart = max(
    int(np.abs(np.asarray(a, int) - np.asarray(b, int)).max())
    for a, b in zip(mine, theirs, strict=True)
)
print(f"largest difference to the package: {apart} of 255")
record("largest difference to the package, of 255", apart)
assert apart <= 2


def right(images, wanted=scenes):
    """How many images show all of what was asked for."""
    return Score.of(verify(s, i).correct for s, i in zip(wanted, images, strict=True))


show_images(
    mine,
    [
        f"{words}: {'right' if verify(s, i).correct else 'wrong'}"
        for words, s, i in zip(captions, scenes, mine, strict=True)
    ],
    columns=4,
)
print("right, with 95 % interval:", right(mine))
record("images of your own sampler, right", right(mine).rate)

# %% [markdown]
# ## Guidance and strength, to play with
#
# Each image below was drawn by your `sample` from the same noise. In a live
# notebook two sliders show one at a time; elsewhere you see all of them.
# `given` is the red car; the words ask for a blue one.

# %%
blue = Picture((replace(scene.groups[0], colour="blue"),), None, "garden")
asked = condition_of([caption(blue)])
print(f'"{caption(blue)}"')


def turned(guidance, strength):
    """An image from the red car's latents."""
    noise = noise_of([seed])
    images, _ = sample(asked, noise, steps, guidance, clean, strength)
    return images[0]


sheet = explore(turned, guidance=(0, 1, 2, 6), strength=(0.2, 0.4, 0.7, 1.0))

# %% [markdown]
# Across the columns guidance grows: at 0 the words are not heard. Down the
# rows strength grows. What does it do? We let the verifier read the second
# column from the right.

# %%
from nextgpt_lite.world import read_picture

(before,) = read_picture(given).things
for strength in (0.2, 0.4, 0.7, 1.0):
    for thing in read_picture(sheet[2, strength]).things:
        away = math.dist((thing.x, thing.y), (before.x, before.y))
        print(f"strength {strength}: {thing.colour} {thing.kind}, moved by {away:.0f} pixels")

# %% [markdown]
# A colour changes long before a place does: noise washes out fine things
# first. Notebook 8 makes use of that.
#
# How much guidance does this decoder need? The verifier counts.

# %%
rates = {2: right(mine).rate}
for scale in (0, 1, 8):
    images, _ = sample(conditions, noise_of(range(count)), steps, scale)
    rates[scale] = right(images).rate
for scale in sorted(rates):
    print(f"guidance {scale}: {rates[scale]:4.0%} right")
record("right without words (guidance 0)", rates[0])
assert rates[0] < min(rates[1], rates[2])
gain = round(count * (max(rates[2], rates[8]) - rates[1]))
print(f"guidance saves {gain} of {count} images:", end=" ")
print("a great help" if gain > count / 3 else "little, where each caption is exact")

# %% [markdown]
# Large models need it more: Stable Diffusion's default is 7.5, for captions
# from the web describe their images loosely. Guidance is paid with variety,
# and with a second UNet call in each step.
#
# ## Where the words look
#
# How does the condition get into the UNet? By **cross-attention** (Rombach
# et al., 2022, eq. 1 in section 3.3): each place of the image asks a question
# (Q, from the latents), each row of the condition offers an answer (K and V):
#
# $$\mathrm{softmax}(Q K^\top / \sqrt{d})\, V$$
#
# The softmax is a table: for each place, how much it listens to each word.
# Turned around it is a **heat map per word** (Tang et al., 2023). A hook
# writes it down while we sample.

# %%
layer = "up_blocks.1.attentions.0.transformer_blocks.0.attn2"
layers = [n for n, m in unet.named_modules() if n.endswith("attn2")]
tables = {name: [] for name in layers}  # a step each: (B, places, L)


def listening(name):
    def hook(attention, args, kwargs, output):
        places, rows = args[0], kwargs["encoder_hidden_states"]
        q = attention.head_to_batch_dim(attention.to_q(places))
        k = attention.head_to_batch_dim(attention.to_k(rows))
        table = (q @ k.mT * attention.scale).softmax(-1)  # (B * heads, ..)
        tables[name].append(table.unflatten(0, (len(places), -1)).mean(1))

    return hook


drawn = (sample_picture(chance) for _ in range(2000))
pairs = [s for s in drawn if s.relation in ("left of", "right of")][:count]
words = [caption(each) for each in pairs]
hooks = [
    unet.get_submodule(n).register_forward_hook(listening(n), with_kwargs=True) for n in layers
]
side_by_side, _ = sample(condition_of(words), noise_of(range(count)), steps, 1.0)
for hook in hooks:
    hook.remove()


def heat(name, item, place):
    """(side, side): how much each place listens to one row of an item."""
    table = torch.stack(tables[name])[:, item, :, place].mean(0)
    return table.reshape(math.isqrt(len(table)), -1).cpu().numpy()


# %% tags=["hide-input"]
def tokens_of(text):
    ids = tokenizer([text], padding="max_length").input_ids[0]
    return tokenizer.convert_ids_to_tokens(ids)


def show_heat(item):
    """The image, and it again as each of its words lights it."""
    tokens = tokens_of(words[item])
    silent = {"a", "of", "on", "in", "the"}
    shown = [n for n, t in enumerate(tokens) if t[0] != "[" and t not in silent]
    maps = {n: heat(layer, item, n) for n in shown}
    pixels = np.asarray(side_by_side[item]) / 255
    tiles, titles = [side_by_side[item]], ["the image"]
    for n in shown:
        light = maps[n] / max(maps[n].max(), 1e-9)
        light = Image.fromarray((255 * light).astype(np.uint8)).resize((64, 64), 2)
        light = 0.12 + 0.88 * np.asarray(light)[..., None] / 255
        tiles.append(Image.fromarray((255 * pixels * light).astype(np.uint8)))
        titles.append(tokens[n])
    show_images(tiles, titles, columns=5)


print(f'"{words[0]}"')
show_heat(0)

# %% [markdown]
# Is it the word that finds its thing, or do we only like this example? For
# each of the sentences "A left of B" and "A right of B": does the heat of A's
# word lie on the side that the sentence says? A coin would be right in half
# of them.


# %%
def column(name, item, kind):
    """Mean column, 0 to 1, of the heat of a thing's word."""
    warm = heat(name, item, tokens_of(words[item]).index(kind)).sum(0)
    return float((warm * np.linspace(0, 1, len(warm))).sum() / warm.sum())


def on_its_side(name):
    """Share of sentences whose two words light the right sides."""
    found = []
    for item, each in enumerate(pairs):
        first, second = (column(name, item, g.kind) for g in each.groups[:2])
        found.append((first < second) == (each.relation == "left of"))
    return Score.of(found)


sides = {name: on_its_side(name) for name in layers}
for name in layers:
    short = name.replace("transformer_blocks", "block").removesuffix(".attn2")
    print(f"{short:40}{sides[name].rate:5.0%}{'  <- shown above' * (name == layer)}")
record("heat on the side that the sentence says", sides[layer].rate)

# %% [markdown]
# The shown layer puts each thing where the sentence wants it. Others do not:
# they listen to places, to sizes, or to the padding. A heat map shows where
# one layer listens, not what the model thinks.
#
# ## What a condition is
#
# So a condition is not a sentence. It is L rows that attention may read; the
# UNet does not ask where they come from. A sentence shorter than L is filled
# up with padding, and the text encoder writes into these rows too. What if
# we blank one or the other?

# %%
ids = tokenizer(captions, padding="max_length", return_tensors="pt").input_ids
padding = (ids == tokenizer.pad_token_id).to(session.device)  # (count, L)
power = conditions.pow(2).sum(-1)  # (count, L)
share = float((power * padding).sum() / power.sum())
print(f"{padding.float().mean():.0%} of the rows are padding, and {share:.0%} of the power")


def drawn_right(condition):
    """How many images of the captions come out right, without guidance."""
    return right(sample(condition, noise_of(range(count)), steps, 1.0)[0])


blank = {}
for name, rows in (("padding", padding), ("words", ~padding)):
    kept = conditions.masked_fill(rows[..., None], 0)
    blank[name] = drawn_right(kept)
    print(f"{name + ' blanked:':17}{blank[name]}")
least = min(score.rate for score in blank.values())
record("right with either kind of rows blank, at least", least)
assert least > rates[0]

# %% [markdown]
# Neither kills all images. What the sentence says stands in the condition
# more than once: the rows of the padding have read the words before them.
#
# ## Why l2 to a caption's condition, and what it costs
#
# Stage 2 must teach the output projection to write such rows. The paper
# takes the rows that the decoder's own text encoder writes for the caption,
# and makes the **l2 distance** to them small. Three reasons:
#
# 1. The decoder stays frozen and knows these rows: they are what it was
#    trained on. A projection that hits them needs no new decoder.
# 2. Captions are enough. No image, no VAE, no UNet runs in training.
# 3. The target is the same in each step. A denoising loss asks about random
#    noise at a random time, and its gradient is noisy too.
#
# It costs something. The distance counts all numbers alike, but the UNet does
# not read them all alike. Take three errors of *equal size*: random noise,
# a step towards the same caption with another colour, and one towards another
# count.

# %%
from nextgpt_lite.model import condition_distance
from nextgpt_lite.world import COLOURS


def other(each, **change):
    return replace(each, groups=(replace(each.groups[0], **change),))


def next_colour(each):
    return COLOURS[(COLOURS.index(each.groups[0].colour) + 3) % len(COLOURS)]


draw = torch.Generator().manual_seed(seed)
towards = {
    "random noise": torch.randn(conditions.shape, generator=draw).to(conditions),
    "another colour": condition_of([caption(other(s, colour=next_colour(s))) for s in scenes])
    - conditions,
    "another count": condition_of([caption(other(s, count=s.groups[0].count + 1)) for s in scenes])
    - conditions,
}
sizes = (0.02, 0.06, 0.12)


def moved(direction, distance):
    """Conditions, each moved so far that the l2 loss is `distance`."""
    length = direction.flatten(1).norm(dim=1) / conditions.flatten(1).norm(dim=1)
    return conditions + direction * (math.sqrt(distance) / length)[:, None, None]


survived = {
    name: [drawn_right(moved(direction, size)).rate for size in sizes]
    for name, direction in towards.items()
}
print(f"{'right at a distance of':24}" + "".join(f"{size:7.2f}" for size in sizes))
for name, shares in survived.items():
    print(f"{name:24}" + "".join(f"{share:7.0%}" for share in shares))
about = float(condition_distance(moved(towards["random noise"], 0.06), conditions))
assert abs(about - 0.06) < 0.005
harmless = np.mean(survived["random noise"])
harmful = np.mean([survived["another colour"], survived["another count"]])
record("right after random errors", harmless)
record("right after errors of equal size towards another caption", harmful)
assert harmful < harmless

# %% [markdown]
# The same distance, and another fate. An error towards a neighbour changes
# the image long before an error anywhere else does. And half the way to a
# neighbour is where l2 sends a projection that cannot decide: the mean of
# two targets costs less than a wrong guess. A denoising loss through the
# frozen UNet would weigh each error by what it does to the image; MetaQuery
# and DreamLLM train so. Then every step needs an image and a UNet.
#
# How far off are the shipped model's own signal tokens?

# %%
requests = [f"Draw {words}." for words in captions]
blocks = [
    trace(model, text, output_modalities=["image"], num_inference_steps=1).blocks[0]
    for text in requests
]
signals = torch.stack([block.condition for block in blocks])  # (count, L, C)
away = condition_distance(signals, conditions)
print("drawn from captions:     ", drawn_right(conditions))
print("drawn from signal tokens:", drawn_right(signals))
record("distance of signal tokens to captions", float(away))

# %% [markdown]
# The last cost is what no distance shows. **The target says only what the
# caption says.** A caption's condition leaves open where the thing stands,
# for the caption does. So the same condition gives other places with other
# noise, and signal tokens taught by captions cannot carry a place either, even
# if the LLM has seen it:

# %%
(single,) = condition_of([caption(scene)])
several, _ = sample(single.expand(4, -1, -1), noise_of(range(4)), steps)
show_images(several, [f"noise {n}" for n in range(4)])

# %% [markdown]
# ## Exercises
#
# **13.1 What a picture costs** (easy, 1 minute). 20 steps with guidance: how
# many latents does the UNet read for one image?

# %%
calls = ...
check("decoder.calls", calls)

# %% tags=["solution"]
calls = 20 * 2
check("decoder.calls", calls)

# %% [markdown]
# **13.2 Noise from v** (medium, 5 minutes). Another scheduler wants
# $\epsilon$, not $v$. Write `epsilon(xt, v, share)`: the noise that an answer
# `v` stands for, when `share` is $\bar\alpha_t$, a number.

# %%
epsilon = ...
check("decoder.epsilon", epsilon)


# %% tags=["solution"]
def epsilon(xt, v, share):
    return share**0.5 * v + (1 - share) ** 0.5 * xt


check("decoder.epsilon", epsilon)

# %% [markdown]
# **13.3 One step** (medium, 10 minutes). Write
# `step(xt, noise, share, following)`: one DDIM step of a UNet that answers
# with noise. `share` and `following` are $\bar\alpha$ now and after the step;
# the result is $x$ after the step.

# %%
step = ...
check("decoder.step", step)


# %% tags=["solution"]
def step(xt, noise, share, following):
    image = (xt - (1 - share) ** 0.5 * noise) / share**0.5
    return following**0.5 * image + (1 - following) ** 0.5 * noise


check("decoder.step", step)

# %% [markdown]
# **13.4 A sampler for any denoiser** (hard, 20 minutes). Write
# `ddim(denoise, noise, shares, scale)`, DDIM with guidance for a denoiser that
# answers with noise. `denoise(x, number, told)` is its answer in step
# `number`, with the words (`told` is True) or without. `shares` are the
# $\bar\alpha$ before each step, from little to much; after the last one the
# image is clean.
#
# <details><summary>A hint</summary>Your <code>step</code> is the inside of the
# loop. Which share follows the last one?</details>
# <details><summary>Another hint</summary>Guidance begins at the answer
# without words and goes towards the other, <code>scale</code> times as
# far.</details>

# %%
ddim = ...
check("decoder.ddim", ddim)


# %% tags=["solution"]
def ddim(denoise, noise, shares, scale):
    x = noise
    both = zip(shares, [*shares[1:], 1.0], strict=True)
    for number, (share, following) in enumerate(both):
        empty = denoise(x, number, False)
        dirt = empty + scale * (denoise(x, number, True) - empty)
        image = (x - (1 - share) ** 0.5 * dirt) / share**0.5
        x = following**0.5 * image + (1 - following) ** 0.5 * dirt
    return x


check("decoder.ddim", ddim)

# %% [markdown]
# Yours with the shipped UNet. It answers with v, which your `epsilon` turns
# into noise. At t = 999 no share of the image is left to divide by, so we
# begin a little later.

# %%
from nextgpt_lite.notebook import solved

if solved("decoder.ddim", "decoder.epsilon"):
    numbers = [round(980 - i * 980 / steps) - 1 for i in range(steps)]

    @torch.no_grad()
    def denoise(x, number, told):
        t = numbers[number]
        words = conditions if told else empty.expand_as(conditions)
        return epsilon(x, unet(x, t, words).sample, float(bar[t]))

    shares = [float(bar[t]) for t in numbers]
    latents = ddim(denoise, noise_of(range(count)), shares, 2.0)
    with torch.no_grad():
        yours = image_of(latents)
    print("right:", right(yours))
    show_images(yours, captions, columns=4)
    record("your sampler draws what is asked for", right(yours).rate > 0.5)

# %% [markdown]
# **Go further** (hard, an hour, no solution given). Begin with the condition of
# a caption, make it an `nn.Parameter`, and lower `decoder.denoising_errors` of
# *one* image by AdamW. After some hundred steps the thing stands where it
# stands in that image, whatever the noise. You have found a condition
# that no caption has. What is its l2 distance to the caption's?
#
# ## Do you remember?
#
# <details><summary>What does guidance of 1 do, and of 0?</summary>1 is no
# guidance at all, 0 forgets the words.</details>
# <details><summary>Two errors of equal l2 size: can one spoil the image and
# one not?</summary>Yes: towards another caption's condition a small one is
# enough.</details>
# <details><summary>Why can stage 2 not teach where a thing
# stands?</summary>Its target is a caption's condition, and the caption does
# not say.</details>
#
# ## Summary
#
# - Latents are small maps of the image; noise is mixed in by a formula, and
#   the UNet is trained to tell the two apart.
# - Sampling takes its answer apart and mixes it again with less noise. Guidance
#   asks twice; strength begins later.
# - Words enter by cross-attention, a table of places against rows. A condition
#   is those rows, wherever they come from.
# - l2 to a caption's condition needs captions only and a decoder never runs. It
#   weighs all errors alike, and it can teach nothing that captions leave out.
#
# | paper | here | tested in |
# |---|---|---|
# | section 3, diffusion decoders | `Decoder.generate` | `test_base.py` |
# | section 4.2, target of the l2 distance | `Decoder.encode_text` | `test_base.py` |
# | section 4.2, l2 distance | `losses.condition_distance` | `test_stages.py` |
# | (not in the paper) denoising loss | `Decoder.denoising_errors` | `test_noise.py` |
# | section 6, editing | `Editing.edit` | `test_editing.py` |
#
# Next: [notebook 6](06_any_to_any_inference.ipynb), one whole reply from inside, or
# [notebook 8](08_editing.ipynb), more of what strength can do.
