"""Those who ask a server over HTTP: each from a loopback address of its own, so that throttles never meet."""

import base64
import http.client
import json
import socket
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import count
from typing import Any, TypeVar
from urllib.parse import quote_plus, urlencode

from auth_server.domain.users import Changes
from auth_server.protocol.feature import Authorization
from auth_server.protocol.tokens.access_token import issue
from auth_server.store.records import User
from tests.servers.auth_server import AuthServer

FORM = "application/x-www-form-urlencoded"
TOKEN, INTROSPECT = "/api/v1/oauth/token", "/api/v1/oauth/introspect"
REVOKE, SESSION = "/api/v1/oauth/revoke", "/api/v1/session"
T = TypeVar("T")
TIMEOUT = 10  # seconds for an answer
_numbers = count(1)


def new_address() -> str:
    """Return a loopback address that nobody has called from yet."""
    number = next(_numbers)
    return f"127.{1 + number // 62500}.{number // 250 % 250}.{1 + number % 250}"


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The code of an OAuth error."""
        return str(self.json["error"])

    @property
    def told(self) -> tuple[int, str]:
        """Status and code of an OAuth error."""
        return self.status, self.error


@dataclass(frozen=True)
class Registered:
    """A client as its program knows it."""

    client_id: str
    secret: str

    @property
    def basic(self) -> tuple[str, str]:
        return self.client_id, self.secret


class Visitor:
    """Somebody at one address."""

    def __init__(self, server: AuthServer) -> None:
        self.server = server
        self.address = new_address()

    def move(self) -> None:
        """Go on from another address."""
        self.address = new_address()

    # ---- HTTP
    def call(
        self,
        method: str,
        path: str,
        *,
        form: Mapping[str, str] | Sequence[tuple[str, str]] | None = None,
        json_body: object = None,
        body: bytes | None = None,
        headers: Mapping[str, str | bytes] | None = None,
        basic: tuple[str, str] | None = None,
        bearer: str | None = None,
    ) -> Answer:
        """Return the answer to one request."""
        sent: dict[str, str | bytes] = dict(headers or {})
        if form is not None:
            body = urlencode(form).encode()
            sent.setdefault("Content-Type", FORM)
        if json_body is not None:
            body = json.dumps(json_body).encode()
            sent.setdefault("Content-Type", "application/json")
        if basic is not None:
            sent["Authorization"] = basic_header(*basic)
        if bearer is not None:
            sent["Authorization"] = f"Bearer {bearer}"
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.server.port, timeout=TIMEOUT, source_address=(self.address, 0)
        )
        with closing(connection):
            with suppress(BrokenPipeError, ConnectionResetError):  # an answer may come before all of a body is read
                connection.request(method, path, body=body, headers=sent)  # type: ignore[arg-type]
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())

    def raw(self, data: bytes, patience: float = 2, *, ends: bool = False) -> bytes:
        """Send bytes as they are; return all that comes back until the server closes, or is silent for so long.

        Args:
            ends: whether nothing more will come from this side.
        """
        received = b""
        connection = socket.create_connection(("127.0.0.1", self.server.port), patience, (self.address, 0))
        with connection, suppress(OSError):
            connection.sendall(data)
            if ends:
                connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65536):
                received += part
        return received

    def post(self, path: str, form: Mapping[str, str] | Sequence[tuple[str, str]] = (), **options: Any) -> Answer:
        """POST a form."""
        return self.call("POST", path, form=form, **options)

    def everywhere(self, call: Callable[[], T], times: int = 8) -> list[T]:
        """Make a call many times at once, so that each worker gets some of them."""
        with ThreadPoolExecutor(times) as threads:
            return list(threads.map(lambda _: call(), range(times)))

    # ---- what the command line does
    def client(self, scope: str = "metrics", **values: Any) -> Registered:
        """Register a client."""
        secret = values.pop("secret", None)
        new = self.server.inside.clients.add({"client_name": "test", "scope": scope, **values}, secret)
        return Registered(new.client.client_id, new.secret or "")

    def user(self, password: str = "Blue-whale-42-sings", **changes: Any) -> User:
        """Make a user with a name of its own."""
        return self.server.inside.users.add(f"person{next(_numbers)}", password, Changes(**changes))

    def session(self, user: User) -> str:
        """Return the session of a person who signed in."""
        return issue(Authorization("local", "default", "password", "", 3600, user=user), self.server.inside).value

    def app_password(self, user: User, scope: str) -> str:
        """Return an app password of that person."""
        allowed = Authorization("application", "default", "cli", scope, None, user=user, form="app_password")
        return issue(allowed, self.server.inside).value

    def openid_token(self, user: User, client: Registered) -> str:
        """Return an access token by which a person lets a client know them."""
        server = self.server.inside
        allowed = Authorization(
            "client", "oauth2", "authorization_code", "openid", 3600, server.clients.find(client.client_id), user
        )
        return issue(allowed, server).value

    # ---- what clients do
    def ask_token(self, client: Registered, **form: str) -> Answer:
        """Ask for a token with client credentials, by Basic."""
        return self.post(TOKEN, {"grant_type": "client_credentials", **form}, basic=client.basic)

    def token(self, client: Registered, **form: str) -> str:
        """Return a new access token."""
        answer = self.ask_token(client, **form)
        assert answer.status == 200, answer
        token: str = answer.json["access_token"]
        return token

    def introspect(self, token: str, client: Registered) -> dict[str, Any]:
        """Return what a client is told of a token."""
        answer = self.post(INTROSPECT, {"token": token}, basic=client.basic)
        assert answer.status == 200, answer
        told: dict[str, Any] = answer.json
        return told


def basic_header(client_id: str, secret: str) -> str:
    """Return an Authorization header, form-encoded first (RFC 6749 §2.3.1)."""
    pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    return "Basic " + base64.b64encode(pair.encode()).decode()
