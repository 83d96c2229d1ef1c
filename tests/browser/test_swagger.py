"""Swagger UI under its policy: it shows every operation, tries them, and keeps everything at home."""

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import listening
from tests.sites import Site

TOKEN = "#operations-OAuth-post_oauth_token"
KEYS = "#operations-Admin-get_admin_keys"


class Watch:
    """What a page complained about, and whom it asked."""

    def __init__(self, page: Page) -> None:
        self.complaints: list[str] = []
        self.hosts: set[str] = set()
        page.on("console", lambda message: self.complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))


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
    live = block.locator(".live-responses-table")
    expect(live).to_be_visible()
    return live.inner_text()


def test_it_shows_every_operation_and_asks_nobody_else(page: Page, here: Site, watch: Watch):
    """All operations of the document, no complaint of the policy, no request to another host."""
    open_page(page, here)
    paths = here.http.get("/api/v1/openapi.json").json["paths"]
    expect(page.locator(".opblock")).to_have_count(sum(len(methods) for methods in paths.values()))
    assert page.url.endswith("/api/v1/docs/")
    assert watch.hosts == {urlsplit(here.server.issuer).netloc}
    assert watch.complaints == []


def test_a_token_is_issued_from_the_page(page: Page, here: Site, watch: Watch):
    """Authorize as a client, then try the token endpoint: a real token comes back."""
    made = here.server.clients.add({"client_name": "page", "scope": "metrics"})
    open_page(page, here)
    authorize(page, "client", made.client.client_id, made.secret or "")
    page.locator(TOKEN).locator(".opblock-summary-control").click()
    page.locator(TOKEN).get_by_role("button", name="Try it out").click()
    row = page.locator(TOKEN).locator("tr", has=page.locator("td.parameters-col_name", has_text="grant_type"))
    row.locator("input").first.fill("client_credentials")
    assert '"access_token"' in execute(page, TOKEN)
    assert watch.complaints == []


def test_the_admin_api_is_tried_with_a_token(page: Page, here: Site, watch: Watch):
    """Authorize with a bearer token, then list the keys."""
    open_page(page, here)
    authorize(page, "bearer", here.token("admin:keys"))
    assert '"ES256"' in execute(page, KEYS)
    assert watch.complaints == []


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
