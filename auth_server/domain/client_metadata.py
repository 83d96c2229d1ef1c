"""Client metadata in RFC 7591's words: which members there are, of what type, and where they are kept."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from auth_server.errors import InvalidInput
from auth_server.store.records import Client

Read = Callable[[str, Any], Any]
"""Takes a member's name and value, and returns the value as it is kept, or raises InvalidInput."""
MAX_TEXT = 2048
_LANGUAGE = re.compile(r"[A-Za-z0-9-]{2,35}").fullmatch  # RFC 5646, roughly


@dataclass(frozen=True)
class Member:
    """A member that a feature adds; it is kept in `Client.metadata`.

    Args:
        read: makes of its value what is kept; it may not be None.
        check: whether it goes with the others; raises InvalidInput with the member's name.
        is_called: whether its value is a URL that this server calls or fetches, or an array of them.
    """

    name: str
    read: Read
    check: Callable[[Client], None] = lambda client: None
    is_called: bool = False


def text(name: str, value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT or not value.isprintable():
        raise InvalidInput(name, f"must be a text of at most {MAX_TEXT} characters on one line")
    return value


def texts(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise InvalidInput(name, "must be an array of texts")
    return tuple(text(name, part) for part in value)


def link(name: str, value: Any) -> str:
    try:
        parts = urlsplit(text(name, value))
        is_link = parts.scheme in ("https", "http") and bool(parts.hostname) and parts.port != 0  # people are shown it
    except ValueError:  # brackets or a port that are none
        is_link = False
    if not is_link:
        raise InvalidInput(name, "must be the https URL of a page")
    return parts.geturl()


def https_link(name: str, value: Any) -> str:
    found = link(name, value)
    if not found.startswith("https:"):
        raise InvalidInput(name, "must be an https URL")
    return found


def switch(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise InvalidInput(name, "must be true or false")
    return value


def whole(name: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidInput(name, "must be a whole number")
    return value


def one_of(*allowed: str) -> Read:
    def read_value(name: str, value: Any) -> str:
        if value not in allowed:
            raise InvalidInput(name, f"must be one of {', '.join(allowed)}")
        return str(value)

    return read_value


def seconds(name: str, value: Any) -> int:
    if whole(name, value) < 0:
        raise InvalidInput(name, "must be a number of seconds, 0 or more")
    return int(value)


def json_object(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidInput(name, "must be an object")
    return value


# Members that are fields of the record, some under a name of our own.
_STANDARD: Mapping[str, tuple[str, Read]] = {
    "client_name": ("client_name", text),
    "redirect_uris": ("redirect_uris", texts),
    "post_logout_redirect_uris": ("post_logout_redirect_uris", texts),
    "token_endpoint_auth_method": ("token_endpoint_auth_method", text),
    "grant_types": ("grant_types", texts),
    "response_types": ("response_types", texts),
    "scope": ("scope", text),
    "jwks": ("jwks", json_object),
    "jwks_uri": ("jwks_uri", text),
    "require_pushed_authorization_requests": ("require_par", switch),
    "dpop_bound_access_tokens": ("require_dpop", switch),
}
_FOR_ADMINS: Mapping[str, tuple[str, Read]] = {
    "client_id": ("client_id", text),
    "role": ("role", text),
    "audience": ("audience", texts),
    "resource": ("resource", texts),
    "token_format": ("token_format", text),
    "access_token_ttl": ("access_token_ttl", whole),
    "token_limit": ("token_limit", whole),
    "first_party": ("first_party", switch),
    "profile": ("profile", text),
}
_FIELDS = {**_STANDARD, **_FOR_ADMINS}
# Members that are kept as they are, and may come in several languages (RFC 7591 §2.2).
_IN_LANGUAGES: Mapping[str, Read] = {
    "client_name": text,  # without a language it is a field
    "client_uri": link,
    "logo_uri": link,
    "tos_uri": link,
    "policy_uri": link,
}
# Members that are kept as they are; those of a feature are declared by it.
_KEPT: Mapping[str, Read] = {
    "contacts": texts,
    "software_id": text,
    "software_version": text,
    "token_endpoint_auth_signing_alg": text,
    "application_type": one_of("web", "native"),  # OIDC Registration §2
    "subject_type": one_of("public", "pairwise"),
    "sector_identifier_uri": text,
    "id_token_signed_response_alg": text,
    "userinfo_signed_response_alg": text,
    "default_max_age": seconds,
    "default_acr_values": texts,  # every ID token says its acr
    "require_auth_time": switch,  # every ID token says when
    "initiate_login_uri": https_link,
    "require_pkce": switch,
}


def read(members: Mapping[str, Any], declared: Mapping[str, Member]) -> dict[str, Any]:
    """Return RFC 7591 metadata as values for `Clients.add` and `Clients.change`.

    Args:
        declared: the members that features have added.

    Raises:
        InvalidInput: a member has not the right type, or nothing here would heed it.
    """
    values: dict[str, Any] = {}
    kept: dict[str, Any] = {}
    for name, value in members.items():
        plain, tagged, tag = name.partition("#")  # RFC 7591 §2.2: `client_name#de`
        if tagged and not _LANGUAGE(tag):
            raise InvalidInput(plain[:64], "has no language tag like de or pt-BR after the #")
        if value is None:
            continue
        if name in _FIELDS:
            field, read_value = _FIELDS[name]
            values[field] = read_value(name, value)
        elif reader := _reader(plain, name, declared):
            checked = reader(name, value)
            kept[name] = list(checked) if isinstance(checked, tuple) else checked
        else:
            raise InvalidInput(name[:64], "is not offered by this version, or misspelt; leave it out")
    if kept:
        values["metadata"] = kept
    return values


def registrable(members: Mapping[str, Any], declared: Mapping[str, Member]) -> dict[str, Any]:
    """Return the members that a client may set itself; what is unknown, or an admin's to set, is left out."""
    return {
        name: value
        for name, value in members.items()
        if name in _STANDARD or _reader(name.partition("#")[0], name, declared)
    }


def told(client: Client) -> dict[str, Any]:
    """Return what a client is registered with, in RFC 7591's words; what an admin has set beside it is left out."""
    shown = {name: getattr(client, field) for name, (field, _) in _STANDARD.items()}
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in shown.items()}
    return {**client.metadata, **{name: value for name, value in plain.items() if value not in (None, "", False)}}


def _reader(plain: str, name: str, declared: Mapping[str, Member]) -> Read | None:
    """What reads a member that is kept as it is; of those that people read there may be one in each language."""
    if plain != name:
        return _IN_LANGUAGES.get(plain)
    return declared[name].read if name in declared else _IN_LANGUAGES.get(name) or _KEPT.get(name)
