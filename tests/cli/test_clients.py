"""`clients`: registration and its rules, secrets, and what ends with a client."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey, KeySet, OctKey, OKPKey

from tests import proves
from tests.cli.shell import PASSWORD, Shell
from tests.servers.redis import running

EC = ECKey.generate_key("P-256", {"kid": "one"})


def written(folder: Path, value: object) -> str:
    """Write JSON into a file; return its name."""
    file = folder / "file.json"
    file.write_text(json.dumps(value))
    return str(file)


def jwks(*keys: Any) -> dict[str, Any]:
    return {"keys": [key.as_dict(private=False) for key in keys]}


def test_added_with_its_secret_and_shown_without(shell: Shell) -> None:
    flags = (
        "--name",
        "svc",
        "--expires",
        "600",
        "--tokens",
        "2",
        "--audience",
        "https://a.example",
        "--resource",
        "https://b.example",
    )
    made = shell.json("clients", "add", *flags, "--scope", "sessions metrics", "--token-format", "jwt")
    assert re.fullmatch(r"c[0-9a-z]{15}", made["client_id"])
    assert re.fullmatch(r"[0-9A-Za-z]{43}", made["client_secret"])
    assert (made["client_name"], made["scope"], made["token_format"]) == ("svc", "metrics sessions", "jwt")
    assert (made["access_token_ttl"], made["token_limit"]) == (600, 2)
    assert (made["audience"], made["resource"]) == (["https://a.example"], ["https://b.example"])
    assert made["token_endpoint_auth_method"] == "client_secret_basic"
    assert made["grant_types"] == ["client_credentials"]
    assert (made["jwks"], made["jwks_uri"], made["user"]) == (None, None, None)
    secret = made.pop("client_secret")
    assert shell.json("clients", "show", made["client_id"]) == made
    assert shell.json("clients", "ls", "svc") == [made]
    assert secret not in str(shell.events())
    assert shell.token(made["client_id"], secret)["scope"] == "metrics sessions"


def test_a_name_of_two_words_is_given_where_none_is(shell: Shell) -> None:
    assert re.fullmatch(r"[A-Z][a-z]+ [A-Z][a-z]+", shell.json("clients", "add", "--scope", "metrics")["client_name"])


def test_with_redirect_uris_the_scope_is_that_of_a_login(shell: Shell) -> None:
    uris = ("--redirect-uri", "https://app.example/a", "--redirect-uri", "http://127.0.0.1/b")
    made = shell.json("clients", "add", *uris)
    assert made["redirect_uris"] == ["https://app.example/a", "http://127.0.0.1/b"]
    assert made["scope"] == "email offline_access openid profile"
    assert shell.json("clients", "add", *uris, "--scope", "openid")["scope"] == "openid"


def test_it_acts_for_the_person_that_is_named(shell: Shell) -> None:
    user = shell.json("users", "add", "jane", "--password", PASSWORD)
    made = shell.json("clients", "add", "--scope", "metrics", "jane")
    assert (made["owner_uid"], made["user"]) == (user["uid"], "jane")
    assert [row["client_id"] for row in shell.json("clients", "ls", "jan")] == [made["client_id"]]
    assert shell.run("clients", "add", "--scope", "metrics", "nobody-here").code == 1


@pytest.mark.parametrize("from_stdin", [True, False])
def test_id_and_secret_of_ones_own(shell: Shell, from_stdin: bool) -> None:
    secret = "q%41+&=:;,/?#[]@!$'()*" + "0" * 30
    flags = ("--client-id", "https://odd.example:8443/~a", "--secret", "-" if from_stdin else secret)
    made = shell.json("clients", "add", *flags, "--scope", "metrics", stdin=f"{secret}\n")
    assert (made["client_id"], made["client_secret"]) == ("https://odd.example:8443/~a", secret)
    assert shell.run("clients", "add", *flags, "--scope", "metrics", stdin=f"{secret}\n").code == 1
    assert shell.run("clients", "add", "--secret", "short", "--scope", "metrics").code == 2


@proves("S-049")
def test_an_id_that_names_a_person_is_refused(shell: Shell) -> None:
    user = shell.json("users", "add", "jane", "--password", PASSWORD)
    for taken in ("jane", user["uid"]):
        done = shell.run("clients", "add", "--client-id", taken, "--scope", "metrics")
        assert (done.code, done.out) == (1, "")
        assert shell.run("clients", "show", taken).code == 1
    shell.json("clients", "add", "--client-id", "robot", "--scope", "metrics")
    assert shell.run("users", "add", "robot", "--password", PASSWORD).code == 1


@proves("S-081")
def test_an_initial_token_registers_clients(shell: Shell) -> None:
    made = shell.json("clients", "initial-token", REGISTRATION="token")
    assert set(made) == {"initial_access_token", "uses", "expires_at"}
    assert (made["uses"], made["expires_at"][-1]) == (1, "Z")
    assert made["initial_access_token"] not in str(shell.events())
    assert shell.events()[-1].event == "initial_token.add"
    assert shell.server.initial_tokens.counts(made["initial_access_token"])
    more = shell.run("clients", "initial-token", "--uses", "3", "--expires", "60", REGISTRATION="open")
    assert "PLEASE COPY THE INITIAL ACCESS TOKEN" in more.out
    for flags in (("--uses", "0"), ("--expires", "0"), ("--uses", "x"), ("--expires", str(10**12))):
        done = shell.run("clients", "initial-token", *flags)
        assert (done.code, done.out) == (2, "")
    off = shell.run("clients", "initial-token")
    assert (off.code, "registration is off" in off.err) == (0, True)


@proves("S-017")
@pytest.mark.parametrize("scheme", ["javascript", "data", "vbscript", "file", "blob", "about"])
def test_a_redirect_uri_that_runs_code_is_refused(shell: Shell, scheme: str) -> None:
    uri = f"{scheme}:alert(1)"
    made = shell.json("clients", "add", "--scope", "metrics")
    for command in (("add", "--scope", "metrics"), ("mod", made["client_id"])):
        done = shell.run("clients", *command, "--redirect-uri", uri)
        assert (done.code, done.out) == (2, "")
        assert scheme in done.err


@pytest.mark.parametrize(
    "uri",
    ["http://app.example/", "https://app.example/#a", "https://u@app.example/", "/relative", "x:y", "https://a b/"],
)
def test_other_redirect_uris_that_are_refused(shell: Shell, uri: str) -> None:
    assert shell.run("clients", "add", "--redirect-uri", uri).code == 2


def test_metadata_and_flags_add_up_and_flags_win(shell: Shell, tmp_path: Path) -> None:
    members = {
        "client_id": "from-file",
        "client_name": "File",
        "client_name#de": "Datei",
        "scope": "metrics",
        "grant_types": ["client_credentials"],
        "contacts": ["a@example.org"],
        "client_uri": "https://app.example/",
        "access_token_ttl": 60,
        "client_secret": "0" * 32,
    }
    file = written(tmp_path, members)
    made = shell.json("clients", "add", "--metadata", file, "--name", "Flag")
    assert made == {**made, **members, "client_name": "Flag"}


@pytest.mark.parametrize(
    "members",
    [
        {"no_such_member": 1},
        {"scope": 5},
        {"redirect_uris": "https://app.example/"},
        {"redirect_uris": ["javascript:1"]},
        {"client_uri": "javascript:1"},
        {"client_uri": "https://[x"},
        {"logo_uri": "https://app.example:99999/logo.png"},
        {"logo_uri": "https://:80/logo.png"},
        {"token_limit": True},
        {"token_endpoint_auth_method": "magic"},
        {"software_statement": "a.b.c"},
        {"dpop_bound_access_tokens": "yes"},
        {"client_secret": ["x"]},
        {"contacts": ["\ud800"]},
        {"software_id": "a\u0000"},
        {"client_name#de": "\ud800"},
        {"client_name#\u0000": "x"},
        {"jwks": {"keys": [], "more": float("nan")}},
        [],
    ],
    ids=json.dumps,
)
def test_metadata_that_nothing_would_heed_is_refused(shell: Shell, tmp_path: Path, members: object) -> None:
    done = shell.run("clients", "add", "--metadata", written(tmp_path, members), "--scope", "metrics")
    assert (done.code, done.out) == (2, "")


def test_its_public_keys_come_from_a_file(shell: Shell, tmp_path: Path) -> None:
    file = written(tmp_path, jwks(EC))
    flags = ("--auth-method", "private_key_jwt", "--scope", "metrics")
    made = shell.json("clients", "add", *flags, "--jwks", file)
    assert made["jwks"] == jwks(EC)
    assert "client_secret" not in made
    assert shell.run("clients", "add", *flags).code == 2
    assert shell.run("clients", "add", *flags, "--jwks", file, "--secret", "0" * 40).code == 2


def test_its_public_keys_may_be_elsewhere(shell: Shell, tmp_path: Path) -> None:
    """By an https URL, in place of those of a file and the other way round; never both."""
    file, uri = written(tmp_path, jwks(EC)), "https://app.example/jwks"
    flags = ("--auth-method", "private_key_jwt", "--scope", "metrics")
    made = shell.json("clients", "add", *flags, "--jwks-uri", uri)
    assert (made["jwks"], made["jwks_uri"]) == (None, uri)
    assert shell.run("clients", "add", *flags, "--jwks-uri", uri, "--jwks", file).code == 2
    changed = shell.json("clients", "mod", made["client_id"], "--jwks", file)
    assert (changed["jwks"], changed["jwks_uri"]) == (jwks(EC), None)
    changed = shell.json("clients", "mod", made["client_id"], "--jwks-uri", uri)
    assert (changed["jwks"], changed["jwks_uri"]) == (None, uri)
    assert shell.run("clients", "mod", made["client_id"], "--jwks-uri", "").code == 2
    assert shell.run("clients", "mod", made["client_id"], "--jwks-uri", "", "--auth-method", "none").code == 2


@proves("S-083", "S-085")
@pytest.mark.parametrize(
    "uri",
    [
        "http://app.example/jwks",
        "ftp://app.example/",
        "https://a@app.example/",
        "https://app.example/#x",
        "jwks",
        "a b",
    ],
)
def test_a_jwks_uri_must_be_an_https_url(shell: Shell, uri: str) -> None:
    done = shell.run("clients", "add", "--scope", "metrics", "--jwks-uri", uri)
    assert (done.code, done.out) == (2, "")
    assert "jwks-uri" in done.err


@proves("S-125", "S-142")
@pytest.mark.parametrize(
    ("keys", "code", "told"),
    [
        ({"keys": [{"kty": "RSA", "e": "AQAB", "n": "_" * 171}]}, 1, "2048"),
        ({"keys": [{"kty": "RSA", "e": "AQAB", "n": "_" * 1500}]}, 1, "8192"),
        ({"keys": [{"kty": "EC", "crv": "P-192", "x": "AA", "y": "AA"}]}, 1, "P-192"),
        ({"keys": [{"kty": "OKP", "crv": "X448", "x": "AA"}]}, 1, "X448"),
        ({"keys": [{"kty": "EC", "crv": []}]}, 1, "[]"),
        ({"keys": [{"kty": {}, "crv": "P-256"}]}, 1, "{}"),
        ({"keys": [{"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA"}]}, 2, "cannot be read"),
        ({"keys": [OctKey.generate_key(128).as_dict()]}, 2, "public"),
        ({"keys": [EC.as_dict(private=True)]}, 2, "public"),
        ({"keys": []}, 2, "keys"),
        ({"keys": jwks(OKPKey.generate_key("Ed25519"))["keys"] * 2}, 2, "kid"),
        (KeySet([EC]).as_dict()["keys"], 2, "object"),
    ],
    ids=[
        "rsa-1024",
        "rsa-9000",
        "p-192",
        "x448",
        "odd-curve",
        "odd-kind",
        "no-point",
        "symmetric",
        "private",
        "none",
        "same-kid",
        "array",
    ],
)
def test_weak_or_private_keys_are_refused(shell: Shell, tmp_path: Path, keys: object, code: int, told: str) -> None:
    file = written(tmp_path, keys)
    done = shell.run("clients", "add", "--auth-method", "private_key_jwt", "--scope", "metrics", "--jwks", file)
    assert (done.code, done.out) == (code, "")
    assert told in done.err


def test_secrets_overlap_as_long_as_asked(shell: Shell) -> None:
    made = shell.json("clients", "add", "--scope", "metrics")
    cid, first = made["client_id"], made["client_secret"]
    second = shell.json("clients", "secret", cid, "--overlap", "60")["client_secret"]
    assert len({first, second}) == 2
    for secret in (first, second):
        assert "access_token" in shell.token(cid, secret)
    third = shell.json("clients", "secret", cid)["client_secret"]
    for secret in (first, second):
        assert shell.token(cid, secret)["error"] == "invalid_client"
    assert "access_token" in shell.token(cid, third)
    assert shell.run("clients", "secret", cid, "--overlap", "-1").code == 2
    assert third not in str(shell.events()) + shell.run("clients", "show", cid).out


def test_only_what_is_given_changes(shell: Shell) -> None:
    before = shell.json("clients", "add", "--scope", "metrics", "--audience", "https://a.example", "--name", "svc")
    secret, cid = before.pop("client_secret"), before["client_id"]
    after = shell.json("clients", "mod", cid, "--scope", "metrics config", "--tokens", "-1")
    assert after == {**before, "scope": "config metrics", "token_limit": -1, "updated_at": after["updated_at"]}
    assert shell.json("clients", "mod", cid, "--audience", "https://b.example")["audience"] == ["https://b.example"]
    assert shell.json("clients", "mod", cid, "--audience", "")["audience"] == []
    assert shell.run("clients", "mod", cid, "--scope", "").code == 2
    assert "access_token" in shell.token(cid, secret)
    new = shell.json("clients", "mod", cid, "--generate-secret")["client_secret"]
    assert "error" in shell.token(cid, secret)
    assert "access_token" in shell.token(cid, new)


def test_a_method_that_needs_another_secret_gets_one(shell: Shell) -> None:
    cid = shell.json("clients", "add", "--scope", "metrics")["client_id"]
    done = shell.run("clients", "mod", cid, "--auth-method", "client_secret_jwt")
    assert done.code == 2
    assert "secret" in done.err
    made = shell.json("clients", "mod", cid, "--auth-method", "client_secret_jwt", "--generate-secret")
    assert made["token_endpoint_auth_method"] == "client_secret_jwt"
    assert len(made["client_secret"]) >= 43


@proves("S-013")
@pytest.mark.parametrize("how", ["disable", "rm"])
def test_what_takes_a_client_away_ends_its_tokens_in_a_running_server(shell: Shell, how: str) -> None:
    made = shell.json("clients", "add", "--scope", "metrics")
    cid, secret = made["client_id"], made["client_secret"]
    token = shell.token(cid, secret)["access_token"]
    assert shell.alive(token)
    if how == "rm":
        assert shell.json("clients", "rm", cid, "--yes") == {"deleted": 1}
    else:
        assert shell.json("clients", "mod", cid, "--disable")["enabled"] is False
    assert not shell.alive(token)
    assert shell.token(cid, secret)["error"] == "invalid_client"


@proves("S-013")
@pytest.mark.parametrize(
    "flags", [("--scope", "metrics"), ("--disable", "--generate-secret")], ids=["less", "disabled"]
)
def test_tokens_of_a_client_that_loses_rights_stay_dead(shell: Shell, flags: tuple[str, ...]) -> None:
    """Also when it has them again."""
    client = shell.json("clients", "add", "--scope", "metrics admin:keys")
    cid = client["client_id"]
    token = shell.token(cid, client["client_secret"])["access_token"]
    assert shell.alive(token)
    shell.json("clients", "mod", cid, *flags)
    assert not shell.alive(token)
    shell.json("clients", "mod", cid, "--scope", "metrics admin:keys", "--enable")
    assert not shell.alive(token)


def test_reset_takes_every_client(shell: Shell) -> None:
    made = [shell.json("clients", "add", "--scope", "metrics") for _ in range(2)]
    tokens = [shell.token(each["client_id"], each["client_secret"])["access_token"] for each in made]
    shell.json("users", "add", "jane", "--password", PASSWORD)
    assert shell.json("clients", "reset", "--yes") == {"deleted": 2}
    assert shell.json("clients", "ls") == []
    assert not any(shell.alive(token) for token in tokens)
    assert len(shell.json("users", "ls")) == 1


def test_they_are_found_by_what_photoprism_finds_them_by(shell: Shell) -> None:
    uid = shell.json("users", "add", "jane", "--password", PASSWORD)["uid"]
    hers = shell.json("clients", "add", "--name", "Backup", "--scope", "metrics", "jane")["client_id"]
    other = shell.json("clients", "add", "--name", "Monitoring", "--scope", "metrics")["client_id"]
    for search, found in (
        ("", {hers, other}),
        ("all", {hers, other}),
        (hers, {hers}),
        (hers[:8], {hers}),
        (uid, {hers}),
        ("jan", {hers}),
        ("mon", {other}),
        ("nothing", set()),
    ):
        assert {row["client_id"] for row in shell.json("clients", "ls", search)} == found, search


def test_photoprisms_flag_makes_a_new_secret(shell: Shell) -> None:
    made = shell.json("clients", "add", "--scope", "metrics")
    new = shell.json("clients", "mod", made["client_id"], "--regenerate")["client_secret"]
    assert "error" in shell.token(made["client_id"], made["client_secret"])
    assert "access_token" in shell.token(made["client_id"], new)


def test_at_a_terminal_nothing_is_asked(shell: Shell) -> None:
    done = shell.terminal("clients", "add", "--scope", "metrics")
    assert (done.code, done.err) == (0, "")


@proves("S-130")
def test_an_id_given_again_revives_nothing(shell: Shell) -> None:
    flags = ("--client-id", "svc", "--secret", "0" * 40, "--scope", "metrics")
    shell.json("clients", "add", *flags)
    token = shell.token("svc", "0" * 40)["access_token"]
    shell.json("clients", "rm", "svc", "--yes")
    shell.json("clients", "add", *flags)
    assert not shell.alive(token)


@proves("S-013")
def test_a_removal_that_redis_did_not_hear_of_counts_and_can_be_finished(template: Path, tmp_path: Path) -> None:
    """The record is what the tokens live by; the sentence says so, and what is left to do."""
    home = Path(shutil.copytree(template, tmp_path / "home"))
    with running(tmp_path / "redis") as redis:
        shell = Shell(home, REDIS_URL=redis.url)
        made = shell.json("clients", "add", "--scope", "metrics")
        cid = made["client_id"]
        token = shell.token(cid, made["client_secret"])["access_token"]
        redis.ask("SAVE")
        redis.stop()
        done = shell.run("clients", "rm", cid, "--yes")
        assert (done.code, done.out) == (1, "")
        assert f"the client {cid} is removed, its tokens count no more, but they are not deleted" in done.err
        assert "Redis does not answer" in done.err
        assert "remove it again when that answers" in done.err
        redis.start()
        assert not shell.alive(token)
        assert shell.server.tokens.has_any(cid)
        assert shell.json("clients", "rm", cid, "--yes") == {"deleted": 1}
        assert not shell.server.tokens.has_any(cid)
        assert "there is no client" in shell.run("clients", "rm", cid, "--yes").err
        assert [event.event for event in shell.events()].count("client.remove") == 1
        shell.close()


@proves("S-155")
def test_every_change_is_audited(shell: Shell) -> None:
    cid = shell.json("clients", "add", "--scope", "metrics")["client_id"]
    shell.json("clients", "mod", cid, "--name", "new")
    shell.json("clients", "secret", cid)
    shell.json("clients", "rm", cid, "--yes")
    events = [event for event in shell.events() if event.actor != "server"]
    assert [event.event for event in events] == ["client.add", "client.change", "client.secret", "client.remove"]
    assert {(event.actor, event.client_id) for event in events} == {("cli", cid)}
