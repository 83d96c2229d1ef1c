"""Request objects, given and by reference: what counts in them, and what never does."""

import json
import re
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey
from werkzeug.test import TestResponse

from auth_server.errors import InvalidInput
from auth_server.protocol.extensions.request_object import MAX_LENGTH
from auth_server.store.records import User
from tests import proves
from tests.people import join
from tests.relying_party import AUTHORIZE, CHALLENGE, REDIRECT_URI, Browser, RelyingParty, answered, relying_party
from tests.servers.documents import Host, hosting
from tests.signing import EcKey, Sign, base64url, compact, decoded, mac, unsigned
from tests.sites import ISSUER, Site, site

OTHER_URI = "https://app.example.org/other"
PARAMETERS = {
    "redirect_uri": REDIRECT_URI,
    "response_type": "code",
    "scope": "openid",
    "state": "inside",
    "nonce": "n-inside",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}


@pytest.fixture
def here(tmp_path: Path) -> Site:
    return site(tmp_path, outbound_allow=["127.0.0.1"])


@pytest.fixture
def jane(here: Site) -> User:
    return join(here)


@pytest.fixture
def host() -> Iterator[Host]:
    with hosting() as host:
        yield host


class Signing:
    """A client that signs its requests."""

    def __init__(self, here: Site, **metadata: Any) -> None:
        self.key = EcKey()
        values = metadata.pop("values", {"jwks": self.key.jwks})
        uris = (REDIRECT_URI, OTHER_URI)
        self.party: RelyingParty = relying_party(here, redirect_uris=uris, metadata=metadata, **values)
        self.here, self.client_id = here, self.party.client_id

    def claims(self, **changes: object) -> dict[str, object]:
        """Return the claims of a good object with *changes*; None leaves one out."""
        now = self.here.clock()
        own = {"iss": self.client_id, "aud": ISSUER, "client_id": self.client_id, "iat": now, "exp": now + 60}
        return {name: value for name, value in {**own, **PARAMETERS, **changes}.items() if value is not None}

    def object(self, header: Mapping[str, Any] | None = None, sign: Sign | None = None, **changes: object) -> str:
        """Return a good object with *changes*."""
        fields = {"alg": "ES256", "kid": "k1", "typ": "oauth-authz-req+jwt", **(header or {})}
        fields = {name: value for name, value in fields.items() if value is not None}
        return compact(fields, self.claims(**changes), sign or self.key.sign)

    def ask(self, browser: Browser, **parameters: str | None) -> TestResponse:
        """Send an authorization request with nothing but these beside the usual ones."""
        usual = {"client_id": self.client_id, "response_type": "code", "scope": "openid", **parameters}
        query = {name: value for name, value in usual.items() if value is not None}
        return browser.open(AUTHORIZE, "POST" if len(str(query)) > 4000 else "GET", **_sent(query))


def _sent(query: dict[str, str]) -> dict[str, Any]:
    return {"data": query} if len(str(query)) > 4000 else {"query_string": query}


def done(browser: Browser, answer: TestResponse) -> dict[str, str]:
    """Let the person sign in and agree, and return what the client is told."""
    assert 'name="username"' in answer.text, answer.text
    browser.sign_in()
    return answered(browser.allow())


def refused(answer: TestResponse) -> str:
    """Return the error of an answer; of a page, `page`."""
    if answer.status_code == 303:
        told = answered(answer)
        assert "code" not in told
        assert told["iss"] == ISSUER
        return told["error"]
    assert answer.status_code in (400, 413), answer.text
    assert "Location" not in answer.headers
    return "page"


@proves("OIDC Core §6.1", "RFC 9101 §6")
@pytest.mark.parametrize("typ", ["oauth-authz-req+jwt", "JWT", None])
def test_a_signed_request_counts(here: Site, jane: User, browser: Browser, typ: str | None) -> None:
    """What stands inside wins, and nothing but client_id needs to stand outside."""
    client = Signing(here)
    outside = {"response_type": None, "scope": None, "state": "outside", "nonce": "outside", "redirect_uri": None}
    answer = client.ask(browser, request=client.object({"typ": typ}), **outside)
    told = done(browser, answer)
    assert (told["state"], told["iss"]) == ("inside", ISSUER)
    tokens = client.party.redeem(told["code"])
    assert decoded(tokens.json["id_token"])[1]["nonce"] == "n-inside"


@proves("OIDC Core §6.1")
def test_the_redirect_uri_inside_wins(here: Site, jane: User, browser: Browser) -> None:
    """Also over one that is not registered; and one inside that is not registered leads to a page."""
    client = Signing(here)
    answer = client.ask(browser, request=client.object(redirect_uri=OTHER_URI), redirect_uri="https://evil.example/")
    browser.sign_in()
    assert browser.allow().headers["Location"].startswith(f"{OTHER_URI}?")
    answer = client.ask(browser, request=client.object(redirect_uri="https://evil.example/"), redirect_uri=REDIRECT_URI)
    assert refused(answer) == "page"


@proves("OIDC Core §6.1", "OIDC Core §5.5")
def test_claims_and_numbers_stand_there_as_json(here: Site, jane: User, browser: Browser) -> None:
    client = Signing(here)
    wanted = {"id_token": {"email": {"essential": True}}}
    answer = client.ask(browser, request=client.object(claims=wanted, max_age=100, registration=None, unknown=[1]))
    tokens = client.party.redeem(done(browser, answer)["code"])
    assert decoded(tokens.json["id_token"])[1]["email"] == "jane@example.org"
    here.clock.advance(101)
    again = client.ask(browser, request=client.object(max_age=100))
    assert 'name="username"' in again.text
    assert refused(client.ask(browser, request=client.object(prompt="none", max_age=1))) == "login_required"


@proves("S-024")
def test_a_request_waits_as_it_was_resolved(here: Site, host: Host, jane: User, browser: Browser) -> None:
    """Nothing is fetched or verified a second time, though the object has expired by then."""
    uri = host.url("/request.jwt")
    client = Signing(here, request_uris=[uri])
    host.answers["/request.jwt"] = client.object().encode()
    answer = client.ask(browser, request_uri=uri)
    host.answers["/request.jwt"] = client.object(state="another").encode()
    here.clock.advance(600)
    assert done(browser, answer)["state"] == "inside"
    assert host.asked == ["/request.jwt"]


@proves("S-088", "RFC 9101 §10")
@pytest.mark.parametrize(
    "change",
    [
        {"iss": "somebody"},
        {"iss": 1},
        {"aud": "https://other.example"},
        {"aud": ["https://other.example"]},
        {"aud": {}},
        {"exp": 1_700_000_000},
        {"exp": "soon"},
        {"exp": True},
        {"nbf": 1_900_000_000},
        {"iat": 1_900_000_000},
        {"client_id": "somebody"},
        {"client_id": 7},
        {"response_type": "code id_token"},
        {"response_type": ["code"]},
        {"request": "x.y.z"},
        {"request_uri": "https://app.example.org/r"},
    ],
)
def test_what_a_signed_object_must_not_say(here: Site, browser: Browser, change: dict[str, Any]) -> None:
    """Told to the client where the way back is proven outside, else on a page."""
    client = Signing(here)
    given = client.object(**change)
    assert refused(client.ask(browser, request=given, redirect_uri=REDIRECT_URI)) == "invalid_request_object"
    assert refused(client.ask(browser, request=given)) == "page"
    assert refused(client.ask(browser, request=given, redirect_uri="https://evil.example/")) == "page"


def test_an_assertion_is_no_request(here: Site, browser: Browser) -> None:
    """What a client signs to prove itself must not be taken for what it asks (RFC 9101 §10.8)."""
    client = Signing(here)
    given = client.object({"typ": "JWT"}, sub=client.client_id)
    assert refused(client.ask(browser, request=given, redirect_uri=REDIRECT_URI)) == "invalid_request_object"


@proves("S-088", "S-043", "S-044", "S-045")
@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none"},
        {"alg": "None"},
        {"alg": "HS256"},
        {"alg": "RS256"},
        {"alg": "ES384"},
        {"alg": 1},
        {"alg": None},
        {"kid": "unknown"},
        {"kid": 1},
        {"typ": "at+jwt"},
        {"typ": "client-authentication+jwt"},
        {"typ": "dpop+jwt"},
        {"crit": ["exp"], "exp": 1},
        {"crit": []},
        {"b64": False, "crit": ["b64"]},
        {"b64": False},
        {"zip": "DEF"},
        {"jwk": EcKey().jwk},
        {"jku": "https://app.example.org/jwks"},
        {"x5u": "https://app.example.org/cert"},
        {"x5c": ["AA=="]},
    ],
)
def test_headers_that_are_refused(here: Site, browser: Browser, header: dict[str, Any]) -> None:
    """Though the signature is right."""
    client = Signing(here, request_object_signing_alg="ES256")
    answer = client.ask(browser, request=client.object(header), redirect_uri=REDIRECT_URI)
    assert refused(answer) == "invalid_request_object"


@proves("S-043", "S-088")
def test_signatures_that_are_refused(here: Site, browser: Browser) -> None:
    """By another client, with a key of the header, with our or its public key as a MAC, empty, or of other content."""
    client, other = Signing(here), EcKey()
    good = client.object()
    head, payload, signature = good.split(".")
    pem, der = client.key.public(Encoding.PEM), client.key.public(Encoding.DER)
    text = json.dumps(client.key.jwk).encode()
    published = here.http.get("/.well-known/jwks.json").data
    altered = base64url(json.dumps(client.claims(state="altered")).encode())
    bad = [
        client.object(sign=other.sign),
        client.object({"jwk": other.jwk}, sign=other.sign),
        *[client.object({"alg": "HS256"}, mac(key)) for key in (pem, der, text, published)],
        client.object(sign=unsigned),
        f"{head}.{altered}.{signature}",
        f"{head}.{payload}",
        f"{head}.{payload}.{signature}.",
        f"{head}..{signature}",
        "x",
        "ä.b.c",
        f"{base64url(b'[]')}.{payload}.{signature}",
        f"{base64url(b'{')}.{payload}.{signature}",
        compact({"alg": "ES256", "kid": "k1"}, "[]", client.key.sign),
        compact({"alg": "ES256", "kid": "k1"}, '{"a":', client.key.sign),
        compact({"alg": "ES256", "kid": "k1"}, '{"exp": NaN}', client.key.sign),
    ]
    for given in bad:
        answer = client.ask(browser, request=given, redirect_uri=REDIRECT_URI)
        assert refused(answer) == "invalid_request_object", given


@proves("S-045")
def test_tokens_of_ours_are_no_requests(here: Site, jane: User, browser: Browser) -> None:
    """Neither an ID token nor an access token, signed by us."""
    client = Signing(here)
    tokens = client.party.tokens(browser, redirect_uri=REDIRECT_URI)
    for given in (tokens["id_token"], here.token("metrics", "jwt")):
        answer = client.ask(browser, request=given, redirect_uri=REDIRECT_URI)
        assert refused(answer) == "invalid_request_object"


@proves("S-047")
def test_objects_that_are_too_large_are_refused_at_once(here: Site, host: Host, browser: Browser) -> None:
    """A megabyte, a hundred thousand dots, and what unpacks to more."""
    uri = host.url("/request.jwt")
    client = Signing(here, request_uris=[uri])
    packed = {"alg": "RSA-OAEP", "enc": "A256GCM", "zip": "DEF"}
    jwe = f"{urlsafe_b64encode(json.dumps(packed).encode()).decode().rstrip('=')}.a.b.c.d"
    for given in ("." * 100_000, "a" * 1_000_000, f"a.{'b' * MAX_LENGTH}.c", jwe, client.object(x="x" * MAX_LENGTH)):
        began = time.monotonic()
        if len(given) < 60_000:
            assert refused(client.ask(browser, request=given, redirect_uri=REDIRECT_URI)) == "invalid_request_object"
        else:
            assert refused(client.ask(browser, request=given, redirect_uri=REDIRECT_URI)) == "page"
        host.answers["/request.jwt"] = given.encode()
        answer = client.ask(browser, request_uri=uri, redirect_uri=REDIRECT_URI)
        assert refused(answer) in ("invalid_request_object", "invalid_request_uri")
        assert time.monotonic() - began < 0.5


@proves("S-088", "OIDC Core §6.1")
def test_unsigned_requests_are_for_clients_that_are_registered_for_them(
    here: Site, jane: User, browser: Browser
) -> None:
    """And those may not sign; for others unsigned ones are not offered."""
    client = Signing(here, request_object_signing_alg="none")
    none = {"alg": "none", "kid": None, "typ": None}
    answer = client.ask(browser, request=client.object(none, unsigned, iss=None, aud=None))
    assert done(browser, answer)["state"] == "inside"
    for header, sign in ((none, client.key.sign), ({}, None), ({**none, "alg": "NONE"}, unsigned)):
        answer = client.ask(browser, request=client.object(header, sign), redirect_uri=REDIRECT_URI)
        assert refused(answer) == "invalid_request_object"
    other = Signing(here)
    answer = other.ask(browser, request=other.object(none, unsigned), redirect_uri=REDIRECT_URI)
    assert refused(answer) == "request_not_supported"


@proves("S-088")
def test_a_secret_may_sign(here: Site, jane: User, browser: Browser) -> None:
    """Where the client is registered so; no other algorithm counts then."""
    client = Signing(here, request_object_signing_alg="HS256", values={})
    secret = mac((client.party.secret or "").encode())
    assert done(browser, client.ask(browser, request=client.object({"alg": "HS256"}, secret)))["state"] == "inside"
    for header, sign in (({"alg": "HS256"}, mac(b"x" * 43)), ({}, None)):
        answer = client.ask(browser, request=client.object(header, sign), redirect_uri=REDIRECT_URI)
        assert refused(answer) == "invalid_request_object"


@proves("S-089", "RFC 9101 §6.3")
def test_where_signing_is_required_nothing_beside_the_object_counts(here: Site, jane: User, browser: Browser) -> None:
    """Neither to add something, nor for the way back of an error; and no request goes without an object."""
    client = Signing(here, require_signed_request_object=True)
    outside = {"state": "outside", "scope": "openid email", "prompt": "none", "redirect_uri": "https://evil.example/"}
    answer = client.ask(browser, request=client.object(state=None), **outside)
    assert "email" not in answer.text
    told = done(browser, answer)
    assert "state" not in told
    assert client.party.redeem(told["code"]).json["scope"] == "openid"
    without = client.object(nonce=None, code_challenge=None, code_challenge_method=None, response_type=None)
    beside = {"response_type": "code", "redirect_uri": REDIRECT_URI}
    assert refused(client.ask(browser, request=without, **beside)) == "invalid_request"
    assert refused(client.ask(browser, request=client.object(redirect_uri=None), **beside)) == "page"
    for bad in ({"request": client.object(exp=1)}, {"request_uri": "https://app.example.org/r"}, {"request": "x"}, {}):
        assert refused(client.ask(browser, redirect_uri=REDIRECT_URI, **bad)) == "page"


@proves("S-089", "OIDC Core §6.1")
def test_one_object_and_no_more(here: Site, browser: Browser) -> None:
    client = Signing(here)
    both = {"request": client.object(), "request_uri": "https://app.example.org/r"}
    assert refused(client.ask(browser, **both, redirect_uri=REDIRECT_URI)) == "invalid_request"
    assert refused(client.ask(browser, **both)) == "page"
    pairs = [("client_id", client.client_id), ("redirect_uri", REDIRECT_URI)]
    answer = browser.open(AUTHORIZE, "POST", data=None, query_string=[*pairs, *[("request", client.object())] * 2])
    assert refused(answer) in ("invalid_request", "page")


@proves("S-014", "S-013")
def test_whose_object_it_is_decides_what_stands_outside(here: Site, browser: Browser) -> None:
    """An unknown or disabled client gets a page, whatever its object says; without a client_id there is none."""
    client = Signing(here)
    given = client.object()
    for client_id in ("unknown", "", None, "a b"):
        assert refused(client.ask(browser, client_id=client_id, request=given, redirect_uri=REDIRECT_URI)) == "page"
    here.server.clients.change(client.client_id, {"enabled": False})
    assert refused(client.ask(browser, request=given, redirect_uri=REDIRECT_URI)) == "page"


# ---- by reference
@proves("OIDC Core §6.2")
@pytest.mark.parametrize("fragment", ["", "#aHNvbWUtaGFzaA"])
def test_an_object_may_be_fetched(here: Site, host: Host, jane: User, browser: Browser, fragment: str) -> None:
    """From a URI as registered, or with the fragment that names a version of what is there."""
    uri = host.url("/request.jwt?for=us")
    client = Signing(here, request_uris=[uri])
    host.answers["/request.jwt?for=us"] = client.object().encode() + b"\n"
    assert done(browser, client.ask(browser, request_uri=uri + fragment))["state"] == "inside"
    assert host.asked == ["/request.jwt?for=us"]
    other = Signing(here, request_uris=[f"{uri}#one"])
    host.answers["/request.jwt?for=us"] = other.object().encode()
    assert refused(other.ask(browser, request_uri=f"{uri}#one", prompt="none")) != "invalid_request_uri"
    assert refused(other.ask(browser, request_uri=f"{uri}#two", redirect_uri=REDIRECT_URI)) == "invalid_request_uri"


@proves("S-087", "S-085")
def test_only_registered_uris_are_asked(here: Site, host: Host, browser: Browser) -> None:
    """To the very character, and for this client."""
    uri = host.url("/request.jwt")
    client, other = Signing(here, request_uris=[uri]), Signing(here)
    tries = [f"{uri}?", f"{uri}/", f"{uri}?a=b", uri.upper(), uri.replace("127.0.0.1", "localhost"), "x", "/", "#"]
    tries += [uri.replace("request", "%72equest"), f" {uri}", "urn:example:request"]
    for one in tries:
        answer = client.ask(browser, request_uri=one, redirect_uri=REDIRECT_URI)
        assert refused(answer) == "invalid_request_uri", one
        assert refused(client.ask(browser, request_uri=one)) == "page"
    assert refused(other.ask(browser, request_uri=uri, redirect_uri=REDIRECT_URI)) == "invalid_request_uri"
    assert host.connections == 0


@proves("S-085")
@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "[::1]", "169.254.169.254", "10.0.0.1"])
def test_private_hosts_are_not_asked(tmp_path: Path, host: Host, name: str) -> None:
    """Though they are registered, where the setting names none of them."""
    here = site(tmp_path)
    uri = host.url("/request.jwt", name, "https")
    client = Signing(here, request_uris=[uri])
    answer = client.ask(Browser(here), request_uri=uri, redirect_uri=REDIRECT_URI)
    assert refused(answer) == "invalid_request_uri"
    assert not re.search("private|public|127|169", answer.headers["Location"])
    assert host.connections == 0


@proves("S-086")
def test_what_is_no_object_is_refused(here: Site, host: Host, browser: Browser) -> None:
    """Redirects, errors, other content, and nothing at all."""
    uri = host.url("/request.jwt")
    client = Signing(here, request_uris=[uri])
    away = f"HTTP/1.1 302 Found\r\nLocation: {host.url('/elsewhere')}\r\nContent-Length: 0\r\n\r\n".encode()
    host.answers["/elsewhere"] = client.object().encode()
    answers: list[tuple[Any, str]] = [
        (away, "invalid_request_uri"),
        (b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", "invalid_request_uri"),
        (lambda peer: None, "invalid_request_uri"),
        (b"", "invalid_request_object"),
        (b"<html>", "invalid_request_object"),
        ("ä".encode(), "invalid_request_object"),
        (b"\xff.\x00.x", "invalid_request_object"),
    ]
    for there, told in answers:
        host.answers["/request.jwt"] = there
        assert refused(client.ask(browser, request_uri=uri, redirect_uri=REDIRECT_URI)) == told
    assert "/elsewhere" not in host.asked


# ---- registration
@proves("S-083", "OIDC Registration §2")
@pytest.mark.parametrize(
    ("metadata", "values", "told"),
    [
        ({"request_object_signing_alg": "RS1"}, {}, "request_object_signing_alg"),
        ({"request_object_signing_alg": "ES256"}, {}, "keys"),
        ({"request_object_signing_alg": "HS256"}, {"token_endpoint_auth_method": "none"}, "secret"),
        ({"require_signed_request_object": True}, {}, "keys"),
        ({"require_signed_request_object": True, "request_object_signing_alg": "none"}, {"jwks": EcKey().jwks}, "none"),
        ({"request_uris": ["ftp://app.example.org/"]}, {}, "request_uris"),
        ({"request_uris": ["http://[::1/"]}, {}, "request_uris"),
        ({"request_uris": ["https://me@app.example.org/"]}, {}, "request_uris"),
    ],
)
def test_what_cannot_be_registered(here: Site, metadata: dict[str, Any], values: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        relying_party(here, metadata=metadata, **values)


@pytest.mark.parametrize(
    "members",
    [
        {"request_uris": "https://app.example.org/"},
        {"request_uris": [f"https://app.example.org/{'x' * 512}"]},
        {"request_uris": ["https://app.example.org/"] * 51},
        {"require_signed_request_object": "yes"},
        {"request_object_signing_alg": ["ES256"]},
    ],
)
def test_members_of_another_type_are_refused(here: Site, members: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        here.server.clients.read(members)


@proves("OIDC Discovery §3", "S-159")
@pytest.mark.parametrize("document", ["openid-configuration", "oauth-authorization-server"])
def test_discovery_says_so(here: Site, document: str) -> None:
    told = here.http.get(f"/.well-known/{document}").json
    assert told["request_parameter_supported"] is True
    assert told["request_uri_parameter_supported"] is True
    assert told["require_request_uri_registration"] is True
    assert {"RS256", "ES256", "PS256", "EdDSA", "HS256"} <= set(told["request_object_signing_alg_values_supported"])
    assert "none" not in told["request_object_signing_alg_values_supported"]


@proves("OIDC Discovery §3", "S-159")
def test_each_named_algorithm_counts(here: Site, jane: User) -> None:
    """For a client that is registered for it, or names none and has such a key."""
    named = here.http.get("/.well-known/openid-configuration").json["request_object_signing_alg_values_supported"]
    for alg in named:
        for registered in ({"request_object_signing_alg": alg}, {}):
            if alg.startswith("HS") and not registered:
                continue
            key: Any = None if alg.startswith("HS") else generated(alg)
            values = {} if key is None else {"jwks": {"keys": [{**key.as_dict(private=False), "kid": "k"}]}}
            client = Signing(here, values=values, **registered)
            key = key or OctKey.import_key(client.party.secret or "")
            given = jws.serialize_compact({"alg": alg}, json.dumps(client.claims()).encode(), key, algorithms=[alg])
            assert 'name="username"' in client.ask(Browser(here), request=given).text, (alg, registered)


def generated(alg: str) -> Any:
    if alg in ("EdDSA", "Ed25519"):
        return OKPKey.generate_key("Ed25519")
    if alg.startswith("ES"):
        return ECKey.generate_key({"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}[alg])
    return RSAKey.generate_key(2048)
