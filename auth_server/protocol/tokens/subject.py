"""Who a person is to a client: the same `sub` for all, or another one for each sector (OIDC Core §8)."""

import hmac
from urllib.parse import urlsplit

from auth_server.domain import scopes
from auth_server.domain.client_rules import LOOPBACK_HOSTS
from auth_server.domain.keys import base64url
from auth_server.protocol.server import Server
from auth_server.store.records import Client

PUBLIC, PAIRWISE = "public", "pairwise"
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"


def subject(uid: str, client: Client | None, server: Server) -> str:
    """Return the `sub` that a client knows a person by."""
    if client is None or client.metadata.get("subject_type") != PAIRWISE:
        return uid
    return base64url(hmac.digest(server.pairwise_key, f"{sector(client)} {uid}".encode(), "sha256")).decode()


def may_name(client: Client | None, scope: str) -> bool:
    """Tell whether a client may see a person's user name, by which those of other sectors could be compared (S-152)."""
    return client is None or client.metadata.get("subject_type") != PAIRWISE or scopes.has(scope, "profile")


def sector(client: Client) -> str:
    """Return the host whose clients know a person by one `sub` (OIDC Core §8.1); itself where it has none of its own.

    Who is answered without a redirect never proves that a host is its own, and this machine is everybody's.
    """
    if DEVICE_CODE in client.grant_types:
        return client.client_id
    named = client.metadata.get("sector_identifier_uri")
    if isinstance(named, str):
        return urlsplit(named).hostname or client.client_id
    host = urlsplit(next(iter(client.redirect_uris), "")).hostname
    return client.client_id if host is None or host in LOOPBACK_HOSTS else host


def session_id(sid: str, client: Client, server: Server) -> str:
    """Return the `sid` of one sign-in as one client knows it; no two clients can compare theirs (S-152)."""
    return base64url(hmac.digest(server.pairwise_key, f"sid {client.client_id} {sid}".encode(), "sha256")).decode()[:32]
