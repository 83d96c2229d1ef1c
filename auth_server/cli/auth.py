"""`auth-server auth`: sessions, app passwords and tokens."""

import click

from auth_server.cli.context import CLI, answer, secret
from auth_server.cli.output import NOT_ASSIGNED, Columns, Record, authentication
from auth_server.cli.verbs import Ask, lists, makes, removes, shows
from auth_server.domain import app_passwords, credentials, names, scopes
from auth_server.domain.tokens import Living, Token, described
from auth_server.errors import NotFound
from auth_server.protocol.feature import Authorization
from auth_server.protocol.server import Server
from auth_server.protocol.tokens import access_token

COLUMNS: Columns = {
    "Session ID": "id",
    "User": lambda row: row["username"] or NOT_ASSIGNED,
    "Authentication Method": lambda row: authentication(row["provider"], row["method"]),
    "Client": lambda row: row["client_name"] or NOT_ASSIGNED,
    "Scope": "scope",
    "Login IP": "login_ip",
    "Current IP": "client_ip",
    "Last Active": "last_active",
    "Created At": "created_at",
    "Expires At": "expires_at",
}
SECRETS = {
    "app_password": {"App Password": "app_password", "Authorization Scope": "scope"},
    "access_token": {"Access Token": "access_token", "Authorization Scope": "scope"},
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
@makes(COLUMNS, SECRETS)
def add(server: Server, username: str | None, name: str | None, scope: str | None, expires: int | None) -> Record:
    """Make an app password for USERNAME, or without USERNAME a client access token. It is shown this once.

    \b
    Examples:
      auth-server auth add jane --name Phone --scope sessions
      auth-server auth add --name Prometheus --scope metrics --expires -1
    """
    user = server.users.find(username) if username is not None else None
    client_name = name or answer("Client Name", names.pet_name(server.random))
    asked = scope if scope is not None else answer("Authorization Scope", "*")
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
    member = "app_password" if user else "access_token"
    return {**described(Living(issued.token, user, None)), member: issued.value}


@auth.command()
@click.argument("search", default="")
@lists(COLUMNS)
def ls(server: Server, search: str) -> list[Record]:
    """List what lives, the most recently used first.

    SEARCH is a ref id, a session id, a token (- reads it from standard input), a uid, a client id, or the beginning of
    a name of a user or client or of a provider. `expired` finds nothing: what has expired is not kept.

    \b
    Examples:
      auth-server auth ls jane
      auth-server auth ls client --csv -n 500
    """
    wanted = secret(search, what="token") or ""
    if wanted == "expired":
        return []
    named = credentials.digest(wanted).hex() if credentials.is_token(wanted) else wanted
    found = [described(living) for living in server.token_lists.all(named)]
    return sorted(found, key=lambda row: row["last_active"] or row["created_at"], reverse=True)


@auth.command()
@click.argument("identifier", metavar="ID")
@shows
def show(server: Server, identifier: str) -> Record:
    """Show one: ID is a ref id, a session id or the token itself (- reads it from standard input).

    \b
    Example:
      auth-server auth show sessgh6gjuo1
    """
    living = server.tokens.living(_named(server, identifier), server.clock())
    if living is None:
        raise NotFound("that token counts no more; see: auth-server auth ls")
    return described(living)


@auth.command()
@click.argument("identifier", metavar="ID")
@removes
def rm(server: Server, ask: Ask, identifier: str) -> int:
    """End one, and the sessions made with it: ID is as for show. It asks first.

    \b
    Example:
      auth-server auth rm sessgh6gjuo1 --yes
    """
    token = _named(server, identifier)
    ask(f"End {token.ref_id} ({token.client_name or token.provider})?")
    server.tokens.revoke(token, CLI, "admin")
    return 1


@auth.command()
@click.option("--keep-app-passwords", is_flag=True, help="Keep them, and the tokens made on the command line.")
@removes
def reset(server: Server, keep_app_passwords: bool, ask: Ask) -> int:
    """End every session, token and app password. It asks first.

    \b
    Examples:
      auth-server auth reset --yes
      auth-server auth reset --keep-app-passwords --yes
    """
    ask("End every session and token?" if keep_app_passwords else "End every session, token and app password?")
    return server.tokens.revoke_all(CLI, keep_stored=keep_app_passwords)


def _named(server: Server, identifier: str) -> Token:
    return server.tokens.by_identifier(secret(identifier, what="token") or "")
