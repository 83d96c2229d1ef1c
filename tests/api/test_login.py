"""Signing in by password at PhotoPrism's door: failures look alike, and guessing is stopped."""

from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher

from auth_server.domain.users import Changes
from auth_server.errors import Unavailable
from auth_server.store.state import Page
from tests import proves
from tests.people import PASSWORD, SESSION, TOKEN, alive, bearer, join, login, signed_in
from tests.sites import Site, site

LIMITED = {"error": "rate limit exceeded", "code": 429}


@pytest.fixture
def here(tmp_path: Path) -> Site:
    return site(tmp_path, signing_algs=["ES256"])


class Counting(PasswordHasher):
    """Argon2 that counts what it verifies."""

    verified = 0

    def verify(self, *arguments: Any) -> Any:
        type(self).verified += 1
        return super().verify(*arguments)


@proves("S-068")
def test_failures_look_alike_and_cost_the_same_work(tmp_path: Path):
    """Unknown user, wrong password, disabled user: one answer, one hash."""
    here = site(tmp_path, signing_algs=["ES256"], hasher=Counting(1, 8, 1))
    join(here)
    gone = join(here, "gone")
    here.server.users.change(gone.uid, Changes(enabled=False))
    login(here, "nobody", "warm-up: the hash for nobody is made once")
    answers = []
    for name, password in (("jane", "wrong-password"), ("nobody", PASSWORD), ("gone", PASSWORD), ("j" * 65, PASSWORD)):
        before = Counting.verified
        answer = login(here, name, password)
        answers.append((answer.status_code, answer.data, sorted(answer.headers.items())))
        assert Counting.verified == before + 1
    assert answers[0][:2] == (401, b'{"error":"Invalid credentials"}')
    assert all(answer == answers[0] for answer in answers)


@proves("S-065")
def test_guessing_is_stopped_for_the_address(here: Site):
    """After ten tries the right password is not looked at either; one more try a minute."""
    join(here)
    assert [login(here, f"guess{i}", "wrong").status_code for i in range(10)] == [401] * 10
    refused = login(here)
    assert (refused.status_code, refused.json) == (429, LIMITED)
    assert int(refused.headers["Retry-After"]) == 60
    assert login(here, address="192.0.2.2").status_code == 200
    here.clock.advance(60)
    assert login(here).status_code == 200


@proves("S-065")
def test_guessing_is_stopped_for_the_account(here: Site):
    """From ten addresses as from one, and at every door."""
    join(here)
    token = signed_in(here)
    for i in range(5):
        assert login(here, password="wrong", address=f"192.0.2.{i + 10}").status_code == 401
        form = {
            "grant_type": "password",
            "username": "jane",
            "password": "wrong",
            "client_name": "x",
            "scope": "sessions",
        }
        answer = here.http.post(
            TOKEN, data=form, headers=bearer(token), environ_base={"REMOTE_ADDR": f"192.0.2.{i + 20}"}
        )
        assert answer.status_code == 401
    assert login(here, address="192.0.2.99").json == LIMITED
    form["password"] = PASSWORD
    assert here.http.post(TOKEN, data=form, headers=bearer(token)).json == LIMITED


@proves("S-065", "S-067")
def test_after_a_hundred_failures_only_known_addresses_may_try(here: Site):
    """The attacker is stopped for good, the person is not locked out."""
    join(here)
    assert login(here, address="198.51.100.1").status_code == 200
    for i in range(100):
        assert login(here, password="wrong", address=f"203.0.113.{i}").status_code == 401
        here.clock.advance(61)
    here.clock.advance(3600)
    assert login(here, address="203.0.113.200").json == LIMITED
    assert login(here, address="198.51.100.1").status_code == 200
    assert login(here, address="203.0.113.200").status_code == 200


@proves("S-067")
def test_a_strangers_failures_do_not_delay_a_known_address(here: Site):
    """With the account's shared tries used up, the person signs in from where they did before."""
    join(here)
    assert login(here, address="198.51.100.1").status_code == 200
    codes = {login(here, password="wrong", address=f"203.0.113.{i}").status_code for i in range(15)}
    assert codes == {401, 429}
    assert login(here, address="203.0.113.200").status_code == 429
    assert login(here, address="198.51.100.1").status_code == 200
    guesses = [login(here, password="wrong", address="198.51.100.1").status_code for _ in range(11)]
    assert guesses[-1] == 429


@proves("S-066")
def test_forged_addresses_do_not_fool_the_throttle(here: Site):
    """A peer that is no trusted proxy is counted as itself."""
    headers = [{"X-Forwarded-For": f"203.0.113.{i}", "Forwarded": f"for=203.0.113.{i}"} for i in range(11)]
    codes = [login(here, f"guess{i}", "wrong", headers=header).status_code for i, header in enumerate(headers)]
    assert codes == [401] * 10 + [429]


def test_right_passwords_cost_nothing(here: Site):
    """Not even with a code."""
    join(here)
    assert [login(here, code="123456").status_code for _ in range(15)] == [200] * 15


def test_a_login_with_a_code_costs_three_tries(here: Site):
    """As PhotoPrism counts; an empty code is none."""
    codes = [login(here, f"guess{i}", "wrong", code="123456").status_code for i in range(4)]
    assert codes == [401] * 3 + [429]
    assert login(here, "guess", "wrong", code="").status_code == 401


def test_unknown_tokens_are_limited_and_valid_ones_served(here: Site):
    """Sixty of them; a person is not shut out by what others guess."""
    join(here)
    token = signed_in(here)
    codes = [here.http.get(SESSION, headers=bearer(f"{i:048x}")).status_code for i in range(61)]
    assert codes == [401] * 60 + [429]
    assert alive(here, token)


def throttlings(here: Site) -> list[tuple[str, str, str, str]]:
    """What the audit has of throttling: event, actor, client, address; newest first."""
    events = here.server.records.audit.page(Page(10000))
    return [(e.event, e.actor, e.client_id, e.address) for e in events if e.outcome == "throttled"]


@proves("S-065", "S-155")
def test_the_first_refusal_is_noted_and_not_the_thousandth(here: Site):
    """Who has no tries left cannot fill the store."""
    for i in range(40):
        login(here, f"guess{i}", "wrong")
    assert throttlings(here) == [("login.password", "guess10", "", "192.0.2.1")]
    here.clock.advance(600)
    for i in range(40):
        login(here, f"guess{i}", "wrong")
    assert len(throttlings(here)) == 2
    for i in range(20):
        login(here, "jane", "wrong", address=f"203.0.113.{i}")
    assert throttlings(here)[0] == ("login.password", "jane", "", "203.0.113.10")
    assert len(throttlings(here)) == 3


@proves("S-155")
def test_throttled_clients_and_tokens_are_noted(here: Site):
    """Once for each client and address, and once for each address."""
    for _ in range(15):
        form = {"grant_type": "client_credentials", "client_id": "c1", "client_secret": "x" * 43}
        here.http.post(TOKEN, data=form, environ_base={"REMOTE_ADDR": "192.0.2.1"})
    for i in range(65):
        here.http.get(SESSION, headers=bearer(f"{i:048x}"), environ_base={"REMOTE_ADDR": "192.0.2.2"})
    assert throttlings(here) == [
        ("token.find", "", "", "192.0.2.2"),
        ("client.authenticate", "", "c1", "192.0.2.1"),
    ]


class Busy(PasswordHasher):
    """Argon2 whose pool has no place."""

    def verify(self, *arguments: Any) -> Any:
        raise Unavailable("too many logins at once", retry_after=5)


def test_an_overload_costs_nobody_a_try(tmp_path: Path):
    """Nothing was found out about the password."""
    here = site(tmp_path, signing_algs=["ES256"], hasher=Busy(1, 8, 1))
    join(here)
    assert [login(here).status_code for _ in range(30)] == [503] * 30


def test_logins_are_counted_and_noted(here: Site):
    """An audit record and a figure for each outcome, without password or token."""
    user = join(here)
    login(here)
    login(here, password="wrong-password")
    events = [
        (event.event, event.outcome, event.actor, event.address) for event in here.server.records.audit.page(Page())
    ]
    assert ("login.password", "ok", user.uid, "192.0.2.1") in events
    assert ("login.password", "failed", "jane", "192.0.2.1") in events
    assert 'auth_server_logins_total{outcome="failed"}' in here.server.metrics.render().decode()
