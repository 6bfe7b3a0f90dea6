"""The site: it builds, its links lead somewhere, and a browser shows it without other machines."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from playwright.sync_api import Browser, expect

from tests.browser import browser as browser, in_a_browser, visited

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [
        sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going",
        "-c", "docs/site", "-d", str(folder / "cache"), ".", str(folder / "pages"),
    ]  # fmt: skip
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return folder / "pages"


class Links(HTMLParser):
    """What a page leads to, what it loads by itself, and the places in it."""

    def __init__(self) -> None:
        super().__init__()
        self.leads: list[str] = []
        self.loads: list[str] = []
        self.places: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        self.places |= {said[name] for name in ("id", "name") if name in said}
        if tag == "a" and "href" in said:
            self.leads.append(said["href"])
        elif "src" in said:
            self.loads.append(said["src"])
        elif tag == "link" and said.get("rel") != "canonical":
            self.loads.append(said["href"])


@cache
def links(page: Path) -> Links:
    found = Links()
    found.feed(page.read_text(encoding="utf-8"))
    return found


def test_links_lead_somewhere_and_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    pages = [*site.rglob("*.html")]
    wrong = []
    for page in pages:
        found = links(page)
        wrong += [f"{page.name} loads {url}" for url in found.loads if urlsplit(url).netloc]
        for url in [*found.leads, *found.loads]:
            scheme, host, path, _, place = urlsplit(url)
            if scheme or host:
                continue
            target = (page.parent / unquote(path)).resolve() if path else page
            if not target.exists():
                wrong.append(f"{page.name} -> {url}")
            elif place and target.suffix == ".html" and unquote(place) not in links(target).places:
                wrong.append(f"{page.name} -> {url}: no such place")
    assert not wrong, "\n".join(wrong)
    notebooks = {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert {page.stem for page in pages if page.parent.name == "notebooks"} == notebooks


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(site))

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@in_a_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_shows_it(browser: Browser, address: str, scheme: str) -> None:
    telephone = {"width": 400, "height": 800}
    with visited(browser, f"{address}/", color_scheme=scheme, viewport=telephone) as page:
        page.wait_for_url("**/README.html")  # the site's own index leads there
        for name in ("README", "notebooks/13_the_decoder_from_scratch", "docs/paper_map"):
            page.goto(f"{address}/{name}.html")
            expect(page.locator("h1").first).to_be_visible()
            wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            assert page.evaluate(wide) <= 0, f"{name} is wider than a telephone"
        back = page.evaluate("getComputedStyle(document.body).backgroundColor")
        levels = [int(each) for each in re.findall(r"\d+", back)]
        assert (min(levels) > 200) == (scheme == "light")
        page.goto(f"{address}/search.html?q=encode_text")
        expect(page.locator("#search-results li a").first).to_be_visible()
