"""The commands that build data with a language model: `data build t2m` and `data build mosit`.

Knows: their options. Leaves to others: all work (`data.builders`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

from nextgpt_lite.cli.options import Count, Device, MaybeCount, MaybeFile, Output, Precision, Seed

Pairs = Annotated[list[Path], Option(exists=True, metavar="FILE|DIR")]
Likeness = Annotated[float, Option(min=-1, max=1)]


def t2m(
    *,
    pairs: Pairs,
    llm: str,
    output: Output,
    count: MaybeCount = None,
    seed: Seed = 0,
    batch_size: Count = 8,
    device: Device = "auto",
    precision: Precision = "auto",
) -> None:
    """Build data for instruction tuning with a language model, from your own pairs.

    Each caption becomes a wish, in words of the language model's (the paper's T2M). What is in
    --output goes on.

    Example: nextgpt-lite data build t2m --pairs my_data/pairs.json --llm my_llm --output t2m

    Args:
        pairs: media and captions in any format that training reads; may be repeated.
        llm: who writes: 'smol', the folder of a chat model of transformers, or the address of a
            server on this machine that speaks OpenAI's protocol (http://127.0.0.1:8000/v1).
        count: wishes; default: one for each pair.
        batch_size: asked for at once.
    """
    options = locals()
    from nextgpt_lite.data.builders import build_t2m, table_15

    print(build_t2m(**options))
    print(table_15(output))


def mosit(
    *,
    pairs: Pairs,
    llm: str,
    output: Output,
    count: Count,
    topics: MaybeFile = None,
    encoder: str = "lite/encoder",
    least: Likeness = 0.8,
    seed: Seed = 0,
    batch_size: Count = 8,
    device: Device = "auto",
    precision: Precision = "auto",
) -> None:
    """Build dialogues of 3 to 7 turns that switch modalities (the paper's MosIT).

    Media are those of your own pairs whose captions are nearest to what was written. What is in
    --output goes on; notebook.InspectionWidget shows it to a person.

    Example: nextgpt-lite data build mosit --pairs my_data --llm my_llm --count 100 --output mosit

    Args:
        pairs: media and captions in any format that training reads; may be repeated.
        llm: who writes: 'smol', the folder of a chat model of transformers, or the address of a
            server on this machine that speaks OpenAI's protocol (http://127.0.0.1:8000/v1).
        count: dialogues.
        topics: a file of topics, one a line; default: 135 of the package's own.
        encoder: folder of the encoder that compares captions; default: the lite one, which knows
            the words of its own world best.
        least: likeness of a caption that was written to that of the medium taken for it.
        batch_size: dialogues asked for at once.
    """
    options = locals()
    from nextgpt_lite.data.builders import build_mosit, table_15

    print(build_mosit(**options))
    print(table_15(output))
