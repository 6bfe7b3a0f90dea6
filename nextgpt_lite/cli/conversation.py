"""The commands with which one talks to a model: `chat`, `demo` and `tour`.

Knows: their options. Leaves to others: turns in a terminal (`talk`), the page of the demo
(`page`), and replies (`nextgpt_lite.chat`). Every heavy import sits inside a command.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, BadParameter, Option

from nextgpt_lite.cli.options import (
    Count,
    Device,
    MaybeCount,
    Modalities,
    Model,
    Output,
    Precision,
    Scale,
    Seed,
    Share,
    Temperature,
)
from nextgpt_lite.errors import extra
from nextgpt_lite.model.modality import MODALITIES
from nextgpt_lite.shipped import shipped


def chat(
    text: Annotated[str | None, Argument(show_default=False)] = None,
    *,
    output: Output = Path("out"),
    stream: bool = False,
    json: bool = False,
    quiet: bool = False,
    model: Model = "lite",
    modalities: Modalities = "auto",
    seed: Seed = 0,
    temperature: Temperature = 0.0,
    top_p: Share = 1.0,
    max_new_tokens: Count = 128,
    num_inference_steps: MaybeCount = None,
    guidance_scale: Scale = None,
    device: Device = "auto",
    precision: Precision | None = None,
    **media: Any,
) -> None:
    """Say something, with or without files; get any media back. Without a text, talk on and on.

    Example: nextgpt-lite chat "Show me a large red car in the garden." --output out --seed 0

    Example: nextgpt-lite chat "What is this?" --image photo.png --json

    Example: nextgpt-lite chat

    Args:
        text: what you say to the model; without it you talk in turns, one a line, typed or piped
            in, and each reply gets a folder of its own.
        stream: print words as they come; a talk in a terminal does.
        json: print each reply as one line of JSON.
        quiet: print no reply; it is in the folder.
        modalities: forces the reply's media: 'image,audio', 'none', or 'auto' (the model decides).
    """
    if json + quiet + stream > 1:
        raise BadParameter("give one of --stream, --json and --quiet, not several")
    from nextgpt_lite.cli.talk import Talk

    talk = Talk(
        output,
        how="json" if json else "quiet" if quiet else "stream" if stream else "text",
        options={
            "seed": seed,
            "output_modalities": modalities,
            "temperature": temperature,
            "top_p": top_p,
            "max_new_tokens": max_new_tokens,
            "num_inference_steps": num_inference_steps,
            "guidance_scale": guidance_scale,
        },
    )
    for row in MODALITIES.values():
        for path in media[row.plural]:
            talk.attach(path, row.name)  # a broken one is told before the model is loaded
    if text is None and sys.stdin.isatty() and not quiet:
        print(f"loading {model} ...", file=sys.stderr)
    from nextgpt_lite import NextGPT

    talk.model = NextGPT.from_pretrained(model, device=device, dtype=precision)
    if text is None:
        talk.run()
    else:
        talk.answer(text, output)


def demo(
    *,
    port: Annotated[int | None, Option(min=1, max=65535)] = None,
    browser: bool = False,
    model: Model = "lite",
    device: Device = "auto",
    precision: Precision | None = None,
) -> None:
    """Talk to a model on a page in the browser, which only this machine can open.

    Example: nextgpt-lite demo --browser

    Args:
        port: of the page; default: the first free one from 7860 on.
        browser: open the page.
    """
    with extra("demo"):  # told before the model is loaded
        import gradio  # noqa: F401
    from nextgpt_lite import NextGPT
    from nextgpt_lite.cli import page

    with tempfile.TemporaryDirectory(prefix="nextgpt-lite-demo-") as folder:
        loaded = NextGPT.from_pretrained(model, device=device, dtype=precision)
        built = page.build(loaded, Path(folder))
        address = page.serve(built, Path(folder), port, inbrowser=browser)
        print(f"The page: {address} (Ctrl-C ends it)", flush=True)
        built.block_thread()


@extra("notebooks")
def tour(*, output: Output = Path("out")) -> None:
    """Execute the tour notebook and render it as a page.

    Example: nextgpt-lite tour --output out
    """
    import nbformat
    import papermill
    from nbconvert import HTMLExporter

    output.mkdir(parents=True, exist_ok=True)
    notebook = shipped("notebooks/00_tour.ipynb")
    executed, page = output / notebook.name, output / f"{notebook.stem}.html"
    bar = sys.stderr.isatty()
    papermill.execute_notebook(str(notebook), str(executed), cwd=str(output), progress_bar=bar)
    html, _ = HTMLExporter().from_notebook_node(nbformat.read(executed, as_version=4))
    page.write_text(html, encoding="utf-8")
    print(f"The executed notebook: {executed}\nThe same as a page:    {page}")
