"""When do signal tokens beat captions? Where a picture must keep what no caption names.

    nextgpt-lite regimes --output DIR

Every system is a condition (24 x 128) for the same frozen decoder, which starts from the same
noise. A connector reads the shipped model's hidden states of its signal tokens, in a reply whose
words tell the caption, and the input tokens of the given picture, past the LLM. It learns by the
paper's distance to the caption's condition, by the denoising error through the frozen UNet, or
by the one and then the other. An inversion is a condition that belongs to one picture and is
learnt through the UNet from that picture alone: the most that a connector could learn.

Knows: these systems, what they learn, one row an answer. Leaves to others: the wishes
(`same_one`), intervals (`evaluation.comparison.rows`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any
from zlib import crc32

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.decoders.base import Decoder
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
from nextgpt_lite.model.losses import condition_distance
from nextgpt_lite.model.projections import output_projection
from nextgpt_lite.reading import read_tensors
from nextgpt_lite.training.part import PartRecipe, PartTrainer
from nextgpt_lite.training.refine import gather
from nextgpt_lite.world.describe import caption
from nextgpt_lite.world.render import render_picture
from nextgpt_lite.world.same_one import Wishes
from nextgpt_lite.world.scene import Picture, sample_picture
from nextgpt_lite.world.suite.examination import make
from nextgpt_lite.world.verify import verify
from nextgpt_lite.writing import beside, owned

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POINTS = 4  # of a learning curve
FEW = 48  # wishes that are asked at all of them but the last
LOSSES = ("l2", "denoising")


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
        noisier: of the denoising error (`decoders.noise.ask`).
        sampling: diffusion steps.
    """

    asked: int = 112
    learnt: int = 1024
    steps: tuple[int, int] = (40, 300)
    batch: tuple[int, int] = (64, 16)
    seeds: int = 2
    inverted: tuple[int, int] = (24, 12)
    inversion: tuple[int, int] = (50, 16)
    noisier: int = 6
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
        errors = decoder.denoising_errors(condition, latents, generator, budget.noisier)  # (B,)
        return {loss: errors.mean()}

    recipe = PartRecipe(
        steps=steps, seed=seed, warmup=40, ema=0.99, bf16=False, checkpoint_every=50, log_every=10,
    )  # fmt: skip
    matrices = [p for p in module.parameters() if p.ndim == 2]
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
            budget.noisier,
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
        asked = Wishes(unseen=True, seed=1)
        self.wishes = {f"{i}": asked.wish(i) for i in range(self.budget.asked)}

    def answer(
        self, system: str, seed: int, ids: Sequence[str],
        media: Callable[[Sequence[int]], list[Any]], worth: Callable[[str, Any], Row],
        group: str = "the same one",
    ) -> None:  # fmt: skip
        """Judges the media of a system that have no row yet; `media` of all ids together."""
        if all((system, seed, each) in self.done for each in ids):
            return
        noise = [crc32(f"{group}/{each}".encode()) for each in ids]
        rows = [
            {
                "system": system, "seed": seed, "id": each, "group": group, "level": "simple",
                "wanted": "image", "given": "image", **worth(each, image),
            }
            for each, image in zip(ids, media(noise), strict=True)
        ]  # fmt: skip
        write_rows(self.rows, rows)
        self.done |= {(system, seed, each) for each in ids}

    def made(self, conditions: Sequence[Tensor] | Tensor, noise: Sequence[int]) -> list[Any]:
        """Images of conditions, each from its own noise."""
        return make(self.decoder, [*conditions], noise, self.budget.sampling)

    def of_wish(self, name: str, image: Any) -> Row:
        """What an answer to a wish is worth."""
        wish = self.wishes[name]
        return {**wish.worth(image), "text": f"{wish.sort}: {caption(wish.wanted)}"}

    def the_same_one(self) -> None:
        """Every system on the wishes: captions, connectors with their curves, inversions."""
        model, budget, ids = self.model, self.budget, [*self.wishes]
        asked = states(model, Wishes(True, 1), budget.asked, self.output / "asked.safetensors")
        known = states(model, Wishes(False, 0), budget.learnt, self.output / "known.safetensors")
        self.answer("caption", 0, ids, partial(self.made, asked["caption"]), self.of_wish)
        true = [render_picture(wish.wanted, wish.seed) for wish in self.wishes.values()]
        self.answer("autoencoder", 0, ids, lambda _: self.decoder.reconstruct(true), self.of_wish)
        shipped = model.output_projections["image"]
        for seed in range(budget.seeds):
            told = self.curve("l2", "l2", seed, known, asked, shipped)
            self.curve("l2, then denoising", "denoising", seed, known, asked, told)
        for at, name in enumerate(ids[: budget.inverted[0]]):

            def media(noise: Sequence[int], at: int = at) -> list[Any]:
                start, latents = asked["caption"][at], asked["latents"][at : at + 1]
                return self.made([inverted(self.decoder, start, latents, budget)], noise)

            self.answer("inversion", 0, [name], media, self.of_wish)
        for seed in range(budget.seeds):
            self.curve("denoising", "denoising", seed, known, asked)

    def curve(
        self, system: str, loss: str, seed: int, known: dict[str, Tensor], asked: dict[str, Tensor],
        start: nn.Module | None = None,
    ) -> nn.Module:  # fmt: skip
        """Trains a connector and asks it at every point of its curve (l2's has one); the connector.

        The rate has come down at each point, and goes on from there as a longer run's: a point is
        what so many samples give.
        """
        module = connector(self.model, seed)
        if start is not None:
            module.load_state_dict(start.state_dict())
        folder = self.output / "connectors" / f"{system} {seed}".replace(", ", " ")
        all_steps, batch = (of[LOSSES.index(loss)] for of in (self.budget.steps, self.budget.batch))
        for point in range(POINTS if loss == "l2" else 1, POINTS + 1):
            steps = all_steps * point // POINTS
            trainer = fitting(self.model, known, loss, module, seed, self.budget, folder, steps)
            trainer.run(resume=True)
            with torch.no_grad():
                conditions = projected(self.model, trainer.average, asked["source"])
            last = point == POINTS
            name, count = (system, None) if last else (f"{system} @{steps * batch}", FEW)
            media = partial(self.made, conditions[:count])
            self.answer(name, seed, [*self.wishes][:count], media, self.of_wish)
        return trainer.average

    def hard_captions(self) -> None:
        """What the text encoder gets wrong: three kinds, and two kinds in numbers."""
        for group, kinds in (("three kinds", 3), ("two kinds in numbers", 2)):
            for number in range(self.budget.inverted[1]):
                rng = Random(f"{group}/{number}")
                while (scene := sample_picture(rng, groups=kinds)).relation and kinds == 2:
                    pass
                self.both(group, f"{number}", scene)

    def both(self, group: str, name: str, scene: Picture) -> None:
        """A gold caption, and a condition learnt from a render, each from three noises."""
        ids = [f"{group} {name}/{noise}" for noise in range(3)]

        def worth(_: str, image: Any) -> Row:
            right = verify(scene, image).correct
            return {"kept": "", "error": "", "right": 100 * right, "text": caption(scene)}

        told = self.decoder.encode_text([caption(scene)])
        self.answer("caption", 0, ids, partial(self.made, told.expand(3, -1, -1)), worth, group)

        def media(noise: Sequence[int]) -> list[Any]:
            latents = self.decoder.latents([render_picture(scene, crc32(name.encode()))])
            learnt = inverted(self.decoder, told[0], latents, self.budget)
            return self.made([learnt] * 3, noise)

        self.answer("inversion", 0, ids, media, worth, group)


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
        settings = {"model": model_identity(model), **json.loads(json.dumps(asdict(budget)))}
        settings |= {} if dtype is None else {"precision": dtype}
        same_settings(output / "settings.json", settings)
        experiment = Experiment(
            NextGPT.from_pretrained(model, device=device, dtype=dtype), budget, output
        )
        experiment.the_same_one()
        experiment.hard_captions()
    return output / "rows.csv"


def figure(path: str | Path) -> Figure:
    """Learning curves of what is kept between what captions and inversions reach, and what is
    right of the captions that the text encoder reads badly; bars are 95 % intervals."""
    from matplotlib.figure import Figure

    rows = read_rows(path)
    same = [row for row in rows if row["group"] == "the same one"]
    made = Figure(figsize=(9, 3.4), layout="constrained")
    ((left, right),) = made.subplots(1, 2, squeeze=False, width_ratios=(2, 1))
    for colour, name in zip(("C7", "C4", "C3"), ("caption", "l2", "inversion"), strict=True):
        found = mean(where(same, system=name), "kept")
        left.axhspan(found.low, found.high, color=colour, alpha=0.15)
        left.axhline(found.mean, color=colour, label=name)
    points: dict[str, list[tuple[int, Interval]]] = {}
    for system in values_of(same, "system"):
        name, _, samples = system.partition(" @")
        if samples:
            points.setdefault(name, []).append(
                (int(samples), mean(where(same, system=system), "kept"))
            )
        elif name in points:
            least = points[name][0][0]
            points[name].append((least * POINTS, mean(where(same, system=name), "kept")))
    for name, curve in points.items():
        seen, means = zip(*curve, strict=True)
        left.errorbar(seen, [f.mean for f in means], yerr=_ends(means), marker="o", label=name)
    left.set(xlabel="samples seen", ylabel="place kept, %", xscale="log", ylim=(-2, 102))
    left.legend(fontsize="small")
    hard = [group for group in values_of(rows, "group") if group != "the same one"]
    for shift, name in ((-0.18, "caption"), (0.18, "inversion")):
        bars = [mean(where(rows, group=group, system=name), "right") for group in hard]
        at = [index + shift for index in range(len(hard))]
        right.bar(at, [f.mean for f in bars], 0.34, yerr=_ends(bars), capsize=3, label=name,
                  color="C7" if name == "caption" else "C3")  # fmt: skip
    right.set_xticks(range(len(hard)), hard)
    right.set(ylabel="everything right, %", ylim=(0, 102))
    return made


def _ends(found: Sequence[Interval]) -> list[list[float]]:
    """Error bars below and above."""
    return [[f.mean - f.low for f in found], [f.high - f.mean for f in found]]
