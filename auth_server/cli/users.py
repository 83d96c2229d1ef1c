"""`auth-server users`: accounts of people."""

import json
from dataclasses import replace
from typing import Any

import click

from auth_server.cli.context import CLI, secret
from auth_server.cli.output import Columns, Record
from auth_server.cli.verbs import EVERYTHING, Ask, lists, makes, removes, shows
from auth_server.domain import credentials, roles
from auth_server.domain.users import Changes, described
from auth_server.errors import Conflict, InvalidInput
from auth_server.protocol.server import Server

COLUMNS: Columns = {
    "UID": "uid",
    "Username": "name",
    "Role": "role",
    "Email": "email",
    "Super Admin": "super_admin",
    "Web Login": "enabled",
    "Last Login": "login_at",
    "Created At": "created_at",
}
PASSWORD = {"password": {"Username": "name", "Password": "password"}}


@click.group()
def users() -> None:
    """Accounts of people.

    \b
    Examples:
      auth-server users add jane --email jane@example.org
      auth-server users ls
    """


def account_options(command: Any) -> Any:
    """The flags that `add` and `mod` share."""
    for option in (
        click.option("--claim", "claims", multiple=True, metavar="NAME=VALUE", help="A claim of one's own; repeats."),
        click.option("--role", "-r", type=click.Choice(roles.USER_ROLES), help="What the person may do."),
        click.option("--display-name", "--name", "-n", help="The name that others see."),
        click.option("--email-verified", is_flag=True, default=None, help="The address is known to be theirs."),
        click.option("--email", "-m", help="Address."),
        click.option("--password", "-p", help="8 to 256 characters; - reads a line from standard input."),
    ):
        command = option(command)
    return command


@users.command()
@click.argument("name")
@account_options
@makes(COLUMNS, PASSWORD)
def add(server: Server, name: str, password: str | None, **flags: Any) -> Record:
    """Make an account. Without --password it asks on a terminal, else it makes one and shows it once.

    \b
    Examples:
      auth-server users add jane --email jane@example.org --role user
      auth-server users add bob --password - < password.txt
    """
    text, made = _new_password(server, password, "password")
    user = server.users.add(name, text, _changes(flags), must_change=bool(made), by=CLI)
    return {**described(user), **made}


@users.command()
@click.argument("search", default="")
@lists(COLUMNS)
def ls(server: Server, search: str) -> list[Record]:
    """List accounts; SEARCH is the beginning of a name, uid or email address.

    \b
    Example:
      auth-server users ls ja --csv
    """
    return [described(user) for user in server.users.page(search, EVERYTHING)]


@users.command()
@click.argument("name")
@shows
def show(server: Server, name: str) -> Record:
    """Show the account with this name or uid.

    \b
    Example:
      auth-server users show jane
    """
    return described(server.users.find(name))


@users.command()
@click.argument("name")
@account_options
@click.option("--disable/--enable", "disabled", default=None, help="Whether the person may sign in.")
@click.option("--reset-mfa", is_flag=True, help="Take the second factors away.")
@makes(COLUMNS, {})
def mod(
    server: Server, name: str, password: str | None, disabled: bool | None, reset_mfa: bool, **flags: Any
) -> Record:
    """Change an account; only what is given changes. --claim replaces all claims, --claim "" takes them away.

    What takes rights away ends the person's sessions at once.

    \b
    Examples:
      auth-server users mod jane --role admin
      auth-server users mod jane --disable
    """
    user = server.users.find(name)
    if reset_mfa:
        raise Conflict(f"{user.name} has no second factor; leave --reset-mfa out")
    enabled = None if disabled is None else not disabled
    changes = replace(_changes(flags), enabled=enabled, password=secret(password, what="password"))
    return described(server.users.change(user.uid, changes, CLI))


@users.command()
@click.argument("name")
@removes
def rm(server: Server, ask: Ask, name: str) -> int:
    """Remove an account with its clients, sessions and app passwords. It asks first.

    \b
    Example:
      auth-server users rm jane --yes
    """
    user = server.users.find(name)
    ask(f"Remove the account {user.name} ({user.uid}) with all it holds?")
    server.users.remove(user.uid, CLI)
    return 1


@users.command()
@click.argument("name")
@click.option("--password", "-p", help="8 to 256 characters; - reads a line from standard input.")
@makes(COLUMNS, PASSWORD)
def passwd(server: Server, name: str, password: str | None) -> Record:
    """Set a new password; the person's sessions end, app passwords stay. Without --password as in `users add`.

    \b
    Examples:
      auth-server users passwd jane
      auth-server users passwd jane --password - < password.txt
    """
    user = server.users.find(name)
    text, made = _new_password(server, password, "new password")
    changed = server.users.change(user.uid, Changes(password=text, must_change_password=bool(made)), CLI)
    return {**described(changed), **made}


def _new_password(server: Server, given: str | None, what: str) -> tuple[str, dict[str, str]]:
    """The password that is given or typed, else one that is made, and then what is shown of it."""
    text = secret(given, what=what, ask=True)
    if text is not None:
        return text, {}
    made = credentials.new_password(server.random)
    return made, {"password": made}


def _changes(flags: dict[str, Any]) -> Changes:
    given = flags.pop("claims")
    return Changes(**flags, claims=_claims(given) if given else None)


def _claims(given: tuple[str, ...]) -> dict[str, Any]:
    """Claims from NAME=VALUE; a value that is a JSON object, array, true or false is taken as such."""
    claims: dict[str, Any] = {}
    for text in given:
        name, sign, value = text.partition("=")
        if text == "" and len(given) == 1:
            break
        if not name or not sign:
            raise InvalidInput("claim", f"{text[:64]!r} must be NAME=VALUE")
        claims[name] = _value(value) if value[:1] in ("{", "[") or value in ("true", "false") else value
    return claims


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidInput("claim", f"{text[:64]!r} is no JSON") from None
