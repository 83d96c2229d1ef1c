"""`auth-server users`: accounts of people."""

import json
from typing import Any

import click

from auth_server.cli.context import CLI, confirm, opened, secret
from auth_server.cli.output import Columns, Output, chosen, json_option, list_options, one, show_options
from auth_server.domain import credentials, roles
from auth_server.domain.users import Changes, described
from auth_server.errors import Conflict, InvalidInput
from auth_server.store.records import User
from auth_server.store.state import Page

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
PASSWORD_COLUMNS: Columns = {"Username": "name", "Password": "password"}


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
    return json_option(command)


@users.command()
@click.argument("name")
@account_options
def add(name: str, password: str | None, as_json: bool, **flags: Any) -> None:
    """Make an account. Without --password it asks on a terminal, else it makes one and shows it once.

    \b
    Examples:
      auth-server users add jane --email jane@example.org --role user
      auth-server users add bob --password - < password.txt
    """
    output = one(as_json)
    typed = secret(password, what="password", ask=True)
    with opened() as server:
        made = None if typed is not None else credentials.new_password(server.random)
        user = server.users.add(name, typed or made or "", _changes(flags), must_change=made is not None, by=CLI)
    _show(output, user, made)


@users.command()
@click.argument("search", default="")
@list_options
def ls(search: str, **options: Any) -> None:
    """List accounts; SEARCH is the beginning of a name, uid or email address.

    \b
    Example:
      auth-server users ls ja --csv
    """
    output = chosen(**options)
    with opened() as server:
        rows = [described(user) for user in server.users.page(search, Page(limit=1 << 31))]
    output.records(rows, COLUMNS)


@users.command()
@click.argument("name")
@show_options
def show(name: str, **options: Any) -> None:
    """Show the account with this name or uid.

    \b
    Example:
      auth-server users show jane
    """
    output = chosen(**options)
    with opened() as server:
        user = server.users.find(name)
    output.record(described(user))


@users.command()
@click.argument("name")
@account_options
@click.option("--disable/--enable", "disabled", default=None, help="Whether the person may sign in.")
@click.option("--reset-mfa", is_flag=True, help="Take the second factors away.")
def mod(name: str, password: str | None, disabled: bool | None, reset_mfa: bool, as_json: bool, **flags: Any) -> None:
    """Change an account; only what is given changes. --claim replaces all claims, --claim "" takes them away.

    What takes rights away ends the person's sessions at once.

    \b
    Examples:
      auth-server users mod jane --role admin
      auth-server users mod jane --disable
    """
    output = one(as_json)
    typed = secret(password, what="password")
    enabled = None if disabled is None else not disabled
    with opened() as server:
        user = server.users.find(name)
        if reset_mfa:
            raise Conflict(f"{user.name} has no second factor; leave --reset-mfa out")
        changes = Changes(**vars(_changes(flags)) | {"enabled": enabled, "password": typed})
        user = server.users.change(user.uid, changes, CLI)
    _show(output, user, None)


@users.command()
@click.argument("name")
@click.option("--yes", "-y", "--force", "-f", is_flag=True, help="Do not ask.")
@json_option
def rm(name: str, yes: bool, as_json: bool) -> None:
    """Remove an account with its clients, sessions and app passwords. It asks first.

    \b
    Example:
      auth-server users rm jane --yes
    """
    with opened() as server:
        user = server.users.find(name)
        confirm(f"Remove the account {user.name} ({user.uid}) with all it holds?", yes=yes)
        server.users.remove(user.uid, CLI)
    one(as_json).deleted(1)


@users.command()
@click.argument("name")
@click.option("--password", "-p", help="8 to 256 characters; - reads a line from standard input.")
@json_option
def passwd(name: str, password: str | None, as_json: bool) -> None:
    """Set a new password; the person's sessions end, app passwords stay. Without --password as in `users add`.

    \b
    Examples:
      auth-server users passwd jane
      auth-server users passwd jane --password - < password.txt
    """
    output = one(as_json)
    typed = secret(password, what="new password", ask=True)
    with opened() as server:
        user = server.users.find(name)
        made = None if typed is not None else credentials.new_password(server.random)
        changes = Changes(password=typed if made is None else made, must_change_password=made is not None)
        user = server.users.change(user.uid, changes, CLI)
    _show(output, user, made)


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


def _show(output: Output, user: User, password: str | None) -> None:
    """Print an account, with a password that was made for it."""
    row = described(user)
    if password is None:
        output.one_of(row, COLUMNS)
    else:
        output.one_of({**row, "password": password}, COLUMNS)
        output.secret("password", {**row, "password": password}, PASSWORD_COLUMNS)
