"""Who the peer is, and how it came: directly, or through proxies that are trusted to say."""

import ipaddress
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from auth_server.settings_values import Network


def peer_address(environ: Mapping[str, Any], proxies: Sequence[Network]) -> str:
    """Return the address of whoever asks: the peer's, or behind trusted proxies the right-most other one (S-144)."""
    peer: str = environ.get("REMOTE_ADDR") or "0.0.0.0"
    if peer.startswith("::ffff:"):  # IPv4 on a socket for both
        peer = _plain_address(peer) or peer
    if not proxies or not _is_trusted(peer, tuple(proxies)):
        return peer
    trails = [trail for trail in (_forwarded(environ), _x_forwarded_for(environ)) if trail]
    said = {_nearest_stranger(trail, peer, tuple(proxies)) for trail in trails}
    # A proxy writes one of the two headers and may let the other pass as the client sent it: if they differ, neither.
    return said.pop() if len(said) == 1 else peer


def _nearest_stranger(trail: Sequence[str], peer: str, proxies: tuple[Network, ...]) -> str:
    """The right-most address of a trail that is not a trusted proxy's; what is left of something unreadable is not."""
    for hop in reversed(trail):
        address = _plain_address(hop)
        if address is None:
            break
        if not _is_trusted(address, proxies):
            return address
        peer = address
    return peer


def is_forwarded(environ: Mapping[str, Any]) -> bool:
    """Tell whether a request came through a proxy, by any header that says so."""
    return any(name in ("HTTP_FORWARDED", "HTTP_VIA") or name.startswith("HTTP_X_FORWARDED") for name in environ)


def came_by_http(environ: Mapping[str, Any], proxies: Sequence[Network]) -> bool:
    """Tell whether a trusted proxy says that the request reached it without TLS (S-149)."""
    if not proxies or not _is_trusted(environ.get("REMOTE_ADDR") or "0.0.0.0", tuple(proxies)):
        return False
    last = environ.get("HTTP_FORWARDED", "").rpartition(",")[2].lower()
    by_element = dict(pair.strip().partition("=")[::2] for pair in last.split(";")).get("proto", "").strip('"')
    by_name = environ.get("HTTP_X_FORWARDED_PROTO", "").rpartition(",")[2].strip().lower()
    return "http" in (by_element, by_name)


def _x_forwarded_for(environ: Mapping[str, Any]) -> list[str]:
    return [part.strip() for part in environ.get("HTTP_X_FORWARDED_FOR", "").split(",") if part.strip()]


def _forwarded(environ: Mapping[str, Any]) -> list[str]:
    """The addresses of RFC 7239's header, left to right; empty text for an element that names none."""
    if "HTTP_FORWARDED" not in environ:
        return []
    hops = []
    for element in environ["HTTP_FORWARDED"].split(","):
        pairs = dict(pair.strip().lower().partition("=")[::2] for pair in element.split(";") if "=" in pair)
        hops.append(pairs.get("for", "").strip('"'))
    return hops


@lru_cache(4096)
def _plain_address(text: str) -> str | None:
    """An address without port and brackets; None for anything that is none."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        return None
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)


@lru_cache(4096)
def _is_trusted(address: str, proxies: tuple[Network, ...]) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed.version == network.version and parsed in network for network in proxies)
