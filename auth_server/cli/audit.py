"""`auth-server audit`: what happened. Nothing of it can be changed or removed here."""

from collections.abc import Iterator
from itertools import islice

import click

from auth_server.cli.context import opened
from auth_server.cli.output import Columns, Output, Record, list_options
from auth_server.cli.verbs import lists
from auth_server.clock import rfc3339
from auth_server.domain.audit import described
from auth_server.protocol.server import Server

COLUMNS: Columns = {
    "Created At": "at",
    "Event": "event",
    "Outcome": "outcome",
    "Actor": "actor",
    "Client": "client_id",
    "Client IP": "address",
    "Details": "details",
}
LOGINS: Columns = {
    "Client IP": "client_ip",
    "Username": "username",
    "Realm": "realm",
    "Status": lambda row: "OK" if row["status"] == "ok" else row["status"].title(),
    "Last Login": "last_login",
    "Failed At": "failed_at",
}


@click.group()
def audit() -> None:
    """What happened: logins and their failures, changes, what was revoked.

    \b
    Examples:
      auth-server audit logins jane
      auth-server audit ls --json
    """


@audit.command()
@click.argument("search", default="")
@list_options
def ls(search: str, output: Output) -> None:
    """List what happened, the newest first.

    SEARCH is the beginning of an event, an actor (uid, cli, server), a client's id or an address.

    \b
    Examples:
      auth-server audit ls
      auth-server audit ls user.remove -n 10
    """
    with opened() as server:
        found = _matching(server, search.lower())
        rows = list(found if output.is_json else islice(found, output.limit + 1))
    output.records(rows, COLUMNS)


@audit.command()
@click.argument("search", default="")
@lists(LOGINS)
def logins(server: Server, search: str) -> list[Record]:
    """List who signed in or tried to, from where and with what, the last one first.

    SEARCH is the beginning of a user's name or of an address.

    \b
    Examples:
      auth-server audit logins
      auth-server audit logins jane --csv
    """
    rows: dict[tuple[str, ...], dict[str, str | None]] = {}
    for event in server.records.audit.each():
        realm = _realm(event.event)
        user = server.records.users.get(event.actor) if realm else None
        name = user.name if user else event.actor
        if not realm or not any(text.startswith(search.lower()) for text in (name, event.address)):
            continue
        made = {"client_ip": event.address, "username": name, "realm": realm, "status": event.outcome}
        row = rows.setdefault((event.address, name, realm), {**made, "last_login": None, "failed_at": None})
        time = "last_login" if event.outcome == "ok" else "failed_at"
        row[time] = row[time] or rfc3339(event.at)  # the newest comes first
    return list(rows.values())


def _realm(event: str) -> str:
    """With what somebody tried to sign in; nothing for any other event."""
    noun, _, verb = event.partition(".")
    return verb if noun == "login" else "passcode" if event == "passcode.check" else ""


def _matching(server: Server, search: str) -> Iterator[Record]:
    for event in server.records.audit.each():
        texts = (event.event, event.actor, event.client_id, event.address)
        if any(text.lower().startswith(search) for text in texts):
            yield described(event)
