"""`auth-server clients`: programs that get tokens."""

import json
from pathlib import Path
from typing import Any

import click

from auth_server.cli.context import CLI, FILE, read_file, secret
from auth_server.cli.output import NOT_ASSIGNED, Columns, Record, authentication
from auth_server.cli.verbs import EVERYTHING, Ask, lists, makes, removes, shows
from auth_server.clock import rfc3339
from auth_server.domain.clients import DEFAULT_TTL, described
from auth_server.errors import InvalidInput, NotFound
from auth_server.protocol.profiles import PROFILES
from auth_server.protocol.server import Server
from auth_server.store.records import Client

METHODS = (
    "none",
    "client_secret_basic",
    "client_secret_post",
    "client_secret_jwt",
    "private_key_jwt",
    "tls_client_auth",
    "self_signed_tls_client_auth",
)


def _lifetime(row: Record) -> str:
    """A token's life as PhotoPrism writes it: `24h0m0s; up to 10 tokens`."""
    minutes, seconds = divmod(row["access_token_ttl"] or DEFAULT_TTL, 60)
    hours, minutes = divmod(minutes, 60)
    number = row["token_limit"]
    limit = f"; up to {number} token{'s' if number > 1 else ''}" if number > 0 else ""
    return f"{hours}h{minutes}m{seconds}s{limit}"


COLUMNS: Columns = {
    "Client ID": "client_id",
    "Name": "client_name",
    "Authentication Method": lambda row: authentication("client", "oauth2"),
    "User": lambda row: row["user"] or NOT_ASSIGNED,
    "Role": "role",
    "Scope": "scope",
    "Enabled": "enabled",
    "Access Token Lifetime": _lifetime,
    "Created At": "created_at",
}
SECRET = {"client_secret": {"Client ID": "client_id", "Client Secret": "client_secret"}}
INITIAL_TOKEN: Columns = {"Uses": "uses", "Expires At": "expires_at"}
LISTS = ("redirect_uris", "post_logout_redirect_uris", "audience", "resource", "response_types")


@click.group()
def clients() -> None:
    """Programs that get tokens.

    \b
    Examples:
      auth-server clients add --name backup --scope metrics
      auth-server clients ls
    """


def metadata_options(command: Any) -> Any:
    """The flags that `add` and `mod` share; named as the members of the record that they set."""
    uris: dict[str, Any] = {"multiple": True, "metavar": "URI"}
    for option in (
        click.option("--metadata", "file", type=FILE, help="JSON of RFC 7591; flags win."),
        click.option("--first-party", is_flag=True, default=None, help="People are not asked for consent."),
        click.option("--profile", type=click.Choice(list(PROFILES)), help="Whose rules hold for it."),
        click.option("--require-dpop", is_flag=True, default=None, help="Tokens only for a key of the client's."),
        click.option("--require-par", is_flag=True, default=None, help="Only pushed authorization requests."),
        click.option("--resource", **uris, help="What it answers for as a resource service; repeats."),
        click.option("--audience", **uris, help="`aud` of its tokens; repeats. This server without."),
        click.option("--role", "-r", type=click.Choice(["client", "admin"]), help="What it may do."),
        click.option("--tokens", "-t", "token_limit", type=int, metavar="N", help="Living tokens; -1: any number."),
        click.option("--expires", "-e", "access_token_ttl", type=int, metavar="SECONDS", help="A token's life."),
        click.option("--token-format", type=click.Choice(["opaque", "jwt"]), help="Form of its access tokens."),
        click.option("--jwks-uri", metavar="URI", help="Where its public keys are: an https URL."),
        click.option("--jwks", "jwks_file", type=FILE, help="File with its public keys."),
        click.option(
            "--auth-method", "token_endpoint_auth_method", type=click.Choice(METHODS), help="How it proves itself."
        ),
        click.option("--scope", "-s", help="What it may do, words parted by spaces."),
        click.option("--response-types", multiple=True, help="What it may ask to authorize; repeats."),
        click.option("--grant-types", metavar="A,B", help="How it may get tokens."),
        click.option("--post-logout-redirect-uri", "post_logout_redirect_uris", **uris, help="After logout; repeats."),
        click.option("--redirect-uri", "redirect_uris", **uris, help="Where people go after login; repeats."),
        click.option("--generate-secret", "--regenerate", is_flag=True, help="Make a new secret."),
        click.option("--secret", help="32 to 128 characters; - reads a line from standard input."),
        click.option("--name", "-n", "client_name", help="The name that people see."),
    ):
        command = option(command)
    return command


@clients.command()
@click.argument("username", required=False)
@click.option("--client-id", "--id", help="An id of your choice; else one is made.")
@metadata_options
@makes(COLUMNS, SECRET)
def add(server: Server, username: str | None, generate_secret: bool, **flags: Any) -> Record:
    """Register a client; with USERNAME it acts for that person. Its secret is shown this once.

    \b
    Examples:
      auth-server clients add --name backup --scope metrics
      auth-server clients add --name api --scope introspect --resource https://api.example.org
      auth-server clients add --auth-method private_key_jwt --jwks keys.json --scope metrics
    """
    given = _given_secret(flags.pop("secret"), generate_secret)
    values, from_file = _values(server, flags)
    if username is not None:
        values["owner_uid"] = server.users.find(username).uid
    made = server.clients.add(values, given or from_file, CLI)
    return _row(server, made.client, made.secret)


@clients.command()
@click.argument("search", default="")
@lists(COLUMNS)
def ls(server: Server, search: str) -> list[Record]:
    """List clients; SEARCH is the beginning of an id, a name or its user's name, a user's uid, or `all`.

    \b
    Examples:
      auth-server clients ls
      auth-server clients ls back --md
    """
    found = server.clients.page("" if search == "all" else search, EVERYTHING)
    return [_row(server, client) for client in found]


@clients.command()
@click.argument("client_id", metavar="ID")
@shows
def show(server: Server, client_id: str) -> Record:
    """Show a client.

    \b
    Example:
      auth-server clients show csm4k31vnt5p9e2a
    """
    return _row(server, server.clients.find(client_id))


@clients.command()
@click.argument("client_id", metavar="ID")
@metadata_options
@click.option("--disable/--enable", "disabled", default=None, help="Whether it gets tokens, and they count.")
@makes(COLUMNS, SECRET)
def mod(server: Server, client_id: str, generate_secret: bool, disabled: bool | None, **flags: Any) -> Record:
    """Change a client; only what is given changes. What repeats replaces the list, "" empties it.

    Its tokens end at once, for good, if it is disabled, loses a part of its scope, or gets another role or audience.

    \b
    Examples:
      auth-server clients mod csm4k31vnt5p9e2a --scope "metrics sessions"
      auth-server clients mod csm4k31vnt5p9e2a --disable
    """
    given = _given_secret(flags.pop("secret"), generate_secret)
    values, from_file = _values(server, flags)
    if values.pop("client_id", client_id) != client_id:
        raise InvalidInput("client_id", "the file names another client; an id cannot be changed")
    if disabled is not None:
        values["enabled"] = not disabled
    given = given or from_file
    server.clients.find(client_id)
    if not given and not generate_secret:
        return _row(server, server.clients.change(client_id, values, CLI))
    made = server.clients.new_secret(client_id, given, values=values, by=CLI)
    return _row(server, made.client, made.secret)


@clients.command()
@click.argument("client_id", metavar="ID")
@removes
def rm(server: Server, ask: Ask, client_id: str) -> int:
    """Remove a client; its tokens end at once. It asks first.

    \b
    Example:
      auth-server clients rm csm4k31vnt5p9e2a --yes
    """
    try:
        client = server.clients.find(client_id)
    except NotFound:
        if server.clients.tidy_up(client_id):
            return 1
        raise
    ask(f"Remove the client {client.client_name} ({client_id}) and end its tokens?")
    server.clients.remove(client_id, CLI)
    return 1


@clients.command()
@removes
def reset(server: Server, ask: Ask) -> int:
    """Remove all clients; their tokens end at once. It asks first.

    \b
    Example:
      auth-server clients reset --yes
    """
    ask("Remove ALL clients and end their tokens?")
    found = server.clients.page("", EVERYTHING)
    for client in found:
        server.clients.remove(client.client_id, CLI)
    return len(found)


@clients.command("secret")
@click.argument("client_id", metavar="ID")
@click.option("--overlap", type=int, default=0, metavar="SECONDS", help="How long the old one still counts.")
@click.option("--secret", help="32 to 128 characters; - reads a line from standard input.")
@makes(COLUMNS, SECRET)
def new_secret(server: Server, client_id: str, overlap: int, secret: str | None) -> Record:
    """Replace a client's secret; the new one is shown this once.

    \b
    Examples:
      auth-server clients secret csm4k31vnt5p9e2a
      auth-server clients secret csm4k31vnt5p9e2a --overlap 86400
    """
    server.clients.find(client_id)
    made = server.clients.new_secret(client_id, _given_secret(secret, False), overlap, by=CLI)
    return _row(server, made.client, made.secret)


@clients.command("initial-token")
@click.option("--uses", type=int, default=1, metavar="N", help="How many clients may be registered with it (1).")
@click.option("--expires", "-e", type=int, default=3600, metavar="SECONDS", help="Its life (3600).")
@makes(INITIAL_TOKEN, {"initial_access_token": {"Initial Access Token": "initial_access_token"}})
def initial_token(server: Server, uses: int, expires: int) -> Record:
    """Make a token with which somebody registers clients, where REGISTRATION is token or open; shown this once.

    \b
    Examples:
      auth-server clients initial-token
      auth-server clients initial-token --uses 20 --expires 86400
    """
    made = server.initial_tokens.new(uses, expires, CLI)
    if server.settings.registration == "off":
        click.echo("registration is off: the token counts once REGISTRATION is token or open", err=True)
    return {"initial_access_token": made.value, "uses": made.uses, "expires_at": rfc3339(made.expires_at)}


def _given_secret(value: str | None, generate: bool) -> str | None:
    if value is not None and generate:
        raise click.UsageError("choose one of --secret and --generate-secret")
    return secret(value, what="secret")


def _values(server: Server, flags: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
    """The members of the record that flags and file set, and the secret that the file holds."""
    file, jwks_file, grants = flags.pop("file"), flags.pop("jwks_file"), flags.pop("grant_types")
    members = _object(file, "metadata") if file else {}
    from_file = members.pop("client_secret", None)
    if from_file is not None and not isinstance(from_file, str):
        raise InvalidInput("client_secret", "must be a text")
    values = server.clients.read(members)
    for name, value in flags.items():
        if name in LISTS:
            if value:
                values[name] = () if value == ("",) else value
        elif value is not None:
            values[name] = value
    if jwks_file:
        values["jwks"] = _object(jwks_file, "jwks")
    by_uri = flags.get("jwks_uri")
    if by_uri and not jwks_file:  # the one in place of the other
        values["jwks"] = None
    elif jwks_file and not by_uri:
        values["jwks_uri"] = ""
    if grants is not None:
        values["grant_types"] = tuple(grants.replace(",", " ").split())
    return values, from_file


def _object(file: Path, field: str) -> dict[str, Any]:
    try:
        value = json.loads(read_file(file))
    except (ValueError, RecursionError):
        raise InvalidInput(field, f"{file} is no JSON") from None
    if not isinstance(value, dict):
        raise InvalidInput(field, f"{file} does not hold an object")
    return value


def _row(server: Server, client: Client, secret: str | None = None) -> Record:
    """A client with its user's name, and with a secret that it has just got."""
    owner = server.records.users.get(client.owner_uid) if client.owner_uid else None
    row = {**described(client), "user": owner.name if owner else None}
    return row if secret is None else {**row, "client_secret": secret}
