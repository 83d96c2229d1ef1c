"""Pictures of the pages for the documentation: Chromium goes through them as a person does.

Usage: python -m tools.screenshots
"""

import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.browser.conftest import CHROMIUM, listening
from tests.browser.test_pages import clients_page, every_page
from tests.people import join
from tests.relying_party import relying_party

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
        browser.close()
    print(f"Look at {FOLDER}")


if __name__ == "__main__":
    main()
