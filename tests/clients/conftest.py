"""Programs that others wrote, unmodified, at servers with the real time."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.servers.auth_server import AuthServer, running
from tests.servers.visitors import Visitor


@pytest.fixture(scope="session", params=["gunicorn", "granian"])
def live(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuthServer]:
    """A server with the real time, of each kind."""
    with running(tmp_path_factory.mktemp("live"), request.param, real_time=True) as server:
        yield server


@pytest.fixture
def visitor(live: AuthServer) -> Visitor:
    """Somebody with an address of their own."""
    return Visitor(live)


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A fresh window, without cookies."""
    context = chromium.new_context(viewport={"width": 1280, "height": 1000})
    yield context.new_page()
    context.close()
