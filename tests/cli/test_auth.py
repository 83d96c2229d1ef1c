"""`auth`: app passwords and tokens made on the command line, and the list of everything that lives."""

import json
import re
import zlib

import pytest

from auth_server.domain.credentials import BASE62
from auth_server.store.state import Index, Kind, Page
from tests import proves
from tests.cli.shell import PASSWORD, Shell

YEAR = 31536000


@pytest.fixture(autouse=True)
def jane(shell: Shell) -> str:
    """Somebody who may have app passwords."""
    uid: str = shell.json("users", "add", "jane", "--password", PASSWORD)["uid"]
    return uid


def test_an_app_password(shell: Shell, jane: str) -> None:
    made = shell.json("auth", "add", "jane", "--name", "Backup", "--scope", "sessions metrics", "--expires", "3600")
    secret = made["app_password"]
    assert re.fullmatch(r"([0-9A-Za-z]{6}-){3}[0-9A-Za-z]{6}", secret)
    assert BASE62[zlib.crc32(secret[:26].encode()) % 62] == secret[26]
    assert (made["uid"], made["username"], made["scope"]) == (jane, "jane", "metrics sessions")
    assert (made["provider"], made["method"], made["grant_type"]) == ("application", "default", "cli")
    assert re.fullmatch(r"sess[0-9a-z]{8}", made["id"])
    assert shell.login("jane", secret)["provider"] == "application"


def test_an_access_token(shell: Shell) -> None:
    made = shell.json("auth", "add", "--name", "Prometheus", "--scope", "metrics")
    assert re.fullmatch(r"[0-9a-f]{48}", made["access_token"])
    assert (made["uid"], made["username"], made["client_name"]) == (None, None, "Prometheus")
    assert (made["provider"], made["method"], made["grant_type"]) == ("access_token", "oauth2", "cli")
    answer = shell.http.get("/api/v1/metrics", headers={"X-Auth-Token": made["access_token"]})
    assert answer.status_code == 200


def test_defaults_without_a_terminal(shell: Shell) -> None:
    made = shell.json("auth", "add", "jane")
    assert made["scope"] == "*"
    assert re.fullmatch(r"[A-Z][a-z]+ [A-Z][a-z]+", made["client_name"])
    token = shell.server.tokens.by_identifier(made["id"])
    assert token.expires_at == token.created_at + YEAR


def test_at_a_terminal_name_and_scope_are_asked_for(shell: Shell) -> None:
    answers = [("Client Name", "Phone"), ("Authorization Scope [*]", "")]
    done = shell.terminal("auth", "add", "jane", "--json", answers=answers)
    made = json.loads(done.out)
    assert (made["client_name"], made["scope"]) == ("Phone", "*")


@pytest.mark.parametrize("never", ["-1", "0"])
def test_one_that_never_expires(shell: Shell, never: str) -> None:
    made = shell.json("auth", "add", "jane", "--scope", "sessions", "--expires", never)
    assert made["expires_at"] is None
    answer = shell.http.get("/api/v1/session", headers={"X-Auth-Token": made["app_password"]})
    assert answer.json["expires_in"] == 0


@pytest.mark.parametrize("never", ["-1", "0"])
def test_the_setting_may_be_never(shell: Shell, never: str) -> None:
    """Where nothing is asked for; what is asked for still counts."""
    assert shell.json("auth", "add", "jane", APP_PASSWORD_TTL=never)["expires_at"] is None
    assert shell.json("auth", "add", "jane", "--expires", "60", APP_PASSWORD_TTL=never)["expires_at"]


@proves("S-077")
@pytest.mark.parametrize("scope", ["admin:keys", "admin:*", "introspect", "sessions admin:users"])
def test_an_app_password_never_has_the_scope_of_an_admin(shell: Shell, scope: str) -> None:
    done = shell.run("auth", "add", "jane", "--scope", scope)
    assert (done.code, done.out) == (1, "")
    assert shell.json("auth", "ls") == []


@proves("S-150")
def test_the_secret_is_shown_once(shell: Shell) -> None:
    for args, head in ((("jane",), "App Password"), ((), "Access Token")):
        done = shell.run("auth", "add", *args, "--name", "Once", "--scope", "metrics")
        found = re.search(rf"\| {head} +\| Authorization Scope \|\n\S+\n\| (\S+) +\| metrics ", done.out)
        assert found, done.out
        assert shell.alive(found[1])
        later = [shell.run("auth", "ls"), shell.run("auth", "ls", "--json"), shell.run("auth", "show", found[1])]
        assert all("Once" in each.out and found[1] not in each.out + each.err for each in later)
        assert found[1] not in str(shell.events())


def test_the_list_has_every_kind_and_finds_by_many_names(shell: Shell, jane: str) -> None:
    app = shell.json("auth", "add", "jane", "--name", "Backup")
    token = shell.json("auth", "add", "--name", "Prometheus", "--scope", "metrics")
    session = shell.login("jane")["session_id"]
    client = shell.json("clients", "add", "--scope", "metrics", "--name", "svc")
    issued = shell.token(client["client_id"], client["client_secret"])
    rows = shell.json("auth", "ls")
    kinds = {(row["provider"], row["method"]) for row in rows}
    assert kinds == {("application", "default"), ("access_token", "oauth2"), ("local", "default"), ("client", "oauth2")}

    def found(search: str) -> set[str]:
        return {row["session_id"] for row in shell.json("auth", "ls", search)}

    assert found("jan") == found(jane) == {session, app["session_id"]}
    assert found("back") == found(app["id"]) == found(app["session_id"]) == {app["session_id"]}
    assert found(app["app_password"]) == {app["session_id"]}
    assert found(issued["access_token"]) == found("client") == {issued["session_id"]}
    assert found("access_t") == {token["session_id"]}
    assert found("nothing") == set()
    assert found("all") == {row["session_id"] for row in rows}
    assert found("expired") == set()


def test_the_list_is_complete_in_json_and_limited_in_a_table(shell: Shell) -> None:
    client = shell.json("clients", "add", "--scope", "metrics", "--tokens", "-1")
    for _ in range(105):
        assert "access_token" in shell.token(client["client_id"], client["client_secret"])
    assert len(shell.json("auth", "ls")) == 105
    done = shell.run("auth", "ls", "--csv")
    assert len(done.out.splitlines()) == 101
    assert "100 of 105" in done.err
    assert "--limit 105" in done.err
    assert len(shell.run("auth", "ls", "--csv", "-n", "105").out.splitlines()) == 106


@pytest.mark.parametrize("by", ["id", "session_id", "app_password", "-"])
def test_shown_and_ended_by_any_of_its_names(shell: Shell, by: str) -> None:
    app = shell.json("auth", "add", "jane")
    secret = app.pop("app_password")
    name = {"-": "-", "app_password": secret}.get(by) or app[by]
    stdin = f"{secret}\n"
    assert shell.json("auth", "show", name, stdin=stdin) == app
    child = shell.login("jane", secret)["access_token"]
    assert shell.json("auth", "rm", name, "--yes", stdin=stdin) == {"deleted": 1}
    assert not shell.alive(secret)
    assert not shell.alive(child)
    assert shell.run("auth", "rm", name, "--yes", stdin=stdin).code == 1


def test_reset_ends_everything(shell: Shell) -> None:
    tokens = [shell.json("auth", "add", "jane")["app_password"], shell.json("auth", "add")["access_token"]]
    tokens.append(shell.login("jane")["access_token"])
    assert shell.json("auth", "reset", "--yes") == {"deleted": 3}
    assert not any(shell.alive(token) for token in tokens)
    assert shell.json("auth", "ls") == []


def test_reset_can_keep_what_was_made_to_last(shell: Shell) -> None:
    kept = [shell.json("auth", "add", "jane")["app_password"], shell.json("auth", "add")["access_token"]]
    session = shell.login("jane")["access_token"]
    assert shell.json("auth", "reset", "--keep-app-passwords", "--yes") == {"deleted": 1}
    assert [shell.alive(token) for token in (*kept, session)] == [True, True, False]


def test_reset_forgets_no_address_from_which_somebody_has_signed_in(shell: Shell) -> None:
    shell.login("jane")
    here, now = shell.server.state, shell.server.clock()
    known = here.find(Kind.KNOWN_ADDRESS, Index.ALL, "", Page(), now)
    assert len(known) == 1
    assert shell.json("auth", "reset", "--yes") == {"deleted": 1}
    assert here.find(Kind.KNOWN_ADDRESS, Index.ALL, "", Page(), now) == known


@proves("S-155")
def test_every_change_is_audited(shell: Shell) -> None:
    ref = shell.json("auth", "add", "jane")["id"]
    shell.json("auth", "rm", ref, "--yes")
    shell.json("auth", "reset", "--yes")
    events = [event for event in shell.events() if event.event.startswith("token.")]
    assert [event.event for event in events] == ["token.add", "token.revoke", "token.reset"]
    assert {event.actor for event in events} == {"cli"}
