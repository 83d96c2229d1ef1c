"""Client metadata in RFC 7591's words: which members there are, of what type, and where they are kept."""

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from auth_server.errors import InvalidInput

Read = Callable[[str, Any], Any]
MAX_TEXT = 2048
_LANGUAGE = re.compile(r"[A-Za-z0-9-]{2,35}").fullmatch  # RFC 5646, roughly


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT or not value.isprintable():
        raise InvalidInput(name, f"must be a text of at most {MAX_TEXT} characters on one line")
    return value


def _texts(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise InvalidInput(name, "must be an array of texts")
    return tuple(_text(name, part) for part in value)


def _page(name: str, value: Any) -> str:
    try:
        parts = urlsplit(_text(name, value))
        is_link = parts.scheme in ("https", "http") and bool(parts.hostname) and parts.port != 0  # people are shown it
    except ValueError:  # brackets or a port that are none
        is_link = False
    if not is_link:
        raise InvalidInput(name, "must be the https URL of a page")
    return parts.geturl()


def _switch(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise InvalidInput(name, "must be true or false")
    return value


def _number(name: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidInput(name, "must be a whole number")
    return value


def _one_of(*allowed: str) -> Read:
    def read_value(name: str, value: Any) -> str:
        if value not in allowed:
            raise InvalidInput(name, f"must be one of {', '.join(allowed)}")
        return str(value)

    return read_value


def _seconds(name: str, value: Any) -> int:
    if _number(name, value) < 0:
        raise InvalidInput(name, "must be a number of seconds, 0 or more")
    return int(value)


def _object(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidInput(name, "must be an object")
    return value


# Members that are fields of the record, some under a name of our own.
_FIELDS: Mapping[str, tuple[str, Read]] = {
    "client_id": ("client_id", _text),
    "client_name": ("client_name", _text),
    "redirect_uris": ("redirect_uris", _texts),
    "post_logout_redirect_uris": ("post_logout_redirect_uris", _texts),
    "token_endpoint_auth_method": ("token_endpoint_auth_method", _text),
    "grant_types": ("grant_types", _texts),
    "response_types": ("response_types", _texts),
    "scope": ("scope", _text),
    "jwks": ("jwks", _object),
    "jwks_uri": ("jwks_uri", _text),
    "require_pushed_authorization_requests": ("require_par", _switch),
    "dpop_bound_access_tokens": ("require_dpop", _switch),
    "role": ("role", _text),
    "audience": ("audience", _texts),
    "resource": ("resource", _texts),
    "token_format": ("token_format", _text),
    "access_token_ttl": ("access_token_ttl", _number),
    "token_limit": ("token_limit", _number),
    "first_party": ("first_party", _switch),
}
# Members that are kept as they are.
_KEPT: Mapping[str, Read] = {
    "client_uri": _page,
    "logo_uri": _page,
    "tos_uri": _page,
    "policy_uri": _page,
    "contacts": _texts,
    "software_id": _text,
    "software_version": _text,
    "token_endpoint_auth_signing_alg": _text,
    "application_type": _one_of("web", "native"),  # OIDC Registration §2
    "subject_type": _one_of("public", "pairwise"),
    "id_token_signed_response_alg": _text,
    "userinfo_signed_response_alg": _text,
    "default_max_age": _seconds,
    "require_pkce": _switch,
}


def read(members: Mapping[str, Any]) -> dict[str, Any]:
    """Return RFC 7591 metadata as values for `Clients.add` and `Clients.change`.

    Raises:
        InvalidInput: a member has not the right type, or nothing here would heed it.
    """
    check: Read
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
        elif plain in _KEPT or (plain == "client_name" and name != plain):
            check = _KEPT.get(plain, _text)
            checked = check(name, value)
            kept[name] = list(checked) if isinstance(checked, tuple) else checked
        else:
            raise InvalidInput(name[:64], "is not offered by this version, or misspelt; leave it out")
    if kept:
        values["metadata"] = kept
    return values
