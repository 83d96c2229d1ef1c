"""`sector_identifier_uri`: several hosts that know a person by one `sub`, because each of them is on a list."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from auth_server.errors import InvalidInput
from auth_server.store.records import Client, User
from tests import proves
from tests.people import join
from tests.relying_party import REDIRECT_URI, Browser, RelyingParty, relying_party
from tests.servers.documents import Host, hosting
from tests.signing import decoded
from tests.sites import Site, site

OTHER = "https://photos.example.net/callback"
PAIRWISE = {"subject_type": "pairwise"}


@pytest.fixture
def host() -> Iterator[Host]:
    with hosting() as host:
        yield host


@pytest.fixture
def here(tmp_path: Path) -> Site:
    return site(tmp_path, outbound_allow=["127.0.0.1"])


@pytest.fixture
def jane(here: Site) -> User:
    return join(here)


def listing(host: Host, *uris: Any) -> str:
    """Put a list there, and return where."""
    host.answers["/sector.json"] = json.dumps(uris).encode()
    return host.url("/sector.json")


def named(uri: str, **more: Any) -> dict[str, Any]:
    return {"metadata": {**PAIRWISE, "sector_identifier_uri": uri, **more}}


@proves("OIDC Core §8.1", "OIDC Registration §5")
def test_hosts_on_one_list_know_a_person_by_one_sub(here: Site, host: Host, jane: User) -> None:
    """One client with both hosts, and one with the other alone; a client of its own sector knows another `sub`."""
    uri = listing(host, REDIRECT_URI, OTHER, "https://third.example/")
    both = relying_party(here, redirect_uris=(REDIRECT_URI, OTHER), **named(uri))
    one = relying_party(here, redirect_uris=(REDIRECT_URI,), **named(uri))
    alone = relying_party(here, metadata=PAIRWISE)

    def sub(party: RelyingParty) -> str:
        return str(decoded(party.tokens(Browser(here))["id_token"])[1]["sub"])

    assert sub(both) == sub(one) != sub(alone)
    assert jane.uid not in (sub(both), sub(alone))


@proves("OIDC Registration §5")
def test_every_redirect_uri_must_be_on_the_list(here: Site, host: Host) -> None:
    """To the character, when a client is added and when it is changed; nothing is kept if not."""
    uri = listing(host, REDIRECT_URI)
    before = here.stored()
    for redirect_uris in ((REDIRECT_URI, OTHER), (f"{REDIRECT_URI}/",), (REDIRECT_URI.replace("app", "App"),)):
        with pytest.raises(InvalidInput, match="does not hold the redirect URI"):
            relying_party(here, redirect_uris=redirect_uris, **named(uri))
    assert here.stored() == before
    party = relying_party(here, **named(uri))
    before = here.stored()
    with pytest.raises(InvalidInput, match="photos"):
        here.server.clients.change(party.client_id, {"redirect_uris": (REDIRECT_URI, OTHER)})
    with pytest.raises(InvalidInput, match="photos"):
        here.server.clients.new_secret(party.client_id, values={"redirect_uris": (OTHER,)})
    assert here.stored() == before
    listing(host, OTHER, REDIRECT_URI)
    changed: Client = here.server.clients.change(party.client_id, {"redirect_uris": (REDIRECT_URI, OTHER)})
    assert changed.redirect_uris == (REDIRECT_URI, OTHER)


def test_it_is_fetched_when_something_changes(here: Site, host: Host) -> None:
    """And not for a new name, nor when people sign in: the host may be away then."""
    party = relying_party(here, **named(listing(host, REDIRECT_URI)))
    assert host.connections == 1
    host.answers.clear()
    here.server.clients.change(party.client_id, {"client_name": "New"})
    here.server.clients.new_secret(party.client_id)
    here.server.clients.change(party.client_id, {"enabled": False})
    assert host.connections == 1
    with pytest.raises(InvalidInput):
        here.server.clients.change(party.client_id, named(host.url("/elsewhere.json")))


@proves("S-085", "S-086", "OIDC Registration §5")
@pytest.mark.parametrize(
    "answer",
    [
        b"{}",
        b"[1]",
        b'["https://app.example.org/callback", null]',
        b"[",
        b"",
        b'"https://app.example.org/callback"',
        b"HTTP/1.1 404 No\r\nContent-Length: 35\r\n\r\n" + b'["https://app.example.org/callback"]',
        b"HTTP/1.1 302 Found\r\nLocation: /sector.json\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_what_is_no_list_is_refused_alike(here: Site, host: Host, answer: bytes) -> None:
    """Nobody learns from us what is where."""
    host.answers["/x"] = answer
    told = []
    for uri in (host.url("/x"), "http://127.0.0.1:9/x", "https://127.0.0.2/x", "https://169.254.169.254/x", "x", ""):
        with pytest.raises(InvalidInput) as caught:
            relying_party(here, redirect_uris=(REDIRECT_URI, OTHER), **named(uri))
        told.append(caught.value.reason)
    assert len(set(told[:-1])) == 1


@proves("S-085")
def test_private_hosts_are_not_asked(tmp_path: Path, host: Host) -> None:
    here = site(tmp_path)
    for scheme, name in (("https", "127.0.0.1"), ("https", "localhost"), ("http", "127.0.0.1")):
        with pytest.raises(InvalidInput):
            relying_party(here, **named(host.url("/sector.json", name, scheme)))
    assert host.connections == 0
