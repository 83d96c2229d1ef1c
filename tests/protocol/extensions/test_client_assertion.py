"""Client assertions: private_key_jwt and client_secret_jwt (RFC 7523)."""

import json
from collections.abc import Mapping
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from auth_server.errors import InvalidInput
from auth_server.protocol.errors import InvalidClient
from auth_server.protocol.extensions.client_assertion import ClientAssertion
from auth_server.store.state import Page
from tests import proves
from tests.servers.visitors import INTROSPECT, REVOKE, TOKEN, Answer, Visitor
from tests.signing import EcKey, Sign, base64url, compact, mac, unsigned

TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
GRANT = {"grant_type": "client_credentials"}
REFUSED = (401, "invalid_client")
_jtis = count()


class Signing:
    """A client that signs, and the program behind it."""

    def __init__(self, visitor: Visitor, **values: Any) -> None:
        self.visitor, self.key = visitor, EcKey()
        values = {"token_endpoint_auth_method": "private_key_jwt", "jwks": self.key.jwks, **values}
        registered = visitor.client("introspect", **values)
        self.client_id, self.secret = registered.client_id, registered.secret

    def claims(self, **changes: object) -> dict[str, object]:
        """Return good claims with *changes*; None leaves one out."""
        now = self.visitor.server.clock()
        claims = {"iss": self.client_id, "sub": self.client_id, "aud": self.visitor.server.issuer}
        claims |= {"iat": now, "exp": now + 60, "jti": f"jti-{next(_jtis)}", **changes}
        return {name: value for name, value in claims.items() if value is not None}

    def assertion(self, header: Mapping[str, Any] | None = None, sign: Sign | None = None, **changes: object) -> str:
        """Return a good assertion with *changes*."""
        fields = {"alg": "ES256", "kid": "k1", "typ": "JWT", **(header or {})}
        return compact(fields, self.claims(**changes), sign or self.key.sign)

    def send(self, assertion: str, path: str = TOKEN, **more: str) -> Answer:
        """Authenticate with an assertion, from a new address: no throttle decides."""
        self.visitor.move()
        form = {**GRANT, "token": "0" * 48, "client_assertion_type": TYPE, "client_assertion": assertion, **more}
        return self.visitor.post(path, form)


@proves("RFC 7523 §2.2", "OIDC Core §9")
@pytest.mark.parametrize("path", [TOKEN, INTROSPECT, REVOKE])
def test_a_good_assertion_authenticates(visitor: Visitor, path: str):
    """For each of the audiences that are allowed, as text and as a list of one; with and without client_id."""
    client, issuer = Signing(visitor), visitor.server.issuer
    for audience in (issuer, issuer + TOKEN, issuer + path, [issuer]):
        assert client.send(client.assertion(aud=audience), path).status == 200
    assert client.send(client.assertion(), path, client_id=client.client_id).status == 200


@proves("OIDC Core §9")
def test_a_secret_may_sign(visitor: Visitor):
    """client_secret_jwt: HS256 with the secret itself; an old one counts as long as its overlap."""
    client = Signing(visitor, token_endpoint_auth_method="client_secret_jwt", jwks=None)
    old = mac(client.secret.encode())
    assert client.send(client.assertion({"alg": "HS256"}, old)).status == 200
    new = visitor.server.inside.clients.new_secret(client.client_id, overlap=60).secret or ""
    for sign in (old, mac(new.encode())):
        assert client.send(client.assertion({"alg": "HS256"}, sign)).status == 200
    assert client.send(client.assertion({"alg": "HS256"}, mac(b"x" * 43))).told == REFUSED


@proves("S-005", "RFC 7523 §3")
def test_an_assertion_counts_once(visitor: Visitor):
    """Not again at once, nor at another endpoint, nor until it would have expired anyhow."""
    client = Signing(visitor)
    assertion = client.assertion(exp=visitor.server.clock() + 120, aud=visitor.server.issuer)
    assert client.send(assertion).status == 200
    for path in (TOKEN, INTROSPECT, REVOKE):
        assert client.send(assertion, path).told == REFUSED
    visitor.server.clock.advance(119)
    assert client.send(assertion).told == REFUSED
    same_jti = client.assertion(jti="the same")
    assert client.send(same_jti).status == 200
    assert client.send(client.assertion(jti="the same", exp=visitor.server.clock() + 90)).told == REFUSED
    other = Signing(visitor)
    assert other.send(other.assertion(jti="the same")).status == 200


@proves("S-005")
@pytest.mark.parametrize("path", [TOKEN, INTROSPECT, REVOKE])
def test_a_replay_is_noted(visitor: Visitor, path: str):
    """Wherever it is tried."""
    client = Signing(visitor)
    assertion = client.assertion()
    assert [client.send(assertion, path).status for _ in range(2)] == [200, 401]
    events = visitor.server.inside.records.audit.page(Page(20))
    assert ("client.assertion", "replayed") in [(e.event, e.outcome) for e in events if e.client_id == client.client_id]


@proves("S-005")
def test_of_many_uses_at_once_one_counts(visitor: Visitor):
    """Over both workers exactly one is served."""
    client = Signing(visitor)
    form = {**GRANT, "client_assertion_type": TYPE, "client_assertion": client.assertion()}
    answers = visitor.everywhere(lambda: visitor.post(TOKEN, form), 12)
    assert sorted(answer.status for answer in answers) == [200] + [401] * 11


@proves("S-006")
def test_the_audience_is_one_value_of_ours(visitor: Visitor):
    """Another server, ours among others, another endpoint's path, none at all: refused."""
    client, issuer = Signing(visitor), visitor.server.issuer
    for audience in (
        "https://other.example", [issuer, "https://other.example"], [issuer, issuer + TOKEN], [], None,
        issuer + "/", issuer + REVOKE, issuer.upper(), client.client_id, {"aud": issuer}, 1,
    ):  # fmt: skip
        assert client.send(client.assertion(aud=audience)).told == REFUSED, audience


@proves("S-007", "RFC 7523 §3")
def test_each_claim_must_be_there_and_right(visitor: Visitor):
    """Missing, of the wrong type, or out of the time that is allowed."""
    client, now = Signing(visitor), visitor.server.clock()
    other = Signing(visitor)
    for changes in (
        {"exp": None}, {"jti": None}, {"sub": None}, {"iss": None}, {"iss": "other"}, {"iss": other.client_id},
        {"sub": other.client_id}, {"sub": 1}, {"sub": [client.client_id]}, {"iss": {}}, {"jti": ""}, {"jti": 7},
        {"jti": "x" * 5000}, {"exp": "soon"}, {"exp": now - 9}, {"exp": now + 3601}, {"exp": True}, {"exp": 1e400},
        {"exp": -1}, {"nbf": now + 61}, {"iat": now + 61}, {"iat": "now"}, {"nbf": []},
    ):  # fmt: skip
        assert client.send(client.assertion(**changes)).told == REFUSED, changes


@proves("S-007")
def test_a_small_difference_of_clocks_passes(visitor: Visitor):
    """8 seconds late, or a minute early."""
    client, now = Signing(visitor), visitor.server.clock()
    for changes in ({"exp": now - 7}, {"iat": now + 60}, {"nbf": now + 60}, {"exp": now + 3600}, {"iat": None}):
        assert client.send(client.assertion(**changes)).status == 200, changes


@proves("RFC 7519 §2")
def test_a_time_may_have_a_fraction(visitor: Visitor):
    """A NumericDate is any number of seconds; what is no finite number is none."""
    client, now = Signing(visitor), visitor.server.clock()
    for changes in (
        {"exp": now + 59.5}, {"exp": now + 60.0}, {"exp": now - 7.25}, {"iat": now + 59.75, "nbf": now - 0.5},
        {"iat": now + 0.123456789}, {"nbf": 0.5, "iat": 1e3},
    ):  # fmt: skip
        assert client.send(client.assertion(**changes)).status == 200, changes
    for changes in (
        {"exp": now - 8.5}, {"exp": now + 3600.5}, {"iat": now + 60.5}, {"nbf": now + 60.001}, {"exp": float("nan")},
        {"exp": float("inf")}, {"nbf": float("-inf")}, {"iat": float("-inf")}, {"iat": float("nan")}, {"exp": 10**400},
    ):  # fmt: skip
        assert client.send(client.assertion(**changes)).told == REFUSED, changes


@proves("S-005", "RFC 7519 §2")
def test_an_assertion_with_a_fraction_counts_once(visitor: Visitor):
    """Up to the last second in which it is good."""
    client, clock = Signing(visitor), visitor.server.clock
    assertion = client.assertion(exp=clock() + 0.9)
    assert client.send(assertion).status == 200
    for _ in range(9):
        clock.advance(1)
        assert client.send(assertion).told == REFUSED


@proves("S-008", "RFC 8725 §3.1")
def test_only_the_registered_kind_of_signature_counts(visitor: Visitor):
    """`none`, and HS256 keyed with the client's public key in any form, are refused."""
    client = Signing(visitor)
    texts = [json.dumps(client.key.jwk).encode(), json.dumps(client.key.jwk, separators=(",", ":")).encode()]
    secrets = [client.key.public(Encoding.PEM), client.key.public(Encoding.DER), *texts, b""]
    for alg in ("none", "None", "NONE", "", None, 1):
        assert client.send(client.assertion({"alg": alg}, unsigned)).told == REFUSED
        assert client.send(client.assertion({"alg": alg})).told == REFUSED
    for secret in secrets:
        for alg in ("HS256", "ES256"):
            assert client.send(client.assertion({"alg": alg}, mac(secret))).told == REFUSED


@proves("S-008")
def test_the_registered_algorithm_is_the_only_one(visitor: Visitor):
    """`token_endpoint_auth_signing_alg`: another algorithm is refused, even with a good key."""
    strict = Signing(visitor, metadata={"token_endpoint_auth_signing_alg": "RS256"})
    assert strict.send(strict.assertion()).told == REFUSED
    fitting = Signing(visitor, metadata={"token_endpoint_auth_signing_alg": "ES256"})
    assert fitting.send(fitting.assertion()).status == 200


@proves("S-008", "RFC 7591 §2")
@pytest.mark.parametrize("alg", ["none", "HS256", "RS384x", "", 1])
def test_only_an_algorithm_of_the_method_is_registered(visitor: Visitor, alg: object):
    """`none` and a MAC are no signatures of a private key."""
    with pytest.raises(InvalidInput, match="token_endpoint_auth_signing_alg"):
        Signing(visitor, metadata={"token_endpoint_auth_signing_alg": alg})


@proves("S-008")
@pytest.mark.parametrize("alg", ["none", "HS256"])
def test_an_algorithm_that_slipped_in_is_not_believed(visitor: Visitor, alg: str):
    """A record with an algorithm of another method: nothing signed like that passes."""
    server = visitor.server.inside
    client = Signing(visitor)
    stored = replace(server.clients.find(client.client_id), metadata={"token_endpoint_auth_signing_alg": alg})
    for sign in (unsigned, client.key.sign, mac(client.key.public(Encoding.PEM))):
        with pytest.raises(InvalidClient):
            ClientAssertion(server, stored, {server.issuer}).verified(client.assertion({"alg": alg}, sign))


@proves("S-009", "RFC 7515 §4.1.3")
def test_a_header_brings_no_key(visitor: Visitor):
    """Only registered keys count, whatever the header holds; an unknown kid is refused."""
    client, attacker = Signing(visitor), EcKey()
    certificate = base64url(attacker.public(Encoding.DER))
    for header in (
        {}, {"jwk": attacker.jwk}, {"jku": "http://127.0.0.1:9/jwks.json"}, {"x5u": "http://127.0.0.1:9/"},
        {"x5c": [certificate]}, {"kid": "unknown"}, {"kid": None}, {"kid": 1}, {"kid": ["k1"]},
    ):  # fmt: skip
        assert client.send(client.assertion(header, attacker.sign)).told == REFUSED, header
    assert client.send(client.assertion({"kid": "unknown"})).told == REFUSED


@proves("S-044", "RFC 7515 §4.1.11")
def test_unknown_extensions_are_refused(visitor: Visitor):
    """`crit` of any kind, `b64`, another type; with a good signature."""
    client = Signing(visitor)
    for header in (
        {"crit": []}, {"crit": ["exp"], "exp": 1}, {"crit": ["b64"], "b64": False}, {"b64": False}, {"crit": "b64"},
        {"zip": "DEF"}, {"typ": "at+jwt"}, {"typ": "dpop+jwt"},
    ):  # fmt: skip
        assert client.send(client.assertion(header)).told == REFUSED, header


@pytest.mark.parametrize(
    "assertion",
    [
        "x",
        "a.b.c",
        "..",
        "e30.e30.e30",
        "e30.W10.AA",
        "W10.W10.AA",
        "e30.MQ.AA",
        "e30.bnVsbA.AA",
        "bnVsbA.e30.AA",
        "é.é.é",
    ],
)
def test_what_is_no_assertion_is_refused(visitor: Visitor, assertion: str):
    """Parts that are no JSON, or no object."""
    assert Signing(visitor).send(assertion).told == REFUSED


def test_odd_json_is_refused(visitor: Visitor):
    """Deep nesting, members twice, NaN, lone surrogates: signed by the client itself."""
    client = Signing(visitor)
    good = json.dumps(client.claims())
    texts = ["[" * 5000, '{"sub":' * 1000, good[:-1] + ', "exp": NaN}', good[:-1] + ', "jti": "\\ud800"}', '"x"', "1"]
    answers = [client.send(compact({"alg": "ES256", "kid": "k1"}, text, client.key.sign)) for text in texts]
    assert {answer.status for answer in answers} <= {200, 401}
    assert [answers[0].told, answers[1].told, answers[2].told] == [REFUSED] * 3
    assert [answers[4].told, answers[5].told] == [REFUSED] * 2


def test_another_type_of_assertion_is_refused(visitor: Visitor):
    """SAML, none, or a type without an assertion."""
    client = Signing(visitor)
    for kind in ("urn:ietf:params:oauth:client-assertion-type:saml2-bearer", "x", ""):
        assert client.send(client.assertion(), client_assertion_type=kind).told == REFUSED
    assert client.send("").told == REFUSED


def test_it_is_bound_to_the_client_that_is_named(visitor: Visitor):
    """Another client_id beside it, or another client's key: refused."""
    client, other = Signing(visitor), Signing(visitor)
    assert client.send(client.assertion(), client_id=other.client_id).told == REFUSED
    assert client.send(client.assertion(sign=other.key.sign)).told == REFUSED
    assert client.send(client.assertion(iss=other.client_id, sub=other.client_id)).told == REFUSED


@proves("S-004")
def test_bad_assertions_are_throttled(visitor: Visitor):
    """Like wrong secrets: ten, then 429."""
    client = Signing(visitor)
    form = {**GRANT, "client_assertion_type": TYPE, "client_assertion": client.assertion(sign=unsigned)}
    statuses = [visitor.post(TOKEN, form).status for _ in range(11)]
    assert statuses == [401] * 10 + [429]


@proves("S-001")
def test_throttling_tells_nothing_of_who_is_registered(visitor: Visitor):
    """An id that nobody has is throttled like one that somebody has, each for itself."""
    client = Signing(visitor)
    for sub in (client.client_id, "c" + "0" * 15, "no id at all", "\ud800"):
        changes = {"sign": mac(b"x" * 43), "iss": sub, "sub": sub}
        form = {**GRANT, "client_assertion_type": TYPE, "client_assertion": client.assertion(**changes)}
        assert [visitor.post(TOKEN, form).status for _ in range(11)] == [401] * 10 + [429], sub


@proves("S-142", "RFC 8725 §3.5")
def test_costly_keys_are_never_registered(visitor: Visitor):
    """RSA with 16,384 bits, with 1,024, or with a huge exponent."""
    for bits, exponent in ((16384, "AQAB"), (1024, "AQAB"), (2048, "A" * 300)):
        modulus = base64url(((1 << bits) - 1).to_bytes(bits // 8, "big"))
        key = {"kty": "RSA", "kid": "k1", "n": modulus, "e": exponent}
        with pytest.raises(InvalidInput, match="RSA"):
            Signing(visitor, jwks={"keys": [key]})


@proves("S-125")
@pytest.mark.parametrize("more", [{"d": "AA"}, {"kty": "oct", "k": "AAAA"}])
def test_private_keys_are_never_registered(visitor: Visitor, more: dict[str, str]):
    """A client's key set holds public keys only."""
    with pytest.raises(InvalidInput, match="private or symmetric"):
        Signing(visitor, jwks={"keys": [EcKey().jwk | more]})
