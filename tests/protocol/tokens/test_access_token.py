"""Access tokens as JWT (RFC 9068), and everything that only looks like one."""

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives import serialization
from joserfc.jwk import ECKey

from auth_server.domain.users import Changes
from tests import proves
from tests.servers.visitors import INTROSPECT, SESSION, Visitor
from tests.signing import EcKey, Sign, base64url, compact, decoded, mac, unsigned

JWKS = "/.well-known/jwks.json"
API = "https://api.example.org"


@proves("RFC 9068 §2")
def test_a_jwt_says_what_it_must(visitor: Visitor):
    """Type, key, and the claims of RFC 9068; signed with the first algorithm."""
    client = visitor.client("metrics", token_format="jwt")
    header, claims = decoded(visitor.token(client))
    now = visitor.server.clock()
    assert (header["typ"], header["alg"], set(header)) == ("at+jwt", "ES256", {"typ", "alg", "kid"})
    assert len(claims.pop("jti")) >= 22
    assert claims == {
        "iss": visitor.server.issuer,
        "sub": client.client_id,
        "aud": visitor.server.issuer,
        "client_id": client.client_id,
        "scope": "metrics",
        "iat": now,
        "exp": now + 86400,
    }


@proves("RFC 8707 §2")
def test_the_audience_is_the_clients(visitor: Visitor):
    """One as a text, several as a list."""
    one, two = (
        visitor.client(token_format="jwt", audience=(API,)),
        visitor.client(token_format="jwt", audience=(API, "b")),
    )
    assert decoded(visitor.token(one))[1]["aud"] == API
    assert decoded(visitor.token(two))[1]["aud"] == [API, "b"]


def test_no_two_tokens_are_alike(visitor: Visitor):
    """Not even of one client in the same second."""
    client = visitor.client(token_format="jwt", token_limit=-1)
    tokens = visitor.everywhere(lambda: visitor.token(client), 12)
    assert len({decoded(token)[1]["jti"] for token in tokens}) == len(set(tokens)) == 12


def public_forms(jwk: dict[str, str]) -> dict[str, bytes]:
    """Return a public key in the forms in which one might be mistaken for a secret."""
    key = ECKey.import_key({name: jwk[name] for name in ("kty", "crv", "x", "y")})
    public = key.public_key
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    text = ",".join(f'"{name}":"{value}"' for name, value in sorted(jwk.items()))
    return {
        "PEM": public.public_bytes(serialization.Encoding.PEM, spki),
        "DER": public.public_bytes(serialization.Encoding.DER, spki),
        "JWK": f"{{{text}}}".encode(),
    }


def refused(visitor: Visitor, token: str) -> None:
    """Check that *token* is inactive for an entitled caller, and opens nothing."""
    assert visitor.introspect(token, visitor.client("introspect")) == {"active": False}
    assert visitor.call("GET", "/api/v1/metrics", bearer=token).status == 401
    assert visitor.call("GET", SESSION, bearer=token).status == 401
    assert visitor.post(INTROSPECT, {"token": token}, bearer=token).told == (401, "invalid_token")


@proves("S-043", "RFC 8725 §3.1")
@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", "", None, "ES256"])
def test_an_unsigned_token_is_none(visitor: Visitor, alg: str | None):
    """`none` in any spelling, no algorithm at all, the right one with an empty signature."""
    header, claims = decoded(visitor.token(visitor.client("metrics introspect", token_format="jwt")))
    for changed in (header | {"alg": alg}, {"alg": alg, "typ": "at+jwt"}, {"typ": "at+jwt"}):
        token = compact(changed, claims, unsigned)
        refused(visitor, token)
        refused(visitor, token + base64url(b"x"))


@proves("S-043", "RFC 8725 §3.1")
@pytest.mark.parametrize("form", ["PEM", "DER", "JWK"])
def test_a_public_key_is_no_secret(visitor: Visitor, form: str):
    """HS256 keyed with our own published key."""
    header, claims = decoded(visitor.token(visitor.client("metrics introspect", token_format="jwt")))
    (jwk,) = [key for key in visitor.call("GET", JWKS).json["keys"] if key["kid"] == header["kid"]]
    refused(visitor, compact(header | {"alg": "HS256"}, claims, mac(public_forms(jwk)[form])))


@proves("S-009", "S-044")
@pytest.mark.parametrize(
    "more",
    [
        lambda key: {"jwk": key.jwk},
        lambda key: {"jku": "https://evil.test/jwks.json"},
        lambda key: {"x5u": "https://evil.test/cert.pem"},
        lambda key: {"x5c": [base64url(key.public(serialization.Encoding.DER))]},
        lambda key: {"kid": "unknown"},
        lambda key: {"crit": ["b64"], "b64": False},
        lambda key: {"crit": []},
        lambda key: {"crit": ["exp"]},
        lambda key: {"typ": "JWT"},
    ],
)
def test_a_header_brings_no_key_and_no_extension(visitor: Visitor, more: Callable[[EcKey], dict[str, object]]):
    """Signed with a key of the attacker's own, whatever the header says of it."""
    key = EcKey()
    header, claims = decoded(visitor.token(visitor.client("metrics introspect", token_format="jwt")))
    refused(visitor, compact(header | more(key), claims, key.sign))


@proves("S-045")
def test_what_our_key_signed_without_issuing_it_is_no_token(visitor: Visitor):
    """A JWT that bears our signature, but was never given out: another type, other claims, longer life."""
    token = visitor.token(visitor.client("metrics introspect", token_format="jwt"))
    claims = decoded(token)[1]
    sign = visitor.server.inside.keyring.signing_key().sign
    for typ, changes in (
        ("JWT", {}),
        ("logout+jwt", {}),
        ("at+jwt", {"jti": "another"}),
        ("at+jwt", {"scope": "metrics introspect admin:keys"}),
        ("at+jwt", {"exp": claims["exp"] + 1}),
    ):
        refused(visitor, sign(typ, claims | changes))


@proves("S-045", "RFC 8707 §2")
@pytest.mark.parametrize("form", ["opaque", "jwt"])
def test_a_token_for_another_resource_opens_nothing_here(visitor: Visitor, form: str):
    """Its `aud` is not this server: 401 at every API of ours."""
    token = visitor.token(visitor.client("metrics admin:keys sessions", token_format=form, audience=(API,)))
    for path in ("/api/v1/metrics", "/api/v1/admin/keys", SESSION):
        assert visitor.call("GET", path, bearer=token).status == 401


@proves("S-043")
def test_a_changed_letter_makes_it_unknown(visitor: Visitor):
    """In header, claims or signature; also a signature with other padding bits."""
    token = visitor.token(visitor.client("metrics", token_format="jwt"))
    for position in (5, token.index(".") + 5, len(token) - 5, len(token) - 1):
        other = "A" if token[position] != "A" else "B"
        changed = token[:position] + other + token[position + 1 :]
        assert visitor.introspect(changed, visitor.client("introspect")) == {"active": False}


@proves("S-046", "RFC 7009 §2.1")
def test_revocation_beats_a_good_signature(visitor: Visitor):
    """A JWT whose signature and `exp` are good is inactive once it is revoked, or its person disabled."""
    user = visitor.user()
    for end in ("revoke", "disable"):
        client = visitor.client("metrics", token_format="jwt", owner_uid=user.uid)
        token = visitor.token(client)
        if end == "revoke":
            assert visitor.post("/api/v1/oauth/revoke", {"token": token}).status == 200
        else:
            visitor.server.inside.users.change(user.uid, Changes(enabled=False))
        for told in visitor.everywhere(lambda token=token: visitor.introspect(token, visitor.client("introspect"))):
            assert told == {"active": False}
        assert visitor.call("GET", "/api/v1/metrics", bearer=token).status == 401


@proves("S-047")
@pytest.mark.parametrize(
    "token",
    [
        "a" * 60000,
        "." * 60000,
        "a." * 30000,
        "a" * 20000 + "." + "b" * 20000 + "." + "c" * 20000,
        "a.b.c.d.e",
        f"{base64url(b'{' + b'x' * 4000)}.e30.AA",
    ],
)
def test_monsters_are_refused_quickly(visitor: Visitor, token: str):
    """Thousands of dots, huge parts, JWE: inactive without a lookup; in a header at most 431."""
    watcher = visitor.client("introspect")
    answer = visitor.post(INTROSPECT, {"token": token}, basic=watcher.basic)
    assert (answer.status, answer.json) == (200, {"active": False})
    assert visitor.call("GET", SESSION, bearer=token).status in (400, 401, 431)


@proves("S-047")
@pytest.mark.parametrize("sign", [unsigned, mac(b"x" * 32)])
def test_a_token_of_a_megabyte_is_too_large(visitor: Visitor, sign: Sign):
    """413 before anything is read."""
    token = compact({"alg": "HS256"}, "x" * 1_000_000, sign)
    answer = visitor.post(INTROSPECT, {"token": token}, basic=visitor.client("introspect").basic)
    assert answer.status == 413
