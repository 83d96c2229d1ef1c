"""`sector_identifier_uri`: the list of all redirect URIs of a sector's clients (OIDC Registration §5, Core §8.1)."""

from collections.abc import Sequence

import orjson

from auth_server.errors import InvalidInput
from auth_server.logs import log
from auth_server.outbound import Outbound, Unreachable
from auth_server.store.records import Client

NAME = "sector_identifier_uri"


def claim(client: Client) -> tuple[str, frozenset[str]]:
    """Return the list that a client names, and what must stand on it; nothing where it names none."""
    uri = str(client.metadata.get(NAME) or "")
    return (uri, frozenset(client.redirect_uris)) if uri else ("", frozenset())


def check(client: Client, outbound: Outbound) -> None:
    """Fetch the list that a client names, if it names one, and see that its redirect URIs are on it.

    Raises:
        InvalidInput: there is no such list, or a redirect URI is missing on it.
    """
    uri, redirect_uris = claim(client)
    if not uri:
        return
    missing = sorted(redirect_uris.difference(_fetched(uri, outbound)))
    if missing:
        raise InvalidInput(NAME, f"the list at {uri} does not hold the redirect URI {missing[0]}")


def _fetched(uri: str, outbound: Outbound) -> Sequence[str]:
    try:
        fetched = outbound.get(uri)
        listed = orjson.loads(fetched.body) if fetched.status == 200 else None
    except (Unreachable, ValueError) as error:
        log.info("a sector's redirect URIs were not fetched: %s", error)
        listed = None
    if not isinstance(listed, list) or not all(
        isinstance(entry, str) for entry in listed
    ):  # told alike: nobody shall learn from us what is where (S-085)
        raise InvalidInput(NAME, "must lead to a JSON array of redirect URIs, on a public host by https")
    return listed
