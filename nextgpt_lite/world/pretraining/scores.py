"""Measures a decoder by the world's verifier: caption in, medium out, is it what was asked for?

Knows: seeds, shares with their 95 % intervals, the text of a card. Leaves to others: prompts of one
kind at a time (`evaluation.suite.prompts`), decoders, the verifier, the whole table
(`evaluation.suite`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from nextgpt_lite.decoders.base import Decoder
from nextgpt_lite.evaluation.statistics import Score
from nextgpt_lite.world.describe import caption
from nextgpt_lite.world.scene import Scene, sample_clip as clip
from nextgpt_lite.world.suite.prompts import one_thing, related, several
from nextgpt_lite.world.verify import verify

__all__ = ["clip", "measure", "one_thing", "related", "several", "write_card"]

BATCH = 16


def measure(
    decoder: Decoder,
    draw: Callable[[Random], Scene],
    number: int,
    *,
    seed: int = 1_000_000,
    steps: int = 20,
    guidance_scale: float | None = None,
) -> tuple[dict[str, Score], list[tuple[Scene, Any, bool]]]:
    """Shares of right media, in all ("exact") and attribute by attribute, and the media.

    Item i has a seed of its own, so it does not depend on `number`.
    """
    scenes = [draw(Random(seed + i)) for i in range(number)]
    conditions = decoder.encode_text([caption(scene) for scene in scenes])
    options = {"num_inference_steps": steps, "guidance_scale": guidance_scale}
    seeds = range(seed, seed + number)
    media = [*decoder.generate_each(conditions, seeds, BATCH, **options)]
    verdicts = [verify(scene, medium) for scene, medium in zip(scenes, media, strict=True)]
    shares = {"exact": Score.of(v.correct for v in verdicts)}
    for name in dict.fromkeys(name for v in verdicts for name in v.attributes):
        right = [v.attributes[name] for v in verdicts if name in v.attributes]
        shares[name] = Score.of(right)
    rows = [(s, m, v.correct) for s, m, v in zip(scenes, media, verdicts, strict=True)]
    return shares, rows


def write_card(
    folder: str | Path, title: str, facts: list[str], scores: dict[str, dict[str, Score]]
) -> None:
    """Writes `card.md`: what the part learned from and how well it does."""
    lines = [f"# {title}", "", *(f"- {fact}" for fact in facts), ""]
    names = list(dict.fromkeys(name for shares in scores.values() for name in shares))
    lines += [
        "Share of media the verifier accepts, in all and by attribute (95 % interval):",
        "",
        "| prompts | n | " + " | ".join(names) + " |",
        "|" + " --- |" * (len(names) + 2),
    ]
    for prompts, shares in scores.items():
        cells = [_cell(shares[name]) if name in shares else "" for name in names]
        lines.append(f"| {prompts} | {shares['exact'].total} | " + " | ".join(cells) + " |")
    Path(folder, "card.md").write_text("\n".join(lines) + "\n")


def _cell(score: Score) -> str:
    low, high = score.interval
    return f"{100 * score.rate:.1f} % ({100 * low:.1f}-{100 * high:.1f})"
