"""Proof Key for Code Exchange (RFC 7636), S256 only."""

import re
from collections.abc import Mapping
from hashlib import sha256
from hmac import compare_digest

from auth_server.domain.keys import base64url
from auth_server.protocol.errors import InvalidGrant, InvalidRequest
from auth_server.protocol.feature import Feature
from auth_server.protocol.server import Server
from auth_server.store.records import Client

METHOD = "S256"
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII).fullmatch
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}", re.ASCII).fullmatch  # RFC 7636 §4.1


def challenge(parameters: Mapping[str, str], client: Client, server: Server) -> str:
    """Return the code_challenge of an authorization request for a code; empty if there is none and none is needed.

    Raises:
        InvalidRequest: it is malformed or of another method, or missing where it must be there (RFC 9700 §2.1.1).
    """
    value, method = parameters.get("code_challenge", ""), parameters.get("code_challenge_method", "")
    if not value:
        if method:
            raise InvalidRequest("code_challenge is missing")
        if is_required(client, server):
            raise InvalidRequest("code_challenge is missing; this client must use PKCE")
        return ""
    if method != METHOD:  # absent means plain (RFC 7636 §4.3), which proves nothing to whoever saw the request
        raise InvalidRequest("code_challenge_method must be S256")
    if not _CHALLENGE(value):
        raise InvalidRequest("code_challenge must be the base64url of a SHA-256")
    return value


def is_required(client: Client, server: Server) -> bool:
    """Tell whether a client must use PKCE: public ones always, others by their own or the server's setting."""
    return (
        client.token_endpoint_auth_method == "none"
        or server.settings.pkce_required == "all"
        or client.metadata.get("require_pkce") is True
    )


def verify(verifier: str, challenge: str) -> None:
    """Check the verifier of a token request against the challenge of its authorization request.

    Raises:
        InvalidGrant: they do not fit, or one of them is missing (RFC 9700 §4.8.2).
    """
    if not challenge and not verifier:
        return
    if not challenge or not _VERIFIER(verifier):
        raise InvalidGrant("code_verifier does not fit the authorization request")
    derived = base64url(sha256(verifier.encode()).digest()).decode()
    if not compare_digest(derived, challenge):
        raise InvalidGrant("code_verifier does not fit the authorization request")


FEATURE = Feature(
    name="pkce",
    specs=("RFC 7636",),
    metadata=lambda server: {"code_challenge_methods_supported": [METHOD]},
)
