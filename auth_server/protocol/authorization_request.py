"""An authorization request: whose it is, where its answer may go, and whether it is in order (OIDC Core §3.1.2.1).

First the client and its redirect URI are proven; until then every fault is told to the person, on a page. From then on
faults go to the client.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from auth_server.domain import credentials, scopes
from auth_server.domain.browsers import SignIn
from auth_server.domain.client_rules import LOOPBACK_HOSTS
from auth_server.protocol import profiles
from auth_server.protocol.endpoints.discovery import SCOPES
from auth_server.protocol.errors import (
    InvalidRequest,
    InvalidScope,
    OAuthError,
    Refusal,
    RegistrationNotSupported,
    UnsupportedResponseType,
)
from auth_server.protocol.extensions import dpop, pkce, response_modes
from auth_server.protocol.messages import Response
from auth_server.protocol.server import Server
from auth_server.protocol.tokens.claims import ClaimsRequest, read_request
from auth_server.protocol.tokens.id_token import Authentication, subject_of_hint
from auth_server.store.records import Client

CODE, TOKEN, ID_TOKEN = "code", "token", "id_token"
RESPONSE_TYPES = tuple(
    frozenset(text.split())
    for text in ("code", "id_token", "id_token token", "code id_token", "code token", "code id_token token")
)
PROMPTS = ("none", "login", "consent", "select_account")
MAY_REPEAT = "resource"  # RFC 8707 §2
_NUMBER = re.compile(r"[0-9]{1,10}", re.ASCII).fullmatch


@dataclass(frozen=True, slots=True)
class ProvenRedirect:
    """Where answers may go: a redirect URI that this client has registered. Only `prove` makes one.

    Args:
        uri: as in the request, or the only registered one.
        given: whether it was in the request; then it must be in the token request too (RFC 6749 §4.1.3).
        mode: how the answer travels.
    """

    client: Client
    uri: str
    given: bool
    mode: str
    state: str

    def answer(self, members: Mapping[str, str], server: Server) -> Response:
        """Return an answer to the client, success or error; each says whose it is (RFC 9207 §2)."""
        state = {"state": self.state} if self.state else {}
        return response_modes.answer(self.uri, self.mode, {**members, **state, "iss": server.issuer})


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """A request that is in order.

    Args:
        scope: what may be granted of what was asked for, in normal form.
        max_age: seconds that the person's sign-in may be old; None for any.
        hint: the `sub` that an id_token_hint or the claims name; empty without one.
        jkt: thumbprint of the key that the code is to be bound to; empty for none.
        parameters: as they came.
    """

    redirect: ProvenRedirect
    response_type: frozenset[str]
    scope: str
    prompt: frozenset[str]
    nonce: str = ""
    challenge: str = ""
    max_age: int | None = None
    hint: str = ""
    acr_values: tuple[str, ...] = ()
    claims: ClaimsRequest = field(default_factory=ClaimsRequest)
    jkt: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def client(self) -> Client:
        return self.redirect.client

    @property
    def is_openid(self) -> bool:
        return scopes.has(self.scope, "openid")


def authentication_of(asked: AuthorizationRequest, sign_in: SignIn) -> Authentication:
    """Return what the client is told of the sign-in that answers its request."""
    return Authentication(
        uid=sign_in.uid,
        auth_time=sign_in.auth_time,
        amr=sign_in.amr,
        sid=sign_in.sid,
        nonce=asked.nonce,
        claims=_with_acr(asked),
    )


def _with_acr(asked: AuthorizationRequest) -> Mapping[str, Any]:
    """The claims of the ID token; `acr_values` ask for one of them (OIDC Core §3.1.2.1)."""
    wished = {"acr": {"values": list(asked.acr_values)}} if asked.acr_values else {}
    return {**wished, **asked.claims.id_token}


def parse(pairs: Sequence[tuple[str, str]]) -> tuple[dict[str, str], set[str]]:
    """Return parameters by name, and the names that are there more than once."""
    return dict(pairs), {name for name, times in Counter(name for name, _ in pairs).items() if times > 1}


def refuse(
    redirect: ProvenRedirect, error: OAuthError, server: Server, beside: Mapping[str, str] | None = None
) -> Response:
    """Tell the client of an error (RFC 6749 §4.1.2.1), and what else there is to tell."""
    return redirect.answer({"error": error.code, "error_description": error.description, **(beside or {})}, server)


# ---- whose request it is, and where answers go: faults are told to the person
def prove(parameters: Mapping[str, str], repeated: set[str], server: Server) -> ProvenRedirect:
    """Return the client's redirect URI, proven to be its own.

    Raises:
        Refusal: an unknown or disabled client, or another URI than its own (S-014 to S-018).
    """
    if repeated & {"client_id", "redirect_uri"}:
        raise Refusal("The link names its application, or the way back to it, twice")
    client_id, uri = parameters.get("client_id", ""), parameters.get("redirect_uri", "")
    client = server.records.clients.get(client_id) if credentials.CLIENT_ID(client_id) else None
    if client is None or not client.enabled:
        raise Refusal("The application that sent you here is not known to this server")
    if not client.redirect_uris:
        raise Refusal("The application that sent you here signs nobody in")
    given = bool(uri)
    if not given:
        if len(client.redirect_uris) > 1 or scopes.has(parameters.get("scope") or client.scope, "openid"):
            raise Refusal("The link does not say how to get back to the application")
        uri = client.redirect_uris[0]
    if not is_registered(uri, client):
        raise Refusal("The way back to the application is not one that it has registered")
    types = frozenset(parameters.get("response_type", "").split())
    mode = parameters.get("response_mode", "")
    usable = mode if response_modes.is_allowed(mode, types) else response_modes.default(types)
    state = "" if "state" in repeated else parameters.get("state", "")
    return ProvenRedirect(client, uri, given, usable, state)


def is_registered(uri: str, client: Client) -> bool:
    """Compare a redirect URI with the registered ones, character by character (RFC 9700 §2.1).

    On this machine's own addresses native clients may listen on any port (RFC 8252 §7.3).
    """
    if uri in client.redirect_uris:
        return True
    return any(_differ_in_port_only(uri, registered, client) for registered in client.redirect_uris)


def _differ_in_port_only(uri: str, registered: str, client: Client) -> bool:
    try:
        asked, known = urlsplit(uri), urlsplit(registered)
        port = asked.port
    except ValueError:
        return False
    native = client.metadata.get("application_type") == "native" or client.token_endpoint_auth_method == "none"
    if known.scheme != "http" or known.hostname not in LOOPBACK_HOSTS or not (native or known.port is None):
        return False
    host = f"[{known.hostname}]" if ":" in known.hostname else known.hostname
    netloc = host if port is None else f"{host}:{port}"
    return uri == urlunsplit((known.scheme, netloc, known.path, known.query, ""))


# ---- what it asks: faults are told to the client
def check(
    parameters: Mapping[str, str], repeated: set[str], redirect: ProvenRedirect, server: Server
) -> AuthorizationRequest:
    """Return the request in order.

    Raises:
        OAuthError: the first fault that is found.
    """
    if repeated - {MAY_REPEAT}:
        raise InvalidRequest("A parameter is repeated")
    _refuse_unsupported(parameters)
    client = redirect.client
    response_type = _response_type(parameters.get("response_type", ""), client)
    mode = parameters.get("response_mode", "")
    if mode and mode != redirect.mode:
        raise InvalidRequest("response_mode is unknown, or does not go with response_type")
    scope = _scope(parameters.get("scope", ""), client, response_type)
    nonce = parameters.get("nonce", "")
    if ID_TOKEN in response_type and not nonce:  # OIDC Core §3.2.2.1, §3.3.2.11
        raise InvalidRequest("nonce is missing")
    if ID_TOKEN in response_type and not scopes.has(scope, "openid"):
        raise InvalidRequest("scope must hold openid where an ID token is asked for")
    claims = read_request(parameters.get("claims", ""))
    return AuthorizationRequest(
        redirect=redirect,
        response_type=response_type,
        scope=scope,
        prompt=_prompt(parameters.get("prompt", "")),
        nonce=nonce,
        challenge=pkce.challenge(parameters, client, server) if CODE in response_type else "",
        max_age=_max_age(parameters.get("max_age", ""), client),
        hint=_hint(parameters.get("id_token_hint", ""), claims, client, server),
        acr_values=tuple(parameters.get("acr_values", "").split()),
        claims=claims,
        jkt=dpop.asked_key(parameters),
        parameters=parameters,
    )


def _refuse_unsupported(parameters: Mapping[str, str]) -> None:
    if "registration" in parameters:
        raise RegistrationNotSupported("self-issued requests are not offered")


def _response_type(text: str, client: Client) -> frozenset[str]:
    if not text:
        raise InvalidRequest("response_type is missing")
    asked = frozenset(text.split())
    if asked not in RESPONSE_TYPES:
        raise UnsupportedResponseType("This server has no such response_type")
    if asked not in allowed_response_types(client):
        raise profiles.of(client).unregistered("The client is not registered for this response_type")  # S-022
    return asked


def allowed_response_types(client: Client) -> tuple[frozenset[str], ...]:
    """Return what a client is registered for: the code flow unless it says otherwise."""
    if client.response_types:
        return tuple(frozenset(text.split()) for text in client.response_types)
    return (frozenset((CODE,)),) if "authorization_code" in client.grant_types else ()


def _scope(text: str, client: Client, response_type: frozenset[str]) -> str:
    """The words that the client may have; in an OpenID request unknown ones do not count (OIDC Core §3.1.2.1).

    offline_access counts only where a refresh token can come of it (OIDC Core §11).
    """
    if text and not scopes.is_valid(text):
        raise InvalidScope("scope is malformed")
    words = scopes.words(text) or scopes.words(client.scope)
    openid = "openid" in words
    granted = {word for word in words if scopes.narrowed(word, client.scope)}
    ours = scopes.WHOLE.union(SCOPES)
    refused = {word for word in words - granted if not openid or word in ours or scopes.is_named(word)}
    if refused or not granted:
        raise InvalidScope("The client may not have this scope")
    if CODE not in response_type or "refresh_token" not in client.grant_types:
        granted.discard("offline_access")
    return scopes.normal(" ".join(granted))


def _hint(token: str, claims: ClaimsRequest, client: Client, server: Server) -> str:
    """The `sub` of the person who is meant."""
    hint = subject_of_hint(token, client, server)
    if hint and claims.subject not in ("", hint):
        raise InvalidRequest("id_token_hint and claims name two persons")
    return hint or claims.subject


def _prompt(text: str) -> frozenset[str]:
    values = frozenset(text.split())
    if not values <= set(PROMPTS):
        raise InvalidRequest(f"prompt must be among {', '.join(PROMPTS)}")
    if "none" in values and len(values) > 1:  # OIDC Core §3.1.2.1
        raise InvalidRequest("prompt none stands alone")
    return values


def _max_age(text: str, client: Client) -> int | None:
    if not text:
        default = client.metadata.get("default_max_age")
        return default if isinstance(default, int) else None
    if not _NUMBER(text):
        raise InvalidRequest("max_age must be a number of seconds")
    return int(text)
