"""`db`: schema, soundness, and backups that bring nothing back that was taken away."""

import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from pyotp import TOTP

from auth_server.cli.context import CLI
from auth_server.domain.tokens import Token
from auth_server.errors import PasscodeInvalid
from auth_server.protocol.server import Server
from auth_server.store.records import Consent, RefreshFamily
from tests import proves
from tests.cli.shell import PASSWORD, Shell
from tests.servers.redis import Redis


def test_upgrade_says_whether_there_was_anything_to_do(empty: Shell) -> None:
    assert empty.json("db", "upgrade") == {"upgraded": True}
    assert empty.json("db", "upgrade") == {"upgraded": False}
    assert empty.json("users", "ls") == []


def test_check_finds_a_sound_store(shell: Shell) -> None:
    shell.json("clients", "add", "--scope", "metrics", "--auth-method", "client_secret_jwt")
    assert shell.json("db", "check") == {"ok": True}


@proves("S-124")
def test_check_finds_a_wrong_key_encryption_key(shell: Shell) -> None:
    done = shell.run("db", "check", KEY_ENCRYPTION_KEY="A" * 43 + "=")
    assert (done.code, done.out) == (1, "")
    assert "key-encryption key" in done.err


def test_check_finds_another_schema(shell: Shell) -> None:
    with closing(sqlite3.connect(shell.home / "records.db")) as connection, connection:
        connection.execute("ALTER TABLE users ADD COLUMN extra TEXT")
    done = shell.run("db", "check")
    assert (done.code, done.out) == (1, "")
    assert "extra" in done.err


def test_check_finds_a_damaged_file(shell: Shell) -> None:
    file = shell.home / "records.db"
    content = bytearray(file.read_bytes())
    content[8192:12288] = b"\xff" * 4096
    file.write_bytes(content)
    done = shell.run("db", "check")
    assert (done.code, done.out) == (1, "")
    assert "Traceback" not in done.err


def test_purge_deletes_what_has_expired(shell: Shell) -> None:
    shell.json("auth", "add", "--scope", "metrics")
    with closing(sqlite3.connect(shell.home / "records.db")) as connection, connection:
        connection.execute("UPDATE stored_tokens SET expires_at = 1")
    assert shell.json("db", "purge") == {"deleted": 1}
    assert shell.json("db", "purge") == {"deleted": 0}


def test_a_backup_is_one_file_of_the_owner_and_replaces_nothing(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "backup"
    shell.json("users", "add", "jane", "--password", PASSWORD)
    assert shell.login("jane")["status"] == "success"  # somebody uses the store meanwhile
    assert shell.json("db", "backup", str(file)) == {"file": str(file)}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    before = file.read_bytes()
    again = shell.run("db", "backup", str(file))
    assert (again.code, again.out) == (1, "")
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["backup"]


@proves("S-138")
def test_a_restore_brings_back_nothing_that_was_taken_away(shell: Shell, tmp_path: Path) -> None:
    for name in ("jane", "lost", "gone"):
        shell.json("users", "add", name, "--password", PASSWORD)
    client = shell.json("clients", "add", "--scope", "metrics")
    other = shell.json("clients", "add", "--scope", "metrics")
    kept = shell.json("auth", "add", "jane", "--name", "kept")["app_password"]
    revoked = shell.json("auth", "add", "jane", "--name", "revoked")["app_password"]
    session = shell.login("jane")["access_token"]
    token = shell.token(client["client_id"], client["client_secret"])["access_token"]
    removed = next(key["kid"] for key in shell.json("keys", "ls") if key["status"] == "active")

    file = str(tmp_path / "backup")
    shell.json("db", "backup", file)
    shell.json("auth", "rm", revoked, "--yes")
    shell.json("keys", "rm", removed, "--yes")
    shell.json("users", "mod", "gone", "--disable")
    shell.json("users", "rm", "lost", "--yes")
    shell.json("clients", "mod", other["client_id"], "--disable")
    shell.json("users", "add", "newer", "--password", PASSWORD)
    generation = shell.server.records.generation()

    refused = shell.run("db", "restore", file)
    assert (refused.code, refused.out) == (1, "")
    assert shell.run("users", "show", "newer").code == 0
    assert shell.json("db", "restore", file, "--yes") == {"restored": file}
    assert shell.server.records.generation() > generation
    assert {user["name"]: user["enabled"] for user in shell.json("users", "ls")} == {
        "jane": True,
        "lost": True,
        "gone": False,
    }
    assert [shell.alive(each) for each in (kept, revoked, session, token)] == [True, False, False, False]
    assert removed not in {key["kid"] for key in shell.json("keys", "ls")}
    assert "access_token" in shell.token(client["client_id"], client["client_secret"])
    assert "error" in shell.token(other["client_id"], other["client_secret"])
    assert shell.login("lost")["status"] == "success"
    assert shell.json("db", "check") == {"ok": True}
    assert not list(shell.home.glob("restore-*"))


@proves("S-138")
def test_a_restore_brings_back_no_consent_and_no_use(shell: Shell, tmp_path: Path) -> None:
    """Nothing that was withdrawn, and no refresh token or initial access token that may have been used since."""
    uid = shell.json("users", "add", "jane", "--password", PASSWORD)["uid"]
    ids = [shell.json("clients", "add", "--scope", "metrics")["client_id"] for _ in range(2)]
    records, now = shell.server.records, shell.server.clock()
    for client_id in ids:
        records.consents.put(Consent(uid, client_id, "openid", now, now))
    records.refresh_families.add(RefreshFamily("f" * 64, uid, ids[0], now, now + 99, now + 99, now, b"{}"))
    initial = shell.json("clients", "initial-token", "--uses", "9")["initial_access_token"]
    file = str(tmp_path / "backup")
    shell.json("db", "backup", file)
    shell.server.consents.withdraw(uid, ids[1], CLI)
    shell.json("db", "restore", file, "--yes")
    assert [records.consents.get(uid, client_id) is not None for client_id in ids] == [True, False]
    assert records.refresh_families.find(uid) == []
    assert not shell.server.initial_tokens.counts(initial)


@proves("S-138")
def test_a_restore_brings_back_no_disabled_admin(shell: Shell, tmp_path: Path) -> None:
    """Not even one who is the only admin of the backup."""
    shell.json("users", "add", "old", "--password", PASSWORD, "--role", "admin")
    file = str(tmp_path / "backup")
    shell.json("db", "backup", file)
    shell.json("users", "add", "new", "--password", PASSWORD, "--role", "admin")
    shell.json("users", "mod", "old", "--disable")
    shell.json("db", "restore", file, "--yes")
    assert [(user["name"], user["enabled"]) for user in shell.json("users", "ls")] == [("old", False)]


@proves("S-138")
def test_a_restore_takes_no_second_factor_away(shell: Shell, tmp_path: Path) -> None:
    """One that was set up since, or replaced since; and a code that was used stays used."""
    people = {name: shell.json("users", "add", name, "--password", PASSWORD)["uid"] for name in ("jane", "bob")}
    old, _ = second_factor(shell.server, people["bob"])
    file = str(tmp_path / "backup")
    shell.json("db", "backup", file)
    factors = [second_factor(shell.server, uid) for uid in people.values()]
    shell.json("db", "restore", file, "--yes")
    for (name, uid), (key, used) in zip(people.items(), factors, strict=True):
        assert shell.json("users", "show", name)["auth_method"] == "2fa"
        user, later = shell.server.users.find(uid), shell.server.clock() + 30
        for wrong in (used, old.at(later)):
            with pytest.raises(PasscodeInvalid):
                shell.server.second_factor.check(user, wrong, "")
        shell.server.second_factor.check(user, key.at(later), "")


def second_factor(server: Server, uid: str) -> tuple[TOTP, str]:
    """Give a person a second factor; return their app, and the code of it that was used."""
    user = server.users.find(uid)
    app = TOTP(server.second_factor.create(user, CLI).secret)
    code = app.at(server.clock())
    server.second_factor.confirm(user, code, CLI)
    server.second_factor.activate(user, Token(b"t" * 32, "local", "default", "password", 0, None, ""), CLI)
    return app, code


@proves("S-138")
def test_on_a_new_machine_app_passwords_come_back_only_when_asked(shell: Shell, tmp_path: Path) -> None:
    shell.json("users", "add", "jane", "--password", PASSWORD)
    app = shell.json("auth", "add", "jane")["app_password"]
    file = str(tmp_path / "backup")
    shell.json("db", "backup", file)
    for flags, alive in (((), False), (("--keep-app-passwords",), True)):
        machine = Shell(tmp_path / f"machine-{alive}")
        shutil.copytree(shell.home / "keys", machine.home / "keys")
        machine.json("db", "restore", file, "--yes", *flags)
        assert machine.login("jane")["status"] == "success"
        assert machine.alive(app) is alive
        machine.close()


@proves("S-138")
def test_a_backup_of_another_key_encryption_key_is_refused(shell: Shell, empty: Shell, tmp_path: Path) -> None:
    file = str(tmp_path / "backup")
    other = Shell(tmp_path / "other")
    for command in (("db", "upgrade"), ("keys", "rotate"), ("db", "backup", file)):
        assert other.run(*command).code == 0
    before = shell.json("keys", "ls")
    done = shell.run("db", "restore", file, "--yes")
    assert (done.code, done.out) == (1, "")
    assert "key-encryption key" in done.err
    assert shell.json("keys", "ls") == before


def test_what_is_no_backup_is_refused(shell: Shell, tmp_path: Path) -> None:
    before = shell.json("keys", "ls")
    noise, short, other = tmp_path / "noise", tmp_path / "short", tmp_path / "other.db"
    noise.write_bytes(b"nothing" * 1000)
    short.write_bytes(b"nothing")
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE t (x)")
    newer = tmp_path / "newer"
    shell.json("db", "backup", str(newer))
    with closing(sqlite3.connect(newer)) as connection, connection:
        connection.execute("UPDATE records_version SET version_num = '9999'")
    for file in (noise, short, other, newer):
        done = shell.run("db", "restore", str(file), "--yes")
        assert (done.code, done.out) == (1, "")
        told = f"{file} is no backup of this server; name a file that `auth-server db backup` wrote"
        assert (told if file != newer else f"{file} cannot be restored") in done.err
    assert shell.json("keys", "ls") == before


@pytest.mark.parametrize("command", [("users", "ls"), ("db", "upgrade"), ("db", "check"), ("serve",)], ids=" ".join)
def test_a_store_of_a_newer_version_is_told(shell: Shell, command: tuple[str, ...]) -> None:
    with closing(sqlite3.connect(shell.home / "records.db")) as connection, connection:
        connection.execute("UPDATE records_version SET version_num = '0999'")
    done = shell.process(*command)
    assert (done.code, done.out) == (1, "")
    assert "newer version (0999)" in done.err
    assert "Traceback" not in done.err


def test_nothing_is_restored_under_a_running_server(shell: Shell, tmp_path: Path) -> None:
    from auth_server.cli.serve import lock_home

    file = str(tmp_path / "backup")
    shell.json("db", "backup", file)
    with lock_home(shell.home):
        done = shell.process("db", "restore", file, "--yes")
    assert (done.code, done.out) == (1, "")
    assert "another server" in done.err


@pytest.mark.parametrize(
    ("server", "tool"), [("postgresql_server", "pg_dump"), ("mariadb_server", "mariadb-dump")], ids=["pg", "mariadb"]
)
def test_the_same_commands_work_on_servers(
    request: pytest.FixtureRequest, server: str, tool: str, redis_server: Redis, worker_id: str, tmp_path: Path
) -> None:
    database = request.getfixturevalue(server).create(f"cli_{worker_id}")
    urls = {"DATABASE_URL": database, "REDIS_URL": redis_server.url}
    shell = Shell(tmp_path / "home", **urls)
    assert "auth-server db upgrade" in shell.run("users", "ls").err
    assert shell.json("db", "upgrade") == {"upgraded": True}
    shell.json("keys", "rotate")
    shell.json("users", "add", "jane", "--password", PASSWORD)
    session = shell.login("jane")["access_token"]
    assert shell.json("auth", "rm", session, "--yes") == {"deleted": 1}
    assert not shell.alive(session)
    assert shell.json("db", "check") == {"ok": True}
    refused = shell.run("db", "backup", str(tmp_path / "backup"))
    assert (refused.code, refused.out) == (1, "")
    assert tool in refused.err
    shell.close()


@proves("S-155")
def test_every_change_is_audited(shell: Shell, tmp_path: Path) -> None:
    file = str(tmp_path / "backup")
    shell.json("db", "backup", file)
    assert [event.event for event in shell.events() if event.actor == "cli"] == ["db.backup"]
    shell.json("db", "restore", file, "--yes")
    assert [event.event for event in shell.events() if event.actor == "cli"] == ["db.restore"]
