"""Encrypted ID tokens and claims: what is signed is then encrypted for its client (OIDC Core §10.2, RFC 7516)."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from joserfc import jwe
from joserfc.errors import JoseError

from auth_server.domain.client_keys import NoKeys
from auth_server.domain.client_metadata import Member, one_of
from auth_server.domain.client_rules import has_keys
from auth_server.errors import InvalidInput
from auth_server.protocol.errors import InvalidRequest
from auth_server.protocol.feature import Feature
from auth_server.protocol.server import Server
from auth_server.store.records import Client

# Never RSA1_5, which tells whoever asks often enough; never compressed, for the length would tell of the content.
ALGORITHMS = ("RSA-OAEP", "RSA-OAEP-256", "ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A256KW")
ENCODINGS = ("A128CBC-HS256", "A256CBC-HS512", "A128GCM", "A256GCM")
DEFAULT_ENCODING = "A128CBC-HS256"  # OIDC Registration §2
ID_TOKEN, USERINFO = "id_token", "userinfo"
_CURVES = ("P-256", "P-384", "P-521", "X25519")


def is_wanted(what: str, client: Client) -> bool:
    """Tell whether a client has registered for an encrypted ID token, or encrypted claims."""
    return f"{what}_encrypted_response_alg" in client.metadata


def encrypted(content: str | bytes, what: str, client: Client, server: Server, *, cty: str = "JWT") -> str:
    """Return content that only the client can read.

    Args:
        cty: what the content is; empty where that goes without saying (RFC 7519 §5.2).

    Raises:
        InvalidRequest: its keys are not to be had.
    """
    alg = str(client.metadata[f"{what}_encrypted_response_alg"])
    enc = str(client.metadata.get(f"{what}_encrypted_response_enc", DEFAULT_ENCODING))
    header = {"alg": alg, "enc": enc, **({"cty": cty} if cty else {})}
    try:
        key = server.client_keys.for_encryption(client, alg)
        kid = {"kid": key.kid} if key.kid else {}
        return jwe.encrypt_compact({**header, **kid}, content, key, algorithms=[alg, enc])
    except (NoKeys, JoseError, ValueError):
        raise InvalidRequest(f"The client has no key for {alg} that can be had") from None


def _check(what: str, client: Client) -> None:
    """See that there is a key, and that an encoding does not stand alone (OIDC Registration §2)."""
    alg, enc = (client.metadata.get(f"{what}_encrypted_response_{part}") for part in ("alg", "enc"))
    if enc and not alg:
        raise InvalidInput(f"{what}_encrypted_response_enc", f"needs {what}_encrypted_response_alg")
    if alg and not has_keys(client):
        raise InvalidInput(f"{what}_encrypted_response_alg", "needs the client's public keys: jwks or jwks_uri")
    if alg and client.jwks is not None and not any(_fits(key, alg) for key in client.jwks["keys"]):
        raise InvalidInput(f"{what}_encrypted_response_alg", f"needs a key for {alg} in jwks")


def _fits(key: Mapping[str, Any], alg: str) -> bool:
    if key.get("use", "enc") != "enc" or key.get("alg", alg) != alg:
        return False
    return key.get("kty") == "RSA" if alg.startswith("RSA") else key.get("crv") in _CURVES


def _members() -> tuple[Member, ...]:
    return tuple(
        Member(f"{what}_encrypted_response_{part}", one_of(*values), partial(_check, what))
        for what in (ID_TOKEN, USERINFO)
        for part, values in (("alg", ALGORITHMS), ("enc", ENCODINGS))
    )


FEATURE = Feature(
    name="encryption",
    specs=("OpenID Connect Core §10.2", "RFC 7516"),
    client_metadata=_members(),
    openid_metadata=lambda server: {
        f"{what}_encryption_{part}_values_supported": list(values)
        for what in (ID_TOKEN, USERINFO)
        for part, values in (("alg", ALGORITHMS), ("enc", ENCODINGS))
    },
)
