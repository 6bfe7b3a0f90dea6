"""A talk in the terminal: lines in, replies out, each reply in a folder.

Lines are typed or piped in. A path that is dragged into the terminal attaches its file, as does
`/image PATH`. Ctrl-C stops a reply, Ctrl-D ends the talk.

Knows: lines, attachments, and how a reply is printed. Leaves to others: replies (`chat`), media
(`media`), and what a modality is called (`model.modality`).
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from contextlib import suppress
from difflib import get_close_matches
from io import StringIO
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote

from nextgpt_lite.errors import ConfigError, MediaError, NextGPTError, RunError
from nextgpt_lite.messages import Message, Part
from nextgpt_lite.model.modality import MODALITIES, get_modality, modality_of

if TYPE_CHECKING:
    from nextgpt_lite.chat import NextGPT
    from nextgpt_lite.reply import Reply

HELP = """Write something and press Enter; the reply's media are saved, and their paths printed.
{media}
                  attach a file to your next words; dragging one into the terminal does it too
/clear            forget the talk so far and what is attached
/quit, Ctrl-D     end the talk; Ctrl-C stops a reply"""


class Talk:
    """Turns with `model`, which is set before the first one.

    Args:
        output: folder of the replies' folders.
        how: they are printed: words when all are there or as they come, JSON, or not at all.
        options: of `NextGPT.chat`.
    """

    model: NextGPT

    def __init__(
        self,
        output: Path,
        how: Literal["text", "stream", "json", "quiet"],
        options: dict[str, Any],
    ) -> None:
        self.output, self.how, self.options = output, how, options
        self.messages: list[Message] = []
        self.attached: list[Part] = []

    def run(self) -> None:
        """Answers line by line until the end of input or `/quit`.

        Raises:
            NextGPTError, OSError: a line that was piped in cannot be answered; whoever types one is
                told so, and goes on.
        """
        typed = sys.stdin.isatty()
        if typed and self.how == "text" and sys.stdout.isatty():
            self.how = "stream"
        if typed:
            _edit_lines()
            if self.how != "quiet":
                _say("Write something; /help says what else, Ctrl-D ends.")
        while True:
            try:
                line = input("> " if typed and sys.stdout.isatty() else "").strip()
                if line in ("/quit", "/exit"):
                    return
                self.take(line)
            except EOFError:
                if typed:
                    _say("")
                return
            except KeyboardInterrupt:
                if not typed:
                    raise
                _say("\nstopped; Ctrl-D ends the talk")
            except (NextGPTError, OSError) as error:
                if not typed:
                    raise
                _say(str(error))

    def take(self, line: str) -> None:
        """Attaches the files that a line begins with, obeys its command, or answers its words."""
        files, words = dragged(line)
        for path in files:
            self.attach(path)
        if line.startswith("/") and not files:
            return self._obey(*line.partition(" ")[::2])
        if words:
            place = (self.output / f"turn_{number:02}" for number in count(1))
            self.answer(words, next(folder for folder in place if not folder.exists()))
        return None

    def answer(self, words: str, folder: Path) -> None:
        """One turn: the reply is saved in `folder` and printed; a turn that fails is forgotten."""
        asked: Message = {
            "role": "user",
            "content": [*self.attached, {"type": "text", "text": words}],
        }
        messages = [*self.messages, asked]
        if self.how == "stream":
            reply = self._streamed(messages)
        else:
            reply = self.model.chat(messages, **self.options)
        self._print(reply, reply.save(folder))
        self.messages, self.attached = [*messages, reply.message], []

    def attach(self, path: Path, modality: str | None = None) -> None:
        """Reads a file, which goes with the next words.

        Raises:
            MediaError: it is no medium, or none of this modality.
        """
        row = get_modality(modality or modality_of(path))
        self.attached.append({"type": row.name, "data": row.load(path)})
        if sys.stdin.isatty() and self.how != "quiet":
            _say(f"attached: {row.name} {path}")

    def _obey(self, command: str, argument: str) -> None:
        commands = [f"/{name}" for name in MODALITIES] + ["/clear", "/help", "/quit"]
        if command == "/clear":
            self.messages, self.attached = [], []
        elif command == "/help":
            _say(HELP.format(media=", ".join(f"/{name} PATH" for name in MODALITIES)))
        elif command in commands:
            files, rest = dragged(argument)
            if rest or not files:
                raise MediaError(f"{argument or command}: no such file; give the path of one.")
            for path in files:
                self.attach(path, command[1:])
        else:
            close = get_close_matches(command, commands, n=1)
            hint = f"did you mean {close[0]}?" if close else "/help lists them."
            raise ConfigError(f"There is no command {command}; {hint}")

    def _streamed(self, messages: list[Message]) -> Reply:
        """Prints words as they come and shows the steps of decoders, where a terminal can."""
        ended = False  # the line of words
        for event in self.model.chat(messages, stream=True, **self.options):
            if event.type == "text":
                print(event.text, end="", flush=True)
                continue
            if not ended:
                print(flush=True)
                ended = True
            step = f"{event.modality}: step {event.step} of {event.total}"
            _status(step if event.type == "step" else "")
            if event.reply is not None:
                return event.reply
        raise RunError("The model stopped without finishing its reply: send it again.")

    def _print(self, reply: Reply, saved: Path) -> None:
        for warning in reply.warnings:
            _say(f"Warning: {warning}")
        from nextgpt_lite.reply import read_reply

        values = read_reply(saved)
        for entry in values["media"]:
            entry["path"] = str(saved.parent / entry["path"])
        if self.how == "json":
            print(json.dumps(values), flush=True)
        elif self.how != "quiet":
            lines = [] if self.how == "stream" else [reply.text]
            for line in [*lines, *(entry["path"] for entry in values["media"])]:
                print(line, flush=True)


def dragged(line: str) -> tuple[list[Path], str]:
    """The files whose paths a line begins with, quoted as terminals do it, and the words behind."""
    files: list[Path] = []
    while line:
        left = StringIO(line)
        lexer = shlex.shlex(left, posix=os.name != "nt")  # there a backslash is no quote
        lexer.whitespace_split, lexer.commenters = True, ""
        try:
            word = (lexer.get_token() or "").strip("\"'")
            path = Path(unquote(word[7:]) if word.startswith("file://") else word).expanduser()
            if not path.is_file():
                break
        except (ValueError, OSError, RuntimeError):  # a lone quote; no name of a file
            break
        files.append(path)
        line = left.read()
    return files, line.strip()


def _edit_lines() -> None:
    """Arrow keys, a history, and Tab for paths, where Python has readline."""
    try:
        import readline
    except ImportError:  # Windows, whose terminal edits lines itself
        return

    def complete(begun: str, index: int) -> str | None:
        folder = Path(begun).expanduser()
        folder = folder if begun.endswith("/") else folder.parent
        with suppress(OSError):
            found = [f"{path}/" if path.is_dir() else str(path) for path in folder.iterdir()]
            fitting = sorted(path for path in found if path.startswith(begun))
            return fitting[index].replace(" ", "\\ ") if index < len(fitting) else None
        return None

    readline.set_completer(complete)
    readline.set_completer_delims(" ")
    readline.parse_and_bind("tab: complete")


def _say(words: str) -> None:
    """To the person at the terminal, apart from the replies."""
    print(words, file=sys.stderr, flush=True)


def _status(words: str) -> None:
    """Words in place of the last ones, where there is a terminal."""
    if sys.stderr.isatty():
        print(f"\r{words:40}\r", end="", file=sys.stderr, flush=True)
