"""What the first start makes and shows once: the first admin, and the quickstart client."""

import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from auth_server.domain import credentials
from auth_server.domain.audit import Actor
from auth_server.domain.clients import NewClient
from auth_server.domain.users import Changes
from auth_server.errors import Conflict, InvalidInput, Refused
from auth_server.protocol.server import Server

CLIENT_ID = "quickstart"
SCOPE = "metrics"
FIRST_START = Actor("first start")
LEASE = 5  # seconds for one replica to make what the first start makes


@dataclass(frozen=True)
class Made:
    """What is to be shown. A given password is not."""

    username: str
    password: str | None
    client_id: str | None = None
    client_secret: str | None = None


def prepare(server: Server, *, quickstart: bool) -> Made | None:
    """Make keys, admin and quickstart client where they are missing.

    Args:
        quickstart: whether a first start makes the client too; a later one never does.

    Returns:
        None unless this is the first start.
    """
    server.keyring.advance()
    server.keyring.warm()
    server.passwords.warm()
    holder = server.random(8).hex()
    while not server.users.any():
        if server.records.leases.take("first start", holder, server.clock(), LEASE):
            break
        time.sleep(0.1)  # another replica starts for the first time, too
    else:
        return None
    client = _quickstart(server) if quickstart else None  # before the admin: where one is, nothing is made any more
    made = _admin(server)
    return made if client is None else replace(made, client_id=client.client.client_id, client_secret=client.secret)


def _admin(server: Server) -> Made:
    settings = server.settings
    given = settings.admin_password.get_secret_value() if settings.admin_password else None
    password = given or credentials.new_password(server.random)
    changes = Changes(super_admin=True, display_name="Admin")
    try:
        admin = server.users.add(settings.admin_user, password, changes, must_change=given is None, by=FIRST_START)
    except InvalidInput as error:
        raise Refused(f"ADMIN_{'USER' if error.field == 'name' else 'PASSWORD'}", error.reason) from None
    return Made(admin.name, None if given else password)


def _quickstart(server: Server) -> NewClient:
    try:
        values = {"client_id": CLIENT_ID, "client_name": CLIENT_ID, "scope": SCOPE}
        return server.clients.add(values, by=FIRST_START)
    except Conflict:  # a first start that was cut short: nobody has seen that secret
        return server.clients.new_secret(CLIENT_ID, by=FIRST_START)


def shown(made: Made, issuer: str) -> Iterator[str]:
    """Return the lines to print: the tables of what is shown once, and two commands to try."""
    if made.password:
        yield "The first admin. Copy the password now, it is not shown again:"
        yield from _table(("Username", "Password"), (made.username, made.password))
    if made.client_id and made.client_secret:
        yield "A client to try things with. Copy the secret now, it is not shown again:"
        yield from _table(("Client ID", "Client Secret"), (made.client_id, made.client_secret))
        yield "Get a token, then ask what one is worth:"
        yield from commands(f"{made.client_id}:{made.client_secret}", issuer)


def commands(pair: str, issuer: str) -> Iterator[str]:
    """Return a curl line for a token, and one that gets a token of its own and introspects it."""
    token = f"{issuer}/api/v1/oauth/token"
    get = f"curl -s -u {shlex.quote(pair)} -d grant_type=client_credentials {shlex.quote(token)}"
    cut = """sed -n 's/.*"access_token":"\\([^"]*\\)".*/\\1/p'"""
    yield get
    introspect = shlex.quote(f"{issuer}/api/v1/oauth/introspect")
    yield f'curl -s -u {shlex.quote(pair)} -d "token=$({get} | {cut})" {introspect}'


def hints(server: Server) -> Iterator[str]:
    """Return what a later start says to go on with."""
    issuer = server.issuer
    admin = server.records.users.by_name(server.settings.admin_user)
    if admin is not None and admin.must_change_password and admin.login_at is None:
        yield f"Nobody has signed in as {admin.name} yet. A lost password: auth-server users passwd {admin.name}"
    yield "Go on with:"
    yield "  auth-server clients add --name NAME --scope metrics    a client and its secret"
    yield "  auth-server users passwd admin                         a new password"
    yield f"  {issuer}/api/v1/docs/    the API, to read and try"


def _table(head: tuple[str, str], row: tuple[str, str]) -> Iterator[str]:
    widths = [max(len(a), len(b)) for a, b in zip(head, row, strict=True)]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    yield rule
    for cells in (head, row):
        yield "|" + "|".join(f" {cell.ljust(width)} " for cell, width in zip(cells, widths, strict=True)) + "|"
        if cells is head:
            yield rule
    yield rule
    yield ""
