"""Writes docs/scale.md from docs/scale.yaml: python docs/scale.py

What the paper's three stages cost on one card, eight and 64. Nothing here was run at that size: the
page says of each figure whether it was measured, counted, printed or assumed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

DOCS = Path(__file__).resolve().parent
CARDS = (1, 8, 64)
KINDS = ("image", "video", "audio")


def given() -> dict[str, Any]:
    """The data file: `figures` to calculate with, and the page's sentences."""
    made: dict[str, Any] = yaml.safe_load((DOCS / "scale.yaml").read_text("utf-8"))
    return made


def values(data: dict[str, Any]) -> dict[str, float]:
    """Each figure's number."""
    return {name: float(each["value"]) for name, each in data["figures"].items()}


@dataclass(frozen=True)
class Stage:
    """One pass over a stage's data.

    Attributes:
        samples: in the pass.
        tokens: that the LLM reads.
        work: FLOP of the LLM and what learns, of the encoder, of the text encoders.
        read: bytes of media.
        processor: seconds of one core.
        kept: bytes of features and conditions, were they kept.
        learning: weights whose gradients the cards exchange.
    """

    name: str
    samples: float
    tokens: float
    work: tuple[float, float, float]
    read: float
    processor: float
    kept: float
    learning: float


def stages(f: dict[str, float]) -> list[Stage]:
    """The three of the paper; a frozen weight costs 2 FLOP a token forward and 2 backward."""
    counts = dict(zip(KINDS, (f["images"], f["videos"], f["audios"]), strict=True))
    pairs = sum(counts.values())
    share = {kind: count / pairs for kind, count in counts.items()}

    def over(what: str, many: dict[str, float]) -> float:
        return sum(number * f[f"{kind}_{what}"] for kind, number in many.items())

    llm, positions, signals = f["llm_weights"], f["pair_tokens"], f["signal_tokens"]
    talks = f["instructions"]
    shown = {kind: talks * part for kind, part in share.items()}  # one medium in, one out
    talk_work = talks * (
        (4 * llm + 6 * f["lora_weights"]) * f["talk_tokens"] + 6 * f["projection_work"]
    )
    return [
        Stage(
            "1, encoding", pairs, pairs * positions,
            (pairs * 4 * llm * positions, over("encoder", counts), 0.0),
            over("file", counts), over("reading", counts) + pairs * f["assembling"],
            pairs * f["feature"], f["input_weights"],
        ),
        Stage(
            "2, decoding", pairs, pairs * (positions + signals),
            (
                # What stands before the signal tokens is frozen: it needs no backward pass.
                pairs * (2 * llm * (positions + 2 * signals) + 6 * f["projection_work"]),
                0.0, over("text", counts),
            ),
            0.0, pairs * f["assembling"], over("condition", counts), f["projection_weights"],
        ),
        Stage(
            "3, instructions", talks, talks * f["talk_tokens"],
            (talk_work, over("encoder", shown), over("text", shown)),
            over("file", shown), over("reading", shown) + talks * f["assembling"],
            talks * f["feature"] + over("condition", shown),
            f["input_weights"] + f["projection_weights"] + f["lora_weights"],
        ),
    ]  # fmt: skip


def hours(stage: Stage, cards: int, f: dict[str, float]) -> float:
    """Of computing alone."""
    return sum(stage.work) / (cards * f["peak"] * f["utilisation"]) / 3600


def row(stage: Stage, cards: int, f: dict[str, float]) -> str:
    """A line of the second table: what this many cards ask of everything around them."""
    time = hours(stage, cards, f)
    seconds, machines = time * 3600, max(1.0, cards / 8)
    cores = stage.processor / seconds
    asked = {
        "cores": cores / (cards * f["cores"]),
        "storage": stage.read / seconds / (machines * f["storage"]),
    }
    first = max(asked, key=lambda name: asked[name])
    megabytes = number(stage.read / seconds / 1e6) if stage.read else "-"
    cells = [
        f"{stage.name}", f"{cards}", number(time), number(time * cards * f["price"]),
        f"{stage.samples / seconds:,.0f}", number(cores), megabytes,
        f"{first}, {percent(asked[first])} of what is there",
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |\n"


def percent(value: float) -> str:
    """Of one, in whole percent."""
    return f"{100 * value:.0f} %"


def number(value: float) -> str:
    """Three digits, or less than a tenth."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 0.1 else "< 0.1"


def page(data: dict[str, Any]) -> str:
    """The whole page as Markdown."""
    f = values(data)
    made = stages(f)
    one, two, three = made
    cached = hours(Stage(**{**vars(one), "work": (one.work[0], 0.0, 0.0)}), 1, f)
    anew = two.work[2] / (f["peak"] * f["utilisation"]) / 60
    exchange = 4 * two.learning * 2  # float32, there and back
    parts = [data["head"] + "\n"]
    parts.append(
        "| stage | samples | tokens | LLM and what learns | encoder | text encoders | features and"
        " conditions |\n|---|---|---|---|---|---|---|\n"
    )
    for stage in made:
        parts.append(
            f"| {stage.name} | {stage.samples / 1e6:.2f} M | {stage.tokens / 1e6:,.0f} M | "
            + " | ".join(f"{each / 1e18:,.2f} EFLOP" if each else "-" for each in stage.work)
            + f" | {stage.kept / 1e9:,.1f} GB |\n"
        )
    parts.append(
        "\n## What one card, eight and 64 ask for\n\nComputing alone, one pass, at the assumed"
        f" {percent(f['utilisation'])} of the peak. Cores and MB/s are what the data need"
        " to keep up; the last column is what is nearest to its end.\n\n"
        "| stage | cards | hours | EUR | samples/s | cores | MB/s | nearest to its end |\n"
        "|---|---|---|---|---|---|---|---|\n"
    )
    parts += [row(stage, cards, f) for stage in made for cards in CARDS]
    parts.append(
        "\n"
        + data["breaks"].format(
            encoder=percent(one.work[1] / sum(one.work)),
            video=percent(f["videos"] * f["video_encoder"] / one.work[1]),
            first=hours(one, 1, f), cached=cached, features=one.kept / 1e9,
            reading=percent(f["videos"] * f["video_reading"] / one.processor),
            conditions=two.kept / 1e9, anew=anew, exchange=exchange / 1e6,
            beat=exchange / (f["network"] / 8) * 1e3,
            last=hours(three, 1, f),
            step=32 * sum(two.work) / two.samples / (f["peak"] * f["utilisation"]) * 1e3,
        )
    )  # fmt: skip
    parts.append(
        "\n## The figures\n\n| figure | value | how it is known | from |\n|---|---|---|---|\n"
    )
    for name, each in data["figures"].items():
        cells = [name.replace("_", " "), f"{float(each['value']):,.4g} {each['unit']}"]
        parts.append(f"| {' | '.join([*cells, each['kind'], each['from']])} |\n")
    return "".join(parts)


if __name__ == "__main__":
    (DOCS / "scale.md").write_text(page(given()), encoding="utf-8")
