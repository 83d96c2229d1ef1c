"""A server in this process, a person, a client and a browser."""

from pathlib import Path

import pytest

from auth_server.store.records import User
from tests.people import join
from tests.relying_party import Browser, RelyingParty, relying_party
from tests.sites import Site, site


@pytest.fixture
def here(tmp_path: Path) -> Site:
    return site(tmp_path)


@pytest.fixture
def jane(here: Site) -> User:
    return join(here)


@pytest.fixture
def party(here: Site, jane: User) -> RelyingParty:
    return relying_party(here)


@pytest.fixture
def browser(here: Site) -> Browser:
    return Browser(here)
