"""What a server needs before it is measured: clients, an admin, a token, an app password."""

import base64
import http.client
import json
from dataclasses import dataclass
from typing import Any

from auth_server import assembly, settings
from auth_server.cli import first_start
from auth_server.http.lane import Application
from auth_server.protocol.feature import Authorization
from auth_server.protocol.server import Server
from auth_server.protocol.tokens.access_token import issue
from bench import openid
from bench.load import Ask
from bench.openid import Openid
from bench.servers import ADMIN_PASSWORD, environment
from bench.stores import Place

TOKEN, INTROSPECT, SESSION = "/api/v1/oauth/token", "/api/v1/oauth/introspect", "/api/v1/session"
FORM = "application/x-www-form-urlencoded"
SCOPE = "metrics introspect"


@dataclass(frozen=True)
class Client:
    """A client, as it authenticates."""

    client_id: str
    secret: str

    def ask(self, path: str, body: str) -> Ask:
        """Return a request with this client's credentials."""
        pair = base64.b64encode(f"{self.client_id}:{self.secret}".encode()).decode()
        return Ask(path, "POST", {"Authorization": f"Basic {pair}", "Content-Type": FORM}, body)

    def token(self) -> Ask:
        return self.ask(TOKEN, "grant_type=client_credentials")


@dataclass(frozen=True)
class Site:
    """The things that requests are made with; `limited` clients have the default limit on living tokens."""

    opaque: Client
    opaque_limited: Client
    jwt: Client
    jwt_limited: Client
    app_password: str
    openid: Openid


def assembled(place: Place) -> tuple[Server, assembly.Stores]:
    """Return a server in this process over a place that is made if it is not there."""
    loaded = settings.load(environment(place)).settings
    stores = assembly.stores(loaded)
    stores.upgrade()
    return assembly.assemble(loaded, stores), stores


def prepare(place: Place) -> Site:
    """Make the first admin and all that the cases use."""
    server, _ = assembled(place)
    first_start.prepare(server, quickstart=False)
    admin = server.users.find(server.settings.admin_user)
    allowed = Authorization("application", "default", "cli", "*", None, user=admin, form="app_password")
    made = Site(
        opaque=_client(server, token_limit=-1),
        opaque_limited=_client(server),
        jwt=_client(server, token_limit=-1, token_format="jwt"),
        jwt_limited=_client(server, token_format="jwt"),
        app_password=issue(allowed, server).value,
        openid=openid.prepare(server, admin, lambda: assembled(place)[0]),
    )
    server.close()
    return made


def _client(server: Server, **values: Any) -> Client:
    new = server.clients.add({"client_name": "bench", "scope": SCOPE, **values})
    assert new.secret
    return Client(new.client.client_id, new.secret)


def login(password: str = ADMIN_PASSWORD) -> Ask:
    """Return the admin's login."""
    body = json.dumps({"username": "admin", "password": password})
    return Ask(SESSION, "POST", {"Content-Type": "application/json"}, body)


def answer(port: int, ask: Ask) -> dict[str, Any]:
    """Send one request and return the JSON of its answer.

    Raises:
        RuntimeError: the status is not 200.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(ask.method, ask.path, ask.body or None, ask.headers)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    if response.status != 200:
        raise RuntimeError(f"{ask.method} {ask.path}: {response.status} {body[:300].decode(errors='replace')}")
    answered: dict[str, Any] = json.loads(body)
    return answered


def answered(application: Application, environ: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON with which a WSGI application in this process answers."""
    told: dict[str, Any] = json.loads(b"".join(application(environ, lambda status, headers: None)))
    return told
