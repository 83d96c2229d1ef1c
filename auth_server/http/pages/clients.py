"""How a client is shown to people: its own words about itself are escaped, cut, and marked as not verified (S-028)."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from auth_server.store.records import Client

LONGEST_NAME = 60  # characters


@dataclass(frozen=True, slots=True)
class Shown:
    """A client in one language.

    Args:
        is_verified: whether those who run the server have registered it as one of their own.
        logo: https address of a picture; empty without one. So are the pages.
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
        is_verified=client.first_party,
        logo=logo(client, language),
        home=_in_language(kept, "client_uri", language),
        policy=_in_language(kept, "policy_uri", language),
        terms=_in_language(kept, "tos_uri", language),
    )


def logo(client: Client, language: str) -> str:
    """Return the address of a client's logo, if the page may load it: over https only."""
    address = _in_language(client.metadata, "logo_uri", language)
    return address if address.startswith("https://") else ""


def origin(address: str) -> str:
    """Return the origin of an address, as a policy names it; empty if it could not stand there."""
    parts = urlsplit(address)
    place = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    fits = parts.netloc and all(letter.isascii() and letter not in " ;,'\"" for letter in place)
    return place if fits else ""


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
