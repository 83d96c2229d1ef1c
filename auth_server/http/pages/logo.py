"""Logos of clients: the server fetches them, and pages show them from here.

If browsers loaded them from the clients' hosts, those would hear of everybody who is about to sign in, before anybody
has agreed to anything, and could show one picture to those who check a client and another one to its victims.
"""

import threading
from collections.abc import Mapping
from hashlib import sha256

from auth_server.domain import credentials
from auth_server.errors import NotFound
from auth_server.http.pages import clients
from auth_server.logs import log
from auth_server.outbound import Unreachable
from auth_server.protocol.description import Parameter
from auth_server.protocol.endpoints.discovery import cached
from auth_server.protocol.feature import Endpoint, Operation, Surface
from auth_server.protocol.messages import Request, Response
from auth_server.protocol.server import Server
from auth_server.store.state import Entry, Kind

SIZE = 131072  # bytes
KEPT = 3600  # seconds
AGAIN = 600  # seconds until one that could not be had is tried again
AT_ONCE = 1  # fetches in each process: of the two that it has, one is left for what clients need more
NONE = b""
# Told by what they begin with, whatever their host says: only what cannot run anything.
_KINDS: Mapping[bytes, str] = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}
_turns = threading.BoundedSemaphore(AT_ONCE)


def respond(request: Request, server: Server) -> Response:
    """Return a client's logo.

    Raises:
        NotFound: it has none, or none that can be shown now.
    """
    client_id = request.query.get("client_id", "")
    client = server.records.clients.get(client_id) if credentials.CLIENT_ID(client_id) else None
    address = clients.logo_of(client, request.query.get("v", "")) if client is not None and client.enabled else ""
    picture = _picture(address, server) if address else NONE
    if picture == NONE:
        raise NotFound("Not found")
    return cached(request, picture, KEPT, ("Content-Type", _kind(picture)))


def _picture(address: str, server: Server) -> bytes:
    """What is at an address: kept in the store, or fetched."""
    key, now = sha256(f"logo {address}".encode()).digest(), server.clock()
    kept = server.state.get(Kind.LOGO, key, now)
    if kept is not None:
        return kept.data
    if not _turns.acquire(blocking=False):
        return NONE
    try:
        picture = _fetched(address, server)
    finally:
        _turns.release()
    server.state.put(Kind.LOGO, Entry(key, now + (KEPT if picture else AGAIN), picture), now)
    return picture


def _fetched(address: str, server: Server) -> bytes:
    try:
        fetched = server.outbound.get(address, SIZE)
    except Unreachable as error:
        log.info("a logo was not fetched: %s", error)
        return NONE
    return fetched.body if fetched.status == 200 and _kind(fetched.body) else NONE


def _kind(picture: bytes) -> str:
    """The type of a picture; empty if it is none."""
    if picture[:4] == b"RIFF" and picture[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for beginning, kind in _KINDS.items() if picture.startswith(beginning)), "")


ENDPOINTS = (
    Endpoint(
        clients.LOGO_PATH,
        surface=Surface.PAGE,
        tag="Pages",
        cacheable=True,
        operations=(
            Operation(
                "GET",
                respond,
                "A client's logo",
                query={"client_id": Parameter("Whose."), "v": Parameter("Which one of its logos.")},
                responses={200: "The picture.", 304: "The caller's copy is good."},
                produces="*/*",
            ),
        ),
    ),
)
