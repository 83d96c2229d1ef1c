"""Logout tokens (OpenID Connect Back-Channel Logout 1.0 §2.4): a sign-in is over, told to one client."""

from auth_server.domain.keys import base64url
from auth_server.protocol.server import Server
from auth_server.protocol.tokens import id_token
from auth_server.protocol.tokens.subject import session_id, subject
from auth_server.store.records import Client

TYP = "logout+jwt"  # so that nobody takes it for an ID token (§2.4, S-095)
EVENT = "http://schemas.openid.net/event/backchannel-logout"
TTL = 120  # seconds (§2.4)


def issue(uid: str, sid: str, client: Client, server: Server) -> str:
    """Return a logout token, signed as the client's ID tokens are; never with a nonce.

    Args:
        sid: of the sign-in; the client knows it by the value that its ID tokens carry.
    """
    now = server.clock()
    claims = {
        "iss": server.issuer,
        "aud": client.client_id,
        "iat": now,
        "exp": now + TTL,
        "jti": base64url(server.random(16)).decode(),
        "events": {EVENT: {}},
        "sub": subject(uid, client, server),
        "sid": session_id(sid, client, server),
    }
    return id_token.sign(claims, TYP, client, server)
