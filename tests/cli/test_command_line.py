"""Exit codes, what is said on errors, help, confirmations, stores of another version."""

import json
import re
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing

import click
import pytest

from auth_server import __version__
from auth_server.cli.command_line import NOUNS, command_line
from tests import proves
from tests.cli.shell import Shell, every_command

COMMANDS = [path for path, command in every_command() if not isinstance(command, click.Group)]


def needs_argument(path: tuple[str, ...]) -> bool:
    """Tell whether a command can do nothing without being told on what."""
    if path == ("users", "add"):  # it asks, at a terminal
        return True
    return any(isinstance(param, click.Argument) and param.required for param in dict(every_command())[path].params)


@pytest.mark.parametrize("command", [path for path, _ in every_command()], ids=" ".join)
def test_help_has_an_example(empty: Shell, command: tuple[str, ...]) -> None:
    done = empty.run(*command, "--help")
    assert done.code == 0
    assert done == empty.run(*command, "-h")
    assert re.search(r"Examples?:\n +(\w+=\S+ )?auth-server ", done.out), done.out
    assert not empty.home.exists()


def test_help_says_of_every_option_what_it_does() -> None:
    options = [(path, param) for path, command in every_command() for param in command.params]
    assert [(path, param.name) for path, param in options if isinstance(param, click.Option) and not param.help] == []


def test_help_lists_every_noun_without_loading_one(empty: Shell) -> None:
    done = empty.process("--help")
    assert done.code == 0
    assert all(f"  {noun.name}" in done.out and noun.summary in done.out for noun in NOUNS.values())


def test_every_noun_is_there() -> None:
    for name in NOUNS:
        command = command_line.get_command(command_line.make_context("auth-server", ["version"]), name)
        assert command is not None
        assert command.name == name


@pytest.mark.parametrize(
    ("args", "code", "told"),
    [
        (("users", "show", "nobody-here"), 1, "users ls"),
        (("clients", "show", "nothing"), 1, "clients ls"),
        (("auth", "show", "sess00000000"), 1, "auth ls"),
        (("keys", "rm", "nothing"), 1, "keys ls"),
        (("users", "no-such-verb"), 2, "auth-server users --help"),
        (("no-such-noun",), 2, "auth-server --help"),
        (("users", "ls", "--no-such-flag"), 2, "--no-such-flag"),
        (("users", "ls", "--md", "--csv"), 2, "choose one"),
        (("users", "ls", "--limit", "0"), 2, "--limit"),
        (("users", "add", "x", "--password", "short"), 2, "8 characters"),
        (("users", "add", "x", "--password", "long-enough-1", "--email", "no-address"), 2, "email"),
        (("users", "add", "x", "--password", "long-enough-1", "--role", "king"), 2, "role"),
        (("users", "add", "x", "--password", "long-enough-1", "--claim", "plain"), 2, "NAME=VALUE"),
        (("users", "add", "x", "--password", "long-enough-1", "--claim", "sub=me"), 2, "sub"),
        (("clients", "add", "--name", "no-scope"), 2, "--scope"),
        (("clients", "add", "--scope", "metrics", "--token-format", "nonsense"), 2, "token-format"),
        (("clients", "add", "--scope", "metrics", "--grant-types", "telepathy"), 2, "client_credentials"),
        (("clients", "add", "--scope", "metrics", "--expires", "0"), 2, "expires"),
        (("clients", "add", "--scope", "metrics", "--client-id", "with blank"), 2, "client-id"),
        (("clients", "add", "--scope", "metrics", "--jwks", "/no/such/file"), 1, "/no/such/file"),
        (("auth", "add", "nobody-here"), 1, "users ls"),
        (("auth", "add", "--scope", "métrics"), 2, "scope"),
        (("auth", "add", "--expires", "-2"), 2, "expires"),
        (("keys", "rotate", "--alg", "none"), 2, "ES256"),
        (("keys", "rotate", "--alg", "a\nb\x1b[31m"), 2, "ES256"),
        (("users", "show", "x" * 100000), 1, "users ls"),
        (("users", "ls", "--limit", "9" * 30), 2, "--limit"),
        (("audit", "ls", "--limit", "9" * 30), 2, "--limit"),
        (("users", "show", ""), 1, "users ls"),
        (("users", "add", "", "--password", "long-enough-1"), 2, "name"),
        (("clients", "add", "--metadata", "a\nb\x1b"), 1, "cannot be read"),
        (("clients", "add", "--metadata", "/"), 1, "cannot be read"),
        (("keys", "import", ""), 1, "cannot be read"),
        (("db", "backup", ""), 2, "file"),
        (("db", "backup", "/no/such/folder/file"), 1, "/no/such/folder/file cannot be written"),
        (("keys", "export"), 2, "--public"),
        (("keys", "import", "/no/such/file"), 1, "/no/such/file"),
        (("db", "restore", "/no/such/file", "--yes"), 1, "/no/such/file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_an_error_is_one_sentence_that_says_what_to_do(
    shell: Shell, args: tuple[str, ...], code: int, told: str
) -> None:
    done = shell.run(*args)
    assert (done.code, done.out) == (code, "")
    assert told in done.err
    assert done.err.count("\n") == 1
    assert done.err.strip("\n").isprintable()
    assert len(done.err) < 600
    as_json = shell.run(*args, "--json")
    assert (as_json.code, as_json.out) == (code, "")


@pytest.mark.parametrize("command", [command for command in COMMANDS if needs_argument(command)], ids=" ".join)
def test_without_what_it_needs_a_command_prints_its_help(shell: Shell, command: tuple[str, ...]) -> None:
    for flags in ((), ("--json",)):
        done = shell.run(*command, *flags)
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith(f"Usage: auth-server {' '.join(command)}")
        assert "Missing argument" in done.err.splitlines()[-1]


def test_an_error_of_a_process_has_no_traceback(shell: Shell) -> None:
    done = shell.process("users", "show", "nobody-here")
    assert (done.code, done.out) == (1, "")
    assert done.err == "auth-server: there is no user 'nobody-here'; see: auth-server users ls\n"


def test_what_is_no_text_is_refused(shell: Shell) -> None:
    for args in (("users", "show", "\udcff"), ("users", "ls", "\udcff"), ("clients", "add", "-s", "\udcff")):
        done = shell.process(*args)
        assert (done.code in (1, 2), done.out) == (True, "")
        assert "Traceback" not in done.err


def test_a_secret_that_is_no_text_is_refused(shell: Shell) -> None:
    command = [sys.executable, "-m", "auth_server", "users", "add", "jane", "--password", "-"]
    done = subprocess.run(command, env=shell.environ(), input=b"\xff\xfe-and-more\n", capture_output=True)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"Traceback" not in done.stderr


def test_where_standard_input_is_closed_nothing_is_asked(shell: Shell) -> None:
    """Whoever starts a process may give it none."""
    for args, code in ((("users", "add"), 2), (("users", "add", "jane"), 0), (("users", "rm", "jane"), 1)):
        command = ["sh", "-c", 'exec "$@" <&-', "sh", sys.executable, "-m", "auth_server", *args]
        done = subprocess.run(command, env=shell.environ(), capture_output=True, text=True)
        assert (done.returncode, "Traceback" in done.stderr) == (code, False), done


@pytest.mark.parametrize("noun", ["users", "clients", "auth", "keys"])
def test_an_empty_store_names_the_command_that_fills_it(empty: Shell, noun: str) -> None:
    done = empty.run(noun, "ls")
    assert (done.code, done.out) == (1, "")
    assert "auth-server db upgrade" in done.err


def test_an_old_store_names_the_command_that_upgrades_it(shell: Shell) -> None:
    with closing(sqlite3.connect(shell.home / "records.db")) as connection, connection:
        connection.execute("UPDATE records_version SET version_num = '0000'")
    for command in (("users", "ls"), ("db", "check"), ("db", "purge")):
        done = shell.run(*command)
        assert (done.code, done.out) == (1, "")
        assert "auth-server db upgrade" in done.err


@pytest.mark.parametrize("verb", ["users", "clients", "auth", "keys", "reset"])
def test_what_deletes_asks_and_without_a_terminal_does_nothing(shell: Shell, verb: str) -> None:
    shell.json("users", "add", "jane", "--password", "Blue-whale-42-sings")
    client = shell.json("clients", "add", "--scope", "metrics")["client_id"]
    ref = shell.json("auth", "add", "jane")["id"]
    kid = next(key["kid"] for key in shell.json("keys", "ls") if key["status"] == "next")
    args = {
        "users": ("users", "rm", "jane"),
        "clients": ("clients", "rm", client),
        "auth": ("auth", "rm", ref),
        "keys": ("keys", "rm", kid),
        "reset": ("auth", "reset"),
    }[verb]
    noun = args[0]
    before = shell.json(noun, "ls")
    done = shell.run(*args, stdin="y\n")
    assert (done.code, done.out) == (1, "")
    assert "--yes" in done.err
    assert shell.json(noun, "ls") == before
    assert shell.json(*args, "--yes") == {"deleted": 1}
    assert shell.json(noun, "ls") != before


def test_at_a_terminal_the_answer_decides(shell: Shell) -> None:
    shell.json("users", "add", "jane", "--password", "Blue-whale-42-sings")
    no = shell.terminal("users", "rm", "jane", answers=[("[y/N]", "n")])
    assert (no.code, no.out) == (1, "")
    assert shell.run("users", "show", "jane").code == 0
    yes = shell.terminal("users", "rm", "jane", "--json", answers=[("[y/N]", "y")])
    assert (yes.code, json.loads(yes.out)) == (0, {"deleted": 1})
    assert shell.run("users", "show", "jane").code == 1


def test_aliases_are_photoprisms(shell: Shell) -> None:
    for alias in ("user", "client", "sess"):
        assert shell.run(alias, "ls").code == 0
    shell.json("users", "add", "jane", "--password", "Blue-whale-42-sings")
    assert shell.json("passwd", "jane")["password"]


def test_version(empty: Shell) -> None:
    assert __version__ in empty.run("version").out
    assert empty.json("version") == {"version": __version__}
    assert __version__ in empty.run("--version").out


@proves("S-124")
def test_what_commands_write_is_the_owners_alone(empty: Shell) -> None:
    for command in (("db", "upgrade"), ("keys", "rotate"), ("db", "backup", str(empty.home / "backup"))):
        assert empty.process(*command).code == 0
    assert stat.S_IMODE(empty.home.stat().st_mode) == 0o700
    modes = {path.name: oct(path.stat().st_mode & 0o077) for path in empty.home.rglob("*") if path.is_file()}
    assert modes
    assert set(modes.values()) == {"0o0"}
