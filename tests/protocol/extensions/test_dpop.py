"""DPoP (RFC 9449): tokens that are of use only with a key."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

from auth_server.errors import InvalidInput
from auth_server.protocol.extensions.dpop import ALGORITHMS, NONCE_WINDOW, fresh_nonce
from auth_server.protocol.feature import Authorization
from auth_server.protocol.tokens.access_token import issue
from tests import proves
from tests.proofs import Prover
from tests.servers.auth_server import running
from tests.servers.visitors import INTROSPECT, TOKEN, Answer, Registered, Visitor, basic_header
from tests.signing import EcKey, base64url, compact, decoded, mac, unsigned

GRANT = {"grant_type": "client_credentials"}
REFUSED = (400, "invalid_dpop_proof")
METRICS, USERINFO, KEYS = "/api/v1/metrics", "/api/v1/oauth/userinfo", "/api/v1/admin/keys"


class Bound:
    """A client with a key, and a token that is bound to it."""

    def __init__(self, visitor: Visitor, **values: Any) -> None:
        self.visitor = visitor
        self.client: Registered = visitor.client("metrics introspect openid admin:keys", **values)
        self.prover = Prover(visitor.server.issuer)

    def proof(self, path: str = TOKEN, method: str = "POST", **changes: Any) -> str:
        """Return a good proof with *changes*."""
        return self.prover.proof(self.visitor.server.now(), path, method, **changes)

    def ask(self, proof: str | None = None) -> Answer:
        """Ask for a token, with a proof."""
        headers = {} if proof is None else {"DPoP": proof}
        return self.visitor.post(TOKEN, GRANT, basic=self.client.basic, headers=headers)

    def token(self) -> str:
        """Return a bound token."""
        answer = self.ask(self.proof())
        assert answer.status == 200, answer.json
        token: str = answer.json["access_token"]
        return token

    def get(self, token: str, path: str = METRICS, proof: str | None = None, scheme: str = "DPoP") -> Answer:
        """Present a token, with a good proof where none is given."""
        given = self.proof(path, "GET", token=token) if proof is None else proof
        headers = {"Authorization": f"{scheme} {token}", "DPoP": given}
        return self.visitor.call("GET", path, headers=headers)


# ---- what a proof gives
@proves("RFC 9449 §5", "RFC 9449 §6.1", "RFC 9449 §6.2")
@pytest.mark.parametrize("form", ["opaque", "jwt"])
def test_a_token_is_bound_to_the_key_of_its_proof(visitor: Visitor, form: str):
    """The answer, the JWT and introspection say so; without a proof a token counts by itself."""
    client = Bound(visitor, token_format=form)
    answer = client.ask(client.proof())
    assert (answer.status, answer.json["token_type"]) == (200, "DPoP")
    told = visitor.introspect(answer.json["access_token"], client.client)
    assert (told["token_type"], told["cnf"]) == ("DPoP", {"jkt": client.prover.jkt})
    if form == "jwt":
        assert decoded(answer.json["access_token"])[1]["cnf"] == {"jkt": client.prover.jkt}
    plain = client.ask()
    assert (plain.status, plain.json["token_type"]) == (200, "Bearer")
    assert "cnf" not in visitor.introspect(plain.json["access_token"], client.client)


@proves("RFC 9449 §7.1")
@pytest.mark.parametrize("path", [METRICS, KEYS])
def test_a_bound_token_opens_what_it_is_for(visitor: Visitor, path: str):
    """With a new proof for each request."""
    client = Bound(visitor)
    token = client.token()
    for scheme in ("DPoP", "dpop", "DPOP"):
        assert client.get(token, path, scheme=scheme).status == 200


@proves("RFC 9449 §7.1")
def test_a_bound_token_opens_userinfo_and_introspection(visitor: Visitor):
    """By GET and POST; and as the token of whoever introspects."""
    client, user = Bound(visitor), visitor.user()
    server = visitor.server.inside
    allowed = Authorization(
        "client", "oauth2", "authorization_code", "openid", 3600,
        server.clients.find(client.client.client_id), user, cnf={"jkt": client.prover.jkt},
    )  # fmt: skip
    token = issue(allowed, server).value
    assert client.get(token, USERINFO).json["sub"] == user.uid
    headers = {"Authorization": f"DPoP {token}", "DPoP": client.proof(USERINFO, token=token)}
    assert visitor.call("POST", USERINFO, form={}, headers=headers).json["sub"] == user.uid
    inside = visitor.call("POST", USERINFO, form={"access_token": token}, headers={"DPoP": headers["DPoP"]})
    assert inside.told == (401, "invalid_token")  # RFC 9449 §7.1: by the scheme DPoP only
    entitled = client.token()
    headers = {"Authorization": f"DPoP {entitled}", "DPoP": client.proof(INTROSPECT, token=entitled)}
    assert visitor.post(INTROSPECT, {"token": token}, headers=headers).json["active"] is True


def test_the_address_of_a_proof_is_the_one_that_was_asked(visitor: Visitor):
    """Where a path has placeholders, too."""
    client = Bound(visitor)
    token = client.token()
    path = f"/api/v1/session/{'a' * 64}"
    assert client.get(token, path).status != 401
    assert client.get(token, path, client.proof("/api/v1/session/<id>", "GET", token=token)).status == 401


# ---- proofs that do not count
@proves("S-098", "RFC 9449 §11.1")
def test_a_proof_counts_once(visitor: Visitor):
    """Of many uses at once, over both workers, exactly one; at the token endpoint and at an API."""
    client = Bound(visitor)
    proof = client.proof()
    answers = visitor.everywhere(lambda: client.ask(proof), 8)
    assert sorted(answer.status for answer in answers) == [200] + [400] * 7
    assert {answer.error for answer in answers if answer.status == 400} == {"invalid_dpop_proof"}
    token = client.token()
    proof = client.proof(METRICS, "GET", token=token)
    answers = visitor.everywhere(lambda: client.get(token, METRICS, proof), 8)
    assert sorted(answer.status for answer in answers) == [200] + [401] * 7
    visitor.server.clock.advance(299)
    assert client.ask(client.proof(jti="same", iat=visitor.server.now() - 200)).status == 200
    assert client.ask(client.proof(jti="same")).told == REFUSED


@proves("S-099", "RFC 9449 §4.3")
def test_each_part_of_a_proof_must_be_right(visitor: Visitor):
    """Whatever is wrong or missing: 400 at the token endpoint, 401 at an API, and no token."""
    client, other, now = Bound(visitor), EcKey(), visitor.server.now()
    token, issuer = client.token(), visitor.server.issuer
    private = {**client.prover.jwk, "d": base64url(b"x" * 32)}
    changes: list[dict[str, Any]] = [
        {"htm": None}, {"htm": "PUT"}, {"htm": "post"}, {"htm": 1}, {"htu": None}, {"htu": issuer + "/elsewhere"},
        {"htu": "https://other.example" + TOKEN}, {"htu": TOKEN}, {"htu": []}, {"htu": "http://[x"},
        {"htu": issuer.replace("127", "x@127") + TOKEN}, {"htu": f"{issuer}{TOKEN}/"},
        {"htu": f" {issuer}{TOKEN}"}, {"htu": f"{issuer}{TOKEN}".replace("token", "to\nken")},
        {"jti": None}, {"jti": ""}, {"jti": 7}, {"jti": "x" * 300}, {"iat": None}, {"iat": "now"}, {"iat": True},
        {"iat": now - 3600}, {"iat": now + 3600}, {"iat": 1e300}, {"iat": float("nan")},
        {"header": {"typ": None}}, {"header": {"typ": "JWT"}}, {"header": {"typ": 1}}, {"header": {"jwk": None}},
        {"header": {"jwk": "x"}}, {"header": {"jwk": {}}}, {"header": {"jwk": private}}, {"header": {"jwk": other.jwk}},
        {"header": {"jwk": {"kty": "oct", "k": "AAAA"}}}, {"header": {"jwk": {**client.prover.jwk, "x": 1}}},
        {"header": {"jwk": {**client.prover.jwk, "y": client.prover.jwk["x"]}}},
        {"header": {"jwk": {"kty": "OKP", "crv": "X25519", "x": base64url(b"x" * 32)}, "alg": "EdDSA"}},
        {"header": {"alg": "none"}, "sign": unsigned}, {"header": {"alg": "HS256"}, "sign": mac(b"x" * 43)},
        {"header": {"alg": "ES384"}}, {"header": {"alg": None}}, {"header": {"alg": ["ES256"]}},
        {"sign": other.sign}, {"sign": unsigned},
    ]  # fmt: skip
    for change in changes:
        assert client.ask(client.proof(**change)).told == REFUSED, change
    for change in changes:
        if "htu" not in change and change.get("htm") != "PUT":
            answer = client.get(token, METRICS, client.proof(METRICS, "GET", token=token, **change))
            assert answer.status == 401, change
            assert answer.headers["WWW-Authenticate"].startswith('DPoP error="invalid_dpop_proof"'), change


@proves("S-099")
def test_what_is_no_proof_is_refused(visitor: Visitor):
    """Text, a JWT of another kind, two headers, odd JSON."""
    client = Bound(visitor)
    good, head = client.proof(), {"typ": "dpop+jwt", "alg": "ES256", "jwk": client.prover.jwk}
    for proof in ("", "x", "a.b.c", "..", "e30.e30.AA", "W10.W10.AA", "bnVsbA.e30.AA", f"{good}, {client.proof()}"):
        assert client.ask(proof).told == REFUSED, proof
    for claims in ("[]", "1", "[" * 3000, '{"jti": "\\ud800"}', "{"):
        assert client.ask(compact(head, claims, client.prover.key.sign)).told == REFUSED, claims
    sent = [("Host", "x"), ("Authorization", basic_header(*client.client.basic))]
    sent += [("DPoP", client.proof()), ("DPoP", client.proof())]
    sent += [("Content-Type", "application/x-www-form-urlencoded"), ("Content-Length", "29"), ("Connection", "close")]
    lines = "".join(f"{name}: {value}\r\n" for name, value in sent)
    request = f"POST {TOKEN} HTTP/1.1\r\n{lines}\r\ngrant_type=client_credentials"
    assert b"invalid_dpop_proof" in visitor.raw(request.encode())


@proves("S-099", "RFC 9449 §4.3", "RFC 3986 §6.2")
def test_small_differences_pass(visitor: Visitor):
    """A query, another case of the host, clocks that differ by some seconds, a fraction of one."""
    client, now = Bound(visitor), visitor.server.now()
    address = visitor.server.issuer + TOKEN
    for change in (
        {"htu": f"{address}?a=b#c"}, {"htu": address.replace("http", "HTTP")},
        {"htu": address.replace("oauth", "%6fauth")}, {"iat": now - 10}, {"iat": now + 10},
        {"iat": now + 0.5}, {"more": "x"},
    ):  # fmt: skip
        assert client.ask(client.proof(**change)).status == 200, change


@proves("S-044", "RFC 7515 §4.1.11")
def test_unknown_extensions_are_refused(visitor: Visitor):
    """`crit` of any kind, `b64`, compression; with a good signature."""
    client = Bound(visitor)
    for header in (
        {"crit": []},
        {"crit": ["exp"], "exp": 1},
        {"crit": ["b64"], "b64": False},
        {"b64": False},
        {"zip": "DEF"},
    ):
        assert client.ask(client.proof(header=header)).told == REFUSED, header


@proves("S-142", "S-047")
def test_costly_proofs_are_refused_at_once(visitor: Visitor):
    """Keys of 16,384 bits or with a huge exponent, and proofs that are long or have many dots: under 50 ms."""
    client = Bound(visitor)
    keys = []
    for bits, exponent in ((16384, "AQAB"), (1024, "AQAB"), (2048, "A" * 300), (65536, "AQAB")):
        modulus = base64url(((1 << bits) - 1).to_bytes(bits // 8, "big"))
        keys.append({"kty": "RSA", "n": modulus[:5000], "e": exponent})
    proofs = [client.proof(header={"alg": "RS256", "jwk": key}) for key in keys]
    for proof in (*proofs, "." * 8000, "a." * 4000, "A" * 8000):
        times = []
        for _ in range(3):  # the best of them: tests share the machine
            started = time.perf_counter()
            assert client.ask(proof).status in (400, 431), proof[:40]
            times.append(time.perf_counter() - started)
        assert min(times) < 0.05, times
    assert client.ask("x" * 1_000_000).status in (400, 413, 431)


def rsa_signer(key: rsa.RSAPrivateKey, alg: str) -> tuple[dict[str, Any], Any]:
    """Public key and signature of an RSA algorithm."""
    numbers = key.public_key().public_numbers()
    jwk = {"kty": "RSA", "n": base64url(numbers.n.to_bytes(256, "big")), "e": "AQAB"}
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    chosen = pss if alg == "PS256" else padding.PKCS1v15()
    return jwk, lambda data: key.sign(data, chosen, hashes.SHA256())


@proves("RFC 9449 §5.1")
def test_the_algorithms_of_discovery_count(visitor: Visitor):
    """RSA in both ways and Ed25519 beside P-256; each gives a token of its own key."""
    told = visitor.call("GET", "/.well-known/openid-configuration").json["dpop_signing_alg_values_supported"]
    assert set(told) == set(ALGORITHMS)
    client, key = Bound(visitor), rsa.generate_private_key(65537, 2048)
    edwards = ed25519.Ed25519PrivateKey.generate()
    raw = edwards.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    okp = {"kty": "OKP", "crv": "Ed25519", "x": base64url(raw)}
    ways = [(alg, *rsa_signer(key, alg)) for alg in ("RS256", "PS256")]
    for alg, jwk, sign in [*ways, ("EdDSA", okp, edwards.sign), ("Ed25519", okp, edwards.sign)]:
        answer = client.ask(client.proof(header={"alg": alg, "jwk": jwk}, sign=sign))
        assert (answer.status, answer.json.get("token_type")) == (200, "DPoP"), (alg, answer.json)


# ---- bound tokens in the wrong hands
@proves("S-100", "RFC 9449 §7.1", "RFC 9449 §7.2")
@pytest.mark.parametrize("path", [METRICS, USERINFO, KEYS])
def test_a_bound_token_is_nothing_without_its_key(visitor: Visitor, path: str):
    """As Bearer, in PhotoPrism's headers, without a proof, with one of another key, token or none."""
    client, thief = Bound(visitor), Prover(visitor.server.issuer)
    token, now = client.token(), visitor.server.now()
    good = lambda: client.proof(path, "GET", token=token)  # noqa: E731
    tries: list[Mapping[str, str]] = [
        {"Authorization": f"Bearer {token}"},
        {"Authorization": f"Bearer {token}", "DPoP": good()},
        {"X-Auth-Token": token},
        {"X-Auth-Token": token, "DPoP": good()},
        {"X-Session-ID": token, "DPoP": good()},
        {"Authorization": f"DPoP {token}"},
        {"Authorization": f"DPoP {token}", "DPoP": client.proof(path, "GET")},
        {"Authorization": f"DPoP {token}", "DPoP": client.proof(path, "GET", token="0" * 48)},
        {"Authorization": f"DPoP {token}", "DPoP": client.proof(path, "GET", ath=7)},
        {"Authorization": f"DPoP {token}", "DPoP": thief.proof(now, path, "GET", token=token)},
    ]
    for headers in tries:
        answer = visitor.call("GET", path, headers=headers)
        assert answer.status == 401, headers
        assert answer.headers["WWW-Authenticate"].startswith("DPoP error="), headers
        assert "# TYPE" not in answer.body.decode()


@proves("S-101", "RFC 9449 §5.2")
def test_who_must_prove_a_key_gets_nothing_without(visitor: Visitor):
    """Never an unbound token."""
    client = Bound(visitor, require_dpop=True)
    assert client.ask().told == REFUSED
    assert client.ask(client.proof()).json["token_type"] == "DPoP"
    with pytest.raises(InvalidInput, match="bound"):
        visitor.client(
            "openid",
            redirect_uris=("https://app.example/cb",),
            require_dpop=True,
            response_types=("id_token token",),
            grant_types=("implicit",),
        )


# ---- nonces
@proves("S-103", "RFC 9449 §8", "RFC 9449 §9")
@pytest.mark.parametrize("kind", ["gunicorn", "granian"])
def test_a_server_may_ask_for_its_nonce(tmp_path: Path, kind: str):
    """Any worker's counts at every other, for some minutes; the client's clock does not matter then."""
    with running(tmp_path, kind, dpop_nonce_required=True) as server:
        client = Bound(Visitor(server))
        refusals = client.visitor.everywhere(lambda: client.ask(client.proof()))
        assert {answer.told for answer in refusals} == {(400, "use_dpop_nonce")}
        assert len({answer.headers["DPoP-Nonce"] for answer in refusals} | {fresh_nonce(server.inside)}) == 1
        nonce = refusals[0].headers["DPoP-Nonce"]
        answers = client.visitor.everywhere(lambda: client.ask(client.proof(nonce=nonce, iat=1)))
        assert {answer.status for answer in answers} == {200}
        used = client.proof(nonce=nonce)
        assert [client.ask(used).status for _ in range(2)] == [200, 400]
        token = answers[0].json["access_token"]
        asked = client.get(token)
        assert (asked.status, asked.headers["DPoP-Nonce"]) == (401, nonce)
        assert 'DPoP error="use_dpop_nonce"' in asked.headers["WWW-Authenticate"]
        assert client.get(token, proof=client.proof(METRICS, "GET", token=token, nonce=nonce)).status == 200
        for wrong in ("x", "", 7, nonce[:-1], nonce + "A", "é"):
            assert client.ask(client.proof(nonce=wrong)).error == "use_dpop_nonce", wrong
        server.clock.advance(NONCE_WINDOW)
        assert client.ask(client.proof(nonce=nonce)).status == 200
        assert client.ask(used).told == REFUSED
        server.clock.advance(NONCE_WINDOW)
        assert client.ask(client.proof(nonce=nonce)).error == "use_dpop_nonce"
        assert client.ask(None).json["token_type"] == "Bearer"  # who proves nothing needs no nonce
