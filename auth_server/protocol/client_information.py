"""What registration takes and tells of a client (RFC 7591 §2, §3.2; OpenID Connect Registration §2, §3.2)."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from auth_server.domain import client_metadata, credentials, scopes
from auth_server.errors import InvalidInput
from auth_server.protocol import examples
from auth_server.protocol.description import Schema
from auth_server.protocol.errors import (
    InvalidClientMetadata,
    InvalidRedirectUri,
    InvalidSoftwareStatement,
    OAuthError,
    UnapprovedSoftwareStatement,
)
from auth_server.protocol.messages import Request
from auth_server.protocol.server import Server
from auth_server.protocol.tokens import id_token
from auth_server.store.records import Client
from auth_server.store.state import Rate

PATH = "/api/v1/oauth/register"
LONGEST_NAME = 160  # characters
_MEMBERS = {  # what InvalidInput calls a member where its flag has another name
    "redirect-uri": "redirect_uris",
    "post-logout-redirect-uri": "post_logout_redirect_uris",
    "auth-method": "token_endpoint_auth_method",
    "grant-types": "grant_types",
    "response-types": "response_types",
    "name": "client_name",
    "jwks-uri": "jwks_uri",
    "require-par": "require_pushed_authorization_requests",
    "require-dpop": "dpop_bound_access_tokens",
}


def values_of(members: Mapping[str, Any], server: Server, held: str = "") -> dict[str, Any]:
    """Return what a client asks to be, as values of its record; what is unknown or an admin's to set is left out.

    Args:
        held: the scope that it has already.

    Raises:
        OAuthError: a member that is not acceptable, in RFC 7591 §3.2.2's words.
    """
    _refuse_statement(members.get("software_statement"))
    given = {name: _tidied(name, value) for name, value in server.clients.registrable(members).items()}
    with refusals():
        values = server.clients.read(given)
    grants = values.get("grant_types", ("authorization_code",))
    types = values.get("response_types", ("code",) if "authorization_code" in grants else ())
    if (types or "authorization_code" in grants) and not values.get("redirect_uris"):
        raise InvalidRedirectUri("redirect_uris is missing")
    every = {
        "redirect_uris": (),
        "post_logout_redirect_uris": (),
        "token_endpoint_auth_method": "client_secret_basic",
        "jwks": None,
        "jwks_uri": "",
        "require_par": False,
        "require_dpop": False,
        **values,
        "grant_types": grants,
        "response_types": types,
        "scope": _scope(values.get("scope", ""), held, server),
        "metadata": {"application_type": "web", **values.get("metadata", {})},
    }
    if not every.get("client_name"):
        every.pop("client_name", None)
    return every


def information(client: Client, token: str, server: Server, secret: str | None = None) -> dict[str, Any]:
    """Return a client as it is in force (RFC 7591 §3.2.1, RFC 7592 §3).

    Args:
        token: its registration access token: a new one, or what it has just sent.
        secret: a new one; later it is not shown again, for only its digest is kept.
    """
    told: dict[str, Any] = {
        "subject_type": "public",
        "id_token_signed_response_alg": id_token.algorithm(client, server),
        **client_metadata.told(client),
        "client_id": client.client_id,
        "client_id_issued_at": client.created_at,
        "registration_client_uri": server.url(f"{PATH}/{client.client_id}"),
        "registration_access_token": token,
    }
    if secret is not None:
        told |= {"client_secret": secret, "client_secret_expires_at": 0}  # 0: never
    return told


def charge(request: Request, server: Server) -> None:
    """Charge the address for a client that is registered or replaced (S-091).

    Raises:
        Throttled: too many from there.
    """
    settings = server.settings
    server.throttles.registration(request.address, Rate(settings.registration_burst, settings.registration_refill))


@contextmanager
def refusals() -> Iterator[None]:
    """Tell of a member that is not acceptable in the words of RFC 7591 §3.2.2."""
    try:
        yield
    except InvalidInput as error:
        name = _MEMBERS.get(error.field, error.field)
        kind = InvalidRedirectUri if name == "redirect_uris" else InvalidClientMetadata
        raise kind(f"{name}: {error.reason}") from None


def _refuse_statement(statement: object) -> None:
    """Nobody's statements are believed here (RFC 7591 §2.3)."""
    if statement is None:
        return
    signed = isinstance(statement, str) and credentials.JWT(statement)
    refusal: type[OAuthError] = UnapprovedSoftwareStatement if signed else InvalidSoftwareStatement
    raise refusal("Software statements are not taken here; send the metadata themselves")


def _tidied(name: str, value: Any) -> Any:
    """A name without what is not seen, and cut: it is shown to people (S-028)."""
    if name.partition("#")[0] != "client_name" or not isinstance(value, str):
        return value
    return " ".join("".join(c for c in value if c.isprintable()).split())[:LONGEST_NAME].rstrip()


def _scope(text: str, held: str, server: Server) -> str:
    """What a client may have of what it asks for; all that may be registered if it asks for nothing (S-082)."""
    allowed = " ".join(server.settings.registration_scopes)
    if text and not scopes.is_valid(text):
        raise InvalidClientMetadata("scope: must be words parted by single spaces")
    wanted = scopes.words(scopes.normal(text or allowed))
    granted = wanted & (scopes.words(scopes.normal(allowed)) | scopes.words(held))
    if not granted:
        raise InvalidClientMetadata(f"scope: none of these can be registered; choose among {allowed}")
    return scopes.normal(" ".join(granted))


_TEXT, _TEXTS = {"type": "string"}, {"type": "array", "items": {"type": "string"}}
_URL = {"type": "string", "format": "uri"}
_MEMBER_SCHEMAS: Mapping[str, Schema] = {
    "redirect_uris": {
        **_TEXTS,
        "description": "Where answers go. Of a web application https, or http on this machine; of a native one also a"
        " scheme of its own with a dot.",
    },
    "application_type": {"type": "string", "enum": ["web", "native"]},
    "client_name": {**_TEXT, "description": "What people see; `client_name#de` for another language."},
    "client_uri": _URL,
    "logo_uri": {**_URL, "description": "A picture that is shown to people."},
    "policy_uri": _URL,
    "tos_uri": _URL,
    "contacts": _TEXTS,
    "grant_types": {**_TEXTS, "description": "`authorization_code` where absent."},
    "response_types": {**_TEXTS, "description": "`code` where absent; each needs its grant types."},
    "scope": {**_TEXT, "description": "Words parted by spaces; those that may not be registered are left out."},
    "token_endpoint_auth_method": {**_TEXT, "description": "`client_secret_basic` where absent; only this one counts."},
    "jwks": {"type": "object", "description": "Public keys (RFC 7517 §5)."},
    "require_pushed_authorization_requests": {"type": "boolean", "description": "No other requests count (RFC 9126)."},
    "dpop_bound_access_tokens": {"type": "boolean", "description": "Tokens only for a key of the client's (RFC 9449)."},
    "post_logout_redirect_uris": _TEXTS,
    "subject_type": {"type": "string", "enum": ["public", "pairwise"]},
    "id_token_signed_response_alg": {**_TEXT, "description": "`RS256` where absent; never `none`."},
    "userinfo_signed_response_alg": {**_TEXT, "description": "Where set, claims come as a JWT."},
    "default_max_age": {"type": "integer", "minimum": 0, "description": "Seconds."},
    "require_auth_time": {"type": "boolean"},
    "default_acr_values": _TEXTS,
    "initiate_login_uri": _URL,
    "software_id": _TEXT,
    "software_version": _TEXT,
}
METADATA: Schema = {
    "title": "ClientMetadata",
    "description": "RFC 7591 §2 and OpenID Connect Registration §2; what is unknown here is ignored.",
    "type": "object",
    "properties": _MEMBER_SCHEMAS,
    "additionalProperties": True,
}
REPLACEMENT: Schema = {
    **METADATA,
    "title": "ClientReplacement",
    "description": "All of the metadata anew (RFC 7592 §2.2); what is absent gets its default again.",
    "required": ["client_id"],
    "properties": {"client_id": {**_TEXT, "description": "As in the path."}, **_MEMBER_SCHEMAS},
}
INFORMATION: Schema = {
    "title": "ClientInformation",
    "description": "All that is in force.",
    "type": "object",
    "required": ["client_id", "client_id_issued_at", "registration_access_token", "registration_client_uri"],
    "properties": {
        "client_id": _TEXT,
        "client_id_issued_at": {"type": "integer", "description": "Unix seconds."},
        "client_secret": {**_TEXT, "description": "Of a client that uses one; shown when it is made, and never again."},
        "client_secret_expires_at": {"type": "integer", "description": "0: never."},
        "registration_access_token": {**_TEXT, "description": "Opens the client's configuration."},
        "registration_client_uri": {**_URL, "description": "Where that is."},
        **_MEMBER_SCHEMAS,
    },
    "additionalProperties": True,
}
REQUEST = {"client_name": "Album", "redirect_uris": [examples.REDIRECT_URI]}
TOLD = {
    "client_id": examples.REGISTERED_ID,
    "client_id_issued_at": examples.MOMENT,
    "client_name": "Album",
    "application_type": "web",
    "redirect_uris": [examples.REDIRECT_URI],
    "post_logout_redirect_uris": [],
    "grant_types": ["authorization_code"],
    "response_types": ["code"],
    "scope": "address email offline_access openid phone profile",
    "token_endpoint_auth_method": "client_secret_basic",
    "subject_type": "public",
    "id_token_signed_response_alg": "RS256",
    "registration_access_token": examples.REGISTRATION_TOKEN,
    "registration_client_uri": f"http://127.0.0.1:2342{PATH}/{examples.REGISTERED_ID}",
}
