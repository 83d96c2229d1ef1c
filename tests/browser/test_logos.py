"""A client's logo in a real browser: it is there, and the browser has asked nobody but this server for it."""

import struct
import zlib
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from playwright.sync_api import Page, expect

from tests import proves
from tests.browser.conftest import listening
from tests.browser.test_pages import NARROW, sign_in
from tests.browser.test_swagger import Watch
from tests.people import join
from tests.relying_party import AUTHORIZE, relying_party
from tests.servers.documents import hosting


def png(width: int, height: int) -> bytes:
    """A picture of one colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress((b"\0" + b"\x2f\x6f\xa7" * width) * height)
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@proves("S-028", "S-062")
def test_a_logo_comes_from_this_server(page: Page, tmp_path: Path):
    """A wide one stays within the page, however narrow that is."""
    with listening(tmp_path, outbound_allow=["127.0.0.0/8"]) as here, hosting() as host:
        host.answers["/logo"] = png(900, 360)
        join(here)
        metadata = {"logo_uri": host.url("/logo"), "tos_uri": "https://app.example.org/tos"}
        asked = relying_party(here, metadata=metadata).request(scope="openid profile")
        watch = Watch(page)
        page.set_viewport_size(NARROW)
        page.goto(f"{here.server.issuer}{AUTHORIZE}?{urlencode(asked)}")
        sign_in(page)
        expect(page.get_by_role("heading")).to_have_text("Allow access for Album?")
        picture = page.locator(".application img")
        page.wait_for_function("document.querySelector('.application img').complete")
        assert picture.evaluate("image => image.naturalWidth") == 900
        box = picture.bounding_box()
        assert box is not None
        assert box["width"] <= NARROW["width"] / 2
        assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
        assert watch.hosts == {urlsplit(here.server.issuer).netloc}
        assert watch.complaints == []
        assert host.asked == ["/logo"]
