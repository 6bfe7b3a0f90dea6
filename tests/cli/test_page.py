"""The page of the demo: its history as messages, and itself in a browser without a window."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from nextgpt_lite.cli import page as demo
from nextgpt_lite.errors import ConfigError
from nextgpt_lite.media import Audio, Video, save_image
from nextgpt_lite.reply import Event, Reply
from tests.browser import browser as browser, in_a_browser, visited

MEDIA = {
    "image": Image.new("RGB", (16, 16), "red"),
    "audio": Audio(np.zeros((1, 8000), np.float32), 16_000),
    "video": Video(np.zeros((4, 16, 16, 3), np.uint8), 4.0),
}


class Model:
    """Says what it was told, with the media it was asked for; works for ever at "Long"."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.ended = False

    def chat(self, messages: Any, **options: Any) -> Iterator[Event]:
        self.told.append((messages, options))
        words = messages[-1]["content"][-1]["text"]
        if words == "Wrong":
            raise ConfigError("That is not to be had.")
        for word in ("You ", "said ", f"{words}."):
            yield Event("text", text=word)
        try:
            while words == "Long":
                yield Event("step", modality="image", step=3, total=20)
                time.sleep(0.05)
        finally:
            self.ended = True
        for modality, medium in MEDIA.items() if words == "All" else ():
            yield Event("media", modality=modality, media=medium)
        yield Event("done", reply=Reply())


@pytest.fixture(scope="module")
def model() -> Model:
    return Model()


@pytest.fixture(scope="module")
def address(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("demo")
    page = demo.build(model, folder)  # type: ignore[arg-type]
    yield demo.serve(page, folder, None)
    page.close()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    with visited(browser, address) as opened:
        yield opened


def send(page: Page, words: str) -> None:
    page.locator("textarea").first.fill(words)
    page.keyboard.press("Enter")


def said(page: Page) -> Any:
    return page.get_by_test_id("bot")


@in_a_browser
def test_a_reply_streams_and_its_media_play(page: Page, model: Model, tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    save_image(MEDIA["image"], picture)
    page.locator("input[type=file]").first.set_input_files(picture)
    expect(page.locator(".thumbnails img, .thumbnail-item img").first).to_be_visible()
    send(page, "All")
    expect(said(page).first).to_have_text(re.compile("You said All."))
    log = page.get_by_role("log")
    expect(log.locator("audio, .waveform-container, [data-testid*=audio]").first).to_be_attached()
    expect(log.locator("video").first).to_be_attached()
    expect(log.locator("[data-testid=bot] img").first).to_be_visible()
    image, words = model.told[-1][0][-1]["content"]
    assert (image["type"], words["text"]) == ("image", "All")
    send(page, "And now?")
    expect(said(page).last).to_have_text(re.compile("You said And now"))
    first, reply, last = model.told[-1][0]
    assert [part["type"] for part in first["content"]] == ["image", "text"]
    assert [part["type"] for part in reply["content"]] == ["text", "image", "audio", "video"]
    assert [part["text"] for part in last["content"]] == ["And now?"]


@in_a_browser
def test_stop_ends_a_reply_and_clear_the_talk(page: Page, model: Model) -> None:
    model.ended = False
    send(page, "Long")
    expect(page.get_by_text("image: step 3 of 20")).to_be_visible()
    page.get_by_role("button", name="Stop", exact=True).click()
    send(page, "Short")
    expect(said(page).last).to_have_text(re.compile("You said Short"))
    assert model.ended
    assert "step" not in str(model.told[-1][0])
    page.get_by_label("Clear").first.click()
    expect(said(page)).to_have_count(0)
    send(page, "Again")
    expect(said(page).last).to_have_text(re.compile("You said Again"))
    assert len(model.told[-1][0]) == 1


@in_a_browser
def test_an_example_a_choice_and_an_error(page: Page, model: Model) -> None:
    page.get_by_text("What do you hear?").first.click()
    expect(page.locator("textarea").first).to_have_value("What do you hear?")
    page.get_by_label("Submit").click()
    expect(said(page).last).to_have_text(re.compile("You said What do you hear"))
    assert model.told[-1][0][0]["content"][0]["type"] == "audio"
    page.get_by_label("video", exact=True).check()
    page.get_by_label("Seed").fill("7")
    send(page, "Wrong")
    expect(page.get_by_text("That is not to be had.")).to_be_visible()
    options = model.told[-1][1]
    assert (options["output_modalities"], options["seed"]) == (["video"], 7)


def test_history_becomes_messages(tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    save_image(MEDIA["image"], picture)
    file = {"type": "file", "file": {"path": str(picture)}}
    history = [
        {"role": "user", "content": [file]},
        {"role": "user", "content": "Look."},
        {"role": "assistant", "content": [{"type": "text", "text": "I do."}, file]},
        {"role": "assistant", "content": "", "metadata": {"title": "image: step 3 of 20"}},
    ]
    image = {"type": "image", "path": str(picture)}
    assert demo.messages_of(history) == [
        {"role": "user", "content": [image, {"type": "text", "text": "Look."}]},
        {"role": "assistant", "content": [{"type": "text", "text": "I do."}, image]},
    ]
