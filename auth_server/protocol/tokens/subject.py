"""Who a person is to a client: the same `sub` for all, or another one for each sector (OIDC Core §8)."""

import hmac
from urllib.parse import urlsplit

from auth_server.domain.keys import base64url
from auth_server.protocol.server import Server
from auth_server.store.records import Client

PUBLIC, PAIRWISE = "public", "pairwise"


def subject(uid: str, client: Client | None, server: Server) -> str:
    """Return the `sub` that a client knows a person by."""
    if client is None or client.metadata.get("subject_type") != PAIRWISE:
        return uid
    return base64url(hmac.digest(server.pairwise_key, f"{sector(client)} {uid}".encode(), "sha256")).decode()


def sector(client: Client) -> str:
    """Return the host whose clients know a person by one `sub` (OIDC Core §8.1)."""
    named = client.metadata.get("sector_identifier_uri")
    uri = named if isinstance(named, str) else next(iter(client.redirect_uris), "")
    return urlsplit(uri).hostname or client.client_id


def session_id(sid: str, client: Client, server: Server) -> str:
    """Return the `sid` of one sign-in as one client knows it; no two clients can compare theirs (S-152)."""
    return base64url(hmac.digest(server.pairwise_key, f"sid {client.client_id} {sid}".encode(), "sha256")).decode()[:32]
