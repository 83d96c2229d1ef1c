"""A form that is sent twice, by a double click, and gets the same answer twice.

The answer holds a code or tokens, of which the store has nothing but digests. So it is sealed under a key that nobody
has without what the browser sends: the store knows that by its digest only, too.
"""

import hmac
from base64 import b64decode, b64encode

import orjson

from auth_server.domain.sealing import SealBroken, Sealing
from auth_server.protocol.messages import Response
from auth_server.protocol.server import Server

_PURPOSE = "repeated answers"


def sealed(answer: Response, sent: str, server: Server) -> str:
    """Return an answer that opens for the same form only.

    Args:
        sent: what that form and its browser have sent: secrets that are not stored, and what was decided.
    """
    parts = [answer.status, answer.body.decode(), answer.headers, answer.policy]
    return b64encode(_sealing(sent, server).seal(orjson.dumps(parts), _PURPOSE)).decode()


def opened(kept: str, sent: str, server: Server) -> Response | None:
    """Return an answer once more; None if it was not the answer to what is sent now."""
    try:
        parts = _sealing(sent, server).open(b64decode(kept), _PURPOSE)
    except SealBroken:
        return None
    status, body, headers, policy = orjson.loads(parts)
    return Response(status, body.encode(), tuple((name, value) for name, value in headers), policy)


def _sealing(sent: str, server: Server) -> Sealing:
    return Sealing(hmac.digest(server.sealing.derive(_PURPOSE), sent.encode(), "sha256"), server.random)
