# %% [markdown]
# # 2. Encoders: one space for images, audio, videos and text
#
# NExT-GPT does not learn to see or hear. It borrows **ImageBind**: one
# transformer for each modality, trained so that an image, an audio clip or a
# video lands near the words that describe it, in one common space. This
# notebook opens such an encoder, small and trained on the lite world, and
# looks at what its vectors hold and what they lose.
#
# **What you will learn**
#
# - how an image, a video and audio become tokens
# - what a transformer block does, rebuilt and compared number by number
# - how well captions find images, and images captions, among 200
# - what one vector of 256 numbers holds, and where it fails
#
# Time and memory: `lite` 1 minute, 0.6 GB · `colab`, `paper`: not measured
#
# Study: about 60 minutes, and 35 for the exercises. Before it: [notebook
# 1](01_the_lite_world.ipynb); what a transformer is. Next: [notebook
# 3](03_stage1_encoding_alignment.ipynb).
#
# Papers:
# [ImageBind](https://arxiv.org/abs/2305.05665),
# [CLIP](https://arxiv.org/abs/2103.00020),
# [InfoNCE](https://arxiv.org/abs/1807.03748).
#
# ```text
# image   (3, 64, 64) ── patches ─┐
# audio   filter bank ── patches ─┼─> [class] + tokens ─> blocks ─> one
# video   frames      ── patches ─┘                                vector
#                                                     ▲ contrast     (E,)
# caption ── words ───────────────────> text trunk ───┴──────────> (E,)
# ```

# %% tags=["parameters"]
profile = "lite"
seed = 0
pool = 200  # items among which the right one is looked for
probes = 900  # images on which the linear probe learns; a third more test
trials = 80  # images of each test of what fails

# %%
from dataclasses import replace
from random import Random

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib import colormaps
from matplotlib.figure import Figure
from PIL import Image

from nextgpt_lite import NextGPTConfig, world
from nextgpt_lite.encoders import Encoder
from nextgpt_lite.evaluation import Score
from nextgpt_lite.model import locate
from nextgpt_lite.notebook import (
    check,
    check_shape,
    record,
    show_audio,
    show_figure,
    show_images,
    start,
)
from nextgpt_lite.world import Clip, Group, Picture, Sound, caption, render

session = start(profile, seed)
config = NextGPTConfig.from_profile(profile)
encoder = Encoder.from_pretrained(locate(config.encoder)).to(session.device)
model = encoder.model

# %% [markdown]
# ## What goes in
#
# Networks read tensors. Preprocessing turns each item into one.
#
# **An image** is scaled to a square and its colours are shifted to mean
# zero, with the means and deviations of CLIP. ImageBind was trained with
# them, so they belong to the weights: other numbers, other vectors.

# %%
from nextgpt_lite.encoders import (
    PIXEL_MEAN,
    PIXEL_STD,
    preprocess_audio,
    preprocess_image,
    preprocess_video,
)

numbers = encoder.preprocess
cat = Picture((Group("cat", "orange", "large", 2),), None, "garden")
picture = render(cat, seed)

bytes_ = torch.from_numpy(np.array(picture)).permute(2, 0, 1)  # (3, H, W)
mean = torch.tensor(PIXEL_MEAN)[:, None, None]  # (3, 1, 1)
std = torch.tensor(PIXEL_STD)[:, None, None]
own_pixels = (bytes_ / 255 - mean) / std
pixels = preprocess_image(picture, numbers)
print(tuple(pixels.shape))  # (3, 64, 64)
same = torch.equal(own_pixels, pixels)
record("inline pixels equal preprocess_image", same)

# %% [markdown]
# **An audio clip** becomes an image too: a *mel filter bank*. Every 10 ms,
# the energy of 128 bands of pitch, on a logarithmic scale. Time runs to the
# right, pitch upwards. (The bright edge on the right is padding: 198 frames
# are there, 204 are wanted, and ImageBind fills up with zeros, which here are
# loud. Odd, but the weights are used to it.)


# %%
def as_picture(bank):
    """A filter bank (1, M, F) as an image, low bands below."""
    bright = (bank[0] - bank.min()) / (bank.max() - bank.min())
    pixels = colormaps["magma"](bright.flip(0).numpy())[..., :3]
    picture = Image.fromarray((255 * pixels).astype(np.uint8))
    return picture.resize((128, 128))


heard = [Sound("dog", 3, "low"), Sound("bird", 2, "high"), Sound("bell", 1)]
banks = [preprocess_audio(render(s, seed), numbers)[0] for s in heard]
check_shape(banks[0], (1, 128, 204))  # one channel, 128 bands, 2.04 s
titles = [caption(sound) for sound in heard]
show_images([as_picture(bank) for bank in banks], titles)
show_audio(render(heard[0], seed), titles[0])

# %% [markdown]
# **A video** of two seconds becomes two frames, its first and its last.
# The released encoder does the same with several clips of a longer video,
# and takes the mean of their vectors. What happens in between is lost.

# %%
flight = Clip("bird", "blue", "up", "large", "sky")
film = render(flight, seed)
frames = preprocess_video(film, numbers)
print(film.frames.shape, "->", tuple(frames.shape))
# (8, 64, 64, 3) -> (1, 3, 2, 64, 64): one video, colours, two frames
ends = [Image.fromarray(film.frames[at]) for at in (0, -1)]
show_images(ends, ["first frame", "last frame"])

# %% [markdown]
# ## Patches become tokens
#
# The image is cut into 8 x 8 squares of 8 x 8 pixels. Each is flattened
# and multiplied by one matrix. An image passes as a video of two equal
# frames, so the same matrix reads both. One more token, the **class
# token**, is put in front: it has no content of its own, and will collect
# what the others know. Learned positions are added at the end.

# %%
stem = model.modality_preprocessors["vision"]
matrix = stem.rgbt_stem.proj[1].weight  # (D, 3, 2, 8, 8)
D = len(matrix)

x = pixels[None].to(session.device)  # (1, 3, 64, 64)
squares = x.unfold(2, 8, 8).unfold(3, 8, 8)  # (1, 3, 8, 8, 8, 8)
squares = squares.permute(0, 2, 3, 1, 4, 5)  # patches first
squares = squares.flatten(1, 2)  # (1, 64, 3, 8, 8)
twice = squares[:, :, :, None].expand(-1, -1, -1, 2, -1, -1)  # two frames
own_tokens = twice.flatten(2) @ matrix.flatten(1).T  # (1, 64, D)
own_tokens = torch.cat([stem.cls_token, own_tokens], dim=1)
own_tokens = own_tokens + stem.pos_embedding_helper.pos_embed

tokens = stem(x)
check_shape(tokens, (1, 65, D))  # 64 patches and the class token, D = 160
close = torch.allclose(own_tokens, tokens, atol=1e-5)
record("inline patch embedding equals the package's", close)

# %% tags=["hide-input"]
pieces = (squares[0].cpu() * std + mean).clamp(0, 1)  # (64, 3, 8, 8)
apart = torch.full((3, 8, 10, 8, 10), 0.48)  # a patch and a gap, both ways
apart[:, :, :8, :, :8] = pieces.reshape(8, 8, 3, 8, 8).permute(2, 0, 3, 1, 4)
sheet = (255 * apart.reshape(3, 80, 80).permute(1, 2, 0)).byte().numpy()
sheet = Image.fromarray(sheet[:78, :78]).resize((468, 468), Image.Resampling.NEAREST)
show_images([picture.resize((468, 468), Image.Resampling.NEAREST), sheet],
            ["the image", "its 64 patches"], tile=468)  # fmt: skip

# %% [markdown]
# ## One transformer block
#
# Two halves, each added to what came in. In the first, every token looks
# at every other (attention); in the second, each thinks for itself (a
# small two-layer network). Layer norms come first: *pre-norm*.


# %%
def layer_norm(x, norm):
    spread = x.var(dim=-1, keepdim=True, unbiased=False) + norm.eps
    x = (x - x.mean(dim=-1, keepdim=True)) / spread.sqrt()
    return x * norm.weight + norm.bias


def attention(x, part):
    """The new tokens, and who looked where: (B, heads, N, N)."""
    qkv = x @ part.in_proj_weight.T + part.in_proj_bias  # (B, N, 3 D)
    heads = qkv.unflatten(-1, (3, part.heads, -1))  # (B, N, 3, heads, d)
    q, k, v = heads.permute(2, 0, 3, 1, 4)  # each (B, heads, N, d)
    looks = (q @ k.mT / q.shape[-1] ** 0.5).softmax(dim=-1)
    mixed = (looks @ v).transpose(1, 2).flatten(2)  # (B, N, D)
    return part.out_proj(mixed), looks


def own_block(x, block):
    change, looks = attention(layer_norm(x, block.norm_1), block.attn)
    x = x + change
    inside = block.mlp.fc1(layer_norm(x, block.norm_2))  # (B, N, 4 D)
    return x + block.mlp.fc2(F.gelu(inside)), looks


trunk = model.modality_trunks["vision"]
with torch.no_grad():
    entering = trunk.pre_transformer_layer(tokens)  # one more norm
    own, looks = own_block(entering, trunk.blocks[0])
    theirs = trunk.blocks[0](entering)
check_shape(own, (1, 65, D))
difference = (own - theirs).abs().max()
print(f"largest difference: {difference:.0e}")
record("inline block, largest difference", difference)
record("inline block equals Block", difference < 1e-5)

# %% [markdown]
# The whole encoder is a stack of these. At the end the class token alone
# is taken, projected to E = 256 numbers, and brought to length one.

# %%
with torch.no_grad():
    state, all_looks = entering, []
    for block in trunk.blocks:
        state, looks = own_block(state, block)
        all_looks.append(looks)
    norm, _, linear = model.modality_heads["vision"]
    own_vector = F.normalize(linear(layer_norm(state[:, 0], norm)), dim=-1)
vector = encoder.encode([("image", picture)])
print(tuple(vector.shape), len(trunk.blocks), "blocks")  # (1, 256)
close = torch.allclose(own_vector, vector, atol=1e-5)
record("inline encoder equals Encoder.encode", close)

# %% [markdown]
# Where does the class token look? Below, the attention it pays to the 64
# patches, block by block, mean over the heads. Bright means looked at.

# %% tags=["hide-input"]
figure = Figure(figsize=(11, 1.9), layout="constrained")
row = figure.subplots(1, 1 + len(all_looks))
row[0].imshow(picture)
row[0].set_title("image")
for number, looks in enumerate(all_looks, 1):
    seen = looks[0, :, 0, 1:].mean(dim=0).reshape(8, 8)
    row[number].imshow(seen.cpu(), cmap="viridis")
    row[number].set_title(f"block {number}")
for axes in row:
    axes.set_axis_off()
show_figure(
    figure,
    "The image, and for each block a map of 8 x 8 patches: how much the class "
    "token attends to each of them.",
)

# %% [markdown]
# The other trunks are the same code at other numbers. The audio trunk cuts
# its filter bank into 16 x 16 squares, and its attention has one learned
# extra key ("nothing here"). The text trunk reads word by word, looks back
# only, and hands over the state at the end mark.

# %%


def size_of(network, trunk):
    named = network.named_parameters()
    return sum(p.numel() for name, p in named if f".{trunk}." in name)


print(f"{'trunk':8}{'tokens':>7}{'width':>7}{'blocks':>8}  parameters")
for name, part in model.config.trunks.items():
    if name == "text":
        length = part.context
    else:
        length = model.modality_preprocessors[name]
        length = length.pos_embedding_helper.pos_embed.shape[1]
    shape = f"{length:7}{part.width:7}{part.blocks:8}"
    print(f"{name:8}{shape}{size_of(model, name):12,}")

# %% [markdown]
# ## One space for all
#
# The idea of ImageBind: whatever comes in, one vector of the same space
# comes out. Similar meaning, similar direction. So a dot product compares
# an image with a caption, or an audio clip with an image.

# %%
items = [("image", picture), ("video", film), ("audio", render(heard[0]))]
vectors = encoder.encode(items)  # (3, E)
words = [caption(cat), caption(flight), caption(heard[0])]
texts = encoder.encode_text(words)  # (3, E)
print(tuple(vectors.shape), tuple(texts.shape))  # (3, 256) (3, 256)
print("lengths of media:", vectors.norm(dim=-1))  # 1
print("lengths of texts:", texts.norm(dim=-1))  # the learned scale
texts = F.normalize(texts, dim=-1)
print((vectors @ texts.T).cpu().numpy().round(2))  # rows: media

# %% [markdown]
# The text vectors are longer because the text trunk multiplies by a
# learned number, one over the *temperature* of the loss below. For
# directions it does not matter; we divide it out.
#
# Captions against images, as a heat map. Next to some scenes stands a
# near miss: the same scene with one thing changed.

# %%
red_car = Picture((Group("car", "red"),), None, "street")
rows = [
    red_car,
    replace(red_car, groups=(Group("car", "blue"),)),
    replace(red_car, place="garden"),
    Picture((Group("dog", "black", "small", 2),)),
    Picture((Group("dog", "black", "small", 3),)),
    Picture((Group("woman", "purple"),), None, "table"),
    Picture((Group("apple", "red"), Group("bell", "yellow")), "left of"),
    Picture((Group("apple", "red"), Group("bell", "yellow")), "right of"),
]
names = [caption(scene) for scene in rows]
images = [render(scene, seed) for scene in rows]
with torch.no_grad():
    shown = encoder.encode([("image", image) for image in images])
    said = F.normalize(encoder.encode_text(names), dim=-1)
cosines = (said @ shown.T).cpu()  # captions x images
show_images(images, [str(number) for number in range(1, 9)], columns=4)

# %% tags=["hide-input"]
figure = Figure(figsize=(10, 4.2), layout="constrained")
axes = figure.subplots()
axes.imshow(cosines, cmap="magma", vmin=-1, vmax=1, aspect="auto")
axes.set_yticks(range(8), names)
axes.set_xticks(range(8), [f"image {number}" for number in range(1, 9)])
for i in range(8):
    for j in range(8):
        shade = "black" if cosines[i, j] > 0.3 else "white"
        text = f"{cosines[i, j]:.2f}"
        axes.text(j, i, text, ha="center", va="center", color=shade)
show_figure(
    figure,
    "Cosines of eight captions (rows) and eight images (columns): largest on the "
    "diagonal, and nearly as large between near misses.",
)
# %%
right = (cosines.argmax(dim=1) == torch.arange(8)).sum()
print(int(right), "of 8 captions have their own image nearest")
assert float(cosines[6:, 6:].max() - cosines[6:, 6:].min()) < 0.1  # "the second digit at most"
record("captions whose nearest image is theirs, of 8", right)

# %% [markdown]
# Look at the near misses: the more two scenes share, the closer their
# vectors. And look at the last two rows: *left* against *right* changes
# the second digit at most. We will come back to that.
#
# ## How it was taught
#
# A batch of media and their captions. Each item should prefer its own
# caption to all others of the batch, and each caption its own item: two
# cross-entropies over the rows and columns of one matrix (*InfoNCE*,
# ImageBind's eq. 1):
#
# $$\mathcal{L} = -\frac{1}{2N} \sum_i \log
# \frac{e^{q_i \cdot k_i / \tau}}{\sum_j e^{q_i \cdot k_j / \tau}}
# + \log \frac{e^{q_i \cdot k_i / \tau}}{\sum_j e^{q_j \cdot k_i / \tau}}$$

# %%
from nextgpt_lite.world import contrast

with torch.no_grad():
    scaled = encoder.encode_text(names)  # times 1 / temperature
    logits = shown @ scaled.T  # (8, 8), the right ones on the diagonal
    own = torch.arange(8, device=session.device)
    by_rows = F.cross_entropy(logits, own)  # media choose captions
    by_columns = F.cross_entropy(logits.T, own)  # captions choose media
    own_loss = (by_rows + by_columns) / 2
    theirs = contrast(shown, scaled, tuple(rows))
print(f"{own_loss:.4f} nats; a guess would cost {np.log(8):.4f}")
close = torch.allclose(own_loss, theirs)
record("inline InfoNCE equals pretraining.contrast", close)

# %% [markdown]
# ImageBind paired everything with *images*: image and caption, image
# and audio, image and depth. Audio and text met only through images,
# and were close all the same. Our lite encoder pairs everything with
# *captions* instead, and adds to each batch captions with one attribute
# changed, and linear readings of the attributes: on a laptop there is no
# time for the batches of thousands that make such tricks unnecessary.
#
# ## Finding the right one among 200
#
# The usual test: rank all captions by their cosine with an image. R@1 is
# how often the right one comes first, R@5 how often it is among the first
# five. Chance is 0.5 % and 2.5 %.


# %%
def recall(similar, k):
    """Share of rows whose own column is among their k highest."""
    own = similar.diagonal()[:, None]  # (N, 1)
    better = (similar > own).sum(dim=1)  # how many beat it
    return Score.of((better < k).tolist())


def different(sample, number):
    """Scenes of which no two have the same caption."""
    found = {}
    while len(found) < number:
        scene = sample()
        found[caption(scene)] = scene
    return list(found.values())


def encoded(modality, scenes):
    """Unit vectors of renders and of captions, each (N, E)."""
    media = [(modality, render(scene, i)) for i, scene in enumerate(scenes)]
    lines = encoder.encode_text([caption(scene) for scene in scenes])
    return encoder.encode(media), F.normalize(lines, dim=-1)


# %%
from nextgpt_lite.world import top

draw = Random(f"retrieval/{seed}")
tests = {
    "image, seen": ("image", lambda: world.sample_picture(draw), pool),
    "image, held out": (
        "image",
        lambda: world.sample_picture(draw, "held_out"),
        pool,
    ),
    "video, seen": ("video", lambda: world.sample_clip(draw), pool),
    "audio": ("audio", lambda: world.sample_sound(draw), min(pool, 80)),
}
kept, equal = {}, []
print(f"{'':21}{'caption found':>18}{'medium found':>18}")
print(f"{'':17}{'of':>4}{'R@1':>9}{'R@5':>9}{'R@1':>9}{'R@5':>9}")
for name, (modality, sample, number) in tests.items():
    scenes = different(sample, number)
    media, lines = encoded(modality, scenes)
    similar = media @ lines.T  # (N, N)
    kept[name] = scenes, media, lines
    scores = [recall(s, k) for s in (similar, similar.T) for k in (1, 5)]
    rates = "".join(f"{score.rate:9.1%}" for score in scores)
    print(f"{name:17}{number:4}{rates}")
    record(f"{name}: R@1", scores[0].rate)
    record(f"{name}: R@5", scores[1].rate)
    equal.append(abs(scores[1].rate - top(similar.cpu(), 5)) < 1e-6)
record("inline recall equals encoder_scores.top", all(equal))

# %% [markdown]
# (Audio is looked for among all 80 clips there are.) Held-out scenes contain
# a thing in a colour or number that training never showed; the encoder has to
# put together what it learned apart. What does it confuse? For each mistake
# below: the image, its caption, and the one that was preferred.

# %%
scenes, media, lines = kept["image, held out"]
first = (media @ lines.T).argmax(dim=1).cpu()
wrong = [i for i in range(len(scenes)) if first[i] != i]
print(len(wrong), "of", len(scenes), "images prefer another caption\n")
for i in wrong[:5]:
    print(f"shows     {caption(scenes[i])}")
    print(f"preferred {caption(scenes[first[i]])}\n")

# %% [markdown]
# ### Modalities that never met
#
# Nothing taught this encoder which *image* belongs to which *audio clip*: it
# saw images with captions, and audio clips with captions. Do they meet all
# the same, because both are near the word "dog"? Ten images, one of each
# kind; for each audio clip, the nearest image.

# %%
kinds = world.KINDS
pitches = world.PITCHES
voices = [Sound(k, n, p) for k in kinds for n in (1, 3) for p in pitches]
faces = [Picture((Group(kind, "blue"),)) for kind in kinds]
voice_vectors, _ = encoded("audio", voices)
face_vectors, _ = encoded("image", faces)
nearest = (voice_vectors @ face_vectors.T).argmax(dim=1).tolist()
pairs = zip(voices, nearest, strict=True)
met = Score.of(voice.kind == kinds[at] for voice, at in pairs)
print("nearest image is of the kind heard:", met, "(chance 10 %)")
record("audio finds the image of its kind", met.rate)

# %% [markdown]
# ## What a vector holds: the linear probe
#
# Can the number of things be *read off* the vector by a linear map? If so,
# stage 1's single linear layer has something to work with. The probe is
# ridge regression onto one-hot targets, in closed form:
# $W = (X^\top X + \lambda I)^{-1} X^\top Y$.


# %%
def ridge(x, y, classes, strength=1.0):
    """Weights (E + 1, classes) that predict one-hot y from x (N, E)."""
    x = torch.cat([x, torch.ones(len(x), 1)], dim=1)
    targets = F.one_hot(y, classes).float()
    gram = x.T @ x + strength * torch.eye(x.shape[1])
    return torch.linalg.solve(gram, x.T @ targets)


def guess(x, weights):
    x = torch.cat([x, torch.ones(len(x), 1)], dim=1)
    return (x @ weights).argmax(dim=1)


draw = Random(f"probe/{seed}")
number = probes + probes // 3
scenes = [world.sample_picture(draw, groups=1) for _ in range(number)]
media = [("image", render(scene, i)) for i, scene in enumerate(scenes)]
X = encoder.encode(media).cpu() * encoder.width**0.5
check_shape(X, (number, encoder.width))

READINGS = {
    "kind": (kinds, lambda s: s.groups[0].kind),
    "colour": (world.COLOURS, lambda s: s.groups[0].colour),
    "count": (range(1, 8), lambda s: s.groups[0].count),
    "size": (world.SIZES, lambda s: s.groups[0].size),
    "place": (world.PLACES, lambda s: s.place),
}
print(f"{'':8}{'chance':>8}   read from the vector")
for name, (choices, read) in READINGS.items():
    y = torch.tensor([list(choices).index(read(scene)) for scene in scenes])
    weights = ridge(X[:probes], y[:probes], len(choices))
    guesses = guess(X[probes:], weights)
    score = Score.of((guesses == y[probes:]).tolist())
    common = y.bincount().max() / len(y)
    print(f"{name:8}{common:8.0%}   {score}")
    record(f"probe of {name}", score.rate)

# %% [markdown]
# ("Chance" is the share of the most common answer; three in five images
# show a single thing.) What one matrix can read, the LLM can be given.
#
# ## What fails
#
# A ranking among 200 random captions is easy to win: hardly any of them
# even names the right thing. A harder question: two captions that differ
# in *one* attribute. Which of the two is nearer to the image? Chance is
# 50 %.

# %%
draw = Random(f"choices/{seed}")


def other(words, word):
    return draw.choice([each for each in words if each != word])


def first_group(scene, **changes):
    group = replace(scene.groups[0], **changes)
    return replace(scene, groups=(group, *scene.groups[1:]))


def swapped(scene):
    """The colours of the two things exchanged."""
    a, b = scene.groups[:2]
    a, b = replace(a, colour=b.colour), replace(b, colour=a.colour)
    return replace(scene, groups=(a, b))


def near_miss(name, scene):
    group = scene.groups[0]
    match name:
        case "kind":
            used = {g.kind for g in scene.groups}
            free = [kind for kind in kinds if kind not in used]
            return first_group(scene, kind=draw.choice(free))
        case "colour":
            new = other(world.COLOURS, group.colour)
            return first_group(scene, colour=new)
        case "size":
            return first_group(scene, size=other(world.SIZES, group.size))
        case "count":
            step = 1 if group.count == 1 else draw.choice((-1, 1))
            return first_group(scene, count=min(group.count + step, 8))
        case "place":
            return replace(scene, place=other(world.PLACES, scene.place))
        case "relation turned":
            turned = world.OPPOSITE[scene.relation]
            return replace(scene, relation=turned)
        case "colours swapped":
            return swapped(scene)


def suitable(name):
    """An image for which the question makes sense."""
    while True:
        two = name in ("relation turned", "colours swapped")
        scene = world.sample_picture(draw, groups=2 if two else 1)
        if name == "relation turned" and scene.relation is None:
            continue
        if name == "colours swapped" and swapped(scene) == scene:
            continue
        if name == "count" and not 1 < scene.groups[0].count < 7:
            continue
        return scene


# %%
QUESTIONS = ("kind", "colour", "size", "count", "place",
             "relation turned", "colours swapped")  # fmt: skip
choice = {}
for name in QUESTIONS:
    scenes = [suitable(name) for _ in range(trials)]
    misses = [near_miss(name, scene) for scene in scenes]
    media, lines = encoded("image", scenes)
    lures = encoder.encode_text([caption(miss) for miss in misses])
    lures = F.normalize(lures, dim=-1)
    wins = (media * lines).sum(-1) > (media * lures).sum(-1)
    choice[name] = Score.of(wins.tolist())
    print(f"{name:16}{choice[name]}")
    record(f"true caption preferred, {name}", choice[name].rate)
easy = [choice[name].rate for name in ("kind", "colour", "size", "place")]
assert choice["count"].rate <= min(easy)  # as the text below says

# %% tags=["hide-input"]
figure = Figure(figsize=(9, 3), layout="constrained")
axes = figure.subplots()
rates = [100 * choice[name].rate for name in QUESTIONS]
low, high = zip(*(choice[name].interval for name in QUESTIONS), strict=True)
errors = [rates - 100 * np.array(low), 100 * np.array(high) - rates]
errors = np.maximum(errors, 0)  # a rounding error below zero at 100 %
axes.barh(QUESTIONS, rates, xerr=errors, color="#0072b2", ecolor="#7a7a7a", capsize=3)
axes.axvline(50, color="#7a7a7a", linestyle="--")
axes.set(xlim=(0, 101), xlabel="true caption preferred, %; dashed: chance")
axes.invert_yaxis()
show_figure(
    figure,
    "How often the true caption is preferred, with intervals: "
    + ", ".join(f"{name} {rate:.0f} %" for name, rate in zip(QUESTIONS, rates, strict=True)),
)

# %% [markdown]
# Kind, colour, size and place are recognised easily, counts less surely. The
# last two questions keep every word of the caption and change only *who*
# stands where, or *who* has which colour. Large encoders such as CLIP are
# known to fail them: to win the ranking it is enough to know *which* things
# occur, and so nothing else is learned. This encoder was at a coin toss too,
# until each *patch* of a thing was asked, in training, whether its thing
# comes first and how the two stand, and patches and vector alike *where* the
# two lie (`pretraining/encoder_gather.py`).
#
# Being nearer to the true caption is one thing, being *readable* another.
# Can one of the four relations be read off the image's vector, or the
# caption's? Two things have two names for how they stand ("A left of B" is
# "B right of A"), so we read it in one order, that of `world.KINDS`.

# %%
related = []
while len(related) < probes:
    scene = world.sample_picture(draw, groups=2)
    if scene.relation is not None:
        related.append(scene)


def in_order(scene):
    """The relation as it reads when the two things are told in one order."""
    first, second = (kinds.index(group.kind) for group in scene.groups)
    told = scene.relation
    return told if first < second else world.OPPOSITE[told]


y = torch.tensor([world.RELATIONS.index(in_order(s)) for s in related])
fit = 3 * probes // 4
pictured, captioned = encoded("image", related)
sides = {"image": pictured, "caption": captioned}
for side, vectors in sides.items():
    x = vectors.cpu() * encoder.width**0.5
    guesses = guess(x[fit:], ridge(x[:fit], y[:fit], 4))
    score = Score.of((guesses == y[fit:]).tolist())
    print(f"relation read from the {side}'s vector: {score}")
    record(f"probe of relation, {side}", score.rate)
    assert score.rate > 0.75  # "almost as surely": three times chance
print("chance: 25 %")

# %% [markdown]
# The image's vector gives the relation almost as surely as the caption's.
# That is the ceiling of all that follows: the encoder is frozen, and what it
# does not tell, the LLM cannot know. What it does tell must still be carried
# over: the input projection squeezes this vector into eight word-like ones,
# and notebook 3 shows what arrives. (The other direction is spared: a
# *request* for an image never passes the encoder.)
#
# ## The same class, huge
#
# The lite encoder is no imitation of ImageBind. It is the same class at
# other numbers, with the parameter names of the released checkpoint. On
# torch's `meta` device tensors have shapes and no memory, so the huge one
# can be built here.

# %%
from nextgpt_lite.encoders import ImageBind, ImageBindConfig

with torch.device("meta"):
    huge = ImageBind(ImageBindConfig.huge())
    result = huge("vision", torch.empty(2, 3, 224, 224))
print(tuple(result.shape))  # (2, 1024): the paper's encoder width

sizes = {}
for name in huge.config.trunks:
    sizes[name] = size_of(huge, name)
    print(f"{name:8}{sizes[name] / 1e6:8.1f} M")
total = sum(sizes.values())
print(f"all     {total / 1e6:8.1f} M")  # the paper's Table 1: 1.2 B
record("parameters of ImageBind-huge, in billions", total / 1e9)
lite = sum(p.numel() for p in model.parameters())
print(f"lite    {lite / 1e6:8.1f} M, {total // lite} times smaller")

# %% [markdown]
# NExT-GPT encodes media, not texts, so it needs vision and audio only:
# 719 M. In half precision that fits a free Colab GPU.
#
# One class also means one set of names. Every parameter of the lite encoder
# has its namesake in the huge one, which only has more blocks:

# %%
ours, theirs = set(model.state_dict()), set(huge.state_dict())
assert ours <= theirs
print(f"{len(ours)} tensors here, {len(theirs)} in the huge one, for example")
print(sorted(ours)[40])
record("lite tensors without a namesake", len(ours - theirs))

# %% [markdown]
# And one way of loading. The released weights are a pickle without any
# configuration; their tensors tell the sizes. Here a *stand-in* takes their
# place: the released layout at small width, with random weights. Whatever
# the folder holds, `from_pretrained` is the same call and gives the same
# class. (Random weights see nothing: the vectors mean nothing.)

# %%
import tempfile

from nextgpt_lite.checkpoints import write_stand_ins
from nextgpt_lite.encoders import Encoder
from nextgpt_lite.model import folder_name

names = ["imagebind_huge", "nielsr/imagebind-huge"]  # pickle, safetensors
with tempfile.TemporaryDirectory() as folder:
    for name in names:
        place = write_stand_ins(folder, [name]) / folder_name(name)
        released = Encoder.from_pretrained(place)
        (file,) = [path.name for path in place.iterdir() if path.suffix != ".json"]
        vectors = released.encode([("image", render(kept["image, seen"][0][0], 0))])
        print(f"{file:20}{type(released.model).__name__}: {tuple(vectors.shape)}")
        record(f"{file}: the same class", type(released.model) is type(model))

# %% [markdown]
# ### Are they really the same?
#
# A network can be nearly right: a norm with another epsilon, a missing
# scale, two blocks in the wrong order. Retrieval may hardly notice. So the
# tests keep **parity vectors**: inputs and outputs of the *original* code
# at small width, with its weights; ours must give the same numbers. (Where
# these files are absent, that test is skipped.) The idea in small: spoil
# copies of our encoder slightly, and see what each test would notice.

# %%
import copy

scenes, media, lines = kept["image, seen"]
images = [render(scene, i) for i, scene in enumerate(scenes[:100])]


def wide_epsilon(spoiled):
    for block in spoiled.modality_trunks["vision"].blocks:
        block.norm_1.eps = block.norm_2.eps = 1e-4


def tanh_gelu(spoiled):
    class Rough(torch.nn.Module):
        def __init__(self, mlp):
            super().__init__()
            self.fc1, self.fc2 = mlp.fc1, mlp.fc2

        def forward(self, x):
            return self.fc2(F.gelu(self.fc1(x), approximate="tanh"))

    for block in spoiled.modality_trunks["vision"].blocks:
        block.mlp = Rough(block.mlp)


def no_positions(spoiled):
    stem = spoiled.modality_preprocessors["vision"]
    stem.pos_embedding_helper.pos_embed.data.zero_()


print(f"{'':14}{'largest difference':>19}{'R@1 of 100':>12}")
for spoil in (lambda spoiled: None, wide_epsilon, tanh_gelu, no_positions):
    spoiled = copy.deepcopy(encoder)
    spoil(spoiled.model)
    vectors = spoiled.encode([("image", image) for image in images])
    off = float((vectors - media[:100]).abs().max())
    rate = recall(vectors @ lines[:100].T, 1).rate
    name = "untouched" if spoil.__name__ == "<lambda>" else spoil.__name__
    print(f"{name:14}{off:19.1e}{rate:12.0%}")
    record(f"parity, {name}: largest difference", off)

# %% [markdown]
# A wrong epsilon and a rough GELU pass the retrieval test unseen, and are
# caught by a comparison to six digits. Even an encoder without any
# positions finds its captions: knowing what is in the image is enough
# for that. Loading released weights into code that is *almost* right costs
# quality that nobody can explain later.
#
# ## Exercises
#
# **1. How many tokens?** (easy, 2 minutes) ImageBind-huge reads images
# of 224 x 224 pixels in patches of 14 x 14, and a video as two frames in
# patches that are two frames deep. How many tokens enter the vision trunk?

# %%
tokens = ...
check("encoders.tokens", tokens)

# %% tags=["solution"]
tokens = (224 // 14) ** 2 + 1  # patches and the class token
check("encoders.tokens", tokens)

# %% [markdown]
# **2. How large is a block?** (medium, 6 minutes) How many parameters has
# one block of width D = 1280? Count two norms, attention (one matrix for
# q, k and v, one for the output) and the network (D to 4 D and back), all
# with biases.

# %%
block = ...
check("encoders.block", block)

# %% tags=["solution"]
D = 1280
norms = 2 * (D + D)
attending = (D * 3 * D + 3 * D) + (D * D + D)
network = (D * 4 * D + 4 * D) + (4 * D * D + D)
block = norms + attending + network  # 12 D^2 + 13 D, about 20 M; 32 of them
check("encoders.block", block)

# %% [markdown]
# **3. A score for retrieval.** (medium, 8 minutes) Write
# `median_rank(similar)`: for a matrix (N, N) of similarities whose right
# answers are on the diagonal, the median over the rows of the right
# answer's rank, where 1 means first. (Use `torch.Tensor.median`.)

# %%
median_rank = ...
check("encoders.median_rank", median_rank)


# %% tags=["solution"]
def median_rank(similar):
    own = similar.diagonal()[:, None]
    ranks = 1 + (similar > own).sum(dim=1)
    return int(ranks.median())


check("encoders.median_rank", median_rank)

# %% [markdown]
# **4. The loss that made this encoder.** (hard, 15 minutes) Write
# `info_nce(items, texts, temperature)`: of N unit vectors of media (N, E)
# and those of their captions (N, E), the mean of two cross-entropies. Each
# item chooses its caption among all N by similarity over temperature; each
# caption chooses its item.
#
# <details><summary>A hint</summary>The logits are one matrix (N, N). Which
# column is right in row i?</details>
# <details><summary>Another hint</summary>The second direction is the same
# loss of the transposed matrix; both are rated by
# <code>F.cross_entropy(logits, torch.arange(N))</code>.</details>

# %%
info_nce = ...
check("encoders.info_nce", info_nce)


# %% tags=["solution"]
def info_nce(items, texts, temperature):
    logits = items @ texts.T / temperature  # (N, N)
    own = torch.arange(len(items))
    loss = F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)
    return loss / 2


check("encoders.info_nce", info_nce)

# %% [markdown]
# Yours on the shipped encoder: its own captions, and the captions of others
# (a model that guesses has log N).

# %%
from nextgpt_lite.notebook import solved

if solved("encoders.info_nce"):
    items, own = (vectors.cpu() for vectors in kept["image, seen"][1:])
    temperature = 1 / float(encoder.encode_text(["a dog"]).norm())
    for name, captions in (("own", own), ("others'", own.roll(1, 0))):
        loss = float(info_nce(items, captions, temperature))
        print(f"{name:8} captions: {loss:.3f} nats")
    print(f"guessing:          {np.log(len(items)):.3f} nats")

# %% [markdown]
# *Go further:* train the trunk of notebook 11 with it, with half the batch.
# Why does the loss fall, and is the encoder better?

# %% [markdown]
# ## Do you remember?
#
# <details><summary>What makes an image and an audio clip of a dog neighbours,
# if they never met?</summary>Both were drawn to the same captions.</details>
# <details><summary>What does a probe show that retrieval does
# not?</summary>That an attribute can be read off the vector itself, by a
# linear map.</details>
# <details><summary>Why compare to six digits with the original code, if
# retrieval is right?</summary>Retrieval hardly notices a wrong epsilon; what
# is built on the vectors pays for it.</details>
#
# ## Summary
#
# - Preprocessing and weights belong together. Images, videos and filter
#   banks are cut into patches; each patch becomes a token.
# - A pre-norm transformer mixes them; the class token becomes the vector.
# - Contrast with captions puts all modalities into one space: media and
#   words can be compared, and so can media that never met in training.
# - One vector holds much of a simple scene in a form that a linear map can
#   read: kind, colour, size, place, and also who stands where, because
#   training asked for that. What a vector loses stays lost for everything
#   behind the encoder.
#
# | paper | here | tested in |
# |---|---|---|
# | section 3, ImageBind | `encoders.ImageBind` | `test_imagebind.py` |
# | Table 1, "1.2B" | `ImageBindConfig.huge` | `test_imagebind.py` |
# | its preprocessing | `encoders.preprocess` | `test_preprocess.py` |
# | one vector an item | `Encoder.encode` | `test_imagebind.py` |
# | ImageBind's loss | `contrast` | `test_encoder.py` |
#
# Next: [notebook 3](03_stage1_encoding_alignment.ipynb) teaches an LLM to read these vectors.
