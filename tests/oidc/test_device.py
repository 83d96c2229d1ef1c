"""Device authorization: a code on one screen, a person at another."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest
import zxingcpp
from werkzeug.test import TestResponse

from auth_server.domain.users import Changes
from auth_server.protocol.grants.device_authorization import GRANT_TYPE
from auth_server.store.records import User
from auth_server.store.state import Entry, Index, Kind, Page
from tests import proves
from tests.images import pixels
from tests.people import join
from tests.relying_party import Browser, RelyingParty, relying_party
from tests.sites import Site

BEGIN, PAGE = "/api/v1/oauth/device_authorization", "/device"


@pytest.fixture
def party(here: Site, jane: User) -> RelyingParty:
    """A television."""
    grants = (GRANT_TYPE, "refresh_token")
    return relying_party(
        here, redirect_uris=(), grant_types=grants, scope="openid email offline_access",
        token_endpoint_auth_method="none",
    )  # fmt: skip


def poll(party: RelyingParty, code: str) -> TestResponse:
    return party.post(grant_type=GRANT_TYPE, device_code=code)


def error(answer: TestResponse) -> tuple[int, str]:
    return answer.status_code, answer.json["error"]


def begun(party: RelyingParty) -> dict[str, str]:
    answer = party.post(BEGIN)
    assert answer.status_code == 200, answer.text
    told: dict[str, str] = answer.json
    return told


def entered(browser: Browser, code: str) -> TestResponse:
    """Type the code on the page, and sign in if that is asked for."""
    browser.open(PAGE)
    page = browser.send(user_code=code)
    return browser.sign_in() if 'name="username"' in page.text else page


def test_a_person_lets_a_device_in(here: Site, party: RelyingParty, browser: Browser, jane: User):
    """However the code is typed; the device gets its tokens once."""
    told = begun(party)
    assert (told["expires_in"], told["interval"]) == (600, 5)
    assert error(poll(party, told["device_code"])) == (400, "authorization_pending")
    page = entered(browser, told["user_code"].lower().replace("-", " "))
    assert told["user_code"] in page.text
    assert "is connected" in browser.allow().text
    tokens = poll(party, told["device_code"])
    assert tokens.status_code == 200, tokens.text
    assert {"access_token", "refresh_token", "id_token"} <= tokens.json.keys()
    assert error(poll(party, told["device_code"])) == (400, "invalid_grant")


@proves("S-112", "RFC 8628 §5.4")
def test_people_see_where_the_device_is_and_where_they_are(here: Site, party: RelyingParty, jane: User):
    """Who is led here by somebody far away can tell."""
    there = {"REMOTE_ADDR": "198.51.100.9"}
    told = here.http.post(BEGIN, data={"client_id": party.client_id}, environ_base=there).json
    page = entered(Browser(here, "203.0.113.5"), told["user_code"])
    places = "address <strong><bdi>198.51.100.9</bdi></strong>; yours is <strong><bdi>203.0.113.5</bdi></strong>."
    assert f"It asked from the {places}" in page.text


def test_a_device_that_the_version_before_has_kept_is_let_in(here: Site, party: RelyingParty, browser: Browser):
    """Where it is was not kept, and so the page says nothing of that."""
    told, now = begun(party), here.clock()
    (entry,) = here.server.state.find(Kind.DEVICE_CODE, Index.ALL, "", Page(), now)
    known = {name: value for name, value in orjson.loads(entry.data).items() if name != "address"}
    here.server.state.put(Kind.DEVICE_CODE, replace(entry, data=orjson.dumps(known)), now)
    assert error(poll(party, told["device_code"])) == (400, "authorization_pending")
    assert error(poll(party, told["device_code"])) == (400, "slow_down")
    assert "It asked from" not in entered(browser, told["user_code"]).text
    assert "is connected" in browser.allow().text


@proves("S-112")
def test_opening_the_link_allows_nothing(party: RelyingParty, browser: Browser):
    """It leads to a form, after a sign-in."""
    told = begun(party)
    browser.open(told["verification_uri_complete"].removeprefix("https://auth.example.org"))
    page = browser.sign_in()
    assert told["user_code"] in page.text
    assert error(poll(party, told["device_code"]))[1] == "authorization_pending"
    browser.send(decision="deny")
    assert error(poll(party, told["device_code"])) == (400, "access_denied")


@proves("S-111")
def test_a_hasty_device_must_wait_longer(here: Site, party: RelyingParty):
    """Five seconds more each time."""
    code = begun(party)["device_code"]
    poll(party, code)
    here.clock.advance(4)
    assert error(poll(party, code)) == (400, "slow_down")
    here.clock.advance(9)
    assert error(poll(party, code)) == (400, "slow_down")
    here.clock.advance(15)
    assert error(poll(party, code)) == (400, "authorization_pending")


@proves("S-111")
def test_codes_are_their_clients_and_expire(here: Site, party: RelyingParty, browser: Browser):
    """Another client gets nothing and uses nothing up."""
    told = begun(party)
    other = relying_party(
        here, redirect_uris=(), grant_types=(GRANT_TYPE,), scope="openid", token_endpoint_auth_method="none"
    )
    assert error(poll(other, told["device_code"])) == (400, "invalid_grant")
    entered(browser, told["user_code"])
    browser.allow()
    assert error(poll(other, told["device_code"])) == (400, "invalid_grant")
    assert poll(party, told["device_code"]).status_code == 200
    late = begun(party)
    here.clock.advance(600)
    assert error(poll(party, late["device_code"])) == (400, "expired_token")
    assert entered(browser, late["user_code"]).status_code == 400


@pytest.fixture
def before_answers(here: Site, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object], int], None]:
    """Let something happen each time that a person's answer is about to be written down, a number of times."""
    swap = here.server.state.swap

    def let(happen: Callable[[], object], times: int) -> None:
        left = [times]

        def meanwhile(kind: Kind, old: Entry, new: Entry, now: int) -> bool:
            if kind is Kind.DEVICE_CODE and b'"pending"' not in new.data and left[0]:
                left[0] -= 1
                happen()
            return swap(kind, old, new, now)

        monkeypatch.setattr(here.server.state, "swap", meanwhile)

    return let


def test_an_answer_counts_although_the_device_asks_at_that_moment(
    here: Site, party: RelyingParty, browser: Browser, jane: User, before_answers: Any
):
    """Several times even; and it is remembered that it was."""
    told = begun(party)
    entered(browser, told["user_code"])
    before_answers(lambda: poll(party, told["device_code"]), 9)
    assert "is connected" in browser.allow().text
    assert poll(party, told["device_code"]).status_code == 200
    assert here.server.consents.covers(jane.uid, party.client_id, "openid email offline_access")


def test_nothing_is_lost_where_a_device_keeps_people_from_answering(
    here: Site, party: RelyingParty, browser: Browser, jane: User, before_answers: Any
):
    """They are told to try again, and then it counts."""
    told = begun(party)
    page = entered(browser, told["user_code"])
    before_answers(lambda: poll(party, told["device_code"]), 10)
    refused = browser.http.post(
        PAGE, base_url="https://auth.example.org", data={**browser.hidden(), "decision": "allow"}
    )
    assert (page.status_code, refused.status_code, refused.headers["Retry-After"]) == (200, 503, "1")
    assert not here.server.consents.covers(jane.uid, party.client_id, "openid")
    assert error(poll(party, told["device_code"]))[1] == "slow_down"
    assert "is connected" in browser.allow().text
    assert poll(party, told["device_code"]).status_code == 200


@pytest.mark.parametrize("first", ["allow", "deny"])
def test_of_two_people_who_answer_at_once_the_first_one_counts(
    here: Site, party: RelyingParty, browser: Browser, jane: User, first: str, before_answers: Any
):
    """The other one is told so, and nothing is remembered of what they said."""
    bob, other = join(here, "bob"), Browser(here, "192.0.2.8")
    told = begun(party)
    entered(browser, told["user_code"])
    other.open(PAGE)
    other.send(user_code=told["user_code"])
    other.sign_in("bob")
    before_answers(lambda: other.send(decision=first), 1)
    assert (browser.allow().status_code, other.page and other.page.status_code) == (400, 200)
    covers = [here.server.consents.covers(one.uid, party.client_id, "openid") for one in (jane, bob)]
    assert covers == [False, first == "allow"]
    answer = poll(party, told["device_code"])
    assert answer.status_code == 200 if first == "allow" else error(answer) == (400, "access_denied")
    assert entered(browser, told["user_code"]).status_code == 400, "the code is used up"


@proves("S-110")
def test_codes_are_not_guessed(party: RelyingParty, browser: Browser):
    """After five wrong ones the address must wait, also with the right one."""
    told = begun(party)
    entered(browser, "AAAA-AAAA")
    for _ in range(4):
        assert entered(browser, "AAAA-AAAA").status_code == 400
    assert entered(browser, told["user_code"]).status_code == 429


@proves("S-113")
@pytest.mark.parametrize("change", [Changes(enabled=False), Changes(password="Another-whale-43-sings")])
def test_a_person_who_counts_no_more_lets_nothing_in(
    here: Site, party: RelyingParty, browser: Browser, jane: User, change: Changes
):
    """Between the answer and the device's next question."""
    told = begun(party)
    entered(browser, told["user_code"])
    browser.allow()
    here.server.users.change(jane.uid, change)
    assert error(poll(party, told["device_code"])) == (400, "invalid_grant")


@proves("S-063")
@pytest.mark.parametrize("after", ["https://evil.test/", "//evil.test", "/\\evil.test", "/device?user_code=a&x=//e"])
def test_a_sign_in_leads_nowhere_else(here: Site, jane: User, browser: Browser, after: str):
    """Whatever the link says."""
    browser.open("/login", query_string={"after": after})
    answer = browser.http.post(
        "/login", base_url="https://auth.example.org", query_string={"after": after},
        data={"csrf_token": browser.hidden()["csrf_token"], "username": "jane", "password": "Blue-whale-42-sings"},
    )  # fmt: skip
    assert answer.headers["Location"] == "https://auth.example.org/account/"


def test_a_device_can_show_the_address_as_an_image(here: Site, party: RelyingParty):
    """Without making it itself; whether a code waits for anybody, the image does not tell."""
    told = begun(party)
    path = told["verification_qr_uri"].removeprefix(here.server.issuer)
    image = here.http.get(path)
    assert (image.status_code, image.mimetype, image.headers["Cache-Control"]) == (200, "image/png", "no-store")
    assert [code.text for code in zxingcpp.read_barcodes(pixels(image.data))] == [told["verification_uri_complete"]]
    assert here.http.get("/device/qr-code?user_code=wdjb%20mjht").status_code == 200
    for odd in ("", "?user_code=AEIO-UAEI", "?user_code=WDJB", "?user_code=%3Cscript%3E"):
        assert here.http.get(f"/device/qr-code{odd}").status_code == 404
