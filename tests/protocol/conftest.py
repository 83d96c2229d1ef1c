"""The protocol, over HTTP: on both web servers, and with the hot paths through Flask too."""

import pytest

from tests.servers.auth_server import KINDS, Pool
from tests.servers.visitors import Visitor


@pytest.fixture(params=KINDS)
def visitor(request: pytest.FixtureRequest, auth_servers: Pool) -> Visitor:
    """Somebody with an address of their own, at a server of each kind."""
    return Visitor(auth_servers.get(request.param))
