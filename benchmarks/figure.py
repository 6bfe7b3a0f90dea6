"""Draws benchmarks/training.json: speed and memory beside the plain loop, and how time grows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLOURS = {"ours": "tab:blue", "plain": "tab:gray"}
AXES = {
    "records": "records read",
    "tokens": "tokens in a batch of four",
    "batch": "conversations in a batch",
    "width": "width of the LLM",
}


def draw(source: Path, target: Path) -> None:
    """Reads the JSON file, writes the picture."""
    result = json.loads(source.read_text(encoding="utf-8"))
    figure = Figure(figsize=(9, 6.4), dpi=100, layout="constrained")
    above, below = figure.subfigures(2, 1)
    speed, memory, use = above.subplots(1, 3)
    stages = {stage: found["bfloat16"] for stage, found in result["stages"].items()}
    _bars(speed, stages, "samples per second", "samples a CPU second, bfloat16")
    for place, found in enumerate(stages.values()):
        times = found["times as fast"]["median"]
        top = found["samples per second"]["ours"]["quartiles"][1]
        speed.annotate(f"{times:.1f}x", (place - 0.2, 1.02 * top), ha="center", va="bottom")
    speed.margins(y=0.15)
    _bars(memory, stages, "peak memory", "peak memory in GB", 1e-9)
    utilisation = {
        stage: {"use": {name: found[f"utilisation, {name}"] for name in COLOURS}}
        for stage, found in stages.items()
    }
    _bars(use, utilisation, "use", "% of a matrix product", 100)
    speed.legend(["this loop", "plain loop"], frameon=False)
    for axes, (name, label) in zip(below.subplots(1, 4), AXES.items(), strict=True):
        _grow(axes, result["growth"][name], label)
    figure.savefig(target)


def _bars(axes: Axes, stages: dict[str, Any], field: str, label: str, scale: float = 1.0) -> None:
    for offset, (name, colour) in zip((-0.2, 0.2), COLOURS.items(), strict=True):
        values = [found[field][name] for found in stages.values()]
        middle = [scale * (v["median"] if isinstance(v, dict) else v) for v in values]
        ends = [v["quartiles"] if isinstance(v, dict) else [v, v] for v in values]
        errors = np.abs(scale * np.array(ends).T - middle)
        places = np.arange(len(middle)) + offset
        axes.bar(places, middle, 0.4, yerr=errors, color=colour, capsize=3)
    axes.set_xticks(range(len(stages)), [f"stage {stage}" for stage in stages])
    axes.set_title(label, fontsize=10)


def _grow(axes: Axes, found: dict[str, Any], label: str) -> None:
    xs, ys, fit = np.array(found["x"]), found["seconds"], found["fit"]
    line = np.linspace(0, xs.max(), 50)
    axes.plot(xs, ys, "o", color="tab:blue", markersize=4)
    axes.plot(line, fit["a"] + fit["b"] * line ** fit["power"], color="tab:orange")
    power = "" if fit["power"] == 1 else f"^{fit['power']}"
    axes.set_title(f"{fit['a']:.2g} + {fit['b']:.2g} x{power}\nR² {fit['r2']:.3f}", fontsize=9)
    axes.set(xlabel=label, ylim=(0, None))
    axes.set_ylabel("CPU s" if label.startswith("records") else "CPU s a step")
