"""The site: it is built without a warning, complete without a network, and fit to be read on a phone."""

import fcntl
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.conftest import browser
from tests.servers.auth_server import ROOT

__all__ = ["browser"]
READ = ("index", "start", "how-to/script", "reference/api/oauth", "reference/commands", "reference/errors", "security")
"""Pages that are looked at in a browser: one of each kind."""
KNOWN = {"127.0.0.1", "github.com", "keepachangelog.com", "semver.org", "www.rfc-editor.org"}
"""Hosts that pages may name."""
LOADING = {"src", "srcset", "poster", "data", "action", "formaction"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The site, built as `make docs` does, once for all workers; strict, so that a broken link is an error."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "site"
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            command = [sys.executable, "-m", "tools.docs", folder]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
    return folder


class Loads(HTMLParser):
    """Collects what a page makes a browser load, and the links that lead elsewhere."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded, self.links = list[str](), list[str]()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in LOADING or (name == "href" and tag in ("link", "base", "use", "image")):
                self.loaded.append(value or "")
            elif name == "href":
                self.links.append(value or "")


def is_foreign(address: str) -> bool:
    """Tell whether an address leads to another host."""
    return re.match(r"(?:[a-z][a-z0-9+.-]*:)?//", address.strip(), re.IGNORECASE) is not None


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    """No font, script, style or picture; in HTML and in styles."""
    foreign = {
        (page.name, address)
        for page in site.rglob("*.html")
        for address in Loads(page.read_text()).loaded
        if is_foreign(address)
    }
    for style in site.rglob("*.css"):
        named = re.findall(r"url\(\s*[\"']?([^\"')]+)|@import\s+[\"']([^\"']+)", style.read_text())
        foreign |= {(style.name, address) for pair in named for address in pair if is_foreign(address)}
    assert foreign == set()


def test_links_outside_are_few_and_known(site: Path) -> None:
    """To specifications, and to the makers of the theme."""
    links = {link for page in site.rglob("*.html") for link in Loads(page.read_text()).links if is_foreign(link)}
    assert {urlsplit(link).hostname for link in links} <= KNOWN


def test_every_link_inside_leads_somewhere(site: Path) -> None:
    """To a file and, where one is named, to a place in it."""
    texts = {page: page.read_text() for page in site.rglob("*.html")}
    broken = []
    for page, text in texts.items():
        for link in Loads(text).links:
            if is_foreign(link) or link.startswith(("mailto:", "data:")):
                continue
            name, _, place = link.partition("#")
            target = (page.parent / name).resolve() if name else page
            if not target.is_file() or (place and f'id="{place}"' not in texts.get(target, f'id="{place}"')):
                broken.append((page.name, link))
    assert broken == []


@pytest.fixture(params=[(1280, "light"), (390, "dark")], ids=["desk, light", "phone, dark"])
def window(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A browser window of a size and a liking; what it asks of the network is an error."""
    width, scheme = request.param
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda call: asked.append(call.url))
    yield page
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    context.close()


def test_pages_fit_the_window(site: Path, window: Page) -> None:
    """What is too wide scrolls by itself; no script fails; the liking is followed."""
    failures: list[str] = []
    window.on("pageerror", lambda error: failures.append(str(error)))
    for name in READ:
        window.goto((site / f"{name}.html").as_uri())
        assert window.evaluate("document.scrollingElement.scrollWidth <= innerWidth"), name
        light = window.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g)[0] > 128")
        assert light is (window.evaluate("innerWidth") > 1000), name
    assert failures == []


def test_search_finds_a_page(site: Path, window: Page) -> None:
    """From a file, without a server."""
    window.goto((site / "search.html").as_uri() + "?q=introspection")
    window.locator("#search-results a", has_text="Protect a service").first.wait_for(timeout=10_000)


def test_the_reference_is_readable_without_scripts(site: Path, browser: Browser) -> None:
    """All of the API is in the HTML."""
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((site / "reference/api/oauth.html").as_uri())
    text = page.inner_text("article")
    assert "/api/v1/oauth/introspect" in text
    assert "curl -X POST" in text
    context.close()
