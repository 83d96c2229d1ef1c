"""Every example in the help texts, typed into a shell as it stands there."""

import json
import re
import shlex
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc.jwk import ECKey

from tests.cli.shell import PASSWORD, Done, Shell, every_command
from tests.servers.auth_server import free_port

ADDS_JANE = "auth-server users add jane"


def examples(command: click.Command) -> list[str]:
    """The lines under `Examples:`."""
    return re.findall(r"^ *((?:\w+=\S+ )?auth-server .*)$", (command.help or "").partition("Example")[2], re.MULTILINE)


EXAMPLES = {" ".join(path) or "auth-server": examples(command) for path, command in every_command()}


@dataclass
class World:
    """A shell where there is what examples speak of."""

    shell: Shell
    folder: Path
    names: dict[str, str]

    def type(self, example: str) -> Done:
        """Type an example, with the names that are true here."""
        words = shlex.split(self.true(example))
        if words[0] == "auth-server" and not {"<", ">", "&&"} & set(words):
            return self.shell.run(*words[1:])
        process = self.start(example)
        out, err = process.communicate(timeout=60)
        return Done(process.returncode, out, err)

    def start(self, example: str) -> "subprocess.Popen[str]":
        """Type an example into a real shell."""
        environ = self.shell.environ(PORT=str(free_port()))
        return subprocess.Popen(
            ["sh", "-e", "-c", self.true(example)],
            env={**environ, "PATH": f"{self.folder / 'bin'}:{environ['PATH']}"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def true(self, example: str) -> str:
        """Return the example with the ids and places of this world."""
        for name, true_name in self.names.items():
            example = example.replace(name, true_name)
        return example


@pytest.fixture
def world(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    folder = tmp_path / "desk"
    for each in ("bin", "backup"):
        (folder / each).mkdir(parents=True)
    monkeypatch.chdir(folder)
    command = folder / "bin" / "auth-server"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m auth_server "$@"\n')
    command.chmod(0o700)
    (folder / "password.txt").write_text(f"{PASSWORD}-2\n")
    public = ECKey.generate_key("P-256", {"kid": "one"}).as_dict(private=False)
    (folder / "keys.json").write_text(json.dumps({"keys": [public]}))
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(encoding, form, serialization.NoEncryption())
    (folder / "signing.pem").write_bytes(key)
    shell.json("users", "add", "boss", "--password", PASSWORD, "--role", "admin")
    shell.json("clients", "add", "--client-id", "csm4k31vnt5p9e2a", "--name", "Backup", "--scope", "metrics")
    names = {
        "sessgh6gjuo1": shell.json("auth", "add", "boss", "--scope", "sessions")["id"],
        "R7lcGX2gYSV5oISZtAfbeZ-wX6OeI3Yo3EQ0ALTbi5w": shell.json("keys", "ls")[0]["kid"],
        "/backup/": f"{folder}/backup/",
        "8080": str(free_port()),
    }
    return World(shell, folder, names)


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_of_a_help_text_work(world: World, name: str) -> None:
    """One after the other; those that would ask whether to delete are told yes."""
    lines = EXAMPLES[name]
    if not any(line.startswith(ADDS_JANE) for line in lines):
        world.shell.json("users", "add", "jane", "--password", PASSWORD)
    if name == "users mod":
        world.shell.set_up_second_factor("jane")
    if name == "db restore":
        world.shell.json("db", "backup", str(world.folder / "backup" / "auth-server.db"))
    for line in lines:
        if " serve" in line:
            serves(world.start(f"exec {line}"))
            continue
        asks = line.split()[1:3] in (["keys", "rm"], ["db", "restore"])
        done = world.type(f"{line} --yes" if asks else line)
        assert done.code == 0, (line, done)
        assert done.out or " > " in line, line


def serves(process: "subprocess.Popen[str]") -> None:
    """See that it says to be ready, and ends when it is told."""
    assert process.stdout is not None
    try:
        ready = any(line.startswith("Ready: ") for line in process.stdout)  # up to that line
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (ready, process.returncode) == (True, 0), err
