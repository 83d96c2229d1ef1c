"""`auth-server auth`: sessions, app passwords and tokens."""

import sys
from typing import Any

import click

from auth_server.cli.context import CLI, confirm, opened, secret
from auth_server.cli.output import Columns, Record, chosen, json_option, list_options, one, show_options
from auth_server.domain import app_passwords, credentials, names, scopes
from auth_server.domain.tokens import Living, described
from auth_server.errors import NotFound
from auth_server.protocol.feature import Authorization
from auth_server.protocol.tokens import access_token

PROVIDERS = {"local": "Local", "application": "Application", "client": "Client", "access_token": "Access Token"}
METHODS = {"default": "", "session": " (Session)", "oauth2": " (OAuth2)", "2fa": " (2FA)"}


def _authentication(row: Record) -> str:
    """Provider and method as PhotoPrism names them: `Application (Session)`."""
    provider, method = str(row["provider"]), str(row["method"])
    return PROVIDERS.get(provider, provider.title()) + METHODS.get(method, f" ({method})")


COLUMNS: Columns = {
    "Session ID": "id",
    "User": "username",
    "Authentication Method": _authentication,
    "Client": "client_name",
    "Scope": "scope",
    "Login IP": "login_ip",
    "Current IP": "client_ip",
    "Last Active": "last_active",
    "Created At": "created_at",
    "Expires At": "expires_at",
}


@click.group()
def auth() -> None:
    """Sessions, app passwords and tokens.

    \b
    Examples:
      auth-server auth add jane --name Phone --scope sessions
      auth-server auth ls
    """


@auth.command()
@click.argument("username", required=False)
@click.option("--name", "-n", help="Name of the program that will use it.")
@click.option("--scope", "-s", help="What it may do, words parted by spaces; * for everything.")
@click.option("--expires", "-e", type=int, metavar="SECONDS", help="Its life; -1: it never expires.")
@json_option
def add(username: str | None, name: str | None, scope: str | None, expires: int | None, as_json: bool) -> None:
    """Make an app password for USERNAME, or without USERNAME a client access token. It is shown this once.

    \b
    Examples:
      auth-server auth add jane --name Phone --scope sessions
      auth-server auth add --name Prometheus --scope metrics --expires -1
    """
    output = one(as_json)
    with opened() as server:
        user = server.users.find(username) if username is not None else None
        client_name = name or _asked("Client Name", names.pet_name(server.random))
        asked = scope if scope is not None else _asked("Authorization Scope", "*")
        authorization = Authorization(
            provider="application" if user else "access_token",
            method="default" if user else "oauth2",
            grant_type="cli",
            scope=app_passwords.checked_scope(asked) if user else scopes.chosen(asked),
            ttl=app_passwords.checked_ttl(expires, server.settings.app_password_ttl),
            user=user,
            client_name=app_passwords.checked_name(client_name),
            form="app_password" if user else "opaque",
            by=CLI,
        )
        issued = access_token.issue(authorization, server)
    member, head = ("app_password", "App Password") if user else ("access_token", "Access Token")
    row = {**described(Living(issued.token, user, None)), member: issued.value}
    output.one_of(row, COLUMNS)
    output.secret(head, row, {head: member, "Authorization Scope": "scope"})


@auth.command()
@click.argument("search", default="")
@list_options
def ls(search: str, **options: Any) -> None:
    """List what lives, the most recently used first.

    SEARCH is a ref id, a session id, a token (- reads it from standard input), a uid, or the beginning of a name of
    a user or client or of a provider.

    \b
    Example:
      auth-server auth ls jane
    """
    output = chosen(**options)
    wanted = secret(search, what="token") or ""
    with opened() as server:
        found = [row for living in server.tokens.each() if _matches(row := described(living), wanted)]
    output.records(sorted(found, key=lambda row: row["last_active"] or row["created_at"], reverse=True), COLUMNS)


@auth.command()
@click.argument("identifier", metavar="ID")
@show_options
def show(identifier: str, **options: Any) -> None:
    """Show one: ID is a ref id, a session id or the token itself (- reads it from standard input).

    \b
    Example:
      auth-server auth show sessgh6gjuo1
    """
    output = chosen(**options)
    wanted = secret(identifier, what="token") or ""
    with opened() as server:
        living = server.tokens.living(server.tokens.by_identifier(wanted), server.clock())
        if living is None:
            raise NotFound("that token counts no more; see: auth-server auth ls")
    output.record(described(living))


@auth.command()
@click.argument("identifier", metavar="ID")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@json_option
def rm(identifier: str, yes: bool, as_json: bool) -> None:
    """End one, and the sessions made with it: ID is as for show. It asks first.

    \b
    Example:
      auth-server auth rm sessgh6gjuo1 --yes
    """
    wanted = secret(identifier, what="token") or ""
    with opened() as server:
        token = server.tokens.by_identifier(wanted)
        confirm(f"End {token.ref_id} ({token.client_name or token.provider})?", yes=yes)
        server.tokens.revoke(token, CLI, "admin")
    one(as_json).deleted(1)


@auth.command()
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@json_option
def reset(yes: bool, as_json: bool) -> None:
    """End every session, token and app password. It asks first.

    \b
    Example:
      auth-server auth reset --yes
    """
    with opened() as server:
        confirm("End every session, token and app password?", yes=yes)
        number = server.tokens.revoke_all(CLI)
    one(as_json).deleted(number)


def _asked(what: str, default: str) -> str:
    if not sys.stdin.isatty():
        return default
    answer: str = click.prompt(what, default=default, err=True)
    return answer


def _matches(row: Record, search: str) -> bool:
    if not search or search == "all":
        return True
    if credentials.is_token(search):
        search = credentials.digest(search).hex()
    if search in (row["id"], row["session_id"], row["uid"]):
        return True
    lower = search.lower()
    return any((row[name] or "").lower().startswith(lower) for name in ("username", "client_name", "provider"))
