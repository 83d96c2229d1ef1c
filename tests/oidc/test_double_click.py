"""A form that is sent twice: what it asks for is done once, and a double click on the consent page is one click."""

from collections.abc import Callable
from typing import Any

import pytest
from werkzeug.test import TestResponse

from auth_server.store.records import User
from auth_server.store.state import Entry, Index, Kind, Page
from tests import proves
from tests.people import PASSWORD
from tests.relying_party import Browser, RelyingParty, answered, relying_party
from tests.sites import Site

CONSENT = "/consent"
During = Callable[[str, Kind, Callable[[], object]], None]


@pytest.fixture
def during(here: Site, monkeypatch: pytest.MonkeyPatch) -> During:
    """Let something happen just before the store is told to do something with a kind of entry, once."""

    def let(method: str, kind: Kind, happen: Callable[[], object]) -> None:
        usual: Callable[..., Any] = getattr(here.server.state, method)
        left = [happen]

        def meanwhile(of: Kind, *arguments: Any, **more: Any) -> Any:
            if of is kind and left:
                left.pop()()
            return usual(of, *arguments, **more)

        monkeypatch.setattr(here.server.state, method, meanwhile)

    return let


class Form:
    """The consent form that is open in a browser, to be sent as often as one likes."""

    def __init__(self, here: Site, party: RelyingParty, browser: Browser, **parameters: str) -> None:
        party.start(browser, **parameters)
        assert 'name="decision"' in browser.sign_in().text
        self.fields, self._browser, self._issuer = browser.hidden(), browser, here.server.issuer

    def send(self, decision: str = "allow") -> TestResponse:
        fields = {**self.fields, "decision": decision}
        return self._browser.http.post(CONSENT, base_url=self._issuer, data=fields)


@pytest.fixture
def form(here: Site, party: RelyingParty, browser: Browser) -> Form:
    return Form(here, party, browser)


def codes(here: Site) -> list[Entry]:
    """Return the codes that count."""
    return list(here.server.state.find(Kind.CODE, Index.ALL, "", Page(), here.clock()))


def test_a_double_click_gets_the_same_code_twice(here: Site, party: RelyingParty, form: Form):
    """Whichever of the two answers the browser goes by, the client gets its tokens, once."""
    first = form.send()
    here.clock.advance(9)
    second = form.send()
    assert first.headers["Location"] == second.headers["Location"]
    assert len(codes(here)) == 1
    assert party.redeem(answered(second)["code"]).status_code == 200


@pytest.mark.parametrize("mode", ["fragment", "form_post"])
def test_tokens_beside_a_code_are_the_same_too(here: Site, jane: User, browser: Browser, mode: str):
    """Wherever they travel: a client takes one answer, as a whole."""
    party = relying_party(here, grant_types=("authorization_code", "implicit"), response_types=("code id_token token",))
    form = Form(here, party, browser, response_type="code id_token token", response_mode=mode)
    first = form.send()
    here.clock.advance(2)
    second = form.send()
    assert "id_token" in first.headers.get("Location", first.text)
    assert (first.status_code, first.data) == (second.status_code, second.data)
    assert list(first.headers) == list(second.headers)


@proves("S-024")
def test_nobody_else_and_nothing_later_gets_the_answer(here: Site, form: Form, browser: Browser):
    """Neither another browser, nor another decision, nor a reload, nor this one when ten seconds are over."""
    other = Browser(here, "192.0.2.8")
    other.open("/login")
    assert "code=" in form.send().headers["Location"]
    assert form.send("deny").status_code == 400
    assert (
        browser.http.get(f"{CONSENT}?interaction={form.fields['interaction']}", base_url=here.server.issuer).status_code
        == 400
    )
    stolen = {**form.fields, "csrf_token": other.hidden()["csrf_token"], "decision": "allow"}
    answer = other.open(CONSENT, "POST", data=stolen)
    assert (answer.status_code, "belongs to another browser" in answer.text) == (400, True)
    here.clock.advance(10)
    late = form.send()
    assert (late.status_code, "This page has expired" in late.text) == (400, True)
    assert len(codes(here)) == 1


def test_no_is_said_once_too(here: Site, form: Form):
    """And is not turned into a yes by who presses the other button."""
    refused = [form.send("deny").headers["Location"] for _ in range(2)]
    assert refused[0] == refused[1]
    assert "error=access_denied" in refused[0]
    assert form.send("allow").status_code == 400
    assert codes(here) == []


@proves("S-035")
def test_what_can_be_had_twice_is_not_stored_in_clear(here: Site, form: Form):
    """Neither the code, nor what opens the answer that holds it."""
    code = answered(form.send())["code"]
    kept = repr(here.stored())
    assert code not in kept
    assert form.fields["interaction"] not in kept
    assert "code=" not in kept


def test_who_is_too_quick_goes_on_in_a_moment(here: Site, form: Form, browser: Browser, during: During):
    """While the answer is being made, a page leads to it; no second code is."""
    early: list[TestResponse] = []
    during("put", Kind.CODE, lambda: early.append(form.send()))
    first = form.send()
    (page,) = early
    assert (page.status_code, "You have answered already" in page.text) == (200, True)
    browser.page, browser._path = page, CONSENT
    again = browser.http.post(CONSENT, base_url=here.server.issuer, data=browser.hidden() | {"decision": "allow"})
    assert first.headers["Location"] == again.headers["Location"]
    assert len(codes(here)) == 1


@pytest.mark.parametrize(("first", "second"), [("allow", "allow"), ("allow", "deny"), ("deny", "allow")])
def test_of_two_answers_at_once_one_counts(
    here: Site, jane: User, party: RelyingParty, form: Form, during: During, first: str, second: str
):
    """Only what counted is remembered."""
    answers: list[TestResponse] = []
    during("swap", Kind.INTERACTION, lambda: answers.append(form.send(first)))
    answers.append(form.send(second))
    assert answers[0].status_code == 303
    if first == second:
        assert answers[0].headers["Location"] == answers[1].headers["Location"]
    else:
        assert answers[1].status_code == 400
    assert len(codes(here)) == (first == "allow")
    assert here.server.consents.covers(jane.uid, party.client_id, "openid") is (first == "allow")


def test_a_page_that_comes_late_revives_no_request(
    here: Site, jane: User, party: RelyingParty, browser: Browser, during: During
):
    """A login that was sent twice, of which the first one has led to the client by now."""
    party.start(browser)

    def all_of_it() -> None:
        browser.sign_in()
        assert "code" in answered(browser.allow())

    during("swap", Kind.INTERACTION, all_of_it)
    fields = {**browser.hidden(), "username": "jane", "password": PASSWORD}
    late = browser.http.post("/login", base_url=here.server.issuer, data=fields)
    assert (late.status_code, "This page was answered before" in late.text) == (400, True)
    assert len(codes(here)) == 1
