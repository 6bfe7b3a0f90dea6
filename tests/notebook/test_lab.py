"""A notebook as its reader has it: run by hand in JupyterLab, in a browser without a window."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from PIL import Image
from playwright.sync_api import Browser, Error, expect

from nextgpt_lite.media import save_image
from tests.browser import browser as browser, in_a_browser, visited

ROOT = Path(__file__).resolve().parents[2]
CHAT = """\
from nextgpt_lite.notebook import ChatWidget
from tests.notebook.test_chat import FakeModel, chat_of

model = FakeModel()
chat_of[model] = ChatWidget(model, seed=7)
chat_of[model]"""
PLAYER = """\
from nextgpt_lite import trace
from nextgpt_lite.notebook import show_trace
from tests.tiny import tiny_model

made = {"output_modalities": ["image"], "num_inference_steps": 2, "max_new_tokens": 3}
show_trace(trace(tiny_model(), "Draw a dog", previews=1, **made))"""


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[str]:
    """The address of a notebook in a JupyterLab of this machine alone."""
    notebook = nbformat.v4.new_notebook(cells=[*map(nbformat.v4.new_code_cell, (CHAT, PLAYER))])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, tmp_path / "talk.ipynb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip", "127.0.0.1",
        "--port", str(port), "--notebook-dir", str(tmp_path), "--IdentityProvider.token=",
        "--LabApp.extension_manager=readonly",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]  # fmt: skip
    places = {name: str(tmp_path / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR")}
    environment = {**os.environ, **places, "PYTHONPATH": str(ROOT), "JUPYTER_PREFER_ENV_PATH": "1"}
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        yield f"http://127.0.0.1:{port}/lab/tree/talk.ipynb"
        server.terminate()  # kernels end with it
        server.wait()


def arrive(page: Any, address: str) -> None:
    """Goes there as soon as somebody answers."""
    for _ in range(600):
        try:
            page.goto(address)
            return
        except Error:
            page.wait_for_timeout(100)
    raise AssertionError("JupyterLab does not answer")


@in_a_browser
def test_both_widgets_work_in_jupyterlab(browser: Browser, lab: str, tmp_path: Path) -> None:
    save_image(Image.new("RGB", (16, 16), "red"), tmp_path / "picture.png")
    with visited(browser, "about:blank") as page:
        arrive(page, lab)
        page.locator(".jp-Cell .cm-content").first.click(timeout=60_000)
        page.keyboard.press("Shift+Enter")
        page.keyboard.press("Shift+Enter")

        chat = page.locator(".nextgpt-chat")
        text, past, status = (chat.locator(name) for name in ("textarea", ".past", ".status"))
        expect(text).to_be_visible(timeout=120_000)
        text.press_sequentially("one")
        text.press("Shift+Enter")
        text.press_sequentially("two")
        expect(text).to_have_value("one\ntwo")
        text.press("Enter")
        expect(past.locator("img")).to_have_count(1)
        expect(past).to_contain_text("one\ntwo")
        expect(text).to_have_value("")

        chat.locator(".attach").set_input_files(tmp_path / "picture.png")
        expect(chat.locator("figure img")).to_be_visible()
        expect(chat.locator("figcaption")).to_contain_text("picture.png")
        text.fill("odd")
        chat.get_by_role("button", name="Send").click()
        expect(past.locator("img")).to_have_count(3)
        expect(status).to_have_text("Warning: odd")
        expect(chat.locator("figure")).to_have_count(0)
        at_the_end = "log => log.scrollHeight - log.scrollTop - log.clientHeight < 2"
        page.wait_for_function(at_the_end, arg=chat.locator(".log").element_handle())

        text.fill("long")
        text.press("Enter")
        expect(status).to_have_text("image: step 1 of 20")
        chat.get_by_role("button", name="Stop").click()
        expect(status).to_contain_text("stopped")
        expect(text).to_have_value("long")
        chat.get_by_role("button", name="Retry").click()
        expect(chat.locator(".seed")).to_have_value("8")
        expect(status).to_have_text("Warning: odd")
        expect(text).to_have_value("long")
        chat.get_by_role("button", name="Clear").click()
        expect(past).to_be_empty()
        chat.get_by_role("button", name="Show me").click()
        expect(text).to_have_value("Show me a large red car in the garden.")

        player = page.locator(".nextgpt-trace")
        expect(player.get_by_role("slider")).to_be_visible(timeout=60_000)
        expect(player.locator("section:visible")).to_contain_text("finished")
