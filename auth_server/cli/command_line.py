"""The command line's root: nouns that are loaded when they are named, and how errors are told.

Exit codes: 0 done; 2 the command line, or the form of a value on it, is wrong; 1 everything else.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NoReturn

import click

from auth_server import __version__
from auth_server.errors import AuthServerError, InvalidInput, Refused, Unavailable

WRONG_LINE, FAILED = 2, 1
MOST = 500  # characters of a sentence that tells an error
LOOK = "see whether it runs, and where DATABASE_URL and REDIS_URL are set: auth-server config show"


@dataclass(frozen=True)
class Noun:
    """A command's line in the list; it stands in the module of *file* or else of its own name, under its name."""

    name: str
    summary: str
    file: str = ""


NOUNS: Mapping[str, Noun] = {
    noun.name: noun
    for noun in (
        Noun("serve", "Serve until Ctrl-C or SIGTERM."),
        Noun("users", "Accounts of people: add, ls, show, mod, rm, passwd, reset."),
        Noun("passwd", "Set a person's new password.", "users"),
        Noun("clients", "Programs that get tokens: add, ls, show, mod, rm, secret, reset."),
        Noun("auth", "Sessions, app passwords and tokens: add, ls, show, rm, reset."),
        Noun("audit", "What happened: logins, ls."),
        Noun("keys", "Signing keys: ls, rotate, rm, export, import."),
        Noun("db", "The store: upgrade, check, purge, backup, restore."),
        Noun("config", "The settings: show, check."),
        Noun("version", "Print the version."),
    )
}
ALIASES = {"user": "users", "client": "clients", "sess": "auth", "key": "keys"}


class Nouns(click.Group):
    """A group that imports a command's module when the command is named, so that each starts fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(NOUNS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        noun = NOUNS.get(ALIASES.get(cmd_name, cmd_name))
        if noun is None:
            return None
        command: click.Command = getattr(import_module(f"auth_server.cli.{noun.file or noun.name}"), noun.name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(noun.name, noun.summary) for noun in NOUNS.values()])

    def main(self, *args: Any, **extra: Any) -> NoReturn:
        """Run a command and end the process with its exit code; whatever goes wrong is told in a sentence."""
        extra["standalone_mode"] = False
        if sys.stdin is None:  # closed by whoever started us: the same as empty
            sys.stdin = open(os.devnull)  # noqa: SIM115 (for as long as the process lives)
        try:
            done = super().main(*args, **extra)
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            sys.exit(WRONG_LINE)
        except click.UsageError as error:
            if isinstance(error, click.MissingParameter) and error.ctx:
                click.echo(f"{error.ctx.get_help()}\n", err=True)
            sys.exit(_tell(_usage(error), WRONG_LINE))
        except click.exceptions.Abort:
            sys.exit(_tell("stopped", FAILED))
        except click.ClickException as error:
            sys.exit(_tell(error.format_message(), error.exit_code))
        except AuthServerError as error:
            sys.exit(_tell(_sentence(error), exit_code(error)))
        except UnicodeError:
            sys.exit(_tell("what was typed is no UTF-8 text; write it anew", WRONG_LINE))
        except OSError as error:
            about = f": {error.filename}" if error.filename else ""
            sys.exit(_tell(f"{error.strerror or error}{about}", FAILED))
        sys.exit(done if isinstance(done, int) else 0)


def exit_code(error: AuthServerError) -> int:
    """Return 2 where the form of a value is wrong, 1 where the answer is no."""
    return WRONG_LINE if isinstance(error, InvalidInput) and not isinstance(error, Refused) else FAILED


def _sentence(error: AuthServerError) -> str:
    from auth_server.settings import WrongSettings  # not for --help

    if isinstance(error, WrongSettings):
        return "\n".join(["the settings are wrong:", *(f"  {mistake}" for mistake in error.mistakes)])
    if isinstance(error, Unavailable):
        return f"{error}; {error.advice or LOOK}"
    return str(error)


def _usage(error: click.UsageError) -> str:
    path = error.ctx.command_path if error.ctx else "auth-server"
    return f"{error.format_message().rstrip('.?')}; see: {path} --help"


def _tell(sentence: str, code: int) -> int:
    """Print a sentence; what it quotes of what was typed moves no cursor, adds no line, and is cut where it is long."""
    from auth_server.cli.output import printable  # not for --help

    lines = [printable(line) for line in (sentence.split("\n") if code == FAILED else [sentence])]
    short = [line if len(line) <= MOST else f"{line[: MOST // 2]} … {line[-MOST // 2 :]}" for line in lines]
    click.echo("auth-server: " + "\n".join(short), err=True)
    return code


@click.command(cls=Nouns, context_settings={"help_option_names": ["--help", "-h"]})
@click.version_option(__version__, message="auth-server %(version)s")
def command_line() -> None:
    """A standalone OAuth 2.1 and OpenID Connect authorization server that also speaks PhotoPrism's session API.

    Every setting is an environment variable AUTH_SERVER_NAME; see: auth-server config show

    \b
    Examples:
      auth-server serve
      auth-server users add jane --role user
      auth-server clients add --name backup --scope metrics
      auth-server auth add jane --name Phone --scope sessions
    """
