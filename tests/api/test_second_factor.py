"""Signing in with a second factor: what a password alone gets, codes that count once, and guesses that end."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from pyotp import TOTP
from werkzeug.test import Client as HttpClient
from werkzeug.test import TestResponse

from auth_server.errors import Unavailable
from auth_server.store.records import AuditEvent, User
from auth_server.store.state import Page
from tests import proves
from tests.authenticators import STEP, Authenticator, activated, made, passcode
from tests.people import PASSWORD, SESSION, TOKEN, alive, app_password, bearer, join, login, signed_in
from tests.servers.postgresql import PostgreSQL
from tests.servers.visitors import Visitor
from tests.sites import Site, site

REQUIRED = {"error": "passcode required", "code": 32, "message": "Enter verification code"}
INVALID = {"error": "invalid passcode", "code": 401, "message": "Invalid verification code, please try again"}
FAILED = {"error": "Invalid credentials"}
LIMITED = {"error": "rate limit exceeded", "code": 429}


@pytest.fixture
def here(tmp_path: Path) -> Site:
    return site(tmp_path, signing_algs=["ES256"])


@pytest.fixture
def jane(here: Site) -> User:
    return join(here)


@pytest.fixture
def session(here: Site, jane: User) -> str:
    return signed_in(here)


@pytest.fixture
def app(here: Site, jane: User, session: str) -> Authenticator:
    """Jane's, who has a second factor."""
    return activated(here, jane, session)


def told(answer: TestResponse) -> tuple[int, Any]:
    """Status and body."""
    return answer.status_code, answer.json


def method(here: Site, answer: TestResponse) -> str:
    """How the session that was just made was signed in to."""
    assert answer.status_code == 200, answer.data
    return here.server.tokens.by_identifier(answer.json["access_token"]).method


def events(here: Site, prefix: str) -> list[AuditEvent]:
    """The audit's events of a kind, oldest first."""
    return [e for e in reversed(here.server.records.audit.page(Page(1000))) if e.event.startswith(prefix)]


@proves("S-069")
def test_the_password_alone_opens_nothing(here: Site, app: Authenticator, session: str):
    """Neither a session nor an app password, by either grant; nothing is written, and the old session lives."""
    before = here.stored()
    assert told(login(here)) == (401, REQUIRED)
    assert told(login(here, headers=bearer(session))) == (401, REQUIRED)
    for grant_type in ("password", "session"):
        assert told(app_password(here, session, grant_type=grant_type)) == (401, REQUIRED)
    for code in ("", " ", "---", "1" * 37, "\N{LATIN SMALL LETTER E WITH ACUTE}" * 19):
        assert told(login(here, code=code)) == (401, REQUIRED)
    assert here.stored() == before
    assert alive(here, session)
    assert told(login(here, code=None)) == (401, REQUIRED)


@proves("S-069")
def test_a_factor_that_is_activated_during_a_login_is_not_missed(tmp_path: Path):
    """The password was right when it was looked at; the session is not made."""
    hasher = Interrupted(1, 8, 1)
    here = site(tmp_path, signing_algs=["ES256"], hasher=hasher)
    jane = join(here)
    session = signed_in(here)
    app = made(here, jane, session)
    assert passcode(here, jane, session, "confirm", code=app.code()).status_code == 200
    hasher.before_verify = lambda: passcode(here, jane, session, "activate")
    assert told(login(here)) == (401, FAILED)
    hasher.before_verify = int
    assert told(login(here)) == (401, REQUIRED)


@proves("S-068")
def test_nothing_is_said_of_the_factor_before_the_password_is_right(here: Site, app: Authenticator):
    """A wrong password ends alike with a right code, a wrong one and none; the code is not used up."""
    for code in (app.code(), app.wrong_code(), app.recovery_code, ""):
        assert told(login(here, password="wrong", code=code)) == (401, FAILED)
        here.clock.advance(-here.clock() % STEP)
    here.clock.advance(600)
    code = app.code()
    assert told(login(here, password="wrong", code=code)) == (401, FAILED)
    assert login(here, code=code).status_code == 200


def test_a_code_signs_in(here: Site, jane: User, app: Authenticator):
    """The session's method and the account's show it, and it lives twice as long, used or not."""
    answer = login(here, code=app.code())
    assert method(here, answer) == "2fa"
    assert (answer.json["provider"], answer.json["scope"]) == ("local", "")
    assert answer.json["expires_in"] == 2 * here.server.settings.session_ttl
    assert answer.json["user"]["AuthMethod"] == "2fa"
    token = answer.json["access_token"]
    idle = here.server.settings.session_idle
    here.clock.advance(2 * idle - 1)
    assert alive(here, token)
    here.clock.advance(2 * idle - 1)
    assert alive(here, token)
    here.clock.advance(2)
    assert not alive(here, token)


def test_a_session_without_use_ends_after_twice_the_idle_time(here: Site, app: Authenticator):
    """And not before."""
    token = login(here, code=app.code()).json["access_token"]
    here.clock.advance(2 * here.server.settings.session_idle)
    assert not alive(here, token)


@pytest.mark.parametrize("dress", ["{0}", " {0} ", "{1} {2}", "{1}-{2}", "\t{1}\N{NO-BREAK SPACE}{2}"])
def test_codes_are_cleaned(here: Site, app: Authenticator, dress: str):
    """As people type and paste them."""
    code = app.code()
    assert login(here, code=dress.format(code, code[:3], code[3:])).status_code == 200


def test_a_code_may_be_a_step_early_or_late(here: Site, app: Authenticator):
    """Not two."""
    for steps in (-2, 2):
        assert told(login(here, code=app.code(steps))) == (401, INVALID)
    here.clock.advance(10 * STEP)
    assert login(here, code=app.code(-1)).status_code == 200
    assert login(here, code=app.code(1)).status_code == 200


@pytest.mark.parametrize(
    "code", ["12345", "1234567", "abcdef", "a" * 12, "123456" * 6, "\N{ARABIC-INDIC DIGIT ONE}" * 6]
)
def test_what_is_no_code_is_wrong_or_none(here: Site, app: Authenticator, code: str):
    """In the one form; digits of other scripts are dropped."""
    assert told(login(here, code=code)) in ((401, INVALID), (401, REQUIRED))


@proves("S-070")
def test_a_code_counts_once_and_none_before_it(here: Site, app: Authenticator, session: str):
    """At whatever door it is shown the second time."""
    now, before = app.code(1), app.code()
    assert login(here, code=now).status_code == 200
    for code in (now, before):
        assert told(login(here, code=code)) == (401, INVALID)
        assert told(app_password(here, session, code=code)) == (401, INVALID)
    assert events(here, "passcode.check")[0].outcome == "failed"


@proves("S-070")
def test_a_code_counts_once_among_many_at_once(here: Site, app: Authenticator):
    """Eight logins at the same instant, from eight addresses."""
    statuses = sorted(at_once([here] * 8, app.code()))
    assert statuses[0] == 200
    assert {401} <= {*statuses[1:]} <= {401, 429}


@proves("S-070")
def test_a_code_counts_once_among_replicas(tmp_path: Path, postgresql_server: PostgreSQL):
    """Two servers on one PostgreSQL, each with caches and a short-lived store of its own."""
    url = postgresql_server.create(f"factor_{tmp_path.name}")
    keys = tmp_path / "keys"
    pair = [site(tmp_path / name, signing_algs=["ES256"], database_url=url, keys_dir=keys) for name in ("a", "b")]
    jane = join(pair[0])
    app = activated(pair[0], jane, signed_in(pair[0]))
    pair[1].clock.now = pair[0].clock.now
    for _ in range(5):
        code = app.next_code()
        pair[1].clock.now = pair[0].clock.now
        assert sorted(at_once(pair * 2, code)) == [200, 401, 401, 401]
        pair[0].clock.advance(900)
        pair[1].clock.now = pair[0].clock.now
    assert told(login(pair[1])) == (401, REQUIRED)
    assert passcode(pair[0], jane, signed_in_with(pair[0], app), "deactivate", password=PASSWORD).status_code == 200
    assert login(pair[1]).status_code == 200
    for replica in pair:
        replica.server.close()


def signed_in_with(here: Site, app: Authenticator) -> str:
    """Sign in with the next code, and return the session's token."""
    token: str = login(here, code=app.next_code()).json["access_token"]
    return token


def at_once(sites: list[Site], code: str) -> list[int]:
    """Show a code to each of the sites at the same instant; return the statuses."""

    def show(numbered: tuple[int, Site]) -> int:
        number, there = numbered
        body = {"username": "jane", "password": PASSWORD, "code": code}
        environ = {"REMOTE_ADDR": f"192.0.2.{100 + number}"}
        return HttpClient(there.application).post(SESSION, json=body, environ_base=environ).status_code

    with ThreadPoolExecutor(len(sites)) as pool:
        return list(pool.map(show, enumerate(sites)))


@proves("S-070")
def test_a_code_counts_once_among_workers(visitor: Visitor):
    """Of real servers, which share nothing but the stores."""
    user = visitor.user()
    credentials = {"username": user.name, "password": PASSWORD}
    session = visitor.call("POST", SESSION, json_body=credentials).json["access_token"]
    path, body = f"/api/v1/users/{user.uid}/passcode", {"type": "totp", "password": PASSWORD}
    codes, now = TOTP(visitor.call("POST", path, bearer=session, json_body=body).json["Secret"]), visitor.server.now()
    body["code"] = codes.at(now - STEP)
    for verb in ("confirm", "activate"):
        assert visitor.call("POST", f"{path}/{verb}", bearer=session, json_body=body).status == 200
    credentials["code"] = codes.at(now)
    statuses = visitor.everywhere(lambda: visitor.call("POST", SESSION, json_body=credentials).status, 3)
    assert sorted(statuses) == [200, 401, 401]


@proves("S-071")
def test_five_wrong_codes_end_the_guessing(here: Site, app: Authenticator, session: str):
    """From whatever addresses, at whatever doors, and however often the password is entered again."""
    doors: list[Callable[[int], TestResponse]] = [
        lambda number: login(here, code=app.wrong_code(), address=f"192.0.2.{number}"),
        lambda number: app_password(here, session, code=app.wrong_code()),
        lambda number: passcode(
            here, user, session, address=f"192.0.2.{number}", password=PASSWORD, code=app.wrong_code()
        ),
    ]
    user = here.server.users.find("jane")
    for number in range(5):
        assert told(login(here, address="198.51.100.7")) == (401, REQUIRED)
        assert told(doors[number % 3](10 + number)) == (401, INVALID)
    refused = login(here, code=app.code(), address="192.0.2.99")
    assert told(refused) == (429, LIMITED)
    assert refused.headers["Retry-After"] == "900"
    assert told(doors[1](0)) == told(doors[2](99)) == (429, LIMITED)
    assert told(login(here, code=app.recovery_code, address="192.0.2.98")) == (429, LIMITED)
    assert told(login(here, address="198.51.100.7")) == (401, REQUIRED)
    throttled = [event for event in events(here, "passcode.check") if event.outcome == "throttled"]
    assert [(event.actor, event.address) for event in throttled] == [(user.uid, "192.0.2.99")]
    here.clock.advance(900)
    assert login(here, code=app.code()).status_code == 200


@proves("S-071")
def test_no_fifteen_minutes_have_more_than_five(here: Site, app: Authenticator):
    """Each wrong code frees its place when it is fifteen minutes old; right ones give nothing back."""
    began = here.clock()
    for number in range(5):
        here.clock.now = began + 200 * number
        assert told(login(here, code=app.wrong_code(), address=f"192.0.2.{number}")) == (401, INVALID)
        here.clock.advance(60)
        if number < 4:
            assert login(here, code=app.code(), address="198.51.100.7").status_code == 200
    here.clock.now = began + 899
    refused = login(here, code=app.code(), address="192.0.2.50")
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
    here.clock.now = began + 900
    assert told(login(here, code=app.wrong_code(), address="192.0.2.51")) == (401, INVALID)
    assert login(here, code=app.code(), address="192.0.2.52").status_code == 429


@proves("S-071")
def test_wrong_codes_are_failures_of_the_account(here: Site, app: Authenticator):
    """After a hundred in a row only an address that is known may go on."""
    for number in range(100):
        assert told(login(here, code=app.wrong_code(), address=f"203.0.113.{number}")) == (401, INVALID)
        here.clock.advance(200)
    assert told(login(here, code=app.code(), address="203.0.113.200")) == (429, LIMITED)
    assert login(here, code=app.code()).status_code == 200


def test_a_code_costs_three_tries_and_what_was_right_none(here: Site, app: Authenticator):
    """As PhotoPrism counts for the address; it gets them back on success, and where only the code is missing."""
    for _ in range(11):
        assert told(login(here)) == (401, REQUIRED)
        assert login(here, code=app.next_code()).status_code == 200
    for _ in range(3):
        assert told(login(here, code=app.wrong_code())) == (401, INVALID)
    assert told(login(here, code=app.next_code())) == (429, LIMITED)
    assert told(login(here)) == (401, REQUIRED)
    assert login(here, code=app.code(), address="192.0.2.9").status_code == 200


class Interrupted(PasswordHasher):
    """Argon2 before whose work something happens."""

    before_verify: Callable[[], object] = int

    def verify(self, *arguments: Any) -> Any:
        self.before_verify()
        return super().verify(*arguments)


class Full(PasswordHasher):
    """Argon2 whose pool may have no place for what looks like a recovery code."""

    full = False

    def verify(self, hashed: Any, secret: Any) -> Any:
        if self.full and secret != PASSWORD:
            raise Unavailable("too many logins at once", retry_after=5)
        return super().verify(hashed, secret)


def test_an_overload_costs_no_tries(tmp_path: Path):
    """Nothing was found out about the recovery code."""
    hasher = Full(1, 8, 1)
    here = site(tmp_path, signing_algs=["ES256"], hasher=hasher)
    app = activated(here, join(here), signed_in(here))
    hasher.full = True
    for _ in range(6):
        assert login(here, code=app.recovery_code).status_code == 503
    hasher.full = False
    assert login(here, code=app.recovery_code).status_code == 200


def test_the_recovery_code_works_once_and_ends_the_factor(here: Site, jane: User, app: Authenticator, session: str):
    """That session counts as one with a code; from then on none is asked for, and other sessions live on."""
    wrong = "a" * 12 if app.recovery_code != "a" * 12 else "b" * 12
    assert told(login(here, code=wrong)) == (401, INVALID)
    answer = login(here, code=app.recovery_code.upper())
    assert method(here, answer) == "2fa"
    assert answer.json["user"]["AuthMethod"] == ""
    assert answer.json["expires_in"] == 2 * here.server.settings.session_ttl
    assert method(here, login(here)) == "default"
    assert method(here, login(here, code=app.recovery_code)) == "default"
    assert alive(here, session)
    (used,) = events(here, "passcode.recover")
    assert (used.actor, used.address, used.details) == (jane.uid, "192.0.2.1", {"uid": jane.uid})
    assert here.server.records.passcodes.get(jane.uid, active=True) is None


def test_the_recovery_code_works_once_among_many_at_once(here: Site, jane: User, app: Authenticator):
    """The one who is first takes the factor away; to the others the account has none, or has had this one."""
    statuses = at_once([here] * 4, app.recovery_code)
    assert 200 in statuses
    assert set(statuses) <= {200, 401}
    assert len(events(here, "passcode.recover")) == 1


def test_an_app_password_is_never_asked_for_a_code(here: Site, jane: User, app: Authenticator):
    """Neither in place of the password nor in the header; nor is a code with it used up."""
    program = here.app_password(jane, "sessions")
    code = app.code()
    assert method(here, login(here, password=program, code=code)) == "session"
    assert here.http.post(SESSION, headers=bearer(program)).status_code == 200
    assert method(here, login(here, code=code)) == "2fa"


def test_a_session_is_answered_as_it_is(here: Site, app: Authenticator):
    """POST session with a session in the header asks for no code again."""
    token = login(here, code=app.code()).json["access_token"]
    answer = here.http.post(SESSION, json={}, headers=bearer(token))
    assert (answer.status_code, answer.json["access_token"]) == (200, token)


def test_a_login_with_a_code_ends_the_session_in_the_header(here: Site, app: Authenticator, session: str):
    """After it succeeded, not before."""
    assert told(login(here, headers=bearer(session), code=app.wrong_code())) == (401, INVALID)
    assert alive(here, session)
    assert login(here, headers=bearer(session), code=app.code()).status_code == 200
    assert not alive(here, session)


def test_a_code_is_not_asked_for_where_there_is_no_factor(here: Site, jane: User, session: str):
    """A key that only waits is none; what is given is ignored, as PhotoPrism does."""
    assert passcode(here, jane, session, password=PASSWORD).status_code == 200
    assert method(here, login(here)) == "default"
    assert method(here, login(here, code="123456")) == "default"
    assert app_password(here, session).status_code == 200


@pytest.mark.parametrize("grant_type", ["password", "session"])
def test_a_code_makes_an_app_password(here: Site, app: Authenticator, session: str, grant_type: str):
    """As a form or as JSON; once."""
    assert told(app_password(here, session, grant_type=grant_type, code=app.wrong_code())) == (401, INVALID)
    code = app.next_code()
    form = {"grant_type": grant_type, "username": "jane", "password": PASSWORD, "client_name": "x", "scope": "sessions"}
    answer = here.http.post(TOKEN, json={**form, "code": code}, headers=bearer(session))
    assert answer.status_code == 200
    assert alive(here, answer.json["access_token"])
    assert told(app_password(here, session, grant_type=grant_type, code=code)) == (401, INVALID)
    assert app_password(here, session, grant_type=grant_type, code=f" {app.next_code()} ").status_code == 200


def test_a_bad_request_for_an_app_password_uses_up_no_code(here: Site, app: Authenticator, session: str):
    """What only reads comes before what is used once."""
    code = app.code()
    for more in ({"scope": "admin:keys"}, {"expires_in": "-5"}, {"client_name": ""}, {"username": "bob"}):
        assert app_password(here, session, code=code, **more).status_code in (400, 401)
    assert app_password(here, session, code=code).status_code == 200


@proves("S-069")
def test_an_account_without_a_password_is_asked_for_a_code(here: Site, jane: User, app: Authenticator, session: str):
    """At the grant that is meant for such accounts."""
    here.server.records.users.change(jane.uid, lambda user: replace(user, password_hash=""))
    assert told(app_password(here, session, grant_type="session", password="")) == (401, REQUIRED)
    answer = app_password(here, session, grant_type="session", password="", code=app.code())
    assert answer.status_code == 200


def test_logins_with_codes_are_counted_and_noted(here: Site, jane: User, app: Authenticator):
    """A wrong code is a failure with the account's uid; nothing of the code is written down."""
    wrong = app.wrong_code()
    login(here, code=wrong)
    login(here, code=app.code())
    (failed,) = events(here, "passcode.check")
    assert (failed.outcome, failed.actor, failed.address) == ("failed", jane.uid, "192.0.2.1")
    assert [event.outcome for event in events(here, "login.password")] == ["ok", "ok"]
    assert not any(wrong in str(event.details) for event in events(here, ""))
    figures = here.server.metrics.render().decode()
    assert 'auth_server_logins_total{outcome="failed"} 1.0' in figures
