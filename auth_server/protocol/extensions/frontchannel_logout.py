"""Front-channel logout (OpenID Connect Front-Channel Logout 1.0): the logout page loads a frame of each client.

What it loads is kept for a few minutes under a secret, so that a link can never make the page load anything else.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlencode, urlsplit

import orjson

from auth_server.domain import credentials
from auth_server.domain.browsers import SignIn
from auth_server.domain.client_metadata import Member, switch, text
from auth_server.domain.client_rules import check_redirect_uri
from auth_server.domain.keys import base64url
from auth_server.errors import InvalidInput
from auth_server.protocol.feature import Feature
from auth_server.protocol.server import Server
from auth_server.protocol.tokens.subject import session_id
from auth_server.store.records import Client
from auth_server.store.state import Entry, Kind

URI, SESSION_REQUIRED = "frontchannel_logout_uri", "frontchannel_logout_session_required"
TTL = 300  # seconds that the page can be loaded again
_HOST = re.compile(r"[A-Za-z0-9.:\[\]-]+").fullmatch  # what means nothing else in a policy


@dataclass(frozen=True, slots=True)
class Farewell:
    """What is left to do in the browser after a logout.

    Args:
        frames: addresses to load.
        sources: the registered addresses, as a policy names them.
        client_ids: whose they are.
        onward: where to go then; empty for nowhere.
        asked_by: the client that asked for the logout; empty for none.
    """

    frames: Sequence[str] = ()
    sources: Sequence[str] = ()
    client_ids: Sequence[str] = ()
    onward: str = ""
    asked_by: str = ""


def farewell(ended: Sequence[SignIn], onward: str, asked_by: Client | None, server: Server) -> Farewell | None:
    """Return what there is to do when sign-ins have ended; None if nothing is."""
    frames: dict[str, str] = {}
    clients: dict[str, Client] = {}
    for one in ended:
        for client_id in one.clients:
            client = server.records.clients.get(client_id)
            if client is not None and client.enabled and client.metadata.get(URI):
                frames[_address(client, one.sid, server)] = source(str(client.metadata[URI]))
                clients[client_id] = client
    if not frames:
        return None
    asked = asked_by.client_id if asked_by is not None else ""
    return Farewell(tuple(frames), sorted(set(frames.values())), tuple(clients), onward, asked)


def keep(parting: Farewell, server: Server) -> str:
    """Keep what is to be done, and return the secret that the page finds it by."""
    secret, now = base64url(server.random(32)).decode(), server.clock()
    values = {name: getattr(parting, name) for name in Farewell.__slots__}
    server.state.put(Kind.FAREWELL, Entry(credentials.digest(secret), now + TTL, orjson.dumps(values)), now)
    return secret


def find(secret: str, server: Server) -> Farewell | None:
    """Return what is to be done; None if the secret is none, or too old."""
    entry = server.state.get(Kind.FAREWELL, credentials.digest(secret), server.clock()) if secret else None
    return Farewell(**orjson.loads(entry.data)) if entry is not None else None


def source(uri: str) -> str:
    """Return an address as a Content-Security-Policy names it: without its query, and nothing that ends a source."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}{quote(parts.path or '/', safe='/%:@!$&()*+=~-._')}"


def _address(client: Client, sid: str, server: Server) -> str:
    """What the frame loads: with iss and sid, where the client needs to know which sign-in is meant (§2)."""
    uri = str(client.metadata[URI])
    if not client.metadata.get(SESSION_REQUIRED):
        return uri
    told = urlencode({"iss": server.issuer, "sid": session_id(sid, client, server)})
    return f"{uri}{'&' if urlsplit(uri).query else '?'}{told}"


def _check(client: Client) -> None:
    """It shares scheme, host and port with a redirect URI (§2)."""
    uri = client.metadata.get(URI)
    if uri is None:
        return
    try:
        check_redirect_uri(uri)
    except InvalidInput as error:
        raise InvalidInput(URI, error.reason) from None
    parts = urlsplit(uri)
    if parts.scheme not in ("https", "http") or not _HOST(parts.netloc):
        raise InvalidInput(URI, "must be an https URL")
    places = {urlsplit(redirect)[:2] for redirect in client.redirect_uris}
    if (parts.scheme, parts.netloc) not in places:
        raise InvalidInput(URI, "must have the scheme, host and port of a redirect URI")


FEATURE = Feature(
    name="frontchannel_logout",
    specs=("OpenID Connect Front-Channel Logout 1.0",),
    client_metadata=(Member(URI, text, _check), Member(SESSION_REQUIRED, switch)),
    metadata=lambda server: {
        "frontchannel_logout_supported": True,
        "frontchannel_logout_session_supported": True,
    },
)
