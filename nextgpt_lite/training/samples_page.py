"""What a model in training answers, from time to time, as a page to look at and listen to.

Knows: the folder of replies, the page. Leaves to others: the prompts (`Source.prompts`), the reply
(`chat`), when a line is logged (`report`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.messages import Conversation
from nextgpt_lite.model.modality import get_modality
from nextgpt_lite.reply import Reply, read_reply

PAGE = "samples.html"
_HEAD = """<!doctype html><meta charset="utf-8"><title>Replies in training</title>
<style>body{font:14px sans-serif;margin:2em} table{border-collapse:collapse}
td,th{border:1px solid #ccc;padding:.5em;vertical-align:top;text-align:left}</style>
<h1>Replies in training</h1><table><tr><th>step</th>"""


class SamplesPage:
    """Asks the model the same things every so many steps; watches the lines of a run.

    Writes `samples/<step>/<number>/` with each reply and `samples.html`, which shows them all, the
    newest first, those of a run that was resumed among them. The same seed every time, so that
    what differs between two rows is what the model learned.

    Args:
        model: the one in training; put back into training mode after it has answered.
        folder: of the run.
        every: steps; a reply is given at the first line logged after so many.
        prompts: what is asked: words, or messages with media.
        options: of `chat`, such as `num_inference_steps`.
    """

    def __init__(
        self,
        model: NextGPT,
        folder: Path,
        every: int,
        prompts: Sequence[str | Conversation],
        **options: Any,
    ) -> None:
        self.model, self.folder, self.every = model, folder, every
        self.prompts, self.options = prompts, options
        self.asked = 0  # times

    def __call__(self, line: Mapping[str, Any]) -> None:
        """Answers if `every` steps have passed since it last did."""
        if line["step"] // self.every <= self.asked:
            return
        self.asked = int(line["step"] // self.every)
        training = self.model.training
        self.model.eval()
        try:
            asked: Any
            for number, asked in enumerate(self.prompts):
                reply: Reply = self.model.chat(asked, seed=0, **self.options)
                reply.save(self.folder / "samples" / f"{int(line['step']):08}" / str(number))
        finally:
            self.model.train(training)
        (self.folder / PAGE).write_text(self._page(), encoding="utf-8")

    def _page(self) -> str:
        head = _HEAD + "".join(f"<th>{escape(_words(prompt))}</th>" for prompt in self.prompts)
        rows = []
        found = (self.folder / "samples").iterdir()  # with others' files: .DS_Store, ...
        for step in sorted((each for each in found if each.name.isdecimal()), reverse=True):
            replies = [step / str(number) for number in range(len(self.prompts))]
            cells = "".join(f"<td>{self._cell(reply)}</td>" for reply in replies)
            rows.append(f"<tr><td>{int(step.name)}</td>{cells}</tr>")
        return "\n".join([head + "</tr>", *rows, "</table>\n"])

    def _cell(self, folder: Path) -> str:
        if not (folder / "reply.json").is_file():
            return ""
        try:
            told = read_reply(folder / "reply.json")
        except (OSError, ValueError) as error:  # a page never ends a training
            return f"<em>{escape(str(error))}</em>"
        within = folder.relative_to(self.folder).as_posix()
        shown = [
            get_modality(each["modality"]).link.format(escape(quote(f"{within}/{each['path']}")))
            for each in told["media"]
        ]
        return "<br>".join([escape(told["text"]), *shown])


def _words(prompt: str | Conversation) -> str:
    """The user's last words, media named."""
    if isinstance(prompt, str):
        return prompt
    content = prompt[-1]["content"]
    if isinstance(content, str):
        return content
    return " ".join(
        part["text"] if part["type"] == "text" else f"[{part['type']}]" for part in content
    )
