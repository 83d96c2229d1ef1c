"""`--profile`: clients that keep to more rules than others."""

import json
from pathlib import Path

from tests.cli.shell import Shell
from tests.signing import EcKey

REDIRECT_URI = "https://app.example.org/callback"


def test_everything_that_is_missing_is_told_at_once(shell: Shell) -> None:
    done = shell.run("clients", "add", "--redirect-uri", "http://127.0.0.1/cb", "--profile", "fapi2")
    assert (done.code, done.out) == (2, "")
    assert "private_key_jwt" in done.err
    assert "https" in done.err


def test_a_client_of_fapi2_must_push_and_prove(shell: Shell, tmp_path: Path) -> None:
    """From the beginning, or when it becomes one; then no change takes it out of the rules."""
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps(EcKey().jwks))
    flags = ("--auth-method", "private_key_jwt", "--jwks", str(keys), "--redirect-uri", REDIRECT_URI)
    made = shell.json("clients", "add", *flags, "--profile", "fapi2")
    names = ("require_par", "require_dpop", "require_pkce")
    assert (made["profile"], [made[name] for name in names]) == ("fapi2", [True, True, True])
    plain = shell.json("clients", "add", *flags)
    assert (plain["profile"], plain["require_par"]) == ("oauth21", False)
    changed = shell.json("clients", "mod", plain["client_id"], "--profile", "fapi2")
    assert (changed["profile"], [changed[name] for name in names]) == ("fapi2", [True, True, True])
    done = shell.run("clients", "mod", plain["client_id"], "--redirect-uri", "http://127.0.0.1/cb")
    assert (done.code, "https" in done.err) == (2, True)
