"""What the server does while something below it fails, and that it goes on by itself afterwards."""

import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
from werkzeug.test import Client as HttpClient
from werkzeug.test import TestResponse

from auth_server.store import engine, sql_state, sqlite_shortcuts
from tests import proves
from tests.people import bearer, join, login, signed_in
from tests.relying_party import Browser, relying_party
from tests.servers.auth_server import ADMIN_PASSWORD, AuthServer
from tests.servers.processes import children, until
from tests.servers.visitors import INTROSPECT, REVOKE, SESSION, TOKEN, Answer, Visitor
from tests.sites import Site, site

DISCOVERY = "/.well-known/openid-configuration"
JWKS = "/.well-known/jwks.json"
REGISTER = "/api/v1/oauth/register"
PATIENCE = 0.2  # seconds that a writer waits for another; five else
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
    until(lambda: len(children(cramped.process.pid)) == cramped.settings.workers)
    workers = children(cramped.process.pid)
    filler = home / "filler"
    _fill(filler)
    refused = _until_refused(visitor)
    assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
    for path in (DISCOVERY, JWKS):
        assert visitor.call("GET", path).status == 200
    assert visitor.call("GET", SESSION, bearer=session).status == 200
    assert visitor.call("DELETE", SESSION, bearer=ended).status in (200, 503)
    assert workers <= children(cramped.process.pid)
    killed = min(workers)
    os.kill(killed, signal.SIGKILL)
    until(lambda: killed not in children(cramped.process.pid) and len(children(cramped.process.pid)) == len(workers))
    workers = children(cramped.process.pid)  # one of them was born on the full disk
    for _ in range(20):
        visitor.move()
        assert visitor.call("GET", SESSION, bearer=session).status == 200
    assert workers == children(cramped.process.pid)
    filler.unlink()
    assert visitor.call("GET", SESSION, bearer=session).status == 200
    assert visitor.call("DELETE", SESSION, bearer=ended).status in (200, 401)
    assert visitor.call("GET", SESSION, bearer=ended).status == 401
    assert sign_in(visitor).status == 200
    assert workers <= children(cramped.process.pid)
    assert "Traceback" not in cramped.log()


@pytest.fixture
def hurried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A server in this process, on SQLite, that waits for other writers as long as a test can."""
    monkeypatch.setattr(sql_state, "BUSY_TIMEOUT", PATIENCE)
    for module in (engine, sqlite_shortcuts):
        monkeypatch.setattr(module, "TIMEOUT", PATIENCE)
    here = site(tmp_path, registration="open")
    yield here
    here.server.close()


@contextmanager
def locked(here: Site, file: str) -> Iterator[None]:
    """Another program writes to a file meanwhile, and does not come to an end."""
    with closing(sqlite3.connect(here.server.settings.home / file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield


@proves("S-134", "S-055")
@pytest.mark.parametrize("file", ["state.db", "records.db"])
def test_a_file_that_is_locked_for_long_stops_writes_and_nothing_else(hurried: Site, file: str):
    """503 with Retry-After, and nothing is half-written; the same requests work when the lock is gone."""
    here, http = hurried, hurried.http
    join(here)
    party, browser = relying_party(here, scope="openid offline_access introspect"), Browser(here)
    given = party.tokens(browser, scope="openid offline_access")
    code, session, ended = party.code(browser), signed_in(here), signed_in(here)
    writes: dict[str, list[Callable[[], TestResponse]]] = {
        "state.db": [
            lambda: party.redeem(code),
            lambda: http.delete(SESSION, headers=bearer(ended)),
            lambda: party.post(REVOKE, token=given["access_token"]),
            lambda: login(here),
        ],
        "records.db": [
            lambda: http.post(REGISTER, json={"redirect_uris": ["https://app.example.org/cb"]}),
            lambda: login(here),
        ],
    }
    refresh = partial(party.refresh, given["refresh_token"])
    with locked(here, file):
        before = here.stored()
        for write in writes[file]:
            answer = write()
            assert (answer.status_code, answer.headers.get("Retry-After")) == (503, "1")
            assert here.stored() == before
        assert refresh().status_code == 503  # it may have been used, and counts once more
        for path in (DISCOVERY, JWKS):
            assert http.get(path).status_code == 200
        assert party.post(INTROSPECT, token=given["access_token"]).json["active"]
        assert http.get(SESSION, headers=bearer(session)).status_code == 200
    answers = [write().status_code for write in (refresh, *writes[file])]
    assert {status in (200, 201) for status in answers} == {True}
    if file == "state.db":
        assert party.post(INTROSPECT, token=given["access_token"]).json == {"active": False}
        assert http.get(SESSION, headers=bearer(ended)).status_code == 401


@proves("S-134")
def test_nobody_waits_for_those_who_wait_for_a_lock(hurried: Site):
    """However many write at the same time, each is told after twice the limit at most."""
    form = {"grant_type": "client_credentials"}
    client = hurried.server.clients.add({"client_name": "test", "scope": "metrics", "token_limit": -1})
    pair = (client.client.client_id, client.secret or "")

    def ask(_: int) -> tuple[int, float]:
        begun = time.monotonic()
        answer = HttpClient(hurried.application).post(TOKEN, data=form, auth=pair)
        return answer.status_code, time.monotonic() - begun

    with ThreadPoolExecutor(16) as threads:
        with locked(hurried, "state.db"):
            told = list(threads.map(ask, range(16)))
        assert {status for status, _ in told} == {503}
        assert max(seconds for _, seconds in told) < 2 * PATIENCE + 1
        until(lambda: {status for status, _ in threads.map(ask, range(16))} == {200})  # on a busy machine not at once


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
