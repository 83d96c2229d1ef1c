"""Consent pages show a client's logo, policy and terms, and load nothing from elsewhere."""

import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests import proves
from tests.people import join
from tests.relying_party import Browser, relying_party
from tests.servers.documents import Host, hosting
from tests.sites import Site, site

PNG, JPEG, WEBP = b"\x89PNG\r\n\x1a\n" + b"x" * 100, b"\xff\xd8\xff" + b"x" * 100, b"RIFF____WEBP" + b"x" * 100
GIF = b"GIF89a" + b"x" * 100
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


def serving(folder: Path, **settings: Any) -> Site:
    here = site(folder, outbound_allow=["127.0.0.0/8"], **settings)
    join(here)
    return here


def consent(here: Site, language: str = "en", **metadata: Any) -> TestResponse:
    """Lead somebody to the page that asks for consent."""
    browser = Browser(here)
    relying_party(here, metadata=metadata).start(browser, ui_locales=language)
    return browser.sign_in()


def shown(here: Site, page: TestResponse) -> TestResponse:
    """Return the picture that a page shows."""
    path = re.search(r'<img src="(/logo[^"]*)"', page.text)
    assert path is not None, page.text
    return here.http.get(unescape(path[1]))


@proves("S-028", "OIDC Registration §2")
def test_people_see_whose_consent_page_it_is(tmp_path: Path):
    """Links that hand over nothing of ours, in the language of the page."""
    here = serving(tmp_path)
    pages = {name: f"https://app.example.org/{name}" for name in ("client_uri", "policy_uri", "tos_uri")}
    more = {"policy_uri#de": "https://app.example.org/datenschutz"}
    english, german = consent(here, **pages, **more).text, consent(here, "de", **pages, **more).text
    for address in pages.values():
        assert f'<a href="{address}" rel="noopener noreferrer">' in english
    assert more["policy_uri#de"] in german
    assert pages["policy_uri"] not in german


@proves("S-028", "S-062")
@pytest.mark.parametrize(
    ("picture", "kind"), [(PNG, "png"), (JPEG, "jpeg"), (GIF, "gif"), (WEBP, "webp")], ids=lambda part: str(part)[-4:]
)
def test_a_logo_is_shown_from_here(tmp_path: Path, picture: bytes, kind: str):
    """The client's host is asked once by the server, and never by a browser."""
    here = serving(tmp_path)
    with hosting() as host:
        host.answers["/logo"] = picture
        page = consent(here, logo_uri=host.url("/logo"))
        assert f"{host.port}" not in page.text + page.headers["Content-Security-Policy"]
        assert host.asked == []
        for _ in range(2):
            answer = shown(here, page)
            assert (answer.status_code, answer.data) == (200, picture)
        assert answer.headers["Content-Type"] == f"image/{kind}"
        assert answer.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert host.asked == ["/logo"]
        here.clock.advance(3600)
        shown(here, page)
        assert len(host.asked) == 2


@proves("S-086")
@pytest.mark.parametrize("answer", [SVG, b"", b"<html>", PNG + b"x" * 131072], ids=["svg", "nothing", "html", "long"])
def test_what_is_no_picture_is_not_shown(tmp_path: Path, answer: bytes):
    """And not asked for again and again."""
    here = serving(tmp_path)
    with hosting() as host:
        host.answers["/logo"] = answer
        page = consent(here, logo_uri=host.url("/logo"))
        assert [shown(here, page).status_code for _ in range(3)] == [404, 404, 404]
        assert len(host.asked) == 1
        host.answers["/logo"] = PNG
        here.clock.advance(600)
        assert shown(here, page).status_code == 200


@proves("S-085")
def test_no_logo_is_fetched_from_a_private_address(tmp_path: Path):
    """No request leaves."""
    here = site(tmp_path)
    join(here)
    with hosting() as host:
        for address in (host.url("/logo"), host.url("/logo", scheme="https"), host.url("/logo", "localhost", "https")):
            assert shown(here, consent(here, logo_uri=address)).status_code == 404
        assert host.connections == 0


@pytest.fixture
def host() -> Any:
    with hosting() as made:
        made.answers["/logo"] = PNG
        yield made


def test_only_logos_of_clients_are_fetched(tmp_path: Path, host: Host):
    """Of clients that are there, and at the addresses that they have registered."""
    here = serving(tmp_path)
    path = re.search(r'"(/logo[^"]*)"', consent(here, logo_uri=host.url("/logo")).text)
    assert path is not None
    good = unescape(path[1])
    for bad in ("/logo", good.replace("v=", "v=0"), good.replace("client_id=", "client_id=x"), f"{good}&v=1"):
        assert here.http.get(bad).status_code in (400, 404), bad
    assert host.asked == []
    assert here.http.get(good).status_code == 200
