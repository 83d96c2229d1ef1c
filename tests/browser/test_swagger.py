"""Swagger UI under its policy: it shows every operation, tries them, and keeps everything at home."""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import listening
from tests.people import join
from tests.sites import Site

TOKEN = "#operations-OAuth-post_oauth_token"
SIGN_IN = "#operations-PhotoPrism-post_session"
LOOK = "#operations-PhotoPrism-get_session"
KEYS = "#operations-Admin-get_admin_keys"


class Watch:
    """What a page complained about, and whom it asked."""

    def __init__(self, page: Page) -> None:
        self.complaints: list[str] = []
        self.hosts: set[str] = set()
        page.on("console", lambda message: self.complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))
        page.add_init_script(
            "document.addEventListener('securitypolicyviolation', (event) =>"
            " console.error(`${event.violatedDirective} forbids ${event.blockedURI}`))"
        )


@pytest.fixture
def watch(page: Page) -> Watch:
    return Watch(page)


def open_page(page: Page, here: Site) -> None:
    page.goto(f"{here.server.issuer}/api/v1/docs")
    expect(page.locator(".opblock").first).to_be_visible()


def authorize(page: Page, scheme: str, *values: str) -> None:
    """Fill in the dialog for one scheme, as a person would."""
    page.get_by_role("button", name="Authorize").first.click()
    box = page.locator(".auth-container", has=page.locator("h4", has_text=re.compile(rf"^{scheme}\b")))
    for place, value in enumerate(values):
        box.locator("input").nth(place).fill(value)
    box.get_by_role("button", name="Apply credentials").click()
    page.get_by_role("button", name="Close").first.click()


def execute(page: Page, operation: str) -> str:
    """Open an operation, try it, and return the body of the live answer."""
    block = page.locator(operation)
    if "is-open" not in (block.get_attribute("class") or ""):
        block.locator(".opblock-summary-control").click()
        block.get_by_role("button", name="Try it out").click()
    block.get_by_role("button", name="Execute").click()
    live = block.locator(".live-responses-table .response-col_description")
    expect(live.last).to_be_visible()
    return live.last.locator(".highlight-code").first.inner_text()


def test_it_shows_every_operation_and_asks_nobody_else(page: Page, here: Site, watch: Watch):
    """All operations of the document, no complaint of the policy, no request to another host."""
    open_page(page, here)
    paths = here.http.get("/api/v1/openapi.json").json["paths"]
    expect(page.locator(".opblock")).to_have_count(sum(len(methods) for methods in paths.values()))
    assert page.url.endswith("/api/v1/docs/")
    assert watch.hosts == {urlsplit(here.server.issuer).netloc}
    assert watch.complaints == []


def answered(shown: str) -> Any:
    """The JSON body among what the page shows of an answer."""
    return json.loads(shown[shown.index("{") : shown.rindex("}") + 1])


@pytest.mark.parametrize("scheme", ["bearer", "x_auth_token", "x_session_id"])
def test_a_person_signs_in_and_looks_at_the_session(page: Page, here: Site, watch: Watch, scheme: str):
    """The example of POST session as it stands; then its token in the dialog, in each of the three headers."""
    user = join(here)
    open_page(page, here)
    token = answered(execute(page, SIGN_IN))["access_token"]
    authorize(page, scheme, token)
    shown = answered(execute(page, LOOK))
    assert (shown["access_token"], shown["user"]["UID"]) == (token, user.uid)
    assert watch.complaints == []


def test_a_token_is_issued_from_the_page(page: Page, here: Site, watch: Watch):
    """Authorize as a client, then try the token endpoint with what stands in the form: a real token comes back."""
    made = here.server.clients.add({"client_name": "page", "scope": "metrics"})
    open_page(page, here)
    authorize(page, "client", made.client.client_id, made.secret or "")
    assert answered(execute(page, TOKEN))["scope"] == "metrics"
    assert watch.complaints == []


def test_a_client_may_stand_in_the_form(page: Page, here: Site, watch: Watch):
    """Without the dialog; fields that are left empty are not sent."""
    made = here.server.clients.add({"client_name": "page", "scope": "metrics"})
    open_page(page, here)
    page.locator(TOKEN).locator(".opblock-summary-control").click()
    page.locator(TOKEN).get_by_role("button", name="Try it out").click()
    for name, value in (("client_id", made.client.client_id), ("client_secret", made.secret or "")):
        page.locator(TOKEN).locator(f"tr[data-property-name={name}] input").first.fill(value)
    with page.expect_request("**/oauth/token") as asked:
        assert answered(execute(page, TOKEN))["scope"] == "metrics"
    assert sorted(parse_qs(asked.value.post_data)) == ["client_id", "client_secret", "grant_type"]
    assert watch.complaints == []


@pytest.mark.parametrize("operation", [TOKEN, SIGN_IN])
def test_it_fits_into_a_narrow_window(page: Page, here: Site, operation: str):
    """Nobody scrolls sideways on a phone, whatever is open; the button to try it can be reached."""
    join(here)
    page.set_viewport_size({"width": 390, "height": 844})
    open_page(page, here)
    execute(page, operation)
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_it_follows_the_wish_for_dark_or_light(page: Page, here: Site, watch: Watch):
    """From the start, and while it is open."""
    body, paper, ink = page.locator("body"), "rgb(250, 250, 250)", "rgb(28, 32, 34)"
    page.emulate_media(color_scheme="dark")
    open_page(page, here)
    expect(body).to_have_css("background-color", ink)
    page.emulate_media(color_scheme="light")
    expect(body).to_have_css("background-color", paper)
    page.reload()
    expect(body).to_have_css("background-color", paper)
    assert watch.complaints == []


def test_the_admin_api_is_tried_with_a_token(page: Page, here: Site, watch: Watch):
    """Authorize with a bearer token, then list the keys."""
    open_page(page, here)
    authorize(page, "bearer", here.token("admin:keys"))
    assert '"ES256"' in execute(page, KEYS)
    assert watch.complaints == []


def test_a_refusal_is_shown_on_the_page(page: Page, here: Site):
    """A challenge for Basic does not make the browser ask by itself."""
    open_page(page, here)
    assert answered(execute(page, TOKEN))["error"] == "invalid_client"


def test_it_works_below_an_issuer_with_a_path(page: Page, tmp_path: Path, watch: Watch):
    """The redirect, the files and the document stay below the issuer's path."""
    with listening(tmp_path, path="/tenant") as here:
        open_page(page, here)
        assert page.url == f"{here.server.issuer}/api/v1/docs/"
    assert watch.complaints == []


def test_a_foreign_document_is_not_shown(page: Page, here: Site):
    """The address may not point the page at a document of somebody else's."""
    page.goto(
        f"{here.server.issuer}/api/v1/docs/?url=https://elsewhere.example/x.json&configUrl=https://elsewhere.example/c"
    )
    expect(page.locator(".opblock").first).to_be_visible()
    expect(page.locator(".info .title")).to_contain_text("Authorization server")


def test_an_inline_script_does_not_run(page: Page, here: Site, watch: Watch):
    """The policy is in force, not only sent."""
    open_page(page, here)
    page.evaluate(
        "() => { const script = document.createElement('script');"
        " script.textContent = 'window.ran = true'; document.body.append(script) }"
    )
    assert not page.evaluate("window.ran === true")
    assert any("Content Security Policy" in complaint for complaint in watch.complaints)
