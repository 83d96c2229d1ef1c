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
    assert done.out.count("********") == len(SECRETS)
    assert not any(part in done.out + done.err for part in ("Should-never", SECRETS["KEY_ENCRYPTION_KEY"]))


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
