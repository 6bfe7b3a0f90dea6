"""When do signal tokens beat captions? Where a picture must keep what no caption says.

    nextgpt-lite regimes --output DIR

Every system is a condition (24 x 128) for the same frozen decoder, which starts from the same
noise. A connector reads the shipped model's hidden states of its signal tokens, in a reply whose
words tell the caption, and the input tokens of the given picture, past the LLM. It learns by the
paper's distance to the caption's condition, or by the denoising error through the frozen UNet. An
inversion is a condition that belongs to one picture and is learnt through the UNet from that
picture alone: the most that a connector could learn. Captions are whole, or have lost what people
leave out; the wishes are the same.

Knows: these systems, what they learn, one row an answer. Leaves to others: the wishes
(`same_one`), intervals (`evaluation.comparison.rows`).
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any
from zlib import crc32

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.decoders.base import Decoder
from nextgpt_lite.evaluation.ablation.cells import fingerprints
from nextgpt_lite.evaluation.comparison.rows import (
    Row,
    mean,
    read_rows,
    values_of,
    where,
    write_rows,
)
from nextgpt_lite.evaluation.comparison.run import model_identity, same_settings
from nextgpt_lite.evaluation.statistics import Interval
from nextgpt_lite.model.checkpoint import read_config
from nextgpt_lite.model.config import NextGPTConfig, trained_folder
from nextgpt_lite.model.losses import condition_distance
from nextgpt_lite.model.projections import output_projection
from nextgpt_lite.reading import read_tensors
from nextgpt_lite.training.part import PartRecipe, PartTrainer
from nextgpt_lite.training.refine import gather
from nextgpt_lite.world.describe import caption
from nextgpt_lite.world.render import render_picture
from nextgpt_lite.world.same_one import KEPT, Wishes
from nextgpt_lite.world.scene import Picture, sample_picture
from nextgpt_lite.world.suite.examination import make
from nextgpt_lite.world.verify import verify
from nextgpt_lite.writing import beside, owned

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHARES = (8, 4, 2, 1)  # of all steps one in so many, at each point of a learning curve
FEW = 48  # wishes that are asked at all points but the last
THE_SAME_ONE = "the same one"
# Colours that the colour-blind tell apart, on light and on dark pages, each with a stroke.
STROKES = {"caption": ("#7a7a7a", ":"), "l2": ("#cc79a7", "--"), "denoising": ("#0072b2", "-"),
           "denoising, transformer": ("#009e73", "-."), "inversion": ("#d55e00", "-.")}  # fmt: skip
LOSSES = ("l2", "denoising")
DIRECTIONS = 48  # of the given picture's tokens, those in which they differ most


@dataclass(frozen=True)
class Budget:
    """The numbers of the experiment.

    Attributes:
        asked: wishes about unseen pictures.
        learnt: wishes that the connectors learn from.
        steps: of the l2 distance, and of the denoising error.
        batch: of either.
        seeds: trainings of each connector.
        inverted: wishes, and scenes of each hard sort, that get a condition of their own.
        inversion: steps and batch of each.
        dropped: how often captions have lost each attribute, besides never; one seed each.
        rewarded: answers of a trained connector that are given a reward.
        noisier: of the connectors' denoising error, and of the inversions' (`decoders.noise.ask`).
        sampling: diffusion steps.
    """

    asked: int = 96
    learnt: int = 1024
    steps: tuple[int, int] = (225, 900)
    batch: tuple[int, int] = (64, 16)
    seeds: int = 3
    inverted: tuple[int, int] = (24, 12)
    inversion: tuple[int, int] = (75, 16)
    dropped: tuple[float, ...] = (0.6, 0.3)
    rewarded: int = 384
    noisier: tuple[int, int] = (16, 6)
    sampling: int = 10


def states(model: NextGPT, wishes: Wishes, count: int, path: Path) -> dict[str, Tensor]:
    """What is frozen, computed once: `source` (X, N + K, D), the states of the signal tokens and
    the given picture's input tokens; `caption` (X, L, C); `latents` of the wanted picture."""
    if path.is_file():
        return read_tensors(path)
    decoder, found = model.decoder("image"), gather(model, wishes, count)["image"]
    some = [wishes.wish(index) for index in range(count)]
    captions = sorted(set(found.captions))
    known = dict(zip(captions, decoder.encode_text(captions), strict=True))
    kept: dict[str, list[Tensor]] = {"pictures": [], "latents": []}
    for first in range(0, count, 64):
        part = some[first : first + 64]
        given = [("image", render_picture(wish.given, wish.seed)) for wish in part]
        with torch.no_grad():
            kept["pictures"].append(model.input_projection(model.encoder.encode(given)))
        wanted = [render_picture(wish.wanted, wish.seed) for wish in part]
        kept["latents"].append(decoder.latents(wanted))
    tensors = {
        "source": torch.cat([torch.stack(found.hidden).float(), torch.cat(kept["pictures"])], 1),
        "caption": torch.stack([known[each] for each in found.captions]),
        "latents": torch.cat(kept["latents"]).contiguous(),
    }
    with beside(path) as draft:
        save_file(tensors, draft)
    return tensors


def connector(model: NextGPT, seed: int) -> nn.Module:
    """The configured output projection, untrained; it reads any number of tokens."""
    torch.manual_seed(seed)
    config = model.config
    signals = config.signal_tokens["image"] + config.input_tokens
    length, width = config.conditions["image"]
    return output_projection(model.llm.width, signals, length, width, config.output_projection)


class Beside(nn.Module):
    """A frozen projection of the signal tokens, and beside it one linear layer, nought at first,
    from the given picture's tokens to the condition.

    The tokens are whitened, since where a thing stands is in directions in which they hardly
    differ: 24 of them, with 96 % of the variance, tell its place in 47 of 100 pictures, 64 in 96.

    Args:
        source: (X, N + K, D) what the directions are found in.
    """

    mean: Tensor
    whiten: Tensor

    def __init__(
        self, projection: nn.Module, signals: int, shape: tuple[int, int], source: Tensor
    ) -> None:
        super().__init__()
        self.projection = copy.deepcopy(projection).requires_grad_(False)
        self.signals, self.shape = signals, shape
        pictures = source[:, signals:].flatten(1)  # (X, K * D)
        self.register_buffer("mean", pictures.mean(0))
        _, sizes, directions = torch.linalg.svd(pictures - self.mean, full_matrices=False)
        count = min(DIRECTIONS, len(sizes))
        spread = sizes[:count].clamp_min(1e-6) / len(pictures) ** 0.5
        self.register_buffer("whiten", directions[:count].T / spread)  # (K * D, 48)
        self.linear = nn.Linear(count, shape[0] * shape[1])
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, hidden: Tensor, embedding: Tensor) -> Tensor:
        """(B, N + K, D) -> (B, L, C)."""
        n = self.signals
        with torch.no_grad():
            told: Tensor = self.projection(hidden[:, :n], embedding[:, :n])
            seen = (hidden[:, n:].flatten(1) - self.mean) @ self.whiten  # (B, 48)
        return told + self.linear(seen).unflatten(1, self.shape)  # (B, L, C)


def projected(model: NextGPT, module: nn.Module, source: Tensor) -> Tensor:
    """(B, N + K, D) -> (B, L, C); only signal tokens have an embedding besides."""
    with torch.no_grad():
        ids = torch.tensor(model.llm.signal_ids["image"], device=source.device)
        embedding = torch.zeros_like(source[:1])
        embedding[0, : len(ids)] = model.llm.embed(ids)
    condition: Tensor = module(source, embedding.expand_as(source))
    return condition


def fitting(
    model: NextGPT, known: dict[str, Tensor], loss: str, module: nn.Module, seed: int,
    budget: Budget, output: Path, steps: int,
) -> PartTrainer:  # fmt: skip
    """What fits a connector to what is known.

    Args:
        loss: one of `LOSSES`.
    """
    batch = budget.batch[LOSSES.index(loss)]
    decoder = model.decoder("image")

    def data(generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        chosen = torch.randint(len(known["source"]), (batch,), generator=generator)
        return known["source"][chosen], known["caption"][chosen], known["latents"][chosen]

    def error(
        module: nn.Module, batch: tuple[Tensor, Tensor, Tensor], generator: torch.Generator
    ) -> dict[str, Tensor]:
        source, wanted, latents = batch
        condition = projected(model, module, source)  # (B, L, C)
        if loss == "l2":
            return {loss: condition_distance(condition, wanted)}
        errors = decoder.denoising_errors(condition, latents, generator, budget.noisier[0])  # (B,)
        return {loss: errors.mean()}

    linear = isinstance(module, Beside)
    recipe = PartRecipe(
        steps=steps, seed=seed, learning_rate=4e-3 if linear else 1e-3, warmup=40, ema=0.99,
        bf16=False, checkpoint_every=50, log_every=10,
    )  # fmt: skip
    matrices = [p for p in module.parameters() if p.ndim == 2 and not linear]
    return PartTrainer(module, error, data, output, recipe, matrices)


def inverted(
    decoder: Decoder, start: Tensor, latents: Tensor, budget: Budget, rate: float = 0.03
) -> Tensor:
    """The condition (L, C) that tells one picture's latents (1, ...), begun at another's (L, C)."""
    condition = nn.Parameter(start.clone())
    adam, generator = torch.optim.Adam([condition], rate), torch.Generator().manual_seed(0)
    steps, batch = budget.inversion
    for _ in range(steps):
        adam.zero_grad()
        errors = decoder.denoising_errors(
            condition.expand(batch, -1, -1), latents.expand(batch, *latents.shape[1:]), generator,
            budget.noisier[1],
        )  # fmt: skip
        errors.mean().backward()
        adam.step()
    return condition.detach()


@dataclass
class Experiment:
    """One folder, and what is asked in it."""

    model: NextGPT
    budget: Budget
    output: Path

    def __post_init__(self) -> None:
        self.decoder = self.model.decoder("image")
        self.rows = self.output / "rows.csv"
        self.done: set[tuple[str, int, str]] = set()
        if self.rows.is_file():
            self.done = {(r["system"], r["seed"], r["id"]) for r in read_rows(self.rows)}
        self.wishes = [Wishes(unseen=True, seed=1).wish(i) for i in range(self.budget.asked)]

    def answer(
        self, system: str, seed: int, group: str, ids: Sequence[str],
        media: Callable[[Sequence[int]], list[Any]], worth: Callable[[int, Any], Row],
        again: str = "",
    ) -> None:  # fmt: skip
        """Judges the media of a system that have no row yet; `media` of all ids together, from a
        noise of each, or another one of each `again`."""
        if all((system, seed, each) in self.done for each in ids):
            return
        noise = [crc32(f"{group}/{each}{again}".encode()) for each in ids]
        rows = [
            {
                "system": system, "seed": seed, "id": each, "group": group, "level": "simple",
                "wanted": "image", "given": "image", **worth(at, image),
            }
            for at, (each, image) in enumerate(zip(ids, media(noise), strict=True))
        ]  # fmt: skip
        write_rows(self.rows, rows)
        self.done |= {(system, seed, each) for each in ids}

    def made(self, conditions: Sequence[Tensor] | Tensor, noise: Sequence[int]) -> list[Any]:
        """Images of conditions, each from its own noise."""
        return make(self.decoder, [*conditions], noise, self.budget.sampling)

    def run(self) -> None:
        """All that is asked, what says most first."""
        same = Regime(self)
        same.bounds()
        same.connectors(0, SHARES)
        self.inversions(same)
        for seed in range(1, self.budget.seeds):
            same.connectors(seed, SHARES)
        self.hard_captions()
        for dropped in self.budget.dropped:
            lossy = Regime(self, dropped)
            lossy.bounds()
            lossy.connectors(0, SHARES[-1:])
        same.rewarded(0)
        same.transformer(0)

    def inversions(self, same: Regime) -> None:
        """A condition of its own for each of the first wishes, begun at its caption's."""
        known = same.asked
        for at in range(self.budget.inverted[0]):

            def media(noise: Sequence[int], at: int = at) -> list[Any]:
                latents = known["latents"][at : at + 1]
                return self.made(
                    [inverted(self.decoder, known["caption"][at], latents, self.budget)], noise
                )

            same.answer("inversion", 0, media, at, at + 1)

    def hard_captions(self) -> None:
        """What the text encoder gets wrong: three kinds, and two kinds in numbers."""
        for group, kinds in (("three kinds", 3), ("two kinds in numbers", 2)):
            for number in range(self.budget.inverted[1]):
                rng = Random(f"{group}/{number}")
                while (scene := sample_picture(rng, groups=kinds)).relation and kinds == 2:
                    pass
                self.both(group, f"{number}", scene)

    def both(self, group: str, name: str, scene: Picture) -> None:
        """A gold caption, and a condition learnt from a render, each from three noises, which stand
        as seeds."""
        told = self.decoder.encode_text([caption(scene)])[0]  # (L, C)

        @cache
        def learnt() -> Tensor:
            latents = self.decoder.latents([render_picture(scene, crc32(name.encode()))])
            return inverted(self.decoder, told, latents, self.budget)

        def worth(_: int, image: Any) -> Row:
            right = verify(scene, image).correct
            return {"kept": "", "error": "", "right": 100 * right, "text": caption(scene)}

        conditions: dict[str, Callable[[], Tensor]] = {
            "caption": lambda: told, "inversion": learnt,
        }  # fmt: skip
        for system, condition in conditions.items():
            for number in range(3):

                def media(noise: Sequence[int], of: Callable[[], Tensor] = condition) -> list[Any]:
                    return self.made([of()], noise)

                self.answer(system, number, group, [f"{group} {name}"], media, worth, f"/{number}")


class Regime:
    """The wishes for the same one, told by captions that have lost each attribute so often."""

    def __init__(self, experiment: Experiment, dropped: float = 0.0) -> None:
        self.all, self.lost = experiment, f" without {dropped:.0%}" if dropped else ""
        budget = experiment.budget

        def kept(name: str, wishes: Wishes, count: int) -> dict[str, Tensor]:
            path = experiment.output / f"{name}{self.lost}.safetensors".replace(" ", "_")
            return states(experiment.model, wishes, count, path)

        self.asked = kept("asked", Wishes(True, 1, dropped), budget.asked)
        self.known = kept("known", Wishes(False, 0, dropped), budget.learnt)

    def answer(
        self, system: str, seed: int, media: Callable[[Sequence[int]], list[Any]],
        first: int = 0, last: int | None = None,
    ) -> None:  # fmt: skip
        """Judges a system's answers to these wishes."""
        wishes = self.all.wishes[first:last]

        def worth(at: int, image: Any) -> Row:
            wish = wishes[at]
            return {**wish.worth(image), "text": f"{wish.sort}: {caption(wish.wanted)}"}

        ids = [f"{first + at}{self.lost}" for at in range(len(wishes))]
        self.all.answer(system, seed, f"{THE_SAME_ONE}{self.lost}", ids, media, worth)

    def bounds(self) -> None:
        """Captions, and what is left of the truth behind the autoencoder."""
        self.answer("caption", 0, partial(self.all.made, self.asked["caption"]))
        if not self.lost:
            true = [render_picture(wish.wanted, wish.seed) for wish in self.all.wishes]
            self.answer("autoencoder", 0, lambda _: self.all.decoder.reconstruct(true))

    def connectors(self, seed: int, shares: Sequence[int]) -> None:
        """The shipped projection with the picture beside it, by either loss on as many samples."""
        for loss in LOSSES:
            points = shares if loss == "denoising" else SHARES[-1:]
            self.curve(loss, loss, seed, self.beside(), points)

    def beside(self) -> Beside:
        """Untrained, for these wishes."""
        model = self.all.model
        length, width = model.config.conditions["image"]
        signals, shipped = model.config.signal_tokens["image"], model.output_projections["image"]
        return Beside(shipped, signals, (length, width), self.known["source"])

    def rewarded(self, seed: int) -> None:
        """Goes on from what the denoising error taught, for a quarter of its samples: on its own
        answers, each drawn as often as the verifier's reward says, or on the truth for as long."""
        every, budget, count = self.all, self.all.budget, self.all.budget.rewarded
        names = ("denoising, rewarded", "denoising, longer")
        if all((name, seed, "0") in every.done for name in names):
            return
        learnt = self.curve("denoising", "denoising", seed, self.beside(), SHARES[-1:])
        with torch.no_grad():
            conditions = projected(every.model, learnt, self.known["source"][:count])
        images = every.made(conditions, [crc32(f"reward/{at}".encode()) for at in range(count)])
        worth = [Wishes(False, 0).wish(at).worth(image) for at, image in enumerate(images)]
        away = torch.tensor([64.0 if one["error"] == "" else one["error"] for one in worth])
        reward = (-away / KEPT).exp() * torch.tensor([0.1 + one["right"] for one in worth])
        drawn = torch.multinomial(
            reward, len(self.known["source"]), True, generator=torch.Generator().manual_seed(seed)
        )
        own = {name: tensor[:count][drawn] for name, tensor in self.known.items()}
        own["latents"] = every.decoder.latents(images)[drawn]
        for name, known in zip(names, (own, self.known), strict=True):
            further = copy.deepcopy(learnt)
            further.get_submodule("linear").requires_grad_(True)
            folder = every.output / "connectors" / f"{name} {seed}".replace(", ", " ")
            steps = budget.steps[1] // 4
            trainer = fitting(every.model, known, "denoising", further, seed, budget, folder, steps)
            trainer.run(resume=True)
            with torch.no_grad():
                conditions = projected(every.model, trainer.average, self.asked["source"])
            self.answer(name, seed, partial(every.made, conditions))

    def transformer(self, seed: int) -> None:
        """The shipped projection itself, reading the picture's tokens as they are."""
        module = connector(self.all.model, seed)
        module.load_state_dict(self.all.model.output_projections["image"].state_dict())
        self.curve("denoising, transformer", "denoising", seed, module, SHARES)

    def curve(
        self, system: str, loss: str, seed: int, module: nn.Module, shares: Sequence[int]
    ) -> nn.Module:
        """Trains a connector and asks it at every point of its curve; what it has become.

        The rate has come down at each point, and goes on from there as a longer run's: a point is
        what so many samples give.
        """
        model, budget, known = self.all.model, self.all.budget, self.known
        folder = self.all.output / "connectors" / f"{system} {seed}{self.lost}".replace(", ", " ")
        all_steps, batch = (of[LOSSES.index(loss)] for of in (budget.steps, budget.batch))
        for share in shares:
            steps = all_steps // share
            trainer = fitting(model, known, loss, module, seed, budget, folder, steps)
            trainer.run(resume=True)
            with torch.no_grad():
                conditions = projected(model, trainer.average, self.asked["source"])
            name, count = (system, None) if share == 1 else (f"{system} @{steps * batch}", FEW)
            self.answer(name, seed, partial(self.all.made, conditions[:count]), 0, count)
        return trainer.average


def run_regimes(
    output: str | Path,
    budget: Budget | None = None,
    model: str = "lite",
    device: str = "auto",
    dtype: str | None = None,
) -> Path:
    """Runs what has not been run yet; the table of answers, `output/rows.csv`."""
    output, budget = Path(output), budget or Budget()
    with owned(output):
        config = NextGPTConfig.from_dict(read_config(trained_folder(model))["config"])
        settings = {
            "model": str(model), "identity": model_identity(model),
            "frozen": fingerprints(config, output), **json.loads(json.dumps(asdict(budget))),
            **({} if dtype is None else {"precision": dtype}),
        }  # fmt: skip
        same_settings(output / "settings.json", settings)
        there = NextGPT.from_pretrained(model, device=device, dtype=dtype)
        Experiment(there, budget, output).run()
    return output / "rows.csv"


def curves(rows: Sequence[Row], aspect: str) -> dict[str, list[tuple[int, Interval]]]:
    """What connectors answer after so many samples, by their names; the last point, whose rows
    bear no number, is after twice those of the one before."""
    found: dict[str, list[tuple[int, Interval]]] = {}
    for system in values_of(rows, "system"):
        name, _, samples = system.partition(" @")
        if samples:
            last = int(samples), mean(where(rows, system=system), aspect)
            found.setdefault(name, []).append(last)
    for name, points in found.items():
        if whole := where(rows, system=name):
            points.append((points[-1][0] * SHARES[-2], mean(whole, aspect)))
    return found


def figure(path: str | Path) -> Figure:
    """The first page: places kept while connectors learn, between what captions and inversions
    reach; what is right where captions have lost words; and where the text encoder reads badly.
    Bars and bands are 95 % intervals."""
    from matplotlib.figure import Figure

    rows = read_rows(path)
    same = where(rows, group=THE_SAME_ONE)
    made = Figure(figsize=(11, 3.4), layout="constrained")
    ((left, middle, right),) = made.subplots(1, 3, squeeze=False, width_ratios=(5, 4, 3))
    for name in ("caption", "l2", "inversion"):
        found = mean(where(same, system=name), "kept")
        colour, stroke = STROKES[name]
        left.axhspan(found.low, found.high, color=colour, alpha=0.15, lw=0)
        left.axhline(found.mean, color=colour, ls=stroke, label=name)
    left.set(xlabel="samples seen", ylabel="kept where it was, %", xscale="log")
    for name, points in curves(same, "kept").items():
        _line(left, points, name, name)
        left.set_xticks([samples for samples, _ in points], [f"{at:,}" for at, _ in points])
    left.minorticks_off()
    left.set_title("(a) the same one", fontsize="medium")
    groups = [g for g in values_of(rows, "group") if g.startswith(THE_SAME_ONE)]
    lost = {int("0" + "".join(filter(str.isdigit, group))): group for group in groups}
    for name in ("caption", "l2", "denoising"):
        lossy = [(share, where(rows, group=lost[share], system=name)) for share in sorted(lost)]
        _line(middle, [(share, mean(some, "right")) for share, some in lossy if some], name)
    middle.set(xlabel="attributes that captions left out, %", ylabel="everything right, %")
    middle.set_title("(b) captions as people write them", fontsize="medium")
    hard = [group for group in values_of(rows, "group") if group not in groups]
    for shift, name in ((-0.18, "caption"), (0.18, "inversion")):
        bars = [mean(where(rows, group=group, system=name), "right") for group in hard]
        at = [index + shift for index in range(len(hard))]
        right.bar(at, [f.mean for f in bars], 0.34, yerr=_ends(bars), capsize=3,
                  color=STROKES[name][0], alpha=0.8, ecolor="#7a7a7a")  # fmt: skip
    right.set_xticks(range(len(hard)), [group.replace(" in ", "\nin ") for group in hard])
    right.set_title("(c) captions badly read", fontsize="medium")
    right.set_ylabel("everything right, %")
    for axes in (left, middle, right):
        axes.set_ylim(-2, 102)
    made.legend(loc="outside lower center", ncols=5, fontsize="small", frameon=False)
    return made


def _line(
    axes: Axes, points: Sequence[tuple[float, Interval]], name: str, label: str | None = None
) -> None:
    """Means with their intervals."""
    at, means = [x for x, _ in points], [found for _, found in points]
    colour, stroke = STROKES[name]
    axes.errorbar(at, [f.mean for f in means], _ends(means), marker="o", capsize=3, label=label,
                  color=colour, ls=stroke)  # fmt: skip


def _ends(found: Sequence[Interval]) -> list[list[float]]:
    """Error bars below and above."""
    return [[f.mean - f.low for f in found], [f.high - f.mean for f in found]]
