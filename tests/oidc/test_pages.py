"""The pages that people see: what each asks and tells, their headers, forms and languages."""

import re
from dataclasses import replace
from typing import Any

import pytest
from werkzeug.test import TestResponse

from auth_server import assembly
from auth_server.domain.credentials import digest
from auth_server.domain.users import Changes
from auth_server.http.pages.static import FILES
from auth_server.protocol.interaction import FLOOD
from auth_server.protocol.tokens.claims import BY_SCOPE
from auth_server.store.records import User
from tests import proves
from tests.authenticators import Authenticator, activated
from tests.people import PASSWORD, alive, join, signed_in
from tests.relying_party import Browser, RelyingParty, answered, relying_party
from tests.sites import ISSUER, Site, site
from tools import translations

NEW = "five grey herons drink rain"
PLACES = ("/login", "/device", "/logout", "/account/", "/change-password", "/nowhere")
MARKUP = '"><script>alert(1)</script>'


def cookie(browser: Browser) -> str:
    """Return the browser's cookie."""
    kept = browser.http.get_cookie("__Host-auth_server", domain="auth.example.org")
    return kept.value if kept else ""


def in_place(browser: Browser, name: str = "jane", password: str = PASSWORD) -> TestResponse:
    """Sign in without any client."""
    browser.open("/login")
    return browser.sign_in(name, password)


def changes(browser: Browser, new: str = NEW, **fields: str) -> TestResponse:
    """Fill in the form for a new password that is open."""
    return browser.send(**{"new_password": new, "repeated_password": new, **fields})


# ---- headers
@proves("S-025")
@pytest.mark.parametrize("path", PLACES)
def test_no_page_is_framed_or_kept(browser: Browser, path: str):
    """Whatever it shows, errors too."""
    headers = browser.open(path).headers
    assert headers["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"
    assert {"Cookie", "Accept-Language"} == set(headers["Vary"].split(", "))


@proves("S-062")
@pytest.mark.parametrize("path", PLACES)
def test_no_page_runs_what_stands_in_it(browser: Browser, path: str):
    """Scripts and styles come from files of ours; the pages have neither inline."""
    answer = browser.open(path)
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert not re.search(r"<script|<style|\sstyle=|\son\w+=", answer.text)
    assert {url.split("?")[0] for url in re.findall(r'(?:src|href)="(/static/[^"]*)"', answer.text)} <= {
        f"/static/{name}" for name in FILES
    }


@proves("S-062")
def test_nothing_that_is_sent_becomes_markup(party: RelyingParty, browser: Browser, jane: User):
    """Neither hints nor languages, codes, ways back or parameters of errors."""
    pages = [party.start(browser, login_hint=MARKUP, ui_locales=MARKUP, scope="openid")]
    pages += [browser.open("/login", query_string={"after": MARKUP}), browser.open(f"/nowhere/{MARKUP}")]
    pages += [party.start(browser, redirect_uri=MARKUP), party.start(browser, client_id=MARKUP)]
    browser.open("/login")
    pages += [browser.sign_in(MARKUP, "wrong-wrong")]
    browser.open("/device")
    pages += [browser.send(user_code=MARKUP), browser.open("/account/", query_string={"done": MARKUP})]
    pages += [browser.open("/logout", query_string={"state": MARKUP, "ui_locales": MARKUP})]
    assert all(page.mimetype == "text/html" for page in pages)
    assert not [page.request.path for page in pages if "<script" in page.text]


@proves("S-057")
@pytest.mark.parametrize(
    ("issuer", "expected"),
    [
        (ISSUER, r"__Host-auth_server=[\w-]{43}; Path=/; HttpOnly; SameSite=Lax; Secure"),
        ("http://localhost:2342", r"auth_server=[\w-]{43}; Path=/; HttpOnly; SameSite=Lax"),
    ],
)
def test_the_cookie_stays_with_this_host(tmp_path: Any, issuer: str, expected: str):
    """No script reads it, no other site's form sends it; over https no other host sets it."""
    here = site(tmp_path, issuer=issuer)
    join(here)
    browser = Browser(here)
    browser.open("/login")
    first = browser.page
    assert first is not None
    assert re.fullmatch(expected, first.headers["Set-Cookie"])
    form = {"username": "jane", "password": PASSWORD, **browser.hidden()}
    answer = browser.http.post("/login", base_url=issuer, data=form)
    assert re.fullmatch(expected, answer.headers["Set-Cookie"])


# ---- forms
@proves("S-058")
@pytest.mark.parametrize("path", ["/login", "/device", "/logout", "/account/", "/change-password"])
@pytest.mark.parametrize("token", ["", "x" * 43, "another's"])
def test_a_form_counts_from_its_own_page_only(here: Site, jane: User, browser: Browser, path: str, token: str):
    """Without its token, with a made-up one or one of another browser nothing is done."""
    in_place(browser)
    if token == "another's":
        other = Browser(here, "192.0.2.8")
        other.open("/login")
        token = other.hidden()["csrf_token"]
    before = here.stored()
    form = {"csrf_token": token, "username": "jane", "password": PASSWORD, "decision": "allow", "new_password": NEW}
    answer = browser.open(path, "POST", data={**form, "repeated_password": NEW, "withdraw": "x", "user_code": "B"})
    assert (answer.status_code, answer.mimetype) == (403, "text/html")
    assert here.stored() == before


@proves("S-058", "S-056")
def test_a_form_of_before_the_sign_in_is_stale_after_it(here: Site, jane: User, browser: Browser):
    """The cookie is a new one, and the tokens of the old one are worth nothing."""
    browser.open("/login")
    stale, before = browser.hidden(), cookie(browser)
    browser.sign_in()
    assert cookie(browser) != before
    assert browser.open("/logout", "POST", data={**stale, "decision": "allow"}).status_code == 403


@proves("S-063")
@pytest.mark.parametrize(
    "there", ["https://evil.test", "//evil.test", "/\\evil.test", "javascript:alert(1)", "/account/../x", "/api/v1/x"]
)
def test_only_pages_of_ours_come_after_the_login(jane: User, browser: Browser, there: str):
    """Anything else leads to the account."""
    page = browser.open("/login", query_string={"after": there})
    assert "evil.test" not in page.text
    assert browser.send(username="jane", password=PASSWORD, after=there).request.path == "/account/"


# ---- signing in
def test_the_login_tells_what_is_wrong(party: RelyingParty, browser: Browser):
    """The name stays; the field is marked, and the text belongs to it."""
    assert "Album" in party.start(browser).text
    page = browser.sign_in("jane", "wrong-wrong")
    assert page.status_code == 401
    assert 'role="alert" id="error"' in page.text
    assert 'value="jane"' in page.text
    assert re.search(r'name="password"[^>]* aria-describedby="error" aria-invalid="true"', page.text)


def test_too_many_tries_are_told_on_the_page(jane: User, browser: Browser):
    """With the time to wait, also for programs."""
    browser.open("/login")
    for _ in range(11):
        page = browser.sign_in("jane", "wrong-wrong")
    assert page.status_code == 429
    assert int(page.headers["Retry-After"]) > 0
    assert "Too many tries. Please wait" in page.text


@pytest.fixture
def phone(here: Site, jane: User) -> Authenticator:
    """Jane's second factor."""
    return activated(here, jane, signed_in(here))


@proves("S-069")
def test_the_code_comes_after_the_password(here: Site, phone: Authenticator, browser: Browser):
    """Until it is right nobody is signed in."""
    page = in_place(browser)
    assert 'name="passcode" autocomplete="one-time-code" inputmode="numeric"' in page.text
    assert "That code is not right" in browser.send(passcode=phone.wrong_code()).text
    assert Browser.open(browser, "/account/").request.path == "/login"
    in_place(browser)
    assert browser.send(passcode=phone.next_code()).request.path == "/account/"


def test_a_recovery_code_has_a_form_of_its_own(phone: Authenticator, browser: Browser):
    """With letters, which the keypad for digits has not."""
    in_place(browser)
    page = browser.send(recovery="ask")
    assert (page.status_code, "inputmode" in page.text, "Recovery code" in page.text) == (200, False, True)
    assert browser.send(passcode=phone.recovery_code).request.path == "/account/"


# ---- choosing an account
def test_a_person_chooses_an_account(here: Site, party: RelyingParty, jane: User, browser: Browser):
    """Where the client asks for it; the cookie is new then, and the chosen one is whom the client hears of."""
    join(here, "bob")
    in_place(browser)
    in_place(browser, "bob")
    page = party.start(browser, prompt="select_account")
    assert page.request.path == "/select-account"
    assert page.text.index(">bob<") < page.text.index(">jane<")
    before = cookie(browser)
    page = browser.send(account=jane.uid)
    assert cookie(browser) != before
    assert "jane@example.org" in page.text
    assert "code" in answered(browser.allow())


def test_another_account_signs_in_from_the_choice(here: Site, party: RelyingParty, jane: User, browser: Browser):
    """And who is not signed in here cannot be chosen."""
    bob = join(here, "bob")
    in_place(browser)
    page = party.start(browser, prompt="select_account")
    assert browser.send(account=bob.uid).request.path == "/select-account"
    link = re.search(r'href="https://auth.example.org(/login\?interaction=[^"]*)"', page.text)
    assert link is not None
    browser.open(link[1])
    assert "bob@example.org" in browser.sign_in("bob").text


@proves("S-024")
def test_consent_is_asked_of_the_person_who_is_hinted_at(here: Site, jane: User, browser: Browser):
    """Not of the one who signed in last."""
    party = relying_party(here)
    hint = party.tokens(browser, scope="openid")["id_token"]
    join(here, "bob")
    in_place(browser, "bob")
    page = party.start(browser, id_token_hint=hint, scope="openid email")
    assert "jane@example.org" in page.text
    browser.allow()
    assert here.server.consents.covers(jane.uid, party.client_id, "openid email")


# ---- a new password
@pytest.fixture
def newcomer(here: Site) -> User:
    """Somebody whose password an admin has chosen."""
    return here.server.users.add("newcomer", PASSWORD, Changes(email="new@example.org"), must_change=True)


def test_a_given_password_is_replaced_at_the_first_sign_in(here: Site, newcomer: User, browser: Browser):
    """Before anything else is shown; the old one is not asked for again, and does not do as the new one."""
    page = in_place(browser, "newcomer")
    assert (page.request.path, 'name="password"' in page.text) == ("/change-password", False)
    assert browser.open("/account/").request.path == "/change-password"
    assert "That is the old password" in changes(browser, PASSWORD).text
    page = changes(browser)
    assert (page.request.path, "Your password was changed" in page.text) == ("/account/", False)
    assert in_place(Browser(here), "newcomer", NEW).request.path == "/account/"


def test_a_client_waits_for_the_new_password(here: Site, newcomer: User, browser: Browser):
    """It gets its answer after that."""
    party = relying_party(here)
    party.start(browser)
    assert browser.sign_in("newcomer").request.path == "/change-password"
    assert "new@example.org" in changes(browser).text
    assert "code" in answered(browser.allow())


@proves("S-061")
def test_a_new_password_needs_the_old_one(here: Site, jane: User, browser: Browser):
    """Unless its owner has just signed in."""
    in_place(browser)
    here.clock.advance(301)
    assert 'name="password"' in browser.open("/change-password").text
    page = changes(browser)
    assert (page.status_code, "That is not your current password" in page.text) == (401, True)
    assert changes(browser, password="wrong-wrong").status_code == 401
    page = changes(browser, password=PASSWORD)
    assert (page.request.path, "Your password was changed" in page.text) == ("/account/", True)


@proves("S-061")
def test_a_new_password_needs_the_code_too(here: Site, phone: Authenticator, browser: Browser):
    """Where the account has a second factor."""
    in_place(browser)
    browser.send(passcode=phone.next_code())
    here.clock.advance(301)
    browser.open("/change-password")
    assert changes(browser, password=PASSWORD).status_code == 401
    assert changes(browser, password=PASSWORD, passcode=phone.wrong_code()).status_code == 401
    assert changes(browser, password=PASSWORD, passcode=phone.next_code()).request.path == "/account/"


@proves("S-061")
def test_a_new_password_ends_all_else(here: Site, party: RelyingParty, jane: User, browser: Browser):
    """Other browsers, sessions and refresh tokens; this browser goes on with a new cookie."""
    other = Browser(here, "192.0.2.8")
    refresh = party.tokens(other, scope="openid offline_access")["refresh_token"]
    token = signed_in(here)
    in_place(browser)
    before = cookie(browser)
    browser.open("/change-password")
    changes(browser)
    assert cookie(browser) != before
    assert browser.open("/account/").request.path == "/account/"
    assert other.open("/account/").request.path == "/login"
    assert not alive(here, token)
    assert party.refresh(refresh).json["error"] == "invalid_grant"
    browser.http.set_cookie("__Host-auth_server", before, domain="auth.example.org", secure=True)
    assert browser.open("/account/").request.path == "/login"


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"new_password": "short", "repeated_password": "short"}, "too short"),
        ({"new_password": "x" * 257, "repeated_password": "x" * 257}, "too long"),
        ({"new_password": "password123", "repeated_password": "password123"}, "too easy to guess"),
        ({"new_password": "jane@example.org", "repeated_password": "jane@example.org"}, "too easy to guess"),
        ({"repeated_password": NEW + "!"}, "differ"),
        ({"new_password": "", "repeated_password": ""}, "too short"),
    ],
)
def test_the_form_says_what_a_password_must_be(jane: User, browser: Browser, fields: dict[str, str], told: str):
    """Nothing is changed then."""
    in_place(browser)
    browser.open("/change-password")
    page = changes(browser, **fields)
    assert (page.status_code, told in page.text) == (400, True)
    assert in_place(browser).request.path == "/account/"


# ---- consent
def by_itself(party: RelyingParty) -> RelyingParty:
    """Return a client as one that has registered itself."""
    own = {"registration_token": digest("r" * 43).hex()}
    party.here.server.records.clients.change(party.client_id, lambda client: replace(client, **own))
    return party


@proves("S-028")
@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("<b>Bank</b>", "&lt;b&gt;Bank&lt;/b&gt;"),
        ("knaB\u202eBank\u2066", "knaBBank"),
        ("B" * 2000, "B" * 59 + "…"),
        ("\u200b\u202e", None),
    ],
)
def test_a_clients_name_is_only_a_name(here: Site, jane: User, browser: Browser, name: str, shown: str | None):
    """Escaped, cut, without what turns the writing round; with its host, and marked as not verified."""
    party = by_itself(relying_party(here, metadata={"client_name#en": name}))
    assert f"<bdi>{shown or 'Album'}</bdi>" in party.start(browser).text
    page = browser.sign_in().text
    assert f"<bdi>{shown or 'Album'}</bdi>" in page
    assert "Not verified" in page
    assert "app.example.org</bdi>" in page


@proves("S-028")
@pytest.mark.parametrize("first_party", [True, False])
def test_only_clients_that_registered_themselves_are_marked(
    here: Site, jane: User, browser: Browser, first_party: bool
):
    """A warning on the pages of those that an admin has registered would teach people not to read it."""
    party = relying_party(here, client_name="Mine", first_party=first_party)
    party.start(browser, prompt="consent login")
    page = browser.sign_in()
    assert "Allow access for <bdi>Mine</bdi>?" in page.text
    assert "Not verified" not in page.text
    stranger = by_itself(relying_party(here, client_name="Mine"))
    assert "Not verified" in stranger.start(browser, prompt="consent").text


def test_consent_explains_what_is_asked(here: Site, jane: User, browser: Browser):
    """In words, with claims that no scope covers; lasting access last."""
    party = relying_party(here, scope="openid profile email offline_access photos albums:read")
    claims = '{"userinfo": {"phone_number": {"essential": true}, "birthdate": null}}'
    party.start(browser, scope="openid email offline_access photos albums:read", claims=claims)
    page = browser.sign_in().text
    texts = ["Know that it is you", "See your email address", "Use “photos”", "Stay connected", "See your phone number"]
    places = [page.index(text) for text in texts]
    assert places == sorted(places)
    assert "See your date of birth" in page
    assert "Look at “albums”" in page


def test_every_claim_is_explained(here: Site, jane: User, browser: Browser):
    """No name of the protocol stands on the page."""
    party = relying_party(here)
    names = [name for claims in BY_SCOPE.values() for name in claims]
    told = ", ".join(f'"{name}": null' for name in names)
    party.start(browser, scope="openid", claims=f'{{"userinfo": {{{told}}}}}')
    listed = re.findall(r"<li>See your ([^<]*)</li>", browser.sign_in().text)
    assert len(set(listed)) == len(names)
    assert not [name for name in names if "_" in name and name in listed]


def test_a_clients_pages_are_shown(jane: User, here: Site, browser: Browser):
    """In the language of the page; its logo is shown from here (test_logos.py), and nothing comes from elsewhere."""
    members = {"policy_uri": "https://app.example.org/p", "tos_uri": "https://app.example.org/t"}
    more = {"client_uri": "https://app.example.org/", "client_name#de": "Fotoalbum"}
    logo = "https://img.example.net/l.png"
    party = relying_party(here, metadata={**members, **more, "logo_uri": logo})
    party.start(browser)
    page = browser.sign_in()
    assert all(f'href="{address}"' in page.text for address in (*members.values(), more["client_uri"]))
    assert logo not in page.text
    assert "://" not in page.headers["Content-Security-Policy"]
    assert "Fotoalbum" in party.start(browser, prompt="consent", ui_locales="de").text


# ---- one's own page
@proves("S-042")
def test_a_person_removes_what_they_have_allowed(here: Site, party: RelyingParty, browser: Browser):
    """All that the client holds for them is dead."""
    refresh = party.tokens(browser, scope="openid email offline_access")["refresh_token"]
    page = browser.open("/account/")
    assert "Album" in page.text
    assert f'value="{party.client_id}"' in page.text
    page = browser.send(withdraw=party.client_id)
    assert "Access was removed" in page.text
    assert f'value="{party.client_id}"' not in page.text
    assert party.refresh(refresh).json["error"] == "invalid_grant"
    assert 'name="decision"' in party.start(browser).text


def test_the_account_page_switches(here: Site, jane: User, browser: Browser):
    """Between those who are signed in on this browser."""
    join(here, "bob")
    in_place(browser)
    page = in_place(browser, "bob")
    assert "bob · bob@example.org" in page.text
    assert "jane · jane@example.org" in browser.send(account=jane.uid).text
    assert "jane · jane@example.org" in browser.send(account="u0000000000000000").text


def test_signing_out_is_asked_and_told(jane: User, browser: Browser):
    """And taken back by the other button."""
    in_place(browser)
    assert "jane@example.org" in browser.open("/logout").text
    assert browser.send(decision="deny").request.path == "/account/"
    browser.open("/logout")
    assert "You are signed out" in browser.send(decision="allow").text
    assert browser.open("/account/").request.path == "/login"


# ---- errors
def test_an_error_is_a_page_like_the_others(browser: Browser, party: RelyingParty):
    """It says what to do, and keeps technical words small."""
    page = browser.open("/nowhere")
    assert (page.status_code, "Page not found" in page.text, "/static/pages.css" in page.text) == (404, True, True)
    page = party.start(browser, client_id="nobody")
    assert (page.status_code, "The application that sent you here is not known" in page.text) == (400, True)
    page = browser.open("/login", "POST", json={})
    assert (page.status_code, "In detail: The body must be" in page.text) == (415, True)
    assert browser.open("/login", "PUT").headers["Allow"] == "GET, HEAD, OPTIONS, POST"


@proves("S-151")
def test_a_bug_has_a_number_on_the_page(here: Site, browser: Browser, caplog: pytest.LogCaptureFixture):
    """By which those who run the server find it in the log; nothing else is told."""
    broken = replace(here.server, browsers=None)  # type: ignore[arg-type]
    at = assembly.stores(here.server.settings)
    browser.http.application = assembly.application(broken, at)
    page = browser.open("/login")
    told = re.search(r"<code>([0-9a-f]{16})</code>", page.text)
    assert page.status_code == 500
    assert told is not None
    assert f"request {told[1]} failed" in caplog.text
    assert "NoneType" not in page.text
    at.close()


def test_too_many_requests_are_told_on_a_page(party: RelyingParty, browser: Browser):
    """Where a person looks at it."""
    for _ in range(FLOOD.burst + 1):
        page = party.start(browser)
    assert (page.status_code, page.mimetype) == (429, "text/html")
    assert "Too many tries" in page.text
    assert int(page.headers["Retry-After"]) > 0


# ---- files
@pytest.mark.parametrize("name", FILES)
def test_files_are_kept_by_browsers(here: Site, name: str):
    """Under an address that changes with them; and nothing else is there."""
    answer = here.http.get(f"/static/{name}")
    assert (answer.status_code, answer.mimetype) == (200, FILES[name][2].partition(";")[0])
    assert answer.headers["Cache-Control"] == "public, max-age=86400"
    again = here.http.get(f"/static/{name}", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304
    assert "sourceMappingURL" not in answer.text
    for other in (f"{name}.map", "..%2fpages.py", "pages"):
        assert here.http.get(f"/static/{other}").status_code == 404


# ---- languages
@pytest.mark.parametrize(
    ("wanted", "accepted", "language"),
    [
        (None, "", "en"),
        (None, "de-AT,de;q=0.9,en;q=0.8", "de"),
        (None, "fr, de;q=0.5", "de"),
        (None, "en-GB,de;q=0.5", "en"),
        (None, "xx;q=nonsense,,,", "en"),
        ("de", "en", "de"),
        ("fr-CA de-CH en", "en", "de"),
        ("fr", "de", "de"),
        ("zz " * 500, "de", "de"),
        ("en", "de", "en"),
    ],
)
def test_a_page_speaks_the_persons_language(
    party: RelyingParty, browser: Browser, wanted: str | None, accepted: str, language: str
):
    """What the client wishes comes first, then the browser's wish; nothing of it makes an error."""
    headers = {"Accept-Language": accepted}
    page = party.start(browser, ui_locales=wanted)
    page = browser.open(page.request.full_path, headers=headers)
    assert page.headers["Content-Language"] == language
    assert f'<html lang="{language}">' in page.text
    assert ("Anmelden" in page.text) is (language == "de")


def test_errors_speak_the_persons_language(here: Site, browser: Browser):
    """Those of the protocol that people read, too."""
    headers = {"Accept-Language": "de"}
    assert "Seite nicht gefunden" in browser.open("/nichts", headers=headers).text
    page = browser.open("/api/v1/oauth/authorize?client_id=x", headers=headers)
    assert "Die Anwendung, von der Sie kommen, ist diesem Server nicht bekannt." in page.text


def test_every_text_is_translated():
    """And what the server reads is made of what people have written."""
    assert [mistake for language in translations.LANGUAGES for mistake in translations.mistakes(language)] == []


def test_the_pages_work_below_a_path(tmp_path: Any):
    """Links and files stay below the issuer's path."""
    here = site(tmp_path, issuer="https://example.org/auth")
    join(here)
    page = here.http.get("/auth/login", base_url="https://example.org")
    found = re.findall(r'(?:src|href)="([^"]*)"', page.text)
    assert all(address.startswith("/auth/") for address in found)
    assert here.http.get(found[0], base_url="https://example.org").status_code == 200


@proves("S-075")
@pytest.mark.parametrize("path", ["", "/auth"])
def test_the_address_of_the_server_leads_to_the_account(tmp_path: Any, path: str):
    """With the slash at its end and without; what is above it is somebody else's."""
    here = site(tmp_path, issuer=f"{ISSUER}{path}")
    for there in (f"{path}/", path or "/"):
        answer = here.http.get(there, base_url=ISSUER)
        assert (answer.status_code, answer.headers["Location"]) == (303, f"{ISSUER}{path}/account/")
    assert here.http.get("/", base_url=ISSUER).status_code == (404 if path else 303)
    assert "/" not in here.http.get(f"{path}/api/v1/openapi.json", base_url=ISSUER).json["paths"]


def test_an_app_password_opens_no_page(here: Site, jane: User, browser: Browser):
    """It is for programs: here it is a wrong password."""
    value = here.app_password(jane, "sessions")
    browser.open("/login")
    page = browser.sign_in("jane", value)
    assert (page.status_code, "Set-Cookie" in page.headers) == (401, False)
    assert "name or password" in page.text
    assert browser.open("/account/").request.path == "/login"
