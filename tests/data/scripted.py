"""A language model that follows a script: it does what a builder's request says, and no more."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from threading import Thread
from typing import Any

from nextgpt_lite.data.builders.writers import HOST

ASKED = {
    "plainly": ("{} Tell me more: {}.", "{} What comes after this: {}?", "{} Look at it: {}."),
    "tells": ("{} I keep thinking of it: {}.", "{} My child dreamt of this: {}.",
              "{} We had it at home once: {}."),
}  # fmt: skip
REPLIES = {
    "describes": ("What I notice first is this: {}. Nothing around it draws the eye away.",
                  "It is quite plain what there is: {}."),
    "explains": ("It comes down to this: {}. One thing leads to the next, so that follows.",
                 "Because you asked before, I think of this: {}."),
    "proposes": ("I would go on with this: {}. It fits what you said before.",
                 "How about this: {}? It is close to what you like."),
    "lays out": ("Begin with this: {}. Then take your time, and come back to it at the end.",
                 "First comes this: {}. After that we look for more."),
}  # fmt: skip
WISHES = ("Could you make this for me: {}?", "I need {} for a poster.", "Quick: {}!")
_TURN = re.compile(r"^Turn \d+: the human (.*?); the machine (.*)\.$", re.M)
_MARK = re.compile(r"^(?:To be made: )?(\[(\w+): ([^\]]+)\])$", re.M)


def scripted(asked: Sequence[Any], seeds: Sequence[int]) -> list[str]:
    """Replies as good as a script can write them; every eighth is none."""
    return [
        _reply(messages[-1]["content"], seed) for messages, seed in zip(asked, seeds, strict=True)
    ]


def _reply(request: str, seed: int) -> str:
    rng = Random(seed)
    if rng.random() < 1 / 8:
        return "As an AI language model, I cannot write this."
    marks = [(mark, kind, caption) for mark, kind, caption in _MARK.findall(request)]
    if "To be made" in request:
        wish = rng.choice(WISHES).format(marks[0][2])
        return f"Human: {wish}\nMachine: Here you have what you asked for."
    rng.shuffle(marks)
    lines, about = [], marks[0][2]
    for human, machine in _TURN.findall(request):
        given, made = _drawn(human, "shows an? ", marks), _drawn(machine, "makes an? ", marks)
        about = given[2] if given else about
        words = rng.choice(next(texts for key, texts in ASKED.items() if key in human))
        lines.append(f"Human: {words.format(given[0] if given else '', about)}")
        about = made[2] if made else about
        words = rng.choice(next(texts for key, texts in REPLIES.items() if key in machine))
        lines.append(f"Machine: {words.format(about)} {made[0] if made else ''}")
    return "\n".join(lines)


def _drawn(words: str, verb: str, marks: list[Any]) -> Any:
    """The next medium of the kind that the plan names; the first of the list goes to its end."""
    found = re.search(rf"{verb}(\w+)", words)
    mark = next((m for m in marks if found and m[1] == found[1]), None)
    if mark:
        marks.remove(mark)
        marks.append(mark)
    return mark


@contextmanager
def served() -> Iterator[str]:
    """The same behind OpenAI's protocol; gives the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer({"data": [{"id": "scripted"}]})

        def do_POST(self) -> None:
            wish = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert self.path.endswith("/chat/completions")
            assert wish["model"] == "scripted"
            (said,) = scripted([wish["messages"]], [wish["seed"]])
            self._answer({"choices": [{"message": {"role": "assistant", "content": said}}]})

        def _answer(self, values: Any) -> None:
            content = json.dumps(values).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer((HOST, 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://{HOST}:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
