"""What the server does while something below it fails, and that it goes on by itself afterwards."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests import proves
from tests.servers.auth_server import ADMIN_PASSWORD, AuthServer
from tests.servers.visitors import SESSION, Answer, Visitor

DISCOVERY = "/.well-known/openid-configuration"
JWKS = "/.well-known/jwks.json"
DISK = 12 * 2**20  # bytes
IN_SMALL_HOME = f'mkdir -p "$0" && mount -t tmpfs -o size={DISK},mode=700 none "$0" && exec "$@"'


@pytest.fixture(params=["gunicorn", "granian"])
def cramped(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AuthServer]:
    """A server whose HOME is a small disk of its own, which nobody else sees."""
    within = ("unshare", "--mount", "sh", "-c", IN_SMALL_HOME, str(tmp_path / "home"))
    server = AuthServer(tmp_path, request.param, within=within)
    server.start()
    yield server
    server.stop()


def sign_in(visitor: Visitor) -> Answer:
    """A login of the first admin."""
    return visitor.call("POST", SESSION, json_body={"username": "admin", "password": ADMIN_PASSWORD})


@proves("S-134")
def test_a_full_disk_stops_writes_and_nothing_else(cramped: AuthServer):
    """503 with Retry-After, and no worker dies; with room again all goes on, and what was acknowledged is there."""
    visitor = Visitor(cramped)
    session = sign_in(visitor).json["access_token"]
    ended = sign_in(visitor).json["access_token"]
    assert cramped.process is not None
    home = Path(f"/proc/{cramped.process.pid}/root{cramped.settings.home}")
    workers = _workers(cramped.process.pid)
    filler = home / "filler"
    _fill(filler)
    refused = _until_refused(visitor)
    assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
    for path in (DISCOVERY, JWKS):
        assert visitor.call("GET", path).status == 200
    assert visitor.call("GET", SESSION, bearer=session).status == 200
    assert visitor.call("DELETE", SESSION, bearer=ended).status in (200, 503)
    assert workers <= _workers(cramped.process.pid)
    filler.unlink()
    assert visitor.call("GET", SESSION, bearer=session).status == 200
    assert visitor.call("DELETE", SESSION, bearer=ended).status in (200, 401)
    assert visitor.call("GET", SESSION, bearer=ended).status == 401
    assert sign_in(visitor).status == 200
    assert workers <= _workers(cramped.process.pid)
    assert "Traceback" not in cramped.log()


def _fill(file: Path) -> None:
    """Write until there is no room left."""
    with file.open("wb", buffering=0) as filler, suppress(OSError):
        while filler.write(bytes(4096)):
            pass


def _until_refused(visitor: Visitor) -> Answer:
    """Sign in until there is no room for it: some is left in the files."""
    for _ in range(200):
        answer = sign_in(visitor)
        visitor.move()
        if answer.status != 200:
            return answer
    raise AssertionError("the disk does not get full")


def _workers(pid: int) -> set[int]:
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}
