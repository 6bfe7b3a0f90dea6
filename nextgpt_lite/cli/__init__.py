"""The command line: a command is a typed function, and its options are read off its signature.

Parameters before the `*` are arguments, the others options; the docstring holds their help.

Knows: how a function becomes a command, and an error one sentence on stderr with exit code 2.
Leaves to others: what there is to ask for (`commands`; those of a world come from its plugin).
"""

from __future__ import annotations

import inspect
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from typer import Argument, Option
from typer.core import TyperCommand, TyperGroup

from nextgpt_lite import __version__
from nextgpt_lite.cli.commands import COMMANDS
from nextgpt_lite.errors import NextGPTError, Stopped
from nextgpt_lite.model.modality import MODALITIES
from nextgpt_lite.plugins import plugin, plugins

PROGRAM = "nextgpt-lite"
REFUSALS = (NextGPTError, OSError, ValueError, ModuleNotFoundError)
HELP = {  # of parameters that mean the same in every command
    "data": "folder or file of data, or a plugin that makes some; may be repeated, DIR=2 draws "
    "from it twice as often; default: lite.",
    "device": "auto (CUDA, else MPS, else CPU), cpu, cuda, cuda:1 or mps.",
    "guidance_scale": "how closely media follow what was asked; default: each decoder's own.",
    "max_new_tokens": "words of a reply, in tokens.",
    "model": "'lite' (shipped), the folder of a trained model, or its hub id if it was fetched.",
    "num_inference_steps": "diffusion steps; default: each decoder's own.",
    "output": "folder to write into.",
    "precision": "number format of frozen weights; auto: 16 bits on an accelerator, float32 on a "
    "CPU; default: the model's own.",
    "profile": "size of the system.",
    "resume": "continue from the last checkpoint.",
    "seed": "the same seed gives the same result.",
    "temperature": "of the choice of words; 0 takes the most likely ones.",
    "top_p": "share of the likeliest words that is chosen from, if the temperature is not 0.",
}
PANELS = {  # parameters that help shows apart from the others
    "modalities": "Reply",
    "temperature": "Reply",
    "top_p": "Reply",
    "max_new_tokens": "Reply",
    "num_inference_steps": "Reply",
    "guidance_scale": "Reply",
    "stream": "Output",
    "json": "Output",
    "quiet": "Output",
    "device": "Machine",
    "precision": "Machine",
    "mixed_precision": "Machine",
    "checkpointing": "Machine",
    "shard": "Machine",
    "workers": "Machine",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit code: 0 done, 2 the request cannot be met."""
    try:
        application()(argv, prog_name=PROGRAM)
    except SystemExit as stopped:
        return int(stopped.code or 0)
    return 0


def application() -> typer.Typer:
    """The package's own commands, and those of every plugin that has some."""
    app = typer.Typer(cls=_Commands, rich_markup_mode="rich", no_args_is_help=True)
    app.callback()(_before)
    panels = dict(COMMANDS)
    for guest in plugins():  # before `chat` is read: it may bring a modality
        panels[f"Plugin {guest}"] = getattr(plugin(guest), "commands", dict)()
    groups = {"": app}
    inside = {name.rpartition(" ")[0] for commands in panels.values() for name in commands}
    for panel, commands in panels.items():
        for name, function in commands.items():
            group, _, last = name.rpartition(" ")  # "data samples": a command in a group
            text, _, parameters = (inspect.getdoc(function) or "").partition("\n\nArgs:\n")
            helps = HELP | dict(re.findall(r"^ {4}(\w+): ((?:.|\n {5,})+)", parameters, re.M))
            _add_group(groups, group, text.partition("\n")[0], panel)
            read = _read(function, helps)
            if name in inside:  # a command that has others in it, such as "cache build"
                groups[name] = typer.Typer()
                groups[name].callback(invoke_without_command=True, help=text)(_alone(read))
                app.add_typer(groups[name], name=name, rich_help_panel=panel)
                continue
            groups[group].command(last, cls=_Command, help=text, rich_help_panel=panel)(read)
    return app


def _add_group(groups: dict[str, typer.Typer], name: str, about: str, panel: str) -> None:
    """Makes a group of commands, in the one that its name begins with: "data build" in "data"."""
    if name not in groups:
        outer, _, last = name.rpartition(" ")
        _add_group(groups, outer, about, panel)
        groups[name] = typer.Typer(no_args_is_help=True)
        groups[outer].add_typer(groups[name], name=last, help=about, rich_help_panel=panel)


def _read(function: Callable[..., None], helps: dict[str, str]) -> Callable[..., None]:
    """The function with the signature that typer reads: a help and a kind for each parameter."""

    @wraps(function)
    def command(**given: Any) -> None:
        function(**given)

    signature = inspect.signature(function, eval_str=True)
    found = []
    for parameter in _with_media(signature.parameters.values()):
        option = parameter.kind is parameter.KEYWORD_ONLY
        kind, info = parameter.annotation, Option() if option else Argument()
        if hasattr(kind, "__metadata__"):
            kind, info = get_args(kind)
        info = copy(info)
        info.help = info.help or " ".join(helps.get(parameter.name, "").split())
        info.rich_help_panel = info.rich_help_panel or PANELS.get(parameter.name)
        if option and not info.param_decls and kind in (bool, bool | None):
            info.param_decls = ("--" + parameter.name.replace("_", "-"),)  # without its --no-
        found.append(parameter.replace(annotation=Annotated[kind, info]))
    command.__signature__ = signature.replace(parameters=found)  # type: ignore[attr-defined]
    return command


def _alone(function: Callable[..., None]) -> Callable[..., None]:
    """The function, unless a command inside its group is called."""

    @wraps(function)
    def command(ctx: typer.Context, **given: Any) -> None:
        if ctx.invoked_subcommand is None:
            function(**given)

    signature = inspect.signature(function)
    context = inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    found = [context, *signature.parameters.values()]
    command.__signature__ = signature.replace(parameters=found)  # type: ignore[attr-defined]
    return command


def _with_media(parameters: Iterable[inspect.Parameter]) -> Iterator[inspect.Parameter]:
    """`**media` becomes one option for each modality: `--image FILE` and so on."""
    for parameter in parameters:
        if parameter.kind is not parameter.VAR_KEYWORD:
            yield parameter
            continue
        for row in MODALITIES.values():
            text = f"{row.name.capitalize()} shown with the text; may be repeated."
            flag = Option(
                f"--{row.name}",
                metavar="FILE",
                help=text,
                show_default=False,
                exists=True,
                dir_okay=False,
                rich_help_panel="Media",
            )
            yield inspect.Parameter(
                row.plural,
                parameter.KEYWORD_ONLY,
                default=[],
                annotation=Annotated[list[Path], flag],
            )


class _Commands(TyperGroup):
    """Says in a sentence what a file, an option or this machine has caused."""

    def invoke(self, ctx: Any) -> Any:
        """Runs one command; a bug is none of the refusals and still shows its traceback."""
        if ctx.invoked_subcommand != "download" or not sys.stderr.isatty():
            os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # of transformers too
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # whoever read the output has seen enough, such as `head`
            raise
        except REFUSALS as error:
            if ctx.params["traceback"]:
                raise
            print(f"{PROGRAM} {ctx.invoked_subcommand}: {_sentence(error)}", file=sys.stderr)
            raise typer.Exit(2) from None
        except KeyboardInterrupt as stopped:
            print(f"{PROGRAM}: {str(stopped) or 'stopped by the keyboard.'}", file=sys.stderr)
            raise typer.Exit(getattr(stopped, "code", 130)) from None


class _Command(TyperCommand):
    """In a command without arguments an option may take several values: `--model A B`."""

    def invoke(self, ctx: Any) -> Any:
        """Says on Ctrl-C what becomes of what is written, unless that is said already."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stopped:
            if not str(stopped) and (output := ctx.params.get("output")):
                how = " with --resume" if "resume" in ctx.params else ""
                raise Stopped(
                    f"stopped; what was finished in {output} stays, and the same command goes on"
                    f"{how}."
                ) from None
            raise

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeats the option before each of its values, which is what typer understands."""
        if any(parameter.param_type_name == "argument" for parameter in self.params):
            return super().parse_args(ctx, args)
        lists = {flag for option in self.params if option.multiple for flag in option.opts}
        repeated, flag = [], ""
        for word in args:
            flag = word if word.startswith("-") else flag
            if flag not in lists:
                repeated.append(word)
            elif word != flag:
                repeated += [flag, word]
        return super().parse_args(ctx, repeated)


def _sentence(error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {(error.strerror or 'cannot be used').lower()}; check the path."
    return " ".join(str(error).split())


def _version(wanted: bool) -> None:
    if wanted:
        print(f"{PROGRAM} {__version__}")
        raise typer.Exit


def _before(
    version: Annotated[
        bool, Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    traceback: Annotated[
        bool, Option("--traceback", help="Show where an error came from.")
    ] = False,
) -> None:
    """Any-to-any conversation, its three training stages and the parts beneath."""
