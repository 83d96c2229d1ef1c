"""Every example in the help of a command does what it says; so the page of commands, which is made of them, is true."""

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from auth_server.cli.command_line import command_line
from tests.cli.shell import PASSWORD, Done, Shell
from tests.documentation.reader import Reader
from tests.servers.auth_server import free_port
from tests.servers.postgresql import PostgreSQL
from tools.docs.commands_page import every_command, text_and_examples

COMMANDS = [("auth-server", command_line), *every_command()]
EXAMPLES = sorted({line for _, command in COMMANDS for line in text_and_examples(command)[1]})
SERVING = [line for line in EXAMPLES if line.startswith("auth-server serve")]
CLIENT_ID, REF_ID, KEY_ID = "csm4k31vnt5p9e2a", "sessgh6gjuo1", "R7lcGX2gYSV5oISZtAfbeZ-wX6OeI3Yo3EQ0ALTbi5w"
"""What stands for a client, an app password and a key in the examples."""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A HOME with signing keys."""
    home = tmp_path_factory.mktemp("template") / "home"
    for command in (("db", "upgrade"), ("keys", "rotate")):
        assert Shell(home).run(*command).code == 0
    return home


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that examples name; commands run in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "password.txt").write_text("Blue-whale-42-sings\n")
    (tmp_path / "backup").mkdir()
    make_key = "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out signing.pem"
    subprocess.run(shlex.split(make_key), check=True, capture_output=True)
    return tmp_path


@pytest.fixture
def shell(template: Path, folder: Path) -> Iterator[Shell]:
    """A shell on a HOME of this test's own."""
    subprocess.run(["cp", "-r", template, folder / "home"], check=True)
    made = Shell(folder / "home")
    yield made
    made.close()


@pytest.fixture
def empty_database(postgresql_server: PostgreSQL, worker_id: str) -> str:
    """The URL of a database where nothing is yet."""
    return postgresql_server.create(f"example_{worker_id}")


def prepare(shell: Shell, example: str, database: str) -> str:
    """Make what an example takes for granted; return it with names that are there.

    Args:
        database: the URL of an empty one.
    """
    keys = shell.json("keys", "export", "--public")
    Path("keys.json").write_text(shell.run("keys", "export", "--public").out)
    example = example.replace(KEY_ID, keys["keys"][0]["kid"]).replace("/backup/", f"{os.getcwd()}/backup/")
    if " users add " in example:
        return example
    shell.json("users", "add", "root", "--role", "admin")
    shell.json("users", "add", "jane", "--password", PASSWORD)
    if "--reset-mfa" in example:
        shell.set_up_second_factor("jane")
    shell.json("clients", "add", "--client-id", CLIENT_ID, "--name", "backup", "--scope", "metrics")
    if "restore" in example:
        assert shell.run("db", "backup", f"{os.getcwd()}/backup/auth-server.db").code == 0
    if "db import" in example:
        example = f"AUTH_SERVER_DATABASE_URL={database} " + example.replace("/var/lib/auth-server", str(shell.home))
    made = shell.json("auth", "add", "jane", "--name", "Phone", "--scope", "sessions")
    return example.replace(REF_ID, made["id"])


def run(shell: Shell, line: str) -> Done:
    """Run a command line, with what it reads and its settings; somebody at a terminal says yes."""
    line, _, file = line.partition(" < ")
    words = shlex.split(line.partition(" > ")[0])
    given = dict(word.removeprefix("AUTH_SERVER_").split("=", 1) for word in words[: words.index("auth-server")])
    words = words[words.index("auth-server") + 1 :]
    done = shell.run(*words, stdin=Path(file).read_text() if file else "", **given)
    if "asks first" not in done.err:
        return done
    return shell.terminal(*words, answers=[("[y/N]", "y")])


@pytest.mark.parametrize("example", [line for line in EXAMPLES if line not in SERVING])
def test_an_example_in_the_help_works(shell: Shell, example: str, request: pytest.FixtureRequest) -> None:
    """On a store that has what it names."""
    empty = request.getfixturevalue("empty_database") if "db import" in example else ""
    for line in prepare(shell, example, empty).split(" && "):
        done = run(shell, line)
        assert done.code == 0, (line, done)


@pytest.mark.parametrize("example", SERVING)
def test_an_example_of_serving_serves(tmp_path: Path, example: str) -> None:
    """Until it is ended."""
    reader = Reader(tmp_path)
    try:
        assert "Ready: " in reader.shell.start(re.sub("8080", str(free_port()), example), "Ready: ").out
    finally:
        reader.close()


def test_every_command_has_an_example() -> None:
    """Nobody has to guess."""
    assert [name for name, command in COMMANDS if not text_and_examples(command)[1]] == []
