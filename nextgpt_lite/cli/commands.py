"""The package's own commands: each a typed function, and a short call into the package.

Knows: what can be asked for, and the words in which help says it. Leaves to others: how typer
reads a function (`cli`), and all work. Every heavy import sits inside the command that needs it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, BadParameter, Option

from nextgpt_lite.cli import building, course
from nextgpt_lite.cli.conversation import chat, demo, tour
from nextgpt_lite.cli.options import (
    Count,
    Data,
    Device,
    Folder,
    MaybeCount,
    MaybeDevice,
    MaybeFile,
    MaybeFolder,
    MaybeModel,
    MaybeOutput,
    MaybePlugin,
    MaybeSize,
    Models,
    Output,
    Plugin,
    Precision,
    Profile,
    Seed,
)
from nextgpt_lite.errors import ConfigError, MissingError
from nextgpt_lite.plugins import plugin as find_plugin
from nextgpt_lite.shipped import shipped

Layout = Literal["legacy", "current"]


def _shipped(text: str) -> Path:
    try:
        return Path(text) if Path(text).is_file() else shipped(text)
    except MissingError as error:
        raise BadParameter(str(error)) from None


# --- training -----------------------------------------------------------------------------------


def train(
    changes: Annotated[list[str] | None, Argument(metavar="[KEY=VALUE]...")] = None,
    *,
    config: Annotated[Path | None, Option(parser=_shipped, metavar="FILE")] = None,
    stage: Annotated[int | None, Option(min=1, max=3)] = None,
    output: MaybeOutput = None,
    profile: Profile | None = None,
    data: Data = [],  # noqa: B006
    follow_links: bool | None = None,
    init: MaybeFolder = None,
    messenger: Literal["signal", "caption", "caption-states"] | None = None,
    steps: MaybeCount = None,
    seed: Annotated[int | None, Option(min=0)] = None,
    resume: bool | None = None,
    anyway: bool = False,
    device: MaybeDevice = None,
    batch_size: MaybeCount = None,
    held_out: float | None = None,
    workers: Annotated[int | None, Option(min=0)] = None,
    accumulate: MaybeCount = None,
    mixed_precision: Annotated[
        Literal["no", "bf16", "fp16", "auto"] | None, Option("--precision")
    ] = None,
    checkpointing: bool | None = None,
    shard: bool | None = None,
    report_to: Literal["tensorboard", "trackio", "wandb"] | None = None,
    samples_every: Annotated[int | None, Option(min=0)] = None,
    cache: str | None = None,
    cache_limit: str | None = None,
) -> None:
    """Train one of the three stages.

    Example: nextgpt-lite train --config configs/runs/paper.yaml stage=1 output=runs/s1

    Args:
        changes: settings in the place of the file's and the preset's: learning_rate=3e-4
            quantization=nf4 lora.rank=16 checkpoint_every=500; any field of the model or the
            schedule.
        config: a file of settings; those of `configs/runs` ship with the package.
        stage: 1 encoding alignment, 2 decoding alignment, 3 instruction tuning.
        profile: size of the system, without --init; default: lite.
        follow_links: let symbolic links in the folders of data lead out of them.
        init: folder of the model to start from, usually the stage before.
        messenger: what the LLM hands to the decoders, in a run without --init; default: signal.
        steps: default: the preset's own, as of all numbers.
        anyway: --resume, even where packages or media have changed since: not bit for bit.
        seed: of what is drawn at random; default: 0.
        device: auto (the default), cpu, cuda, cuda:1 or mps.
        batch_size: of one process.
        held_out: share of the records, such as 0.02, that is not trained on; metrics.jsonl has its
            loss. The same records in every run on these data.
        workers: processes that read data ahead; default: 4 for paper, 2 for colab, else 0.
        accumulate: passes in which the batch of a step is read, to save memory.
        mixed_precision: of what is computed: auto takes the fastest that the device has; default:
            auto for colab and paper, no for lite and smol, so that losses are the same on all
            machines.
        checkpointing: compute activations again instead of keeping them.
        shard: under torchrun, split the model over the processes (FSDP2) instead of copying it.
        report_to: besides metrics.jsonl.
        samples_every: steps between sample replies in samples.html; default: none.
        cache: folder where encoder outputs and caption conditions are kept for the next run;
            'none' keeps none; default: see `nextgpt-lite cache`.
        cache_limit: size of that folder, such as 200GB, beyond which what was used longest ago is
            deleted; default: 8GB.
    """
    given = locals()
    for name in ("config", "changes", "anyway"):
        del given[name]
    from nextgpt_lite.model.config import cache_folder
    from nextgpt_lite.training.run import train
    from nextgpt_lite.training.runfile import settings

    paths = {name: str(value) for name, value in given.items() if isinstance(value, Path)}
    paths["data"] = [*data] or None  # type: ignore[assignment]
    options = settings(config, changes or (), given | paths)
    options |= {"resume": "anyway"} if anyway else {}
    cache = options.pop("cache", None)
    if cache == "none":
        options["cache_limit"] = 0
    train(**options, cache=None if cache == "none" else Path(cache or cache_folder()))


def refine(
    *,
    init: Folder,
    output: Output,
    data: Data = [],  # noqa: B006
    records: Count = 40_000,
    steps: Count = 2000,
    seed: Seed = 0,
    resume: bool = False,
    anyway: bool = False,
    device: Device = "auto",
    precision: Precision | None = None,
) -> None:
    """Fit the output projections alone, after stage 3.

    Example: nextgpt-lite refine --init runs/s3 --output runs/lite

    Args:
        init: folder of a model of stage 3.
        records: conversations to learn from.
        steps: of each projection.
        anyway: --resume, even where packages or media have changed since: not bit for bit.
    """
    options = locals()
    from nextgpt_lite.training.refine import refine

    options["dtype"] = options.pop("precision")
    del options["anyway"]
    options["resume"] = "anyway" if anyway else resume
    refine(**options)


def known_media(
    model: Annotated[str, Argument()] = "lite",
    *,
    data: Data = [],  # noqa: B006
    records: Count = 6000,
    seed: Seed = 0,
    device: Device = "auto",
    precision: Precision | None = None,
) -> None:
    """Write what media a model was trained on, so that chat warns of others.

    Example: nextgpt-lite known-media runs/s3 --data my_data

    Args:
        model: folder of a model.
        records: conversations whose media are read.
    """
    from nextgpt_lite.training.known_media import write_known_media

    print(write_known_media(model, data, records, seed, device, precision))


def data_check(
    folder: Annotated[Path, Argument(exists=True)],
    *,
    output: MaybeOutput = None,
    media: bool = False,
    statistics: bool = False,
    follow_links: bool = False,
) -> None:
    """Check data before a training reads them: what is there, what is wrong, why.

    Example: nextgpt-lite data check my_data --media --output out/check

    Args:
        folder: of data, or one file.
        output: folder for data_check.html, with the same and the first records of each kind.
        media: open every image, audio and video, too.
        statistics: print each file as a row of the paper's Table 15.
        follow_links: let symbolic links in the folder lead out of it.
    """
    from nextgpt_lite.data.check import PAGE, check

    print(check(folder, output, media, follow_links))
    if output is not None:
        print(output / PAGE)
    if statistics:
        from nextgpt_lite.data.builders import table_15

        print(table_15(folder))


def cache(*, folder: Path | None = None, prune: MaybeSize = None) -> None:
    """Show, empty or build what training keeps of frozen work.

    Example: nextgpt-lite cache --prune 0

    Args:
        folder: default: NEXTGPT_LITE_CACHE, or a folder of the user's.
        prune: delete what was used longest ago until so many GB are left; 0 empties the cache.
    """
    from nextgpt_lite.model.config import cache_folder
    from nextgpt_lite.training import cache as kept

    folder = folder or cache_folder()
    if prune is not None:
        print(f"{kept.prune(folder, int(prune * 1e9)) / 1e6:.1f} MB deleted")
    found = kept.listing(folder)
    for part in found:
        print(f"{part.name:32}{part.rows:10,} rows{part.bytes / 1e6:12.1f} MB   {part.made_by}")
    total = sum(part.bytes for part in found) / 1e6
    print(f"{folder}: {total:.1f} MB; another place: --folder here, or NEXTGPT_LITE_CACHE")


def cache_build(
    *,
    stage: Annotated[int, Option(min=1, max=3)],
    profile: Profile = "lite",
    init: MaybeFolder = None,
    data: Data = [],  # noqa: B006
    follow_links: bool = False,
    records: MaybeCount = None,
    batch_size: MaybeCount = None,
    workers: Annotated[int | None, Option(min=0)] = None,
    seed: Seed = 0,
    device: Device = "auto",
    precision: Precision | None = None,
    cache: Path | None = None,
    cache_limit: str | None = None,
) -> None:
    """Compute a stage's frozen work beforehand; called again, or by several processes, it goes on.

    Several share it under torchrun: torchrun --nproc-per-node 4 -m nextgpt_lite cache build ...

    Example: nextgpt-lite cache build --stage 2 --data cc3m

    Args:
        stage: whose records are read.
        profile: size of the system, without --init.
        init: folder of the model that will be trained.
        follow_links: let symbolic links in the folders of data lead out of them.
        records: conversations, in the order of a training of the same seed; default: all, of a
            source without end as many as the training reads.
        batch_size: records that are read at once.
        workers: processes that read data ahead; default: as of train.
        seed: of the training.
        cache: folder of the cache; default: see `nextgpt-lite cache`.
        cache_limit: size of that folder, such as 200GB; default: 8GB.
    """
    options = locals()
    options["dtype"] = options.pop("precision")
    from nextgpt_lite.model.config import cache_folder
    from nextgpt_lite.training.build import build_cache

    options |= {"data": [*data] or None, "cache": cache or cache_folder()}
    counts = build_cache(**options)
    print(", ".join(f"{name}: {count:,}" for name, count in counts.items()))


# --- evaluation ---------------------------------------------------------------------------------


def evaluate(
    *,
    suite: MaybePlugin = None,
    table: str | None = None,
    model: MaybeModel = None,
    profile: Profile = "lite",
    data: Annotated[list[Path], Option(exists=True)] = [],  # noqa: B006
    media: MaybeFolder = None,
    plugin: Plugin = "lite",
    metric: list[str] = [],  # noqa: B006
    output: MaybeOutput = None,
    quick: bool = False,
    workers: MaybeCount = None,
    count: Annotated[int | None, Option("--count", "--limit", min=1)] = None,
    num_inference_steps: MaybeCount = None,
    device: Device = "auto",
    precision: Precision | None = None,
) -> None:
    """Score a model by the lite suite, or by a table of the paper.

    Example: nextgpt-lite evaluate --table 9

    Args:
        suite: the world whose own examination is held; default: lite.
        table: 2 to 13, tables of the paper's section 6, ours beside theirs (14: compare); or one
            that a plugin registers.
        model: folder of a trained model; default: the shipped one of the profile.
        data: the table's own benchmark files or folders (several for Tables 11 and 13); default:
            items of the plugin.
        media: folder of its media, if not beside it.
        plugin: whose items are measured.
        metric: further columns, by the metrics' names.
        output: keeps what is printed and what was made, and continues what is there; the suite
            needs it.
        quick: the suite with 40 prompts a row.
        workers: processes of the suite, each with a model of its own; default: one a thread, up
            to 4.
        count: of each row (500) or task of a table (50; of a benchmark's file the first, default
            all).
        num_inference_steps: diffusion steps; default: 20 for the suite, each decoder's own for a
            table.
    """
    if suite and table:
        raise BadParameter("give --suite or --table, not both")
    name, steps = model or profile, num_inference_steps
    if output is not None:
        from nextgpt_lite.writing import usable

        usable(output)  # before anything is measured
    if table is None:
        if output is None:
            raise ConfigError("The suite writes its table and pictures: give --output DIR.")
        run_suite = find_plugin(suite or "lite").run_suite
        print(
            run_suite(
                name, output, count=count, steps=steps, quick=quick, workers=workers,
                device=device, dtype=precision,
            )
        )  # fmt: skip
        return
    from nextgpt_lite import NextGPT
    from nextgpt_lite.evaluation.registry import find
    from nextgpt_lite.evaluation.tables.sheet import Setting, run_table

    for kind, wanted in [("table", table), *(("metric", each) for each in metric)]:
        find(kind, wanted)  # a name that is unknown is told before the model is loaded
    parts = None if output is None else output / f"table_{table}"
    setting = Setting(
        count or (sys.maxsize if data else 50), steps=steps, data=tuple(data), media=media,
        plugin=plugin, metrics=tuple(metric), parts=parts,
    )  # fmt: skip
    if parts is not None:
        from nextgpt_lite.evaluation.comparison.run import (
            data_identity,
            model_identity,
            same_settings,
        )

        made_by = {
            "model": name, "files of the model": model_identity(name), "count": setting.count,
            "steps": steps, "data": [str(path) for path in data], "media": media and str(media),
            "plugin": plugin, "precision": precision, "files of the data": data_identity(data),
        }  # fmt: skip
        same_settings(parts / "settings.json", made_by)
    sheet = run_table(table, NextGPT.from_pretrained(name, device=device, dtype=precision), setting)
    print(sheet.markdown())
    if output is not None:
        sheet.write(output)


def compare(
    *,
    model: Models = ["lite"],  # noqa: B006
    caption_model: Models = [],  # noqa: B006
    output: Output,
    prompts: Count = 200,
    groups: list[str] | None = None,
    plugin: Plugin = "lite",
    instructions: MaybeFile = None,
    judge: str | None = None,
    num_inference_steps: MaybeCount = None,
    device: Device = "auto",
    precision: Precision | None = None,
) -> None:
    """Compare pipelines with end-to-end, as in the paper's Table 14.

    Example: nextgpt-lite compare --model runs/a runs/b --groups image audio --output out/compare

    Args:
        model: end-to-end models, one for each seed; the first gives the pipeline its parts.
        caption_model: models trained with captions as messenger, one for each seed.
        prompts: of each group, half simple and half complex.
        groups: default: all.
        plugin: whose instructions are asked, and whose judge says what answers are worth.
        instructions: your own instead, a file of JSON lines {"id", "prompt", "truth": [{"type",
            "caption"}]}; all of them are asked.
        judge: 'likeness' (the encoder's), the name of a plugin, or one that you registered;
            default: the plugin's, or likeness for a file.
    """
    options = locals()
    models, caption_models = options.pop("model"), options.pop("caption_model")
    options["dtype"] = options.pop("precision")
    from nextgpt_lite.evaluation.comparison.run import compare_models

    print(compare_models(models, caption_models, **options))


def ablate(
    grid: Annotated[Path | None, Argument(parser=_shipped, metavar="[FILE]")] = None,
    *,
    every: Annotated[bool, Option("--all")] = False,
    output: Output,
    workers: Count = 1,
    device: Device = "auto",
    precision: Precision | None = None,
) -> None:
    """Train and score each cell of a grid of settings.

    Example: nextgpt-lite ablate configs/ablation/messenger.yaml --output out/messenger

    Args:
        grid: file that names the settings to combine; those of `configs` ship with the package.
        every: run all grids that ship, whose common stages are trained once.
        workers: processes.
    """
    if every == (grid is not None):
        raise ConfigError("Give the file of a grid, or --all.")
    from nextgpt_lite.evaluation.ablation.figures import curves, draw, summary
    from nextgpt_lite.evaluation.ablation.runner import ablate, shipped_grids

    for path in shipped_grids() if grid is None else [grid]:
        table = ablate(path, output, workers, device, precision)
        print(summary(table))
        print(f"{table}\n{draw(table, table.with_suffix('.svg'))}")
        if (made := curves(table)) is not None:
            made.savefig(table.with_name(f"{table.stem}-curves.svg"))


# --- checkpoints --------------------------------------------------------------------------------


def params(*, profile: Profile = "lite") -> None:
    """Print the paper's Table 1 beside ours, from configurations alone.

    Example: nextgpt-lite params --profile paper
    """
    from nextgpt_lite.checkpoints.parameters import table
    from nextgpt_lite.model.config import NextGPTConfig

    print(table(NextGPTConfig.from_profile(profile)))


def doctor(*, profile: Profile | None = None) -> None:
    """Say what this machine can run, and under which licences.

    Example: nextgpt-lite doctor --profile colab

    Args:
        profile: judge this size only.
    """
    from nextgpt_lite.checkpoints.doctor import report

    print(report(profiles=(profile,)) if profile else report())


def download(*, profile: Profile, output: Output) -> None:
    """Fetch the public checkpoints of a preset.

    Example: nextgpt-lite download --profile colab --output DIR
    """
    from nextgpt_lite.checkpoints.download import download
    from nextgpt_lite.model.config import CHECKPOINTS

    download(profile, output)
    print(f"Set {CHECKPOINTS}={output} so that the presets find them.")


def sums(folder: Annotated[list[Path] | None, Argument(exists=True)] = None) -> None:
    """Write the SHA-256 sums of finished folders anew, after a change of your own.

    Example: nextgpt-lite sums out/stage3

    Args:
        folder: of a model, an encoder, a language model or a decoder; default: the shipped parts.
    """
    from nextgpt_lite.model.checkpoint import PROJECTIONS_FILE, seal
    from nextgpt_lite.model.config import WEIGHTS
    from nextgpt_lite.reading import write_sums

    for each in folder or sorted(p for p in WEIGHTS.glob("*/*/") if p.is_dir()):
        print(seal(each) if (each / PROJECTIONS_FILE).is_file() else write_sums(each))


def convert(
    path: Annotated[Path, Argument(exists=True)],
    *,
    output: Path,
    source: Annotated[Layout | None, Option("--from")] = None,
    target: Annotated[Layout | None, Option("--to")] = None,
    base: str | None = None,
) -> None:
    """Turn a released NExT-GPT checkpoint into a folder of ours, or back.

    Example: nextgpt-lite convert --from legacy pytorch_model.pt --output DIR

    Args:
        path: their file or folder, or a folder of ours.
        source: read this released layout.
        target: write this released layout.
        base: folder of the language model it was trained on, to be compared.
    """
    if bool(source) == bool(target):
        raise BadParameter("give --from or --to, one of them")
    from nextgpt_lite.checkpoints.convert import from_released, to_released

    if source:
        print("\n".join(from_released(source, path, output, base)))
    elif target:
        print("\n".join(to_released(target, path, output)))


COMMANDS: dict[str, dict[str, Callable[..., None]]] = {
    panel: {command.__name__.replace("_", "-"): command for command in commands}
    for panel, commands in (
        ("Conversation", (chat, demo, tour)),
        ("Training", (train, refine, known_media, cache)),
        ("Evaluation", (evaluate, compare, ablate)),
        ("Checkpoints", (params, doctor, download, sums, convert)),
    )
}
COMMANDS["Training"] |= {
    "data check": data_check, "data build t2m": building.t2m, "data build mosit": building.mosit,
    "cache build": cache_build,
}  # fmt: skip
COMMANDS["Teaching"] = {"course build": course.build, "course grade": course.grade}
