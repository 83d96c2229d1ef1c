"""`auth-server serve` as a person runs it: first start, second start, a clean end, and what stops a start."""

import os
import re
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tests import proves
from tests.servers.auth_server import free_port
from tests.servers.processes import Serving
from tests.servers.redis import Redis
from tests.stored import stored

SERVERS = pytest.mark.parametrize("server", ["gunicorn", "granian"])
PASSWORD = "Correct-horse-7-battery"


class Start:
    """One `serve` with a HOME of its own, and what it prints."""

    def __init__(self, home: Path, *args: str, **env: str) -> None:
        self.port = int(env.get("PORT", free_port()))
        self.home = home
        ours = {"HOME": str(home), "KEYS_DIR": str(home / "keys"), "PORT": str(self.port), "WORKERS": "1", **env}
        self.env = {"PATH": os.environ["PATH"], "HOME": str(home.parent / "user")}
        self.env |= {f"AUTH_SERVER_{name}": value for name, value in ours.items()}
        self.log = home.parent / "log"
        command = [sys.executable, "-m", "auth_server", "serve", *args]
        self.process = Serving(command, self.env, self.log, "Ready: ")
        self.printed = self.process.printed

    def run(self, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run another command on the same HOME."""
        given = self.env | {f"AUTH_SERVER_{name}": value for name, value in env.items()}
        command = [sys.executable, "-m", "auth_server", *args]
        return subprocess.run(command, env=given, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)

    def end(self, how: int = signal.SIGTERM) -> int:
        """Send a signal to the server; return its exit code."""
        self.process.signal(how)
        return self.process.wait()


Starter = Callable[..., Start]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starter]:
    """Starts servers on one HOME; whatever is left of them is killed."""
    (tmp_path / "user").mkdir()
    started: list[Start] = []

    def begin(*args: str, **env: str) -> Start:
        started.append(Start(tmp_path / "home", *args, **env))
        return started[-1]

    yield begin
    for one in started:
        one.process.kill()


@SERVERS
def test_the_printed_lines_work_as_pasted(start: Starter, server: str) -> None:
    """The first gets a token, the second asks what one is worth, each alone in a new shell."""
    first = start("--quickstart", "--server", server)
    lines = [line for line in first.printed.splitlines() if line.startswith("curl ")]
    said = [subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=20).stdout for line in lines]
    assert re.search(r'"access_token":"[0-9a-f]{48}"', said[0])
    assert '"active":true' in said[1]
    assert first.end() == 0


@proves("S-157")
def test_secrets_are_shown_once_and_are_new_for_each_installation(start: Starter, tmp_path: Path) -> None:
    """A second start prints none; another HOME has others; a plain serve makes no client."""
    first = start("--quickstart")
    secrets = re.findall(r"\| (?:admin|quickstart) +\| (\S+) +\|", first.printed)
    assert len(secrets) == 2
    assert first.end() == 0
    second = start("--quickstart")
    assert not [secret for secret in secrets if secret in second.printed]
    assert f"Ready: http://127.0.0.1:{second.port}" in second.printed
    assert second.end() == 0
    other = Start(tmp_path / "other")
    try:
        assert "Client Secret" not in other.printed
        assert not [secret for secret in secrets if secret in other.printed]
    finally:
        assert other.end() == 0


@proves("S-150")
def test_a_given_admin_password_is_never_printed(start: Starter) -> None:
    """Neither in the table nor in the log."""
    first = start(ADMIN_PASSWORD=PASSWORD)
    assert first.end() == 0
    assert PASSWORD not in first.printed + first.log.read_text()


@proves("S-124")
def test_everything_written_is_its_owners_alone(start: Starter, tmp_path: Path) -> None:
    """Whatever the umask: folders 0700, files 0600; nothing is written into the user's home."""
    before = os.umask(0)
    try:
        first = start()
    finally:
        os.umask(before)
    modes: dict[str, set[int]] = {"files": set(), "folders": {stat.S_IMODE(first.home.stat().st_mode)}}
    for path in first.home.rglob("*"):
        with suppress(FileNotFoundError):  # the web server has files that it makes and removes
            mode = path.stat().st_mode
            modes["folders" if stat.S_ISDIR(mode) else "files"].add(stat.S_IMODE(mode))
    assert modes == {"files": {0o600}, "folders": {0o700}}
    assert first.end() == 0
    assert list((tmp_path / "user").iterdir()) == []


@SERVERS
@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT"])
def test_a_request_in_flight_is_finished(start: Starter, server: str, how: str) -> None:
    """A service manager's SIGTERM, and a terminal's Ctrl-C, which reaches every process of the group."""
    running = start("--server", server, ADMIN_PASSWORD=PASSWORD)
    body = b'{"username": "admin", "password": "%b"}' % PASSWORD.encode()
    head = f"POST /api/v1/session HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", running.port), 10) as half:
        half.sendall(head + body[:9])
        _until_accepted(running.port)
        running.process.signal(signal.Signals[how], group=how == "SIGINT")
        half.sendall(body[9:])
        assert half.recv(15) == b"HTTP/1.1 200 OK"
    assert running.process.wait() == 0


def _until_accepted(port: int) -> None:
    """A later request is answered: so the earlier connection was taken from the queue."""
    with socket.create_connection(("127.0.0.1", port), 10) as other:
        other.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        while other.recv(4096):
            pass


def test_a_busy_port_ends_the_start_with_a_sentence(start: Starter) -> None:
    """Exit code 1, nothing on standard output, and what to do instead."""
    running = start()
    done = running.run("serve", HOME=str(running.home.parent / "second"))
    assert (done.returncode, done.stdout) == (1, "")
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_address_of_another_machine_is_told(start: Starter) -> None:
    """No other port would help."""
    done = start().run("serve", HOST="203.0.113.9", ISSUER="https://auth.example.org", PORT=str(free_port()))
    assert (done.returncode, done.stdout) == (1, "")
    assert "HOST 203.0.113.9 is no address of this machine" in done.stderr
    assert "--port" not in done.stderr


def test_a_port_that_takes_more_rights_is_told(tmp_path: Path) -> None:
    """Nothing uses it, and one more would take as many."""
    within = ("setpriv", "--bounding-set=-net_bind_service")
    command = [*within, sys.executable, "-m", "auth_server", "serve", "--port", "81"]
    env = {"PATH": os.environ["PATH"], "AUTH_SERVER_HOME": str(tmp_path / "home")}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert "port 81: Permission denied; such a low port takes rights" in done.stderr
    assert not (tmp_path / "home").exists()


def test_a_second_server_on_one_home_is_refused(start: Starter) -> None:
    """SQLite files have one server; the sentence names the folder."""
    running = start()
    done = running.run("serve", PORT=str(free_port()))
    assert done.returncode == 1
    assert f"another server uses {running.home}" in done.stderr


@proves("S-124")
@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda kek: kek.unlink(), "is missing"),
        (lambda kek: kek.write_text("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"), "does not fit"),
        (lambda kek: kek.write_text("not a key"), "32 bytes"),
        (lambda kek: kek.chmod(0o644), "chmod 600"),
    ],
    ids=["missing", "another", "broken", "open to others"],
)
def test_a_wrong_encryption_key_stops_the_start(start: Starter, spoil: Callable[[Path], object], why: str) -> None:
    """With a sentence that says what to do; and the store stays as it is."""
    first = start()
    assert first.end() == 0
    spoil(first.home / "keys/kek")
    before = stored(first.home)
    done = first.run("serve")
    assert (done.returncode, done.stdout) == (1, "")
    assert why in done.stderr
    assert "Traceback" not in done.stderr
    assert stored(first.home) == before


@SERVERS
def test_no_store_is_open_across_the_fork(start: Starter, server: str) -> None:
    """SQLite's locks do not cross it: a worker with an inherited connection would write into a log that is gone."""
    running = start("--quickstart", "--server", server)
    _until_accepted(running.port)
    parent = Path(f"/proc/{running.process.pid}")
    held = [os.readlink(link) for link in (parent / "fd").iterdir() if link.exists()]
    assert [name for name in held if name.endswith((".db", ".db-wal", ".db-shm")) and "metrics" not in name] == []
    assert (parent / f"task/{running.process.pid}/children").read_text().split()


def test_a_refused_second_server_leaves_the_first_alone(start: Starter) -> None:
    """Its metrics too."""
    running = start("--quickstart")
    get_token = next(line for line in running.printed.splitlines() if line.startswith("curl"))
    subprocess.run(["sh", "-c", get_token], capture_output=True, timeout=20)
    before = set((running.home / "metrics").iterdir())
    assert before
    assert running.run("serve", PORT=str(free_port())).returncode == 1
    assert before <= set((running.home / "metrics").iterdir())


@pytest.mark.parametrize(("database", "replicas"), [("postgresql", "ab"), ("mariadb", "abc")], ids=str)
def test_replicas_that_start_first_together_make_one_admin(
    tmp_path: Path, request: pytest.FixtureRequest, database: str, replicas: str
) -> None:
    """One of them shows the password, the others go on without it; on PostgreSQL with Redis, and on MariaDB alone."""
    url = request.getfixturevalue(f"{database}_server").create(f"first_{tmp_path.name}")
    shared = {"DATABASE_URL": url, "KEY_ENCRYPTION_KEY": b64encode(b"k" * 32).decode()}
    if database == "postgresql":
        shared["REDIS_URL"] = request.getfixturevalue("redis_server").url
    folders = [tmp_path / name / "home" for name in replicas]
    for folder in folders:
        folder.parent.mkdir()
    with ThreadPoolExecutor(len(folders)) as pool:
        started = list(pool.map(lambda folder: Start(folder, "--quickstart", **shared), folders))
    try:
        shown = ["".join(re.findall(r"^\| (?:admin|quickstart) .*$", one.printed, re.MULTILINE)) for one in started]
        assert sum(map(bool, shown)) == 1
        assert all("Ready: " in one.printed for one in started)
    finally:
        for one in started:
            assert one.end() == 0


@proves("S-124")
@pytest.mark.parametrize("flags", [(), ("--no-migrate",)], ids=str)
def test_databases_that_others_can_read_are_closed(start: Starter, flags: tuple[str, ...]) -> None:
    """As after files were copied by hand; the log says so."""
    first = start()
    assert first.end() == 0
    files = [first.home / "records.db", first.home / "state.db"]
    for path in files:
        path.chmod(0o664)
    first.home.chmod(0o755)
    second = start(*flags)
    assert [f"{stat.S_IMODE(path.stat().st_mode):o}" for path in (first.home, *files)] == ["700", "600", "600"]
    assert second.end() == 0
    assert f"{files[0]} could be read by others (mode 664); its mode is 600 now" in second.log.read_text()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"ADMIN_USER": "visitor"}, "ADMIN_USER: is reserved"),
        ({"KEYS_DIR": "/dev/null/keys"}, "KEYS_DIR /dev/null/keys cannot be used: Not a directory"),
        ({"HOME": "/dev/null/home"}, "HOME /dev/null/home cannot be used: Not a directory"),
        ({"REDIS_URL": "redis://127.0.0.1:1/0"}, "Redis does not answer (Error 111 connecting to 127.0.0.1:1"),
        ({"DATABASE_URL": "postgresql://me:Blue-whale@127.0.0.1:1/x"}, "(connection failed: connection to server at"),
    ],
    ids=str,
)
def test_what_stops_a_start_is_named(start: Starter, settings: dict[str, str], told: str) -> None:
    """The setting, or what does not answer and where; never a secret."""
    refused = start(**settings)
    assert refused.process.wait() == 1
    log = refused.log.read_text()
    assert told in log
    assert "Blue-whale" not in log
    if "URL" in str(settings):
        assert "auth-server config show" in log


def test_a_server_without_the_redis_of_the_others_says_so(start: Starter, redis_server: Redis) -> None:
    """It serves, but knows nothing of their tokens; who has left Redis for good can say so."""
    told = "this server has no REDIS_URL, but its database was used with one"
    for settings, times in (({}, 0), ({"REDIS_URL": redis_server.url}, 0), ({}, 1)):
        server = start(**settings)
        assert server.end() == 0
        assert server.log.read_text().count(told) == times
    statement = re.search(r"UPDATE reconciled_redis SET identity = ''", server.log.read_text())
    assert statement is not None
    with closing(sqlite3.connect(server.home / "records.db")) as records, records:
        records.execute(statement[0])
    server = start()
    assert server.end() == 0
    assert server.log.read_text().count(told) == 1


@pytest.mark.parametrize("flag", ["--port", "--workers", "--threads"])
def test_a_wrong_number_on_the_command_line_is_the_command_lines(start: Starter, flag: str) -> None:
    """Exit code 2, as for all that is typed wrong."""
    refused = start(flag, "0")
    assert refused.process.wait() == 2
    assert flag in refused.log.read_text()


def test_a_store_without_schema_names_the_command(start: Starter, tmp_path: Path) -> None:
    """`serve --no-migrate` on an empty HOME does not guess."""
    refused = start("--no-migrate")
    assert refused.process.wait() == 1
    assert "auth-server db upgrade" in refused.log.read_text()


def test_a_second_start_takes_less_than_three_seconds(start: Starter) -> None:
    """From the command to an open port; half a second on an idle machine."""
    assert start().end() == 0
    began = time.monotonic()
    second = start()
    assert time.monotonic() - began < 3
    assert second.end() == 0
