"""Encrypted ID tokens and claims, read with the client's private key by another library's code path: joserfc."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from joserfc import jwe, jwt
from joserfc.jwk import ECKey, Key, KeySet, OKPKey, RSAKey

from auth_server.errors import InvalidInput
from auth_server.protocol.tokens.encryption import ALGORITHMS, ENCODINGS
from auth_server.store.records import User
from tests import proves
from tests.people import bearer, join
from tests.relying_party import USERINFO, Browser, RelyingParty, answered, relying_party
from tests.servers.documents import hosting
from tests.sites import Site, site

RSA = RSAKey.generate_key(2048, {"kid": "rsa"})
EC = ECKey.generate_key("P-384", {"kid": "ec", "use": "enc"})
SIGNS = ECKey.generate_key("P-256", {"kid": "sig", "use": "sig"})


def key_for(alg: str) -> Key:
    return RSA if alg.startswith("RSA") else EC


def public(*keys: Key) -> dict[str, Any]:
    return {"keys": [key.as_dict(private=False) for key in keys]}


def party_with(here: Site, *keys: Key, **metadata: str) -> RelyingParty:
    return relying_party(here, jwks=public(*keys), metadata=metadata)


def opened(text: str, alg: str, enc: str = "A128CBC-HS256") -> jwe.CompactEncryption:
    """Decrypt what the client got; nothing but the algorithms that it asked for will do."""
    return jwe.decrypt_compact(text, key_for(alg), algorithms=[alg, enc])


def verified(here: Site, token: bytes | None) -> dict[str, Any]:
    assert token is not None
    keys = KeySet.import_key_set(here.http.get("/.well-known/jwks.json").json)
    claims: dict[str, Any] = jwt.decode(token, keys, algorithms=["RS256", "ES256"]).claims
    return claims


@proves("OIDC Core §10.2")
@pytest.mark.parametrize("alg", ALGORITHMS)
@pytest.mark.parametrize("enc", ENCODINGS)
def test_an_id_token_is_signed_and_then_encrypted(here: Site, jane: User, browser: Browser, alg: str, enc: str):
    """By every algorithm that discovery names; its key is named, and it says that a JWT is inside."""
    told = here.http.get("/.well-known/openid-configuration").json
    assert alg in told["id_token_encryption_alg_values_supported"]
    assert enc in told["id_token_encryption_enc_values_supported"]
    party = party_with(here, SIGNS, RSA, EC, id_token_encrypted_response_alg=alg, id_token_encrypted_response_enc=enc)
    sealed = opened(party.tokens(browser)["id_token"], alg, enc)
    assert sealed.protected["cty"] == "JWT"
    assert sealed.protected["kid"] == key_for(alg).kid
    assert "zip" not in sealed.protected
    claims = verified(here, sealed.plaintext)
    assert (claims["sub"], claims["aud"]) == (jane.uid, party.client_id)


def test_one_in_the_fragment_is_encrypted_too(here: Site, jane: User, browser: Browser):
    """Whichever way it comes; the encoding that the specification has as default is the one."""
    party = relying_party(
        here,
        jwks=public(RSA),
        metadata={"id_token_encrypted_response_alg": "RSA-OAEP"},
        grant_types=("implicit",),
        response_types=("id_token",),
    )
    party.start(browser, response_type="id_token", code_challenge=None, code_challenge_method=None)
    browser.sign_in()
    told = answered(browser.allow())
    assert verified(here, opened(told["id_token"], "RSA-OAEP").plaintext)["nonce"]


def test_a_key_on_curve_25519_will_do(here: Site, jane: User, browser: Browser):
    """RFC 8037 §3.2."""
    key = OKPKey.generate_key("X25519", {"kid": "x"})
    party = party_with(here, key, id_token_encrypted_response_alg="ECDH-ES", id_token_encrypted_response_enc="A128GCM")
    sealed = jwe.decrypt_compact(party.tokens(browser)["id_token"], key, algorithms=["ECDH-ES", "A128GCM"])
    assert verified(here, sealed.plaintext)["sub"] == jane.uid


def test_keys_are_fetched_where_the_client_publishes_them(tmp_path: Path):
    """If they cannot be had, nothing goes out that anybody could read."""
    here = site(tmp_path, outbound_allow=["127.0.0.1"])
    join(here)
    browser = Browser(here)
    with hosting() as host:
        metadata = {"id_token_encrypted_response_alg": "RSA-OAEP-256"}
        party = relying_party(here, jwks_uri=host.url("/jwks"), metadata=metadata)
        failed = party.redeem(party.code(browser))
        assert (failed.status_code, failed.json["error"]) == (400, "invalid_request")
        host.answers["/jwks"] = orjson.dumps(public(RSA))
        here.clock.advance(60)
        assert verified(here, opened(party.tokens(browser)["id_token"], "RSA-OAEP-256").plaintext)["sub"]


@pytest.mark.parametrize("signed", ["", "ES256"])
def test_claims_are_encrypted(here: Site, jane: User, browser: Browser, signed: str):
    """Signed or not, as the client wants them."""
    metadata = {"userinfo_encrypted_response_alg": "ECDH-ES", "userinfo_encrypted_response_enc": "A256GCM"}
    party = party_with(here, EC, **metadata, **({"userinfo_signed_response_alg": signed} if signed else {}))
    token = party.tokens(browser, scope="openid email")["access_token"]
    answer = here.http.get(USERINFO, headers=bearer(token))
    assert answer.headers["Content-Type"] == "application/jwt"
    sealed = opened(answer.text, "ECDH-ES", "A256GCM")
    claims = verified(here, sealed.plaintext) if signed else orjson.loads(sealed.plaintext or b"")
    assert (claims["sub"], claims["email"]) == (jane.uid, "jane@example.org")
    assert ("aud" in claims, sealed.protected.get("cty")) == ((True, "JWT") if signed else (False, None))


@proves("S-083")
@pytest.mark.parametrize(
    ("keys", "metadata"),
    [
        ((RSA,), {"id_token_encrypted_response_alg": "RSA1_5"}),
        ((RSA,), {"id_token_encrypted_response_alg": "dir"}),
        ((RSA,), {"id_token_encrypted_response_alg": "none"}),
        ((RSA,), {"id_token_encrypted_response_enc": "A128GCM"}),
        ((RSA,), {"id_token_encrypted_response_alg": "RSA-OAEP", "id_token_encrypted_response_enc": "A128CTR"}),
        ((RSA,), {"id_token_encrypted_response_alg": "ECDH-ES"}),
        ((SIGNS,), {"id_token_encrypted_response_alg": "ECDH-ES"}),
        ((EC,), {"userinfo_encrypted_response_alg": "RSA-OAEP-256"}),
        ((), {"userinfo_encrypted_response_alg": "RSA-OAEP-256"}),
    ],
)
def test_what_could_not_be_read_is_not_registered(here: Site, keys: tuple[Key, ...], metadata: dict[str, str]):
    """Broken or unknown algorithms, and such as the client has no key for."""
    members = {"redirect_uris": ["https://app.example.org/cb"], **metadata}
    if keys:
        members["jwks"] = public(*keys)
    with pytest.raises(InvalidInput, match="encrypted_response"):
        here.server.clients.add(here.server.clients.read(members))
