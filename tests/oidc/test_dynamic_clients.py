"""A client that nobody here knows: it registers itself, and what it names is fetched (OpenID's dynamic profile)."""

import json
from collections.abc import Iterator
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import RSAKey
from werkzeug.test import TestResponse

from auth_server.domain import client_keys
from tests import proves
from tests.people import join
from tests.relying_party import AUTHORIZE, REDIRECT_URI, TOKEN, Browser, answered
from tests.servers.documents import Host, hosting
from tests.signing import base64url, decoded
from tests.sites import ISSUER, Site, site

TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_numbers = count()


@pytest.fixture
def host() -> Iterator[Host]:
    with hosting() as host:
        yield host


@pytest.fixture
def here(tmp_path: Path) -> Site:
    made = site(tmp_path, registration="open", outbound_allow=["127.0.0.1"])
    join(made)
    return made


class Client:
    """A client with an RSA key, as the certification tests have one."""

    def __init__(self, here: Site, host: Host, **members: Any) -> None:
        self.here, self.host = here, host
        self.rotate()
        usual = {
            "redirect_uris": [REDIRECT_URI],
            "grant_types": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks_uri": host.url("/jwks"),
        }
        self.answer = here.http.post("/api/v1/oauth/register", json={**usual, **members})
        self.client_id: str = (self.answer.json or {}).get("client_id", "")

    def rotate(self) -> None:
        """Take another key, and publish that alone."""
        self.key, self.kid = RSAKey.generate_key(2048), f"key-{next(_numbers)}"
        public = {**self.key.as_dict(private=False), "kid": self.kid, "use": "sig", "alg": "RS256"}
        self.host.answers["/jwks"] = json.dumps({"keys": [public]}).encode()

    def sign(self, claims: dict[str, Any]) -> str:
        header = {"alg": "RS256", "kid": self.kid}
        return jws.serialize_compact(header, json.dumps(claims).encode(), self.key, algorithms=["RS256"])

    def ask(self, browser: Browser, **parameters: str) -> str:
        """Return a code for an authorization request."""
        usual = {"client_id": self.client_id, "response_type": "code", "scope": "openid offline_access"}
        browser.open(AUTHORIZE, query_string={**usual, **parameters})
        browser.sign_in()
        return answered(browser.allow())["code"]

    def send(self, **form: str) -> TestResponse:
        """Send a form to the token endpoint, with an assertion."""
        own = {"iss": self.client_id, "sub": self.client_id, "aud": ISSUER, "exp": self.here.clock() + 60}
        assertion = self.sign({**own, "jti": str(next(_numbers))})
        proof = {"client_assertion_type": TYPE, "client_assertion": assertion}
        return self.here.http.post(TOKEN, data={**form, **proof})


@proves("OIDC Core §10.1.1", "OIDC Registration §2")
def test_its_keys_are_fetched_and_may_change(here: Site, host: Host):
    """oidcc-registration-jwks-uri, oidcc-refresh-token-rp-key-rotation: a new key counts, the old one does not."""
    client = Client(here, host)
    code = client.ask(Browser(here), redirect_uri=REDIRECT_URI, prompt="consent")
    tokens = client.send(grant_type="authorization_code", code=code, redirect_uri=REDIRECT_URI)
    assert tokens.status_code == 200, tokens.text
    old_key, old_kid = client.key, client.kid
    client.rotate()
    here.clock.advance(client_keys.PAUSE)
    refreshed = client.send(grant_type="refresh_token", refresh_token=tokens.json["refresh_token"])
    assert refreshed.status_code == 200, refreshed.text
    client.key, client.kid = old_key, old_kid
    refused = client.send(grant_type="refresh_token", refresh_token=refreshed.json["refresh_token"])
    assert (refused.status_code, refused.json["error"]) == (401, "invalid_client")


@proves("OIDC Core §6.2", "RFC 9101 §5.2")
def test_it_asks_by_reference(here: Site, host: Host):
    """oidcc-request-uri-signed-rs256: the fragment is a hash of something, and no more than a part of the name."""
    uri = f"{host.url('/requesturi/x')}#{base64url(sha256(b'something else').digest())}"
    client = Client(here, host, request_uris=[uri], request_object_signing_alg="RS256")
    assert client.answer.json["request_uris"] == [uri]
    usual = {"client_id": client.client_id, "response_type": "code", "scope": "openid", "nonce": "of the object"}
    inside = {**usual, "redirect_uri": REDIRECT_URI, "state": "x", "iss": client.client_id, "aud": ISSUER}
    host.answers["/requesturi/x"] = client.sign(inside).encode()
    code = client.ask(Browser(here), request_uri=uri)
    tokens = client.send(grant_type="authorization_code", code=code, redirect_uri=REDIRECT_URI)
    assert decoded(tokens.json["id_token"])[1]["nonce"] == "of the object"


@proves("OIDC Registration §5")
def test_its_sector_is_looked_at(here: Site, host: Host):
    """oidcc-registration-sector-uri, oidcc-registration-sector-bad."""
    members = {"subject_type": "pairwise", "sector_identifier_uri": host.url("/redirect_uris.json")}
    host.answers["/redirect_uris.json"] = json.dumps([REDIRECT_URI]).encode()
    made = Client(here, host, **members)
    assert made.answer.status_code == 201
    assert made.answer.json["sector_identifier_uri"] == members["sector_identifier_uri"]
    host.answers["/redirect_uris.json"] = json.dumps(["https://app.example.org/another"]).encode()
    before = here.stored()
    answer = Client(here, host, **members).answer
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_client_metadata")
    assert here.stored() == before
    path = made.answer.json["registration_client_uri"].removeprefix(ISSUER)
    told = {name: made.answer.json[name] for name in ("redirect_uris", "grant_types", "token_endpoint_auth_method")}
    told |= {"client_id": made.client_id, "jwks_uri": host.url("/jwks"), **members}
    told["redirect_uris"] = [REDIRECT_URI, "https://photos.example.net/callback"]
    headers = {"Authorization": f"Bearer {made.answer.json['registration_access_token']}"}
    answer = here.http.put(path, json=told, headers=headers)
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_client_metadata")


@proves("S-085")
@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "169.254.169.254", "[::1]"])
def test_nothing_is_fetched_from_private_addresses(tmp_path: Path, host: Host, name: str):
    """Not at registration, and not later."""
    here = site(tmp_path, registration="open")
    https = host.url("/x", name, "https")
    refused = Client(here, host, jwks_uri=https, subject_type="pairwise", sector_identifier_uri=https).answer
    assert (refused.status_code, refused.json["error"]) == (400, "invalid_client_metadata")
    assert Client(here, host).answer.status_code == 400  # http
    client = Client(here, host, jwks_uri=https, request_uris=[https])
    assert client.answer.status_code == 201
    query = {"client_id": client.client_id, "redirect_uri": REDIRECT_URI, "request_uri": https}
    assert answered(Browser(here).open(AUTHORIZE, query_string=query))["error"] == "invalid_request_uri"
    assert client.send(grant_type="authorization_code", code="x").status_code == 401
    assert host.connections == 0
