"""A browser without a window, for tests of pages: the system's Chromium, skipped without one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
in_a_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed here")
PATIENCE = 60_000  # milliseconds, of a machine that does other things beside
expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as player:
        opened = player.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@contextmanager
def visited(browser: Browser, address: str, **options: object) -> Iterator[Page]:
    """A page of a server of this machine, which must not ask any other machine, nor fail."""
    page = browser.new_page(**options)  # type: ignore[arg-type]
    page.set_default_timeout(PATIENCE)
    asked: list[str] = []
    trouble: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.goto(address)
    yield page
    assert page.url.startswith("http://127.0.0.1:")
    host = page.url.split("/")[2]
    own = (f"http://{host}", f"ws://{host}", "data:", "blob:", "about:")
    away = [url for url in asked if not url.startswith(own)]
    assert not away, f"the page asks other machines: {away}"
    assert not trouble, trouble
    page.close()
