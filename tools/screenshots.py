"""Pictures of the pages for the documentation: Chromium goes through them as a person does.

Usage: python -m tools.screenshots
"""

import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from auth_server.domain.users import Changes
from tests.browser.conftest import CHROMIUM, listening
from tests.browser.test_pages import clients_page, every_page, press, sign_in
from tests.clients.web_app import running_web_app
from tests.people import PASSWORD, join
from tests.relying_party import relying_party
from tests.servers.auth_server import AuthServer, free_port, running

FOLDER = Path(__file__).parents[1] / "docs" / "pictures"
# Name of a page as the walk gives it, to file; the others look alike.
KEPT = {
    "Sign in": "sign-in",
    "Allow access for Album?": "consent",
    "Choose an account": "choose-account",
    "Your account": "account",
    "Connect TV?": "device",
    "Sign out?": "sign-out",
}
SIZES = {"light": {"width": 1280, "height": 860}, "dark": {"width": 390, "height": 844}}  # each of both is seen once


def main() -> None:
    """Write them."""
    FOLDER.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for scheme, viewport in SIZES.items():
            with (
                tempfile.TemporaryDirectory() as folder,
                listening(Path(folder)) as here,
                clients_page() as address,
            ):
                join(here)
                party = relying_party(here, redirect_uris=(address,), client_name="Album")
                context = browser.new_context(color_scheme=scheme, viewport=viewport, locale="en")
                page = context.new_page()
                for name in every_page(page, party, address):
                    file = KEPT.get(name.strip())
                    if file:
                        page.screenshot(path=FOLDER / f"{file}-{scheme}.png", full_page=True)
                context.close()
        with tempfile.TemporaryDirectory() as folder, running(Path(folder), real_time=True) as server:
            server.inside.users.add("jane", PASSWORD, Changes(display_name="Jane Doe", email="jane@example.org"))
            for scheme, viewport in SIZES.items():
                context = browser.new_context(color_scheme=scheme, viewport=viewport, locale="en")
                picture_of_example(context.new_page(), server, f"web-app-{scheme}")
                context.close()
        browser.close()
    print(f"Look at {FOLDER}")


def picture_of_example(page: Page, server: AuthServer, file: str) -> None:
    """Sign in to examples/web_app, and take a picture of what it shows then."""
    address = f"http://127.0.0.1:{free_port()}"
    asks = {"client_name": "Web app", "redirect_uris": (f"{address}/callback",), "scope": "openid profile email"}
    new = server.inside.clients.add(asks)
    with running_web_app(address, server.issuer, new.client.client_id, new.secret or ""):
        page.goto(f"{address}/login")
        sign_in(page, "jane")
        press(page, "Allow")
        page.get_by_role("heading", name="Hello, Jane Doe").wait_for()
        page.screenshot(path=FOLDER / f"{file}.png")


if __name__ == "__main__":
    main()
