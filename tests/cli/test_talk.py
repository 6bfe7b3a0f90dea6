"""The talk in a terminal: what a line means, what is kept, printed and saved, and the keys."""

from __future__ import annotations

import json
import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from nextgpt_lite.cli.talk import Talk, dragged
from nextgpt_lite.errors import ConfigError, MediaError

if os.name == "posix":
    import pexpect


class Parrot:
    """Says what it was told, and gives back the images; stands in for a model."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def chat(self, messages: Any, *, stream: bool = False, **options: Any) -> Any:
        from nextgpt_lite.reply import Event, Reply

        self.told.append((messages, options))
        *images, words = messages[-1]["content"]
        reply = Reply([{"type": "text", "text": f"You said {words['text']}"}, *images])
        if not stream:
            return reply
        steps = [Event("step", modality="image", step=1, total=2)] * len(images)
        texts = [Event("text", text=word) for word in ("You", " said ", words["text"])]
        return iter([*texts, *steps, Event("done", reply=reply)])


@pytest.fixture
def talk(tmp_path: Path) -> Talk:
    made = Talk(tmp_path / "out", "text", {"seed": 3})
    made.model = Parrot()  # type: ignore[assignment]
    return made


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "a picture.png"
    Image.new("RGB", (8, 8), "red").save(path)
    return path


def typed(monkeypatch: pytest.MonkeyPatch, *lines: str | type[BaseException]) -> None:
    """A person at a terminal, who types lines or presses keys, and Ctrl-D at last."""

    left = iter([*lines, EOFError])

    def read(prompt: str = "") -> str:
        line = next(left)
        if isinstance(line, str):
            return line
        raise line

    monkeypatch.setattr("builtins.input", read)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)


@pytest.mark.parametrize("form", ["'{}'", '"{}"', "{escaped}", "file://{quoted}", "  '{}' "])
def test_a_dragged_path_is_a_file(form: str, image: Path) -> None:
    text = str(image)
    line = form.format(text, escaped=text.replace(" ", "\\ "), quoted=text.replace(" ", "%20"))
    assert dragged(line) == ([image], "")
    assert dragged(f"{line} What's this?") == ([image], "What's this?")
    assert dragged(f"{line} {line} x") == ([image, image], "x")


@pytest.mark.parametrize("line", ["What's this?", "/image none.png", "x" * 5000, "~nobody/a", ""])
def test_other_words_are_words(line: str) -> None:
    assert dragged(line) == ([], line)


def test_history_grows_and_each_reply_has_a_folder(talk: Talk, image: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / "turn_01").mkdir(parents=True)  # of another day
    talk.take(f"/image '{image}'")
    talk.take("Look.")
    talk.take("And now?")
    (_, options), (messages, _) = talk.model.told  # type: ignore[attr-defined]
    assert options == {"seed": 3}
    assert [message["role"] for message in messages] == ["user", "assistant", "user"]
    assert [part["type"] for part in messages[0]["content"]] == ["image", "text"]
    assert [part["type"] for part in messages[2]["content"]] == ["text"]
    assert (tmp_path / "out/turn_02/image_0.png").is_file()
    assert json.loads((tmp_path / "out/turn_03/reply.json").read_text())["media"] == []
    talk.take("/clear")
    talk.take("Hello.")
    assert len(talk.model.told[-1][0]) == 1  # type: ignore[attr-defined]


def test_wrong_lines_are_sentences_and_change_nothing(talk: Talk, tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("no medium")
    with pytest.raises(ConfigError, match="did you mean /image"):
        talk.take("/imag x.png")
    with pytest.raises(MediaError, match=r"none\.png: no such file"):
        talk.take("/image none.png")
    with pytest.raises(MediaError, match=r"words\.txt is no image, audio, video"):
        talk.take(str(words))
    assert not talk.attached


def test_how_a_reply_is_printed(
    talk: Talk, image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = tmp_path / "r" / "image_0.png"
    expected = {"text": f"You said Hi.\n{made}\n", "stream": f"You said Hi.\n{made}\n", "quiet": ""}
    for how in ("text", "stream", "quiet", "json"):
        talk.how = how  # type: ignore[assignment]
        talk.attach(image)
        talk.answer("Hi.", tmp_path / "r")
        printed = capsys.readouterr().out
        if how == "json":
            assert printed.count("\n") == 1
            assert json.loads(printed)["media"] == [{"modality": "image", "path": str(made)}]
        else:
            assert printed == expected[how], how


def test_keys_stop_a_reply_and_end_the_talk(
    talk: Talk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    chat = talk.model.chat

    def stopped(messages: Any, **options: Any) -> Any:
        if messages[-1]["content"][-1]["text"] == "Long.":
            raise KeyboardInterrupt
        return chat(messages, **options)

    monkeypatch.setattr(talk.model, "chat", stopped)
    typed(monkeypatch, "One.", "Long.", KeyboardInterrupt, "/nothing", "", "/help", "Two.")
    talk.run()
    said = capsys.readouterr()
    assert said.out == "You said One.\nYou said Two.\n"
    assert len(talk.messages) == 4  # the stopped turn left none
    assert "no command /nothing" in said.err
    assert "/audio PATH" in said.err


def test_quit_ends_and_piped_errors_are_not_swallowed(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed(monkeypatch, "/quit", "Not answered.")
    talk.run()
    assert not talk.messages
    typed(monkeypatch, "/nothing")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    with pytest.raises(ConfigError):
        talk.run()


TERMINAL = """
import sys, time
from pathlib import Path
from nextgpt_lite.cli.talk import Talk
from tests.cli.test_talk import Parrot

class Slow(Parrot):
    def chat(self, messages, **options):
        if messages[-1]["content"][-1]["text"] == "wait":
            print("waiting", flush=True)
            time.sleep(600)
        return super().chat(messages, **options)

talk = Talk(Path(sys.argv[1]), "text", {})
talk.model = Slow()
talk.run()
"""


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
def test_in_a_real_terminal(tmp_path: Path, image: Path) -> None:
    heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # which a job behind nohup ignores
    command = ["-c", TERMINAL, str(tmp_path)]
    child = pexpect.spawn(sys.executable, command, timeout=600, preexec_fn=heed)
    child.expect("Ctrl-D ends")
    child.expect("> ")
    child.sendline("wait")
    child.expect("waiting")
    child.sendintr()
    child.expect("stopped")
    child.expect("> ")
    child.sendline(f"/image {image.parent}/a\t")  # Tab completes the name
    child.expect("attached: image")
    child.sendline("Hello.")
    child.expect("You said Hello.")
    child.expect("turn_01/image_0.png")
    child.sendline("\x1b[A")  # the line before, by the arrow key
    child.expect("You said Hello.\r\n")
    child.expect("> ")
    child.sendeof()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
