"""How a client is shown to people: its own words are escaped, cut, and marked where nobody has checked them (S-028)."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

from auth_server.store.records import Client

LOGO_PATH = "/logo"
LONGEST_NAME = 60  # characters


@dataclass(frozen=True, slots=True)
class Shown:
    """A client in one language.

    Args:
        is_verified: whether those who run the server have registered it; whoever registers itself is any stranger.
        logo: path of a picture on this server; empty without one.
        home, policy, terms: addresses of pages; empty without one.
    """

    name: str
    is_verified: bool
    logo: str
    home: str
    policy: str
    terms: str


def shown(client: Client, language: str) -> Shown:
    """Return what people see of a client; members may be in several languages (RFC 7591 §2.2)."""
    kept = client.metadata
    return Shown(
        name=clean(_in_language(kept, "client_name", language)) or clean(client.client_name) or client.client_id,
        is_verified=not client.self_registered,
        logo=_logo_path(client, _in_language(kept, "logo_uri", language)),
        home=_in_language(kept, "client_uri", language),
        policy=_in_language(kept, "policy_uri", language),
        terms=_in_language(kept, "tos_uri", language),
    )


def logo_of(client: Client, version: str) -> str:
    """Return the address of that of a client's logos which a page has named; empty if it has none such."""
    addresses = (value for name, value in client.metadata.items() if name.partition("#")[0] == "logo_uri")
    return next((address for address in addresses if _version(address) == version), "")


def _logo_path(client: Client, address: str) -> str:
    """Where a logo is on this server: another place when it has another address."""
    query = urlencode({"client_id": client.client_id, "v": _version(address)})
    return f"{LOGO_PATH}?{query}" if address else ""


def _version(address: str) -> str:
    return sha256(address.encode()).hexdigest()[:16]


def clean(name: str) -> str:
    """Return a name without what is not seen or turns the direction of writing round; a long one is cut."""
    text = " ".join("".join(letter for letter in name if _is_visible(letter)).split())
    return text if len(text) <= LONGEST_NAME else f"{text[: LONGEST_NAME - 1].rstrip()}…"


def _is_visible(letter: str) -> bool:
    category = unicodedata.category(letter)
    return letter.isspace() or category[0] != "C"


def _in_language(members: Mapping[str, Any], name: str, language: str) -> str:
    value = members.get(f"{name}#{language}") or members.get(name, "")
    return value if isinstance(value, str) else ""
