"""Where the microseconds of a request go: each phase alone, in this process, over real stores and without a socket.

The least of many batches counts: what a phase costs when nothing disturbs it.
"""

import os
import tempfile
import timeit
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

from auth_server import assembly
from auth_server.domain import credentials
from auth_server.domain.login import BY_APP_PASSWORD
from auth_server.domain.tokens import Living, unpack
from auth_server.http import incoming
from auth_server.http.endpoints import every_endpoint
from auth_server.http.exchange import Exchange
from auth_server.http.headers import common
from auth_server.http.lane import Application
from auth_server.metrics import DIRECTORY
from auth_server.protocol import bearer
from auth_server.protocol.client_authentication import authenticate
from auth_server.protocol.endpoints import introspection
from auth_server.protocol.feature import Endpoint, Operation
from auth_server.protocol.grants import client_credentials
from auth_server.protocol.messages import Request, Response, json_response
from auth_server.protocol.photoprism import session, shapes
from auth_server.protocol.server import Server
from auth_server.protocol.tokens.access_token import issue
from auth_server.store.state import Index, Keep, Kind
from bench import report, site
from bench.load import Ask
from bench.site import Client
from bench.stores import Place

BATCH, BATCHES = 200, 40
Phase = tuple[str, Callable[[], object]]


def microseconds(function: Callable[[], object]) -> float:
    """Return what a call costs at least."""
    return min(timeit.repeat(function, number=BATCH, repeat=BATCHES)) / BATCH * 1e6


@dataclass(frozen=True)
class Bench:
    """A server in this process, and a request that is taken apart."""

    server: Server
    application: Application

    def environ(self, ask: Ask) -> dict[str, Any]:
        """Return what gunicorn would pass for *ask*."""
        body = ask.body.encode()
        headers = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in ask.headers.items()}
        return {
            "REQUEST_METHOD": ask.method,
            "PATH_INFO": ask.path,
            "QUERY_STRING": "",
            "CONTENT_TYPE": headers.pop("HTTP_CONTENT_TYPE", ""),
            "CONTENT_LENGTH": str(len(body)),
            "REMOTE_ADDR": "127.0.0.1",
            "wsgi.input": BytesIO(body),
            **headers,
        }

    def rows(self, title: str, ask: Ask, phases: list[Phase]) -> Iterator[tuple[str, str, str]]:
        """Return a line for the whole request, one for each phase, and one for what is left."""
        environ = self.environ(ask)
        whole = microseconds(lambda: self._whole(environ))
        yield title, f"{whole:.1f}", "100 %"
        rest = whole
        for name, function in self._around(ask) + phases:
            spent = microseconds(function)
            rest -= 0 if name.startswith("…") else spent
            yield name, f"{spent:.1f}", f"{spent / whole:.0%}"
        yield "all else", f"{rest:.1f}", f"{rest / whole:.0%}"

    def _whole(self, environ: dict[str, Any]) -> None:
        environ["wsgi.input"].seek(0)
        list(self.application(environ, lambda status, headers: None))

    def request(self, ask: Ask) -> Request:
        """Return *ask* as protocol code sees it."""
        return incoming.read(self.environ(ask), *self._find(ask), self.server.settings, {})

    def _find(self, ask: Ask) -> tuple[Endpoint, Operation]:
        endpoint = next(each for each in every_endpoint(self.server.features) if each.path == ask.path)
        return endpoint, next(operation for operation in endpoint.operations if operation.method == ask.method)

    def _around(self, ask: Ask) -> list[Phase]:
        """What happens before and after the protocol: reading, headers, metrics, the access line."""
        server, environ = self.server, self.environ(ask)
        endpoint, operation = self._find(ask)
        exchange, response, headers = Exchange(server), Response(200), common(server.issuer, endpoint)

        def read() -> None:
            environ["wsgi.input"].seek(0)
            incoming.read(environ, endpoint, operation, server.settings, {})

        def finish() -> None:
            response.headers = headers[:1]
            exchange.finish(environ, endpoint, response, 0.0)

        return [
            ("read the request", read),
            ("finish: headers, metrics, access line", finish),
            ("… metrics", lambda: server.metrics.answered(endpoint.path, ask.method, 200, 0.0001)),
            (
                "… access line",
                lambda: server.access_log.write("POST", endpoint.path, 200, 0.0001, "127.0.0.1", "actor"),
            ),
        ]

    def token(self, client: Client) -> Iterator[tuple[str, str, str]]:
        """Take the token endpoint apart."""
        server, ask = self.server, client.token()
        request, caller = self.request(ask), authenticate(self.request(ask), self.server)
        allowed = client_credentials.authorize(request, caller, server)
        issued = issue(allowed, server)
        entry = server.state.get(Kind.ACCESS_TOKEN, issued.token.key, server.clock())
        assert entry is not None
        assert caller.client is not None
        answer = site.answered(self.application, self.environ(ask))

        def put() -> None:
            another = replace(entry, key=os.urandom(32))
            server.state.put(Kind.ACCESS_TOKEN, another, server.clock(), keep=allowed.keep)

        phases: list[Phase] = [
            *self._authentication(request, client),
            ("authorize the grant", lambda: client_credentials.authorize(request, caller, server)),
            ("issue: random, digest, record, store", lambda: issue(allowed, server)),
            ("… store: one transaction", put),
        ]
        if caller.client.token_format == "jwt":
            key = server.keyring.signing_key()
            claims = {"iss": server.issuer, "sub": client.client_id, "jti": "x" * 22, "exp": 1, "iat": 1, "scope": "a"}
            phases += [
                ("… choose the key", server.keyring.signing_key),
                ("… sign (ES256)", lambda: key.sign("at+jwt", claims)),
            ]
        phases.append(("answer as JSON", lambda: json_response(answer)))
        limit = f", {allowed.keep.newest} living" if isinstance(allowed.keep, Keep) else ""
        yield from self.rows(f"**token, {caller.client.token_format}{limit}**", ask, phases)

    def introspection(self, client: Client) -> Iterator[tuple[str, str, str]]:
        """Take introspection apart."""
        server = self.server
        value = site.answered(self.application, self.environ(client.token()))["access_token"]
        ask = client.ask(site.INTROSPECT, f"token={value}")
        request, key = self.request(ask), credentials.digest(value)
        entry, living = server.state.get(Kind.ACCESS_TOKEN, key, server.clock()), server.tokens.find(value)
        assert entry is not None
        assert living is not None
        caller = authenticate(request, server).client
        phases: list[Phase] = [
            *self._authentication(request, client),
            ("find the token", lambda: server.tokens.find(value)),
            ("… store: one SELECT", lambda: server.state.get(Kind.ACCESS_TOKEN, key, server.clock())),
            ("… unpack the record", lambda: unpack(entry)),
            ("… client and user", lambda: server.tokens.living(living.token, server.clock())),
            ("may it, and what", lambda: introspection.may_introspect(caller, site.SCOPE, living, server.issuer)),
            ("answer as JSON", lambda: json_response(introspection.members(living, server))),
        ]
        yield from self.rows("**introspection**", ask, phases)

    def _authentication(self, request: Request, client: Client) -> list[Phase]:
        server, known = self.server, self.server.clients.find(client.client_id)
        return [
            ("authenticate the client", lambda: authenticate(request, server)),
            ("… throttle", lambda: server.throttles.check_client(client.client_id, request.address)),
            ("… client from the cache", lambda: server.records.clients.get(client.client_id)),
            ("… compare the secret", lambda: server.clients.secret_matches(known, client.secret)),
        ]

    def app_password(self, value: str) -> Iterator[tuple[str, str, str]]:
        """Take a session made with an app password in the header apart, and one made with it as password."""
        server, ask, key = self.server, Ask(site.SESSION, "POST", {"X-Auth-Token": value}), credentials.digest(value)
        request, living = self.request(ask), server.tokens.find(value)
        assert living is not None
        assert living.user is not None
        token, user, address = living.token, living.user, request.address
        made, child = session.start_child(token, user, request, server, keep=session.BY_HEADER)

        def start() -> None:
            session.start_child(token, user, request, server, keep=session.BY_HEADER)

        phases: list[Phase] = [
            ("find the app password", lambda: bearer.find(request, server)),
            ("… store: one SELECT", lambda: server.records.tokens.get(key)),
            ("make the session", start),
            ("… store: one transaction", lambda: server.tokens.issue(child, Keep(Index.FAMILY, session.BY_HEADER))),
            ("… is the app password still there", lambda: server.tokens.still_there(token)),
            ("answer as JSON", lambda: shapes.session_response(Living(child, user, None), made, server)),
        ]
        yield from self.rows("**session, by app password**", ask, phases)
        begin: list[Phase] = [
            (
                "check name and app password",
                lambda: server.login.by_password_or_app_password(user.name, value, address),
            ),
            ("… user by name", lambda: server.records.users.by_name(user.name)),
            ("… take and give back tries", lambda: server.throttles.login(address, user.name, user.uid).give_back()),
            ("… audit event", lambda: server.audit.record(BY_APP_PASSWORD, actor=user.uid, address=address)),
        ]
        yield from self.rows(
            "**session, by app password in place of the password**", site.login(value), begin + phases[2:]
        )

    def document(self, path: str) -> Iterator[tuple[str, str, str]]:
        """Take a public document apart."""
        ask = Ask(path)
        request = self.request(ask)
        respond = self._find(ask)[1].respond
        yield from self.rows(f"**{path}**", ask, [("the document", lambda: respond(request, self.server))])


def report_text() -> str:
    """Return the tables of introspection, tokens, sessions and documents."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, _errors_into(Path(folder) / "log"):
        metrics = Path(folder) / "metrics"
        metrics.mkdir()
        os.environ[DIRECTORY] = str(metrics)  # before the metrics library is imported
        place = Place(Path(folder) / "home")
        made = site.prepare(place)
        server, stores = site.assembled(place)
        bench = Bench(server, assembly.application(server, stores))
        parts = [
            bench.introspection(made.opaque),
            bench.token(made.opaque),
            bench.token(made.opaque_limited),
            bench.token(made.jwt),
            bench.app_password(made.app_password),
            bench.document("/.well-known/jwks.json"),
        ]
        told = "\n\n".join(report.table(("µs in process", "µs", "share"), rows) for rows in parts)
        server.close()
    return told


@contextmanager
def _errors_into(path: Path) -> Iterator[None]:
    """Let access lines go to a file, as in production."""
    kept = os.dup(2)
    with path.open("wb") as file:
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
