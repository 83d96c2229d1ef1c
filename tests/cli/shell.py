"""A shell on a HOME of its own: commands in this process, as processes, and at a terminal; and a server beside them."""

import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import click
from click.testing import CliRunner
from pyotp import TOTP
from werkzeug.test import Client as HttpClient

from auth_server import assembly
from auth_server.cli.command_line import command_line
from auth_server.protocol.server import Server
from auth_server.settings import load
from auth_server.store.records import AuditEvent
from auth_server.store.state import Page

TOKEN, INTROSPECT, SESSION = "/api/v1/oauth/token", "/api/v1/oauth/introspect", "/api/v1/session"
PASSWORD = "Blue-whale-42-sings"
ADDRESS = "192.0.2.1"  # where people sign in


def every_command() -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield the whole tree of commands, the root and the groups too, each with the words that name it."""

    def walk(path: tuple[str, ...], command: click.Command) -> Iterator[tuple[tuple[str, ...], click.Command]]:
        yield path, command
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                found = command.get_command(context, name)
                assert found is not None
                yield from walk((*path, name), found)

    return walk((), command_line)


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str


class Shell:
    """Runs commands on the stores in *home*."""

    def __init__(self, home: Path, **settings: str) -> None:
        self.home = home
        foreign = {name: None for name in os.environ if name.startswith("AUTH_SERVER_")}
        ours = {"HOME": str(home), "KEYS_DIR": str(home / "keys"), **settings}
        self.env: dict[str, str | None] = {**foreign, **{f"AUTH_SERVER_{name}": value for name, value in ours.items()}}

    def run(self, *args: str, stdin: str = "", **env: str) -> Done:
        """Run a command in this process."""
        given = {f"AUTH_SERVER_{name}": value for name, value in env.items()}
        runner = CliRunner(env={**self.env, **given}, catch_exceptions=False)
        result = runner.invoke(command_line, args, prog_name="auth-server", input=stdin)
        return Done(result.exit_code, result.stdout, result.stderr)

    def json(self, *args: str, stdin: str = "", **env: str) -> Any:
        """Run a command with --json, and return what it printed."""
        done = self.run(*args, "--json", stdin=stdin, **env)
        assert done.code == 0, done
        return json.loads(done.out)

    def process(self, *args: str, stdin: str = "", **env: str) -> Done:
        """Run a command as a process."""
        done = subprocess.run(self._command(args), env=self.environ(**env), input=stdin, capture_output=True, text=True)
        return Done(done.returncode, done.stdout, done.stderr)

    def environ(self, **env: str) -> dict[str, str]:
        """Return the environment of a process."""
        given = {**os.environ, **self.env, **{f"AUTH_SERVER_{name}": value for name, value in env.items()}}
        return {name: value for name, value in given.items() if value is not None}

    def terminal(self, *args: str, answers: Sequence[tuple[str, str]] = ()) -> Done:
        """Run a command at a terminal, its output apart; each answer is typed when its question has appeared."""
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            self._command(args), env=self.environ(), stdin=theirs, stderr=theirs, stdout=subprocess.PIPE, text=True
        )
        os.close(theirs)
        shown = ""
        for question, answer in answers:
            shown += _until(ours, question)
            os.write(ours, f"{answer}\n".encode())
        try:
            out, _ = process.communicate(timeout=60)  # it waits for no further answer
        finally:
            process.kill()
        shown += _rest(ours)
        os.close(ours)
        return Done(process.returncode, out, shown)

    @cached_property
    def server(self) -> Server:
        """A server that was there before the commands that follow: what it remembers must not be old."""
        return self._running[0]

    @cached_property
    def http(self) -> HttpClient:
        """Asks that server."""
        return HttpClient(assembly.application(*self._running))

    @cached_property
    def _running(self) -> tuple[Server, assembly.Stores]:
        settings = load({name: value for name, value in self.env.items() if value is not None}).settings
        stores = assembly.stores(settings)
        return assembly.assemble(settings, stores), stores

    def alive(self, token: str) -> bool:
        """Tell whether a token counts for the server."""
        return self.server.tokens.find(token) is not None

    def token(self, client_id: str, secret: str, **form: str) -> Any:
        """Ask the server for a token; the answer's JSON, with an `error` where there is none."""
        data = {"grant_type": "client_credentials", **form}
        return self.http.post(TOKEN, data=data, auth=(client_id, secret)).json

    def login(self, name: str, password: str = PASSWORD, **more: str) -> Any:
        """Sign in at the server; the answer's JSON."""
        body = {"username": name, "password": password, **more}
        return self.http.post(SESSION, json=body, environ_base={"REMOTE_ADDR": ADDRESS}).json

    def set_up_second_factor(self, name: str) -> None:
        """Let the server ask somebody for codes from now on."""
        session = self.login(name)
        path = f"/api/v1/users/{session['user']['UID']}/passcode"

        def ask(verb: str, **members: str) -> Any:
            body = {"type": "totp", **members}
            answer = self.http.post(path + verb, json=body, headers={"X-Auth-Token": session["access_token"]})
            assert answer.status_code == 200, answer.json
            return answer.json

        secret = ask("", password=PASSWORD)["Secret"]
        ask("/confirm", code=TOTP(secret).now())
        ask("/activate")

    def events(self) -> list[AuditEvent]:
        """What stands in the audit since the store was made, oldest first; without the rotation that made the keys."""
        found = self.server.records.audit.page(Page(1000))
        return [event for event in reversed(found) if event.event != "key.rotate"]

    def close(self) -> None:
        """Let go of the server's connections."""
        if "_running" in self.__dict__:
            self._running[0].close()

    def _command(self, args: Sequence[str]) -> list[str]:
        return [sys.executable, "-m", "auth_server", *args]


def _until(terminal: int, text: str) -> str:
    shown, deadline = "", time.monotonic() + 30
    while text not in shown:
        ready, _, _ = select.select([terminal], [], [], deadline - time.monotonic())
        assert ready, f"{text!r} did not appear: {shown}"
        shown += os.read(terminal, 4096).decode()
    return shown


def _rest(terminal: int) -> str:
    shown = ""
    while True:
        try:
            part = os.read(terminal, 4096)
        except OSError:  # nobody holds the other end any more
            return shown
        if not part:
            return shown
        shown += part.decode()
