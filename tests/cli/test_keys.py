"""`keys`: states, rotation, removal, and keys that are brought in."""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from joserfc.jwk import ECKey, OctKey, OKPKey

from tests import proves
from tests.cli.shell import Shell

MEMBERS = {"kid", "alg", "status", "created_at", "activates_at", "retires_at"}


def pem(key: Any, password: bytes | None = None) -> bytes:
    """Return a private key as PEM."""
    sealed = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    encoded: bytes = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, sealed)
    return encoded


def kid(shell: Shell, alg: str, status: str) -> str:
    """Return the id of the one key with this status."""
    (found,) = [key["kid"] for key in shell.json("keys", "ls") if (key["alg"], key["status"]) == (alg, status)]
    return str(found)


def test_listed_with_an_active_and_a_next_one_each(shell: Shell) -> None:
    keys = shell.json("keys", "ls")
    assert sorted((key["alg"], key["status"]) for key in keys) == [
        (alg, status) for alg in ("ES256", "EdDSA", "RS256") for status in ("active", "next")
    ]
    assert all(key.keys() == MEMBERS for key in keys)
    assert "Key ID" in shell.run("keys", "ls").out


def test_rotation_tells_one_key_for_an_algorithm_and_all_without(shell: Shell) -> None:
    following, before = kid(shell, "ES256", "next"), kid(shell, "ES256", "active")
    waiting = shell.json("keys", "rotate", "--alg", "ES256")
    assert (waiting["kid"], waiting["status"]) == (following, "next")
    assert waiting["activates_at"]
    assert kid(shell, "ES256", "active") == before
    now = shell.json("keys", "rotate", "--alg", "ES256", "--now")
    assert (now["kid"], now["status"]) == (following, "active")
    assert kid(shell, "ES256", "retiring") == before
    assert shell.server.keyring.signing_key("ES256").kid == following
    assert {key["alg"] for key in shell.json("keys", "rotate")} == {"ES256", "RS256", "EdDSA"}


def test_both_names_of_ed25519_are_understood(shell: Shell) -> None:
    assert shell.json("keys", "rotate", "--alg", "Ed25519")["alg"] == "EdDSA"


@proves("S-157")
def test_two_installations_share_no_key(shell: Shell, empty: Shell) -> None:
    other = Shell(empty.home / "other")
    for command in (("db", "upgrade"), ("keys", "rotate")):
        assert other.run(*command).code == 0
    assert (other.home / "keys" / "kek").read_bytes() != (shell.home / "keys" / "kek").read_bytes()
    kids = [{key["kid"] for key in each.json("keys", "ls")} for each in (shell, other)]
    assert len(kids[0] | kids[1]) == 12


def test_only_public_keys_leave(shell: Shell) -> None:
    jwks = json.loads(shell.run("keys", "export", "--public").out)
    assert jwks == shell.json("keys", "export", "--public") == shell.http.get("/.well-known/jwks.json").json
    assert not {"d", "p", "q", "k"} & {member for key in jwks["keys"] for member in key}


def test_the_next_key_takes_the_place_of_a_removed_one(shell: Shell) -> None:
    made = shell.json("clients", "add", "--scope", "metrics", "--token-format", "jwt")
    token = shell.token(made["client_id"], made["client_secret"])["access_token"]
    active, following = kid(shell, "ES256", "active"), kid(shell, "ES256", "next")
    asked = shell.terminal("keys", "rm", active, answers=[("[y/N]", "n")])
    assert asked.code == 1
    assert "ACTIVE" in asked.err
    assert "1 LIVING TOKENS" in asked.err
    assert shell.run("keys", "rm", active).code == 1
    assert shell.alive(token)
    assert shell.json("keys", "rm", active, "--yes") == {"deleted": 1}
    assert kid(shell, "ES256", "active") == following
    assert not shell.alive(token)
    assert active not in shell.run("keys", "export", "--public").out
    plain = shell.terminal("keys", "rm", kid(shell, "ES256", "next"), answers=[("[y/N]", "n")])
    assert "WARNING" not in plain.err


@pytest.mark.parametrize(
    ("key", "alg"),
    [
        (ec.generate_private_key(ec.SECP256R1()), "ES256"),
        (ed25519.Ed25519PrivateKey.generate(), "EdDSA"),
        (rsa.generate_private_key(65537, 2048), "RS256"),
    ],
    ids=["ec", "ed25519", "rsa"],
)
def test_an_imported_key_waits_as_the_next_one(shell: Shell, tmp_path: Path, key: Any, alg: str) -> None:
    file = tmp_path / "key.pem"
    file.write_bytes(pem(key))
    made = shell.json("keys", "import", str(file))
    assert (made["alg"], made["status"], made["kid"]) == (alg, "next", kid(shell, alg, "next"))
    again = shell.run("keys", "import", str(file))
    assert (again.code, again.out) == (1, "")
    assert shell.json("keys", "rotate", "--alg", alg, "--now")["kid"] == made["kid"]
    assert b"PRIVATE" not in (shell.home / "records.db").read_bytes()


def test_a_jwk_is_imported_for_its_own_algorithm(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "key.json"
    file.write_text(json.dumps({**ECKey.generate_key("P-256").as_dict(private=True), "alg": "ES256"}))
    assert shell.json("keys", "import", str(file))["alg"] == "ES256"
    assert shell.run("keys", "import", str(file), "--alg", "RS256").code == 2


@pytest.mark.parametrize("named", [None, "EdDSA", "Ed25519"])
@pytest.mark.parametrize("used", ["EdDSA", "Ed25519"])
def test_a_key_is_imported_under_either_name_of_ed25519(
    shell: Shell, tmp_path: Path, named: str | None, used: str
) -> None:
    file = tmp_path / "key.json"
    jwk = OKPKey.generate_key("Ed25519").as_dict(private=True)
    file.write_text(json.dumps({**jwk, "alg": named} if named else jwk))
    made = shell.json("keys", "import", str(file), SIGNING_ALGS=f"ES256 {used}")
    assert (made["alg"], made["status"]) == (used, "next")
    flag = ("--alg", named) if named else ()
    pem_file = tmp_path / "key.pem"
    pem_file.write_bytes(pem(ed25519.Ed25519PrivateKey.generate()))
    assert shell.json("keys", "import", str(pem_file), *flag, SIGNING_ALGS=f"ES256 {used}")["alg"] == used


@proves("S-125")
@pytest.mark.parametrize(
    ("content", "code", "told"),
    [
        (pem(rsa.generate_private_key(65537, 1024)), 1, "2048"),
        (json.dumps({"kty": "RSA", "e": "AQAB", "d": "AQ", "n": "_" * 1500}).encode(), 1, "8192"),
        (pem(ec.generate_private_key(ec.SECP192R1())), 1, "secp192r1"),
        (pem(ec.generate_private_key(ec.SECP256K1())), 1, "secp256k1"),
        (pem(ec.generate_private_key(ec.SECP384R1())), 1, "SIGNING_ALGS"),
        (json.dumps(OctKey.generate_key(256).as_dict()).encode(), 1, "symmetric"),
        (json.dumps(ECKey.generate_key("P-256").as_dict(private=False)).encode(), 2, "private"),
        (pem(ed25519.Ed25519PrivateKey.generate(), b"locked"), 2, "encrypted"),
        (b"nothing", 2, "PEM"),
        (b'{"kty": [', 2, "JWK"),
        (b'{"kty": {"d": 1}, "d": 1}', 1, "kind"),
    ],
    ids=["rsa-1024", "rsa-9000", "p-192", "k-256", "unused", "oct", "public", "encrypted", "noise", "half", "odd"],
)
def test_a_key_that_is_weak_or_of_no_use_is_refused(
    shell: Shell, tmp_path: Path, content: bytes, code: int, told: str
) -> None:
    file = tmp_path / "key"
    file.write_bytes(content)
    before = shell.json("keys", "ls")
    done = shell.run("keys", "import", str(file))
    assert (done.code, done.out) == (code, "")
    assert told in done.err
    assert shell.json("keys", "ls") == before


@proves("S-124")
def test_without_the_right_key_encryption_key_nothing_is_read(shell: Shell) -> None:
    kek = shell.home / "keys" / "kek"
    kek.chmod(0o644)
    assert "chmod 600" in shell.run("keys", "ls").err
    kek.unlink()
    missing = shell.run("keys", "ls")
    assert (missing.code, missing.out) == (1, "")
    assert str(kek) in missing.err
    assert not kek.exists()
    kek.mkdir(mode=0o700)
    unreadable = shell.run("keys", "ls")
    assert (unreadable.code, unreadable.out) == (1, "")
    assert f"{kek} cannot be read" in unreadable.err


@proves("S-155")
def test_every_change_is_audited(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.write_bytes(pem(ec.generate_private_key(ec.SECP256R1())))
    shell.json("keys", "import", str(file))
    shell.json("keys", "rm", kid(shell, "ES256", "next"), "--yes")
    done = [event.event for event in shell.events() if event.actor == "cli"]
    assert done == ["key.import", "key.remove"]
