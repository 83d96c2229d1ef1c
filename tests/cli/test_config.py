"""`config`: every setting with its source, no secret, and all mistakes at once."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import proves
from tests.cli.shell import Shell

PACKAGE = Path(__file__).parents[2] / "auth_server"
SECRETS = {
    "ADMIN_PASSWORD": "Should-never-be-printed-1",
    "KEY_ENCRYPTION_KEY": "c2hvdWxkLW5ldmVyLWJlLXByaW50ZWQtMTIzNDU2Nzg=",
    "DATABASE_URL": "postgresql://user:Should-never-be-printed-2@127.0.0.1/x",
    "REDIS_URL": "redis+sentinel://:Should-never-be-printed-3@a,b/main/0?sentinel_password=Should-never-be-printed-4",
}


def test_values_have_a_source(empty: Shell, tmp_path: Path) -> None:
    file, secret = tmp_path / "settings.toml", tmp_path / "password"
    file.write_text("session_ttl = 60\nport = 1000\n")
    secret.write_text("from-a-file-1\n")
    given = {"CONFIG": str(file), "PORT": "2000", "ADMIN_PASSWORD_FILE": str(secret)}
    rows = {row["name"]: (row["value"], row["source"]) for row in empty.json("config", "show", **given)}
    assert rows["SESSION_TTL"] == (60, f"file {file}")
    assert rows["PORT"] == (2000, "environment AUTH_SERVER_PORT")
    assert rows["ISSUER"] == ("http://127.0.0.1:2000", "default")
    assert rows["SIGNING_ALGS"] == (["ES256", "RS256", "EdDSA"], "default")
    assert rows["REDIS_URL"] == (None, "default")
    assert rows["ADMIN_PASSWORD"][1] == "environment AUTH_SERVER_ADMIN_PASSWORD_FILE"
    assert not empty.home.exists()


def test_the_file_that_was_read_is_named(empty: Shell, tmp_path: Path) -> None:
    """As a row like all others; without one its place says that there is none."""
    file = tmp_path / "settings.toml"
    file.write_text("port = 1000\n")
    row = {"name": "CONFIG", "value": str(file), "source": "environment AUTH_SERVER_CONFIG"}
    assert row in empty.json("config", "show", CONFIG=str(file))
    assert str(file) in empty.run("config", "show", "--tsv", CONFIG=str(file)).out


def test_no_file_is_said(empty: Shell, tmp_path: Path) -> None:
    """Where the package is installed there is none, unless it is named."""
    shutil.copytree(PACKAGE, tmp_path / "auth_server", ignore=shutil.ignore_patterns("__pycache__", "static"))
    command = [sys.executable, "-m", "auth_server", "config", "show", "--json"]
    done = subprocess.run(command, cwd=tmp_path, env=empty.environ(), capture_output=True, text=True)
    source = f"no file {tmp_path}/config/auth-server.toml"
    assert {"name": "CONFIG", "value": None, "source": source} in json.loads(done.stdout), done.stderr


@proves("S-150")
@pytest.mark.parametrize("form", [(), ("--json",), ("--csv",), ("--md",)], ids=str)
def test_secrets_are_masked(empty: Shell, form: tuple[str, ...]) -> None:
    done = empty.run("config", "show", *form, **SECRETS)
    assert done.code == 0
    assert done.out.count("********") == len(SECRETS) + 1, "the last has two"
    assert not any(part in done.out + done.err for part in ("Should-never", SECRETS["KEY_ENCRYPTION_KEY"]))


@proves("S-150")
@pytest.mark.parametrize(
    ("name", "given", "shown"),
    [
        ("DATABASE_URL", "postgresql+psycopg://u:{}@db:5432/auth", "postgresql+psycopg://u:********@db:5432/auth"),
        ("DATABASE_URL", "postgres://u%40x:{}%40%2F@db/auth?sslmode=require",
         "postgres://u%40x:********@db/auth?sslmode=require"),
        ("DATABASE_URL", "postgresql://u:{}@/auth?host=a,b&port=1,2", "postgresql://u:********@/auth?host=a,b&port=1,2"),
        ("DATABASE_URL", "postgresql://u@db/auth?password={}&sslpassword={}&p%61ssword={}&options={}",
         "postgresql://u@db/auth?password=********&sslpassword=********&p%61ssword=********&options=********"),
        ("DATABASE_URL", "postgresql://u:/{}?a#{}@db/auth", "********"),
        ("DATABASE_URL", "mysql+pymysql://u:{}@db/auth?passwd={}&charset=utf8mb4",
         "mysql+pymysql://u:********@db/auth?passwd=********&charset=utf8mb4"),
        ("DATABASE_URL", "sqlite:////data/records.db", "sqlite:////data/records.db"),
        ("REDIS_URL", "redis://redis:6379/0", "redis://redis:6379/0"),
        ("REDIS_URL", "redis://u:{}@[::1]:6379/0", "redis://u:********@[::1]:6379/0"),
        ("REDIS_URL", "rediss://:{}@redis?ssl_password={}&ssl_check_hostname=no",
         "rediss://:********@redis?ssl_password=********&ssl_check_hostname=no"),
        ("REDIS_URL", "unix://:{}@/run/redis.sock?db=1", "unix://:********@/run/redis.sock?db=1"),
        ("REDIS_URL", "unix:///run/redis.sock?password={}", "unix:///run/redis.sock?password=********"),
        ("REDIS_URL", "redis+sentinel://u:{}@a:1,b:2/main/0?sentinel_username=s&sentinel_password={}",
         "redis+sentinel://u:********@a:1,b:2/main/0?sentinel_username=s&sentinel_password=********"),
        ("REDIS_URL", "rediss+cluster://:{}@a:1,b:2", "rediss+cluster://:********@a:1,b:2"),
        ("REDIS_URL", "redis+sentinel://a:1/main/0?sentinel_password=x:{}@{}", "********"),
        ("REDIS_URL", "redis://a?password=x:{}@{}", "********"),
    ],
)  # fmt: skip
def test_of_a_store_all_is_shown_but_its_passwords(empty: Shell, name: str, given: str, shown: str) -> None:
    """In every form that a URL may have; if it is not clear where a password ends, nothing is."""
    done = empty.run("config", "show", "--json", **{name: given.replace("{}", "Never-shown")})
    assert {row["name"]: row["value"] for row in json.loads(done.out)}[name] == shown
    assert "Never-shown" not in done.out + done.err


@proves("S-158")
@pytest.mark.parametrize(
    "command", [("config", "check"), ("config", "show"), ("users", "ls"), ("serve",)], ids=" ".join
)
def test_all_mistakes_are_named_at_once(empty: Shell, command: tuple[str, ...]) -> None:
    wrong = {"PORT": "seven", "ACCESS_TOKEN_TTL": "-5", "NO_SUCH": "1", "TRUSTED_PROXIES": "0.0.0.0/0"}
    done = empty.process(*command, **wrong, ISSUER="http://auth.example.org", ADMIN_PASSWORD="short")
    assert (done.code, done.out) == (1, "")
    for name in (*wrong, "ISSUER", "ADMIN_PASSWORD"):
        assert f"  {name}: " in done.err
    assert "short" not in done.err
    assert not empty.home.exists()


def test_right_settings_are_right(empty: Shell) -> None:
    assert empty.json("config", "check") == {"ok": True}
    assert empty.run("config", "check").code == 0
