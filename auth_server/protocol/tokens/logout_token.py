"""Logout tokens (OpenID Connect Back-Channel Logout 1.0 §2.4): a sign-in is over, told to one client."""

from auth_server.domain.keys import base64url
from auth_server.protocol.server import Server
from auth_server.protocol.tokens import encryption, id_token
from auth_server.protocol.tokens.encryption import ID_TOKEN
from auth_server.protocol.tokens.subject import session_id, subject
from auth_server.store.records import Client

TYP = "logout+jwt"  # so that nobody takes it for an ID token (§2.4, S-095)
EVENT = "http://schemas.openid.net/event/backchannel-logout"
TTL = 120  # seconds (§2.4)


def issue(uid: str, sid: str, client: Client, server: Server) -> str:
    """Return a logout token, signed and encrypted as the client's ID tokens are; never with a nonce.

    Args:
        sid: of the sign-in; the client knows it by the value that its ID tokens carry.

    Raises:
        InvalidRequest: keys of the client that are needed for it are not to be had.
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
    signed = id_token.sign(claims, TYP, client, server)
    return encryption.encrypted(signed, ID_TOKEN, client, server) if encryption.is_wanted(ID_TOKEN, client) else signed
