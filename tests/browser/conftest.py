"""A real browser, and a server on a port that it can reach."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from playwright.sync_api import Browser, Page
from werkzeug.serving import make_server

from tests.conftest import CHROMIUM, FLAGS
from tests.servers.auth_server import free_port
from tests.sites import Site, site

__all__ = ["CHROMIUM", "FLAGS"]


@pytest.fixture(scope="session")
def browser(chromium: Browser) -> Browser:
    """The one that all tests of this process share."""
    return chromium


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh window, without cookies."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    yield context.new_page()
    context.close()


@contextmanager
def listening(folder: Path, path: str = "", **settings: Any) -> Iterator[Site]:
    """Serve a site on a free port of 127.0.0.1, which is its issuer.

    Args:
        path: of the issuer.
    """
    port = free_port()
    made = site(folder, issuer=f"http://127.0.0.1:{port}{path}", **settings)
    http = make_server("127.0.0.1", port, made.application, threaded=True)
    thread = Thread(target=http.serve_forever)
    thread.start()
    try:
        yield made
    finally:
        http.shutdown()
        thread.join()


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    """A server that the browser reaches at its issuer."""
    with listening(tmp_path) as made:
        yield made
