"""The command line: one table of subcommands, each a thin call into the package.

Knows: the flags, and how an error becomes one sentence on stderr with exit code 2.
Leaves to others: all work. Every heavy import sits inside the command that needs it, so that
`nextgpt-lite --help` answers at once.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from nextgpt_lite import __version__

REFUSALS = (OSError, ValueError, FloatingPointError, ModuleNotFoundError)
PROFILE_NAMES = ("lite", "colab", "paper")
LAYOUTS = ("legacy", "current")
PARTS = ("encoder", "llm", "image", "audio", "video")
TOUR = Path("notebooks/00_tour.ipynb")


@dataclass(frozen=True)
class Command:
    """A subcommand: its line of help, its flags, and what it does with them."""

    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], None]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit code: 0 done, 2 the request cannot be met."""
    arguments = _parser().parse_args(argv)
    try:
        COMMANDS[arguments.command].run(arguments)
    except REFUSALS as error:  # what a file, a flag or this machine can cause; a bug still traces
        if arguments.traceback:
            raise
        print(f"nextgpt-lite {arguments.command}: {_sentence(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("nextgpt-lite: stopped by the keyboard.", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nextgpt-lite",
        description="Any-to-any conversation, its three training stages and the parts beneath.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.add_argument("--traceback", action="store_true", help="show where an error came from")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        command.add_arguments(
            commands.add_parser(name, help=command.help, description=command.help)
        )
    return parser


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {(error.strerror or 'cannot be used').lower()}; check the path."
    return " ".join(str(error).split())


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number


# --- chat ---------------------------------------------------------------------------------------


def _chat_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("text", help="what you say to the model")
    for flag, what in (("image", "a picture"), ("audio", "a sound"), ("video", "a clip")):
        parser.add_argument(
            f"--{flag}", action="append", default=[], type=Path, metavar="FILE",
            help=f"{what} shown with the text; may be given several times",
        )  # fmt: skip
    parser.add_argument("--output", type=Path, default=Path("out"), metavar="DIR")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--model", default="lite", help="'lite' (shipped) or the folder of a trained model"
    )
    parser.add_argument(
        "--modalities", type=_modalities, default="auto", metavar="LIST",
        help="force the reply's media: 'image,audio', 'none', or 'auto' (the model decides)",
    )  # fmt: skip
    parser.add_argument("--num-inference-steps", type=_positive, default=None, metavar="N")


def _modalities(text: str) -> str | list[str]:
    if text == "auto":
        return text
    from nextgpt_lite.model.modality import MODALITIES

    names = [] if text == "none" else [name.strip() for name in text.split(",")]
    for name in names:
        if name not in MODALITIES:
            choices = ", ".join(MODALITIES)
            raise argparse.ArgumentTypeError(
                f"{name!r} is no modality; give some of {choices}, or 'none' or 'auto'"
            )
    return names


def _chat(arguments: argparse.Namespace) -> None:
    for path in (*arguments.image, *arguments.audio, *arguments.video):
        if not path.exists():  # said before the model is loaded, which takes seconds
            raise ValueError(f"{path} does not exist: correct the path or choose another file.")
    from nextgpt_lite import NextGPT

    model = NextGPT.from_pretrained(arguments.model)
    options = {}
    if arguments.num_inference_steps is not None:
        options["num_inference_steps"] = arguments.num_inference_steps
    reply = model.chat(
        arguments.text,
        images=arguments.image,
        audios=arguments.audio,
        videos=arguments.video,
        seed=arguments.seed,
        output_modalities=arguments.modalities,
        **options,
    )
    saved = reply.save(arguments.output)
    print(reply.text)
    for entry in json.loads(saved.read_text())["media"]:
        print(saved.parent / entry["path"])


# --- training -----------------------------------------------------------------------------------


def _train_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--stage", type=int, choices=(1, 2, 3), required=True)
    _profile_argument(parser)
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="a folder such as data_samples; else the lite world",
    )
    parser.add_argument(
        "--init", type=Path, metavar="DIR", help="the model to start from, usually the stage before"
    )
    parser.add_argument(
        "--messenger", choices=("signal", "caption"),
        help="what the LLM hands to the decoders, in a run without --init (default: signal)",
    )  # fmt: skip
    parser.add_argument("--steps", type=_positive, metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument("--batch-size", type=_positive, metavar="N", help="of one process")
    parser.add_argument("--accumulate", type=_positive, metavar="N", help="passes a step")
    parser.add_argument(
        "--precision", choices=("no", "bf16", "fp16", "auto"),
        help="auto: what the device is fast at; default: no",
    )  # fmt: skip
    parser.add_argument(
        "--checkpointing", action="store_true", default=None,
        help="compute activations again instead of keeping them",
    )  # fmt: skip
    parser.add_argument(
        "--shard", action="store_true", default=None,
        help="under torchrun: cut the model over the processes (FSDP2) instead of copying it",
    )  # fmt: skip
    parser.add_argument(
        "--report-to", choices=("tensorboard", "trackio", "wandb"), help="besides metrics.jsonl"
    )
    parser.add_argument(
        "--samples-every", type=_positive, default=0, metavar="N",
        help="steps between sample replies in samples.html",
    )  # fmt: skip
    parser.add_argument(
        "--cache", metavar="DIR",
        help="where encoder outputs and caption conditions are kept for the next run; 'none' keeps "
        "none (default: see `nextgpt-lite cache`)",
    )  # fmt: skip


def _train(arguments: argparse.Namespace) -> None:
    from nextgpt_lite.training.cache import default_folder
    from nextgpt_lite.training.run import train

    cache = default_folder() if arguments.cache is None else Path(arguments.cache)
    train(
        arguments.stage,
        arguments.output,
        profile=arguments.profile,
        config=None if arguments.messenger is None else {"messenger": arguments.messenger},
        data=arguments.data,
        init=arguments.init,
        steps=arguments.steps,
        seed=arguments.seed,
        resume=arguments.resume,
        cache=None if arguments.cache == "none" else cache,
        report_to=arguments.report_to,
        samples_every=arguments.samples_every,
        batch_size=arguments.batch_size,
        accumulate=arguments.accumulate,
        mixed_precision=arguments.precision,
        checkpointing=arguments.checkpointing,
        shard=arguments.shard,
    )


def _cache_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--folder", type=Path, metavar="DIR", help="another than the default one")
    parser.add_argument(
        "--prune", type=float, metavar="GB",
        help="delete what was used longest ago until so much is left; 0 empties the cache",
    )  # fmt: skip


def _cache(arguments: argparse.Namespace) -> None:
    from nextgpt_lite.training.cache import default_folder, listing, prune

    folder = arguments.folder or default_folder()
    if arguments.prune is not None:
        freed = prune(folder, int(arguments.prune * 1e9))
        print(f"{freed / 1e6:.1f} MB deleted")
    found = listing(folder)
    for part in found:
        print(f"{part.name:32}{part.rows:10,} rows{part.bytes / 1e6:12.1f} MB   {part.made_by}")
    total = sum(part.bytes for part in found) / 1e6
    print(f"{folder}: {total:.1f} MB; another place: --folder here, or NEXTGPT_LITE_CACHE")


def _refine_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--init", required=True, metavar="DIR", help="a folder of stage 3")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--data", type=Path, metavar="DIR", help="as for train")
    parser.add_argument("--records", type=_positive, default=40_000, metavar="N")
    parser.add_argument("--steps", type=_positive, default=2000, metavar="N")
    parser.add_argument("--seed", type=int, default=0)


def _refine(arguments: argparse.Namespace) -> None:
    from nextgpt_lite.training.refine import refine

    refine(
        arguments.init,
        arguments.output,
        data=arguments.data,
        records=arguments.records,
        steps=arguments.steps,
        seed=arguments.seed,
    )


def _evaluate_arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--suite", choices=("lite",), default="lite")
    what.add_argument(
        "--table", type=int, choices=range(2, 14), metavar="2..13",
        help="a table of the paper's section 6, ours beside theirs (table 14: compare)",
    )  # fmt: skip
    parser.add_argument("--model", default=None, help="a folder of a training run; default: lite")
    parser.add_argument(
        "--profile", choices=PROFILE_NAMES, default="lite", help="where no model is given"
    )
    parser.add_argument(
        "--data", type=Path, metavar="PATH", help="the table's own benchmark file or folder"
    )
    parser.add_argument("--media", type=Path, metavar="DIR", help="its media, if not beside it")
    parser.add_argument(
        "--output", type=Path, metavar="DIR",
        help="where to keep what is printed; the suite needs it, and goes on with what is there",
    )  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="the suite with 40 prompts a row")
    parser.add_argument(
        "--workers", type=_positive, metavar="N",
        help="processes of the suite, each with a model of its own; default: one a thread, up to 4",
    )  # fmt: skip
    parser.add_argument(
        "--count", type=_positive, metavar="N", help="of each row (500) or task of a table (50)"
    )
    parser.add_argument(
        "--num-inference-steps", type=_positive, metavar="N",
        help="diffusion steps; default: 20 for the suite, each decoder's own for a table",
    )  # fmt: skip


def _evaluate(arguments: argparse.Namespace) -> None:
    name, steps = arguments.model or arguments.profile, arguments.num_inference_steps
    if arguments.table is None:
        from nextgpt_lite.world.suite.rows import markdown
        from nextgpt_lite.world.suite.run import COUNT, QUICK, default_workers, run_suite

        if arguments.output is None:
            raise ValueError("The suite writes its table and pictures: give --output DIR.")
        count = arguments.count or (QUICK if arguments.quick else COUNT)
        workers = arguments.workers or default_workers()
        print(markdown(run_suite(name, arguments.output, count, steps or 20, workers=workers)))
        return
    from nextgpt_lite import NextGPT
    from nextgpt_lite.evaluation.tables.run import Setting, run_table

    setting = Setting(
        arguments.count or 50, steps=steps, data=arguments.data, media=arguments.media
    )
    sheet = run_table(arguments.table, NextGPT.from_pretrained(name), setting)
    if arguments.output is not None:
        sheet.write(arguments.output)
    print(sheet.markdown())


def _compare_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", nargs="+", default=["lite"], metavar="DIR",
        help="end-to-end models, one for each seed; the first gives the pipeline its parts",
    )  # fmt: skip
    parser.add_argument(
        "--caption-model", nargs="*", default=[], metavar="DIR",
        help="models trained with captions as messenger, one for each seed",
    )  # fmt: skip
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--prompts", type=_positive, default=200, metavar="N",
        help="of each group, half simple and half complex",
    )  # fmt: skip
    parser.add_argument("--groups", nargs="+", default=None, metavar="NAME", help="default: all")
    parser.add_argument(
        "--num-inference-steps", type=_positive, metavar="N",
        help="diffusion steps; default: each decoder's own",
    )  # fmt: skip


def _compare(arguments: argparse.Namespace) -> None:
    from nextgpt_lite.evaluation.comparison.run import compare_models

    report = compare_models(
        arguments.model,
        arguments.caption_model,
        arguments.output,
        prompts=arguments.prompts,
        groups=arguments.groups,
        num_inference_steps=arguments.num_inference_steps,
    )
    print(report)


def _ablate_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("grid", type=Path, metavar="GRID.yaml", help="which cells there are")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--workers", type=_positive, default=1, metavar="N", help="processes")


def _ablate(arguments: argparse.Namespace) -> None:
    from nextgpt_lite.evaluation.ablation.figures import draw, summary
    from nextgpt_lite.evaluation.ablation.runner import ablate

    table = ablate(arguments.grid, arguments.output, arguments.workers)
    print(summary(table))
    print(f"{table}\n{draw(table, table.with_suffix('.svg'))}")


def _pretrain_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--part", choices=PARTS, required=True)
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--steps", type=_positive, metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, ...")
    parser.add_argument(
        "--start", metavar="DIR|shipped", help="go on from these weights instead of random ones"
    )


def _pretrain(arguments: argparse.Namespace) -> None:
    from nextgpt_lite.model.config import WEIGHTS

    options = {} if arguments.steps is None else {"steps": arguments.steps}
    if arguments.start is not None:
        shipped = WEIGHTS / "lite" / arguments.part
        start = shipped if arguments.start == "shipped" else Path(arguments.start)
        if not start.is_dir():
            raise ValueError(f"{start} is no folder: give 'shipped' or what a run has exported.")
        options["start"] = start
    part = import_module(f"nextgpt_lite.world.pretraining.{arguments.part}")
    part.train(
        arguments.output,
        seed=arguments.seed,
        device=arguments.device,
        resume=arguments.resume,
        **options,
    )
    exported = arguments.output / "export"
    if arguments.part in ("image", "video"):  # the others export as the last step of training
        part.export(arguments.output, exported)
    print(f"{exported}: copy it to nextgpt_lite/weights/lite/{arguments.part} to ship it")


# --- checkpoints --------------------------------------------------------------------------------


def _profile_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--profile", choices=PROFILE_NAMES, default="lite")


def _params(arguments: argparse.Namespace) -> None:
    from nextgpt_lite.checkpoints.parameters import table
    from nextgpt_lite.model.config import NextGPTConfig

    print(table(NextGPTConfig.from_profile(arguments.profile)))


def _doctor_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--profile", choices=PROFILE_NAMES, help="judge this preset only")


def _doctor(arguments: argparse.Namespace) -> None:
    from nextgpt_lite.checkpoints.doctor import report

    print(report(profiles=(arguments.profile,) if arguments.profile else PROFILE_NAMES))


def _download_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--profile", choices=PROFILE_NAMES, required=True)
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")


def _download(arguments: argparse.Namespace) -> None:
    from nextgpt_lite.checkpoints.download import download
    from nextgpt_lite.model.config import CHECKPOINTS

    download(arguments.profile, arguments.output)
    print(f"Set {CHECKPOINTS}={arguments.output} so that the presets find them.")


def _convert_arguments(parser: argparse.ArgumentParser) -> None:
    way = parser.add_mutually_exclusive_group(required=True)
    way.add_argument("--from", dest="source", choices=LAYOUTS, help="read this released layout")
    way.add_argument("--to", dest="target", choices=LAYOUTS, help="write this released layout")
    parser.add_argument("path", type=Path, help="their file or folder, or a folder of ours")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--base", metavar="DIR", help="the language model it was trained on, to be compared"
    )


def _convert(arguments: argparse.Namespace) -> None:
    from nextgpt_lite.checkpoints.convert import from_released, to_released

    path, output = arguments.path, arguments.output
    if arguments.source:
        lines = from_released(arguments.source, path, output, arguments.base)
    else:
        lines = to_released(arguments.target, path, output)
    print("\n".join(lines))


# --- data and tour ------------------------------------------------------------------------------


def _data_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=("samples",), help="samples: the small shipped data set")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--size", type=_positive, default=None, metavar="N", help="how many pictures (default 24)"
    )


def _data(arguments: argparse.Namespace) -> None:
    from nextgpt_lite.world.samples import PICTURES, write_samples

    size = PICTURES if arguments.size is None else arguments.size
    written = write_samples(arguments.output, arguments.seed, size)
    print(f"{len(written)} files written to {arguments.output}")


def _tour_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output", type=Path, default=Path("out"), metavar="DIR")


def _tour(arguments: argparse.Namespace) -> None:
    if not TOUR.is_file():
        raise ValueError(f"{TOUR}: not found from here; run the tour in the repository's folder.")
    import nbformat
    import papermill
    from nbconvert import HTMLExporter

    arguments.output.mkdir(parents=True, exist_ok=True)
    executed = arguments.output / TOUR.name
    papermill.execute_notebook(str(TOUR), str(executed), cwd=str(TOUR.parent), progress_bar=True)
    page, _ = HTMLExporter().from_notebook_node(nbformat.read(executed, as_version=4))
    executed.with_suffix(".html").write_text(page, encoding="utf-8")
    print(
        f"The executed notebook: {executed}\nThe same as a page:    {executed.with_suffix('.html')}"
    )


COMMANDS = {
    "chat": Command("Say something, with or without files; get any media back.",
                    _chat_arguments, _chat),
    "train": Command("Train one of the three stages.", _train_arguments, _train),
    "cache": Command("Show or empty what training keeps of frozen work.", _cache_arguments, _cache),
    "refine": Command(
        "Fit the output projections alone, after stage 3.", _refine_arguments, _refine
    ),
    "evaluate": Command(
        "Score a model by the lite suite, or by a table of the paper.",
        _evaluate_arguments, _evaluate,
    ),
    "compare": Command(
        "Compare pipelines with end-to-end, as in the paper's Table 14.",
        _compare_arguments, _compare,
    ),
    "ablate": Command("Train and score each cell of a grid of settings.",
                      _ablate_arguments, _ablate),
    "pretrain": Command("Train one of the frozen lite parts.", _pretrain_arguments, _pretrain),
    "params": Command(
        "Print the paper's Table 1 beside ours, from configurations alone.",
        _profile_argument, _params,
    ),
    "doctor": Command(
        "Say what this machine can run, and under which licences.", _doctor_arguments, _doctor
    ),
    "download": Command(
        "Fetch the public checkpoints of a preset.", _download_arguments, _download
    ),
    "convert": Command(
        "Turn a released NExT-GPT checkpoint into a folder of ours, or back.",
        _convert_arguments, _convert,
    ),
    "data": Command("Write the small shipped data set anew.", _data_arguments, _data),
    "tour": Command("Execute the tour notebook and render it as a page.",
                    _tour_arguments, _tour),
}  # fmt: skip
