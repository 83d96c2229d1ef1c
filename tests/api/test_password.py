"""Changing one's own password: who may, what is refused and why, and what it ends."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from werkzeug.test import TestResponse

from auth_server import assembly
from auth_server.domain.users import Changes
from auth_server.errors import Unavailable
from auth_server.protocol.feature import Authorization
from auth_server.protocol.tokens.access_token import issue
from auth_server.store.records import AuditEvent, User
from auth_server.store.state import Page
from tests import proves
from tests.authenticators import activated
from tests.people import PASSWORD, alive, app_password, bearer, join, login, signed_in
from tests.servers.visitors import SESSION, Visitor
from tests.sites import Site, site

NEW = "five grey herons drink rain"
DONE = {"code": 200, "message": "Password changed"}
DENIED = {"code": 403, "error": "Permission denied"}
REQUIRED = {"error": "passcode required", "code": 32, "message": "Enter verification code"}
INVALID = {"error": "invalid passcode", "code": 401, "message": "Invalid verification code, please try again"}
LIMITED = {"error": "rate limit exceeded", "code": 429}
REFUSED = {"code": 400, "error": "Invalid password, please try again"}
WRONG = {**REFUSED, "details": "old: is not the password of this account"}


class Interrupted(PasswordHasher):
    """Argon2 before whose work something happens."""

    def __init__(self) -> None:
        super().__init__(1, 8, 1)
        self.before_verify: Callable[[], object] = int
        self.before_hash: Callable[[], object] = int

    def verify(self, *arguments: Any) -> Any:
        self.before_verify()
        return super().verify(*arguments)

    def hash(self, *arguments: Any, **more: Any) -> str:
        self.before_hash()
        return super().hash(*arguments, **more)


@pytest.fixture
def hasher() -> Interrupted:
    return Interrupted()


@pytest.fixture
def here(tmp_path: Path, hasher: Interrupted) -> Site:
    return site(tmp_path, signing_algs=["ES256"], hasher=hasher)


def put(
    here: Site,
    user: User,
    token: str,
    old: str = PASSWORD,
    new: str = NEW,
    address: str = "192.0.2.1",
    **more: Any,
) -> TestResponse:
    """Ask for a new password."""
    return ask(here, user.uid, token, address, json={"old": old, "new": new, **more})


def ask(here: Site, uid: str, token: str, address: str = "192.0.2.1", **body: Any) -> TestResponse:
    """Ask with whatever body."""
    path, environ = f"/api/v1/users/{uid}/password", {"REMOTE_ADDR": address}
    return here.http.put(path, headers=bearer(token) if token else {}, environ_base=environ, **body)


def told(answer: TestResponse) -> tuple[int, Any]:
    """Status and body."""
    return answer.status_code, answer.json


def last_event(here: Site) -> AuditEvent:
    """The newest audit event."""
    return here.server.records.audit.page(Page(1))[0]


# ---- what it does
@pytest.mark.parametrize("role", ["admin", "user", "guest"])
def test_a_person_changes_the_password(here: Site, role: str):
    """The new one counts, the old one no more; no media tokens are in the answer."""
    user = join(here, role=role)
    token = signed_in(here)
    answer = put(here, user, token)
    assert told(answer) == (200, DONE)
    assert answer.headers["Content-Type"].startswith("application/json")
    assert "no-store" in answer.headers["Cache-Control"]
    assert not {"X-Preview-Token", "X-Download-Token"} & set(answer.headers.keys())
    assert login(here, password=PASSWORD).status_code == 401
    assert login(here, password=NEW).status_code == 200
    assert told(put(here, user, token, old=NEW, new="Another-password-1")) == (200, DONE)


def test_the_other_sessions_of_the_person_end(here: Site):
    """At once, also at a server that has seen them alive; the caller's, app passwords, their sessions, clients live."""
    user = join(here)
    mine, other, foreign = signed_in(here), signed_in(here), signed_in_as_bob(here)
    app = app_password(here, mine).json["access_token"]
    child = login(here, password=app).json["access_token"]
    client = here.server.clients.add({"scope": "metrics", "owner_uid": user.uid}).client
    of_client = issue(
        Authorization("client", "oauth2", "client_credentials", "metrics", 3600, client, user), here.server
    ).value
    replica = assembly.assemble(here.server.settings, assembly.stores(here.server.settings), here.clock)
    everything = (mine, other, foreign, app, child, of_client)
    assert all(replica.tokens.find(token) for token in everything)
    assert told(put(here, user, mine)) == (200, DONE)
    living = [token for token in everything if replica.tokens.find(token)]
    assert living == [mine, foreign, app, child, of_client]
    assert [alive(here, token) for token in (mine, other, foreign, child)] == [True, False, True, True]
    answer = here.http.get(SESSION, headers=bearer(mine)).json
    assert (answer["access_token"], answer["user"]["UID"]) == (mine, user.uid)
    replica.close()


def test_app_passwords_end_where_that_is_wanted(here: Site):
    """All of that person's, with the sessions made with them; nobody else's, and no client's token."""
    user = join(here)
    mine, _ = signed_in(here), signed_in_as_bob(here)
    apps = [app_password(here, mine, client_name=name).json["access_token"] for name in ("Phone", "Tablet")]
    child = login(here, password=apps[0]).json["access_token"]
    foreign = here.app_password(here.server.users.find("bob"), "sessions")
    of_client = here.token("metrics")
    refused = put(here, user, mine, app_passwords="keep")
    assert told(refused) == (400, {**REFUSED, "details": "app_passwords: must be revoke, or absent"})
    assert told(put(here, user, mine, app_passwords="revoke")) == (200, DONE)
    tokens = (mine, *apps, child, foreign, of_client)
    assert [bool(here.server.tokens.find(token)) for token in tokens] == [True, False, False, False, True, True]
    assert {event.details.get("why") for event in here.server.records.audit.page(Page(2))} == {"password"}


def signed_in_as_bob(here: Site) -> str:
    """Somebody else's session."""
    join(here, "bob")
    return signed_in(here, "bob")


def test_all_workers_know_it_at_once(visitor: Visitor):
    """Over HTTP, on each web server."""
    user = visitor.user()
    body = {"username": user.name, "password": "Blue-whale-42-sings"}
    mine, other = (visitor.call("POST", SESSION, json_body=body).json["access_token"] for _ in range(2))
    for token, status in ((mine, 200), (other, 200)):
        assert {visitor.call("GET", SESSION, bearer=token).status for _ in range(4)} == {status}
    change = {"old": "Blue-whale-42-sings", "new": NEW}
    assert visitor.call("PUT", f"/api/v1/users/{user.uid}/password", json_body=change, bearer=mine).json == DONE
    for token, status in ((mine, 200), (other, 401)):
        assert set(visitor.everywhere(lambda token=token: visitor.call("GET", SESSION, bearer=token).status)) == {
            status
        }


def test_it_is_noted_without_the_passwords(here: Site):
    """Who, from where; a failure too."""
    user = join(here)
    token = signed_in(here)
    assert put(here, user, token, old="wrong", address="192.0.2.7").status_code == 400
    event = last_event(here)
    assert (event.event, event.outcome, event.actor, event.address) == ("user.change", "failed", "jane", "192.0.2.7")
    assert put(here, user, token, address="192.0.2.8").status_code == 200
    event = last_event(here)
    assert (event.event, event.outcome, event.actor, event.address) == ("user.change", "ok", user.uid, "192.0.2.8")
    assert event.details["changed"] == ["password"]
    assert not any(word in str(here.server.records.audit.page(Page())) for word in (NEW, PASSWORD))


def test_who_has_changed_it_is_asked_for_no_new_one(here: Site):
    """The pages ask after a password that somebody else has made; this answers them."""
    user = join(here)
    here.server.users.change(user.uid, Changes(password=PASSWORD, must_change_password=True))
    assert put(here, user, signed_in(here)).status_code == 200
    assert not here.server.users.find("jane").must_change_password


# ---- who may
@proves("S-077")
@pytest.mark.parametrize("role", ["admin", "user"])
def test_programs_never_change_a_password(here: Site, role: str):
    """An app password, its session, a client's token, one of the command line: 403 with any scope; nothing written."""
    user = join(here, role=role)
    scope = "* password users"
    client = here.server.clients.add({"scope": scope, "owner_uid": user.uid, "role": "admin"}).client
    app = here.app_password(user, scope)
    tokens = [
        app,
        login(here, password=app).json["access_token"],
        issue(Authorization("client", "oauth2", "client_credentials", scope, 60, client, user), here.server).value,
        issue(Authorization("client", "oauth2", "client_credentials", scope, 60, client), here.server).value,
        issue(Authorization("access_token", "default", "cli", scope, 60, user=user), here.server).value,
        issue(Authorization("access_token", "default", "cli", scope, 60), here.server).value,
    ]
    for token in tokens:
        assert put(here, user, token).status_code == 403  # its first use is noted
        before = here.stored()
        assert told(put(here, user, token)) == (403, DENIED)
        assert here.stored() == before


@proves("S-079")
@pytest.mark.parametrize("role", ["admin", "user", "guest"])
def test_nobody_changes_another_persons_password(here: Site, role: str):
    """Whether that person is there or not, an admin neither, and whatever the body is."""
    join(here, role=role)
    bob = join(here, "bob")
    token = signed_in(here)
    before = here.stored()
    for uid in (bob.uid, bob.uid.upper(), "us0000000000000a", "jane", "bob", "x" * 300, "%00"):
        assert told(ask(here, uid, token, json={"old": PASSWORD, "new": NEW})) == (403, DENIED)
    assert told(ask(here, bob.uid, token, data=b"{")) == (403, DENIED)
    assert here.stored() == before


@pytest.mark.parametrize("body", [{"json": {"old": PASSWORD, "new": NEW}}, {"data": b"{"}, {}])
def test_without_a_token_that_counts_nothing_is_looked_at(here: Site, body: dict[str, Any]):
    """401, whatever the body."""
    user = join(here)
    gone = signed_in(here)
    here.server.tokens.revoke(here.server.tokens.by_identifier(gone))
    for token in ("", gone, "f" * 48, "no token"):
        answer = ask(here, user.uid, token, **body)
        assert told(answer) == (401, {"code": 401, "error": "Please log in to your account"})
    assert here.server.users.find("jane").password_version == 1


# ---- what is refused
@proves("S-074")
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"old": "Wrong-whale-42-sings"}, "old: is not the password"),
        ({"old": ""}, "old: is not the password"),
        ({"old": None}, "old: is not the password"),
        ({"old": PASSWORD.lower()}, "old: is not the password"),
        ({"old": f" {PASSWORD}"}, "old: is not the password"),
        ({"old": "x" * 30000}, "old: is not the password"),
        ({"old": "wrong", "new": "short"}, "old: is not the password"),
        ({"new": "seven-7"}, "new: must have at least 8 characters"),
        ({"new": ""}, "new: must have at least 8 characters"),
        ({"new": None}, "new: must have at least 8 characters"),
        ({"new": "x" * 257}, "new: must have at most 256 characters and 1024 bytes"),
        ({"new": "\N{MERPERSON}" * 256 + "x"}, "new: must have at most 256 characters and 1024 bytes"),
        ({"new": "Password123"}, "new: is on the list of common passwords"),
        ({"new": "Jane.Fairfax"}, "new: must not be the user name"),
        ({"new": "jane.fairfax@example.org"}, "new: must not be the user name"),
        ({"new": "auth.example.org"}, "new: must not be the user name"),
        ({"old": 7}, "old: must be a string"),
        ({"new": [NEW]}, "new: must be a string"),
        ({"code": 123456}, "code: must be a string"),
        ({"Old": PASSWORD}, "old: must be a string, and given once"),
    ],
)
def test_the_reason_of_a_refusal_is_told(here: Site, body: dict[str, Any], reason: str):
    """400 with `details`, and nothing is written."""
    user = join(here, "jane.fairfax")
    token = signed_in(here, "jane.fairfax")
    before = here.stored()
    answer = ask(here, user.uid, token, json={"old": PASSWORD, "new": NEW, **body})
    assert told(answer) == (400, {**REFUSED, "details": answer.json["details"]})
    assert answer.json["details"].startswith(reason)
    assert here.stored() == before
    assert alive(here, token)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "body: is missing"),
        (b"{", "body: is no JSON in UTF-8"),
        (b"[]", "body: must be a JSON object"),
        (b'{"old": "a", "old": "b", "new": "c"}', "body: names a member twice"),
        (b'{"old": "\xff"}', "body: is no JSON in UTF-8"),
    ],
)
def test_a_body_that_cannot_be_read_is_told(here: Site, data: bytes, reason: str):
    """In the same form, and nothing is written."""
    user = join(here)
    token = signed_in(here)
    before = here.stored()
    assert told(ask(here, user.uid, token, data=data)) == (400, {**REFUSED, "details": reason})
    assert here.stored() == before


def test_members_are_read_in_whatever_case_and_strangers_ignored(here: Site):
    """As PhotoPrism reads JSON; whatever the Content-Type says."""
    user = join(here)
    body = f'{{"Old": "{PASSWORD}", "NEW": "{NEW}", "role": "admin"}}'.encode()
    assert told(ask(here, user.uid, signed_in(here), data=body, content_type="text/plain")) == (200, DONE)
    assert here.server.users.find("jane").role == "user"


# ---- guessing
@proves("S-065")
def test_guessing_the_old_password_is_stopped(here: Site):
    """A stolen session has ten tries, from wherever it guesses; then the right one is not looked at."""
    user = join(here)
    token = signed_in(here)
    for i in range(10):
        assert told(put(here, user, token, old="wrong", address=f"203.0.113.{i}")) == (400, WRONG)
    refused = put(here, user, token, address="203.0.113.99")
    assert told(refused) == (429, LIMITED)
    assert int(refused.headers["Retry-After"]) == 60
    assert here.server.users.find("jane").password_version == 1
    here.clock.advance(60)
    assert told(put(here, user, token, address="203.0.113.99")) == (200, DONE)


@proves("S-065")
def test_an_address_has_ten_tries_for_all_accounts(here: Site):
    """Logins and changes of passwords together; other persons' accounts and unreadable bodies cost one, too."""
    user = join(here)
    token = signed_in(here)
    for i in range(4):
        assert login(here, f"guess{i}", "wrong").status_code == 401
        assert ask(here, "us0000000000000a", token, json={}).status_code == 403
    assert ask(here, user.uid, token, data=b"{").status_code == 400
    assert put(here, user, token, old="wrong").status_code == 400
    assert told(put(here, user, token)) == (429, LIMITED)
    assert told(put(here, user, token, address="192.0.2.2")) == (200, DONE)


def test_who_knows_the_password_loses_no_tries(here: Site):
    """Neither by a change nor by a new one that is not taken."""
    user = join(here)
    token = signed_in(here)
    for i in range(12):
        old, new = (f"{PASSWORD}-{i}" if i else PASSWORD), f"{PASSWORD}-{i + 1}"
        assert put(here, user, token, old=old, new="password").status_code == 400
        assert told(put(here, user, token, old=old, new=new)) == (200, DONE)


def test_an_overload_costs_nobody_a_try(here: Site, hasher: Interrupted):
    """503 before the old password is checked, and before the new one is hashed."""
    user = join(here)
    token = signed_in(here)

    def full() -> None:
        raise Unavailable("too many logins at once", retry_after=5)

    before = here.stored()
    for when in ("before_verify", "before_hash"):
        setattr(hasher, when, full)
        answers = [put(here, user, token) for _ in range(12)]
        assert {answer.status_code for answer in answers} == {503}
        assert answers[0].headers["Retry-After"] == "5"
        setattr(hasher, when, int)
    assert here.stored() == before
    assert told(put(here, user, token)) == (200, DONE)


# ---- with a second factor
@proves("S-069", "S-070")
def test_a_second_factor_is_asked_for(here: Site):
    """After the old password and the new one were found good; a right code counts once."""
    user = join(here)
    token = signed_in(here)
    app = activated(here, user, token)
    before = here.stored()
    for code in ({}, {"code": ""}, {"code": " "}):
        assert told(put(here, user, token, **code)) == (401, REQUIRED)
    assert told(put(here, user, token, code=app.wrong_code())) == (401, INVALID)
    assert told(put(here, user, token, old="wrong", code=app.code())) == (400, WRONG)
    assert put(here, user, token, new="password", code=app.code()).status_code == 400
    assert here.stored() == before
    used = app.code()
    assert told(put(here, user, token, code=used)) == (200, DONE)
    assert alive(here, token)
    assert told(put(here, user, token, old=NEW, new=PASSWORD, code=used)) == (401, INVALID)
    assert told(login(here, password=NEW)) == (401, REQUIRED)
    assert login(here, password=NEW, code=app.next_code()).status_code == 200


def test_the_recovery_code_will_do(here: Site):
    """It ends the second factor, as everywhere."""
    user = join(here)
    token = signed_in(here)
    app = activated(here, user, token)
    assert told(put(here, user, token, code=app.recovery_code)) == (200, DONE)
    assert alive(here, token)
    assert login(here, password=NEW).status_code == 200


@proves("S-071")
def test_only_a_wrong_code_costs_tries(here: Site):
    """Of none nothing is learnt; after five wrong ones no code is looked at, and the tries of passwords stay."""
    user = join(here)
    token = signed_in(here)
    app = activated(here, user, token)
    assert {put(here, user, token).status_code for _ in range(12)} == {401}
    codes = [put(here, user, token, code=app.wrong_code()).status_code for _ in range(5)]
    assert codes == [401] * 5
    assert {put(here, user, token, code=app.code()).status_code for _ in range(12)} == {429}
    here.clock.advance(900)
    assert told(put(here, user, token, code=app.code())) == (200, DONE)


def test_a_factor_that_is_set_up_meanwhile_stands(here: Site, hasher: Interrupted):
    """No code was asked for, and so nothing is changed."""
    user = join(here)
    mine, other = signed_in(here), signed_in(here)

    def meanwhile() -> None:
        hasher.before_hash = int
        activated(here, user, other)

    hasher.before_hash = meanwhile
    assert told(put(here, user, mine)) == (409, {"code": 409, "error": "Changes could not be saved"})
    assert [alive(here, token) for token in (mine, other)] == [False, True]


# ---- races
def test_of_two_changes_at_once_one_counts(here: Site, hasher: Interrupted):
    """Two sessions know the same old password; the one that comes second is over, and changes nothing."""
    user = join(here)
    first, second = signed_in(here), signed_in(here)

    def meanwhile() -> None:
        hasher.before_hash = int
        assert told(put(here, user, first)) == (200, DONE)

    hasher.before_hash = meanwhile
    answer = put(here, user, second, new="Another-password-1")
    assert told(answer) == (409, {"code": 409, "error": "Changes could not be saved"})
    assert [alive(here, token) for token in (first, second)] == [True, False]
    assert login(here, password=NEW).status_code == 200


@pytest.mark.parametrize("end", ["disabled", "removed", "demoted"])
def test_what_an_admin_does_meanwhile_stands(here: Site, hasher: Interrupted, end: str):
    """The account is not changed, and the session is over."""
    user = join(here)
    token = signed_in(here)
    users = here.server.users

    def meanwhile() -> None:
        hasher.before_hash = int
        if end == "removed":
            users.remove(user.uid)
        else:
            users.change(user.uid, Changes(enabled=False) if end == "disabled" else Changes(role="guest"))

    hasher.before_hash = meanwhile
    assert put(here, user, token).status_code in (404, 409)
    assert not alive(here, token)
    if end != "removed":
        assert users.find("jane").password_hash == user.password_hash


def test_a_session_that_is_ended_meanwhile_stays_dead(here: Site, hasher: Interrupted):
    """The password is changed all the same: it was asked for while the session lived."""
    user = join(here)
    token = signed_in(here)
    hasher.before_hash = lambda: here.server.tokens.revoke(here.server.tokens.by_identifier(token))
    assert put(here, user, token).status_code == 200
    assert not alive(here, token)
    assert login(here, password=NEW).status_code == 200


def test_the_old_password_is_no_new_one(here: Site) -> None:
    """Else an account that must have a new password would go on with the one that others know."""
    jane = here.server.users.add("jane", PASSWORD, Changes(role="user"), must_change=True)
    answer = put(here, jane, signed_in(here), new=PASSWORD)
    assert answer.status_code == 400
    assert answer.json == {**REFUSED, "details": "new: is the old one; choose another"}
    assert here.server.users.find("jane").must_change_password
