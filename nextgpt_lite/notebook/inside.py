"""The player "what happens inside": a reply forward by forward, then each medium as it forms.

One piece of HTML with a slider, which needs no kernel: it plays on a page, too. Without scripts
its last frame stands there. Knows: how a trace becomes frames. Leaves to others: the trace
(`trace`), what media look like (`display`).
"""

from __future__ import annotations

import html
from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING

from IPython.display import display

from nextgpt_lite.display import MIME, Bundle, facts, media_html
from nextgpt_lite.model.modality import get_modality

if TYPE_CHECKING:
    from nextgpt_lite.trace import Trace

STYLE = """<style>
.nextgpt-trace { max-width: 48rem; padding: 8px 12px; border: 1px solid #888; border-radius: 8px }
.nextgpt-trace input { width: 100% }
.nextgpt-trace span { padding: 1px 2px; border-radius: 3px; white-space: pre-wrap }
.nextgpt-trace .media { background: #3a8a4d55 }
.nextgpt-trace .signal { background: #d08a2055 }
.nextgpt-trace .now { outline: 2px solid #4a8ad0 }
.nextgpt-trace .later { opacity: .15 }
.nextgpt-trace section { min-height: 250px }
</style>"""
MOVE = (
    "const n = +this.value, box = this.closest('.nextgpt-trace');"
    "box.querySelectorAll('[data-forward]').forEach(t => {"
    "const f = +t.dataset.forward;"
    "t.classList.toggle('now', f == n); t.classList.toggle('later', f > n)});"
    "box.querySelectorAll('section').forEach((s, i) => { s.hidden = i != n })"
)


def show_trace(traced: Trace) -> None:
    """Shows one reply from inside: tokens, gaps, signal blocks, conditions, denoising.

    Args:
        traced: of `trace`; with `previews=` it has the films of denoising.
    """
    frames = [*_forwards(traced), *_media(traced)]
    last = len(frames) - 1
    tokens = "".join(
        f'<span class="{row.origin}" data-forward="{row.forward}">{html.escape(row.token)}</span>'
        for row in traced.rows
    )
    sections = "".join(
        f"<section{' hidden' if index < last else ''}>{frame}</section>"
        for index, frame in enumerate(frames)
    )
    page = (
        f'{STYLE}<div class="nextgpt-trace">'
        f'<input type="range" data-lm-suppress-shortcuts="true" aria-label="what happens inside" '
        f'max="{last}" value="{last}" oninput="{html.escape(MOVE)}">'
        f'<p>{tokens}</p><p><small><span class="media">green</span>: vectors of given media; '
        f'<span class="signal">orange</span>: signal tokens.</small></p>{sections}</div>'
    )
    made = [facts(one.media) for one in traced.reply.made]
    shown = {"kind": "trace", "frames": len(frames), "media": made}
    display(Bundle({"text/plain": str(traced), "text/html": page, MIME: shown}))


def _forwards(traced: Trace) -> Iterator[str]:
    """A sentence for each forward of the LLM."""
    for forward, group in groupby(traced.rows, key=lambda row: row.forward):
        rows = [*group]
        if forward == 0:
            media = sum(row.origin == "media" for row in rows)
            gap = f", {media} of them projected vectors in the gaps of given media" if media else ""
            said = f"the LLM reads the whole prompt at once, {len(rows)} positions{gap}."
        elif rows[0].origin == "signal":
            said = (
                f"it has chosen {rows[0].token}; the rest of the block follows by itself, "
                f"{len(rows)} positions at once."
            )
        else:
            said = f"it has chosen {rows[0].token!r}, and reads it."
        yield f"<p><b>Forward {forward}</b>: {html.escape(said)}</p>"


def _media(traced: Trace) -> Iterator[str]:
    """The condition of each block, the medium as it forms, the medium."""
    for block, made in zip(traced.blocks, traced.reply.made, strict=True):
        modality, (length, width) = block.modality, block.condition.shape
        yield (
            f"<p><b>Condition of the {modality}</b>: the output projection turns the block's "
            f"{len(block.tokens)} hidden states into {length} x {width} numbers, which the decoder "
            f"reads instead of a caption.</p>{media_html(block.condition.float().cpu().numpy())}"
        )
        show = get_modality(modality).html
        for step, medium in block.film:
            yield f"<p><b>The {modality} after step {step}</b>, still noisy.</p>{show(medium)}"
        yield f"<p><b>The {modality}</b>, finished.</p>{show(made.media)}"
