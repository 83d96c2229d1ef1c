"""Back-channel logout (OpenID Connect Back-Channel Logout 1.0): clients are called when a sign-in has ended."""

from urllib.parse import urlencode

import orjson

from auth_server.domain.client_metadata import Member, switch, text
from auth_server.domain.sign_outs import BACKCHANNEL
from auth_server.outbound import Unreachable
from auth_server.protocol.errors import OAuthError
from auth_server.protocol.feature import Feature
from auth_server.protocol.server import Server
from auth_server.protocol.tokens import logout_token
from auth_server.store.records import Client, Delivery

FORM = "application/x-www-form-urlencoded"


def deliver(delivery: Delivery, server: Server) -> bool:
    """Tell a client, and note how that went; tell whether it went well.

    The token is made anew for each try: an old one would have expired.
    """
    client = server.records.clients.get(delivery.client_id)
    uri = client.metadata.get(BACKCHANNEL) if client is not None and client.enabled else None
    if client is None or not uri:
        server.outbox.drop(delivery)
        return True
    try:
        problem = _call(str(uri), delivery, client, server)
    except (Unreachable, OAuthError) as error:
        problem = str(error)
    if problem:
        server.outbox.failed(delivery, problem)
    else:
        server.outbox.delivered(delivery)
    return not problem


def _call(uri: str, delivery: Delivery, client: Client, server: Server) -> str:
    """Say what went wrong, if anything did."""
    ended = orjson.loads(delivery.data)
    token = logout_token.issue(ended["uid"], ended["sid"], client, server)
    answer = server.outbound.post(uri, urlencode({"logout_token": token}).encode(), FORM)
    return "" if 200 <= answer.status < 300 else f"it answers {answer.status}"  # §2.8


FEATURE = Feature(
    name="backchannel_logout",
    specs=("OpenID Connect Back-Channel Logout 1.0",),
    client_metadata=(
        Member(BACKCHANNEL, text, is_called=True),
        Member("backchannel_logout_session_required", switch),  # each logout token has a sid anyway (§2.2)
    ),
    metadata=lambda server: {
        "backchannel_logout_supported": True,
        "backchannel_logout_session_supported": True,
    },
)
