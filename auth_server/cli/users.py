"""`auth-server users`: accounts of people."""

import json
import sys
from typing import Any

import click

from auth_server.cli.context import CLI, answer, opened, secret
from auth_server.cli.output import Columns, Output, Record, authentication, list_options, switched
from auth_server.cli.verbs import EVERYTHING, Ask, makes, removes, shows
from auth_server.domain import credentials, roles
from auth_server.domain.users import Changes, described
from auth_server.errors import InvalidInput, NotFound
from auth_server.protocol.server import Server

COLUMNS: Columns = {
    "UID": "uid",
    "Username": "name",
    "Role": lambda row: row["role"].title(),
    "Authentication": lambda row: authentication("local", row["auth_method"]),
    "Super Admin": "super_admin",
    "Web Login": lambda row: switched(row["enabled"]),
    "WebDAV": lambda row: switched(roles.allows(row["role"], "webdav", ("access_own",))),
}
LOGIN: Columns = {"Last Login": "login_at"}
CREATED: Columns = {"Created At": "created_at"}
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
        click.option(
            "--disable/--enable", "--no-login", "-l", "disabled", default=None, help="Whether the person may sign in."
        ),
        click.option("--claim", "claims", multiple=True, metavar="NAME=VALUE", help="A claim of one's own; repeats."),
        click.option(
            "--superadmin/--no-superadmin", "-s", "super_admin", default=None, help="Admin, and shown as the first."
        ),
        click.option("--role", "-r", type=click.Choice(roles.USER_ROLES), help="What the person may do."),
        click.option("--display-name", "--name", "-n", help="The name that others see."),
        click.option("--email-verified", is_flag=True, default=None, help="The address is known to be theirs."),
        click.option("--email", "-m", help="Address."),
        click.option("--password", "-p", help="8 to 256 characters; - reads a line from standard input."),
    ):
        command = option(command)
    return command


@users.command()
@click.argument("name", required=False)
@account_options
@makes(COLUMNS, PASSWORD)
def add(server: Server, name: str | None, password: str | None, email: str | None, **flags: Any) -> Record:
    """Make an account. At a terminal it asks for what is missing of name, address and password.

    Elsewhere NAME is needed, and without --password one is made and shown once.

    \b
    Examples:
      auth-server users add jane --email jane@example.org --role user
      auth-server users add bob --password - < password.txt
    """
    asks = sys.stdin.isatty() and (name is None or password is None)
    if name is None and not asks:
        raise click.MissingParameter(ctx=click.get_current_context(), param_hint="'NAME'", param_type="argument")
    name = server.users.check_name(click.prompt("Username", err=True) if name is None else name)
    if asks and email is None:
        email = answer("Email", "")
    text, made = _new_password(server, password, "password")
    user = server.users.add(name, text, _changes(email=email, **flags), must_change=bool(made), by=CLI)
    return {**described(user), **made}


@users.command()
@click.argument("search", default="")
@click.option("--login", "-l", is_flag=True, help="Show when they signed in last.")
@click.option("--created", "-a", is_flag=True, help="Show when they were made.")
@list_options
def ls(search: str, login: bool, created: bool, output: Output) -> None:
    """List accounts; SEARCH is the beginning of a name, uid or email address.

    \b
    Examples:
      auth-server users ls --login
      auth-server users ls ja --csv
    """
    with opened() as server:
        rows = [described(user) for user in server.users.page(search, EVERYTHING)]
    output.records(rows, {**COLUMNS, **(LOGIN if login else {}), **(CREATED if created else {})})


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
@click.option("--reset-mfa", "--disable-2fa", is_flag=True, help="Take the second factor away.")
@makes(COLUMNS, {})
def mod(server: Server, name: str, password: str | None, reset_mfa: bool, **flags: Any) -> Record:
    """Change an account; only what is given changes. --claim replaces all claims, --claim "" takes them away.

    What takes rights away ends the person's sessions at once.

    \b
    Examples:
      auth-server users mod jane --role admin
      auth-server users mod jane --disable
      auth-server users mod jane --reset-mfa
    """
    user = server.users.find(name)
    keys = server.records.passcodes
    if reset_mfa and not any(keys.get(user.uid, active=active) for active in (True, False)):
        raise NotFound(f"{user.name} has no second factor; leave --reset-mfa out")
    changes = _changes(password=secret(password, what="password"), **flags)
    if changes != Changes():
        server.users.change(user.uid, changes, CLI)
    if reset_mfa:
        server.second_factor.reset(user.uid, CLI)
    return described(server.users.find(user.uid))


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
@removes
def reset(server: Server, ask: Ask) -> int:
    """Remove all accounts, the last admin too, with what they hold; other clients stay. It asks first.

    The next start of the server makes a first admin again.

    \b
    Example:
      auth-server users reset --yes
    """
    ask("Remove ALL accounts, with their second factors, sessions, app passwords and clients?")
    found = server.users.page("", EVERYTHING)
    for user in found:
        server.users.remove(user.uid, CLI, keep_admin=False)
    return len(found)


@users.command()
@click.argument("name")
@click.option("--password", "-p", help="8 to 256 characters; - reads a line from standard input.")
@makes(COLUMNS, PASSWORD)
def passwd(server: Server, name: str, password: str | None) -> Record:
    """Set a new password; the person's sessions end, app passwords stay. Without --password as in `users add`.

    \b
    Examples:
      auth-server passwd jane
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


def _changes(claims: tuple[str, ...], disabled: bool | None, **flags: Any) -> Changes:
    enabled = None if disabled is None else not disabled
    return Changes(**flags, enabled=enabled, claims=_claims(claims) if claims else None)


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
