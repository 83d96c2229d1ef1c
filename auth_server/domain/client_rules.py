"""What a client may be: the rules about its members, on all roads (command line, admin API, registration)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import urldefrag, urlsplit

from auth_server.domain import credentials, plain_json, roles, scopes
from auth_server.domain.client_metadata import Member
from auth_server.domain.foreign_keys import check_jwks
from auth_server.errors import InvalidInput
from auth_server.outbound import Outbound, Unreachable
from auth_server.settings import MAX_TOKEN_TTL
from auth_server.store.records import Client

MAX_TOKENS = 1000000  # of one client, at once
MAX_METADATA = 65536  # bytes, as JSON
SECRET_METHODS = ("client_secret_basic", "client_secret_post", "client_secret_jwt")
ASSERTION_ALGORITHMS: Mapping[str, tuple[str, ...]] = {
    "private_key_jwt": ("ES256", "ES384", "ES512", "RS256", "PS256", "EdDSA", "Ed25519"),
    "client_secret_jwt": ("HS256", "HS384", "HS512"),
}
LOOPBACK_HOSTS = ("127.0.0.1", "::1", "localhost")  # as urlsplit names them
_FORBIDDEN_SCHEMES = frozenset(("javascript", "data", "vbscript", "file", "blob", "about"))
MAC_ALGS = ("HS256", "HS384", "HS512")
_SIGNED = ("id_token_signed_response_alg", "userinfo_signed_response_alg")
_MAY_BE_MACS = (*_SIGNED, "request_object_signing_alg")


@dataclass(frozen=True)
class Capabilities:
    """What this server can do for a client; values that are not here are refused at registration.

    Args:
        members: of client metadata that features have added, by name.
        outbound: what tells which URLs may be called.
        profiles: by name, what makes a client one of that profile; it is given the algorithms that are signed with.
    """

    grant_types: tuple[str, ...]
    auth_methods: tuple[str, ...]
    response_types: tuple[str, ...] = ()
    signing_algs: tuple[str, ...] = ()
    members: Mapping[str, Member] = field(default_factory=dict)
    outbound: Outbound = field(default_factory=Outbound)
    profiles: Mapping[str, Callable[[Client, Sequence[str]], Client]] = field(default_factory=dict)


def checked(client: Client, can: Capabilities) -> Client:
    """Return the client in normal form.

    Raises:
        InvalidInput: for the first member that is wrong.
    """
    if not credentials.CLIENT_ID(client.client_id):
        raise InvalidInput("client-id", "must have 1 to 255 characters of A-Z a-z 0-9 . _ ~ : / -")
    client = replace(client, response_types=_in_our_order(client.response_types, can.response_types))
    _check_choices(client, can)
    _check_values(client)
    _check_openid(client)
    _check_keys(client, can.outbound)
    for member in can.members.values():
        member.check(client)
        _check_called(member, client, can.outbound)
    client = can.profiles[client.profile](client, can.signing_algs)
    scope = scopes.chosen(client.scope) if client.scope else ""
    return replace(client, scope=scope, token_limit=client.token_limit if client.token_limit > 0 else -1)


def _in_our_order(response_types: Sequence[str], ours: Sequence[str]) -> tuple[str, ...]:
    """Return response types as we write them: the order of their words says nothing (OAuth Response Types §3)."""
    written = {frozenset(one.split()): one for one in ours}
    return tuple(dict.fromkeys(written.get(frozenset(one.split()), one) for one in response_types))


def _check_called(member: Member, client: Client, outbound: Outbound) -> None:
    value = client.metadata.get(member.name) if member.is_called else None
    if isinstance(value, str):
        _check_url(member.name, value, outbound)
    for uri in value if isinstance(value, list | tuple) else ():
        _check_url(member.name, urldefrag(uri).url, outbound)  # OIDC Core §6.2: `request_uris` may have fragments


def _check_url(name: str, uri: str, outbound: Outbound) -> None:
    """Refuse what is never fetched or called, for its form; where its host is counts when it is (S-085)."""
    try:
        outbound.check(uri)
    except Unreachable as error:
        raise InvalidInput(name, str(error)) from None


def _check_choices(client: Client, can: Capabilities) -> None:
    _among("auth-method", client.token_endpoint_auth_method, can.auth_methods)
    _among("profile", client.profile, tuple(can.profiles))
    _among("role", client.role, roles.CLIENT_ROLES)
    _among("token-format", client.token_format, ("opaque", "jwt"))
    for grant in client.grant_types:
        _among("grant-types", grant, can.grant_types)
    for response_type in client.response_types:
        _among("response-types", response_type, can.response_types)
    for name in _SIGNED:
        if name in client.metadata:
            _among(name, client.metadata[name], (*can.signing_algs, *MAC_ALGS))  # never none (S-048)
    if "client_credentials" in client.grant_types and client.token_endpoint_auth_method == "none":
        raise InvalidInput("grant-types", "client_credentials needs a client that authenticates (RFC 6749 §4.4)")


def needs_secret_itself(client: Client) -> bool:
    """Tell whether the server must be able to read the client's secret: it is the key of a MAC."""
    macs = any(client.metadata.get(name) in MAC_ALGS for name in _MAY_BE_MACS)
    return client.token_endpoint_auth_method == "client_secret_jwt" or macs


def takes_away(old: Client, new: Client) -> bool:
    """Tell whether tokens that *old* got say more, or other things, than *new* may have."""
    others = (old.audience, old.role, old.owner_uid) != (new.audience, new.role, new.owner_uid)
    return others or scopes.narrows(new.scope, old.scope)


def is_another(old: Client, new: Client) -> bool:
    """Tell whether people who have allowed *old* would see something else now: name, place or kind of `sub`."""
    if old.client_name != new.client_name or not set(new.redirect_uris) <= set(old.redirect_uris):
        return True
    return any(old.metadata.get(name) != new.metadata.get(name) for name in ("subject_type", "sector_identifier_uri"))


def _check_values(client: Client) -> None:
    plain_json.check("metadata", {**client.metadata, "jwks": client.jwks}, MAX_METADATA)
    if not client.scope and not client.redirect_uris:
        raise InvalidInput("scope", "a client without redirect URIs needs one, for example: --scope metrics")
    if len(client.client_name) > 160 or not client.client_name.isprintable():
        raise InvalidInput("name", "must have at most 160 characters on one line")
    if client.access_token_ttl is not None and not 1 <= client.access_token_ttl <= MAX_TOKEN_TTL:
        raise InvalidInput("expires", f"must be 1 to {MAX_TOKEN_TTL} seconds")
    if not -1 <= client.token_limit <= MAX_TOKENS:
        raise InvalidInput("tokens", f"must be 1 to {MAX_TOKENS}, or -1 for any number")
    for uri in client.redirect_uris:
        check_redirect_uri(uri)
    for uri in client.post_logout_redirect_uris:
        check_redirect_uri(uri, "post-logout-redirect-uri")
    for uri in (*client.audience, *client.resource):
        if not uri or len(uri) > 512 or not uri.isprintable() or " " in uri:
            raise InvalidInput("audience", "must be a URI such as https://api.example.org")


def _check_openid(client: Client) -> None:
    for name in _MAY_BE_MACS:
        if client.metadata.get(name) in MAC_ALGS and client.token_endpoint_auth_method not in SECRET_METHODS:
            raise InvalidInput(name, "a MAC needs a client with a secret; choose ES256 or RS256")
    flows = [set(text.split()) for text in client.response_types]
    for part, grant in (("code", "authorization_code"), ("token", "implicit"), ("id_token", "implicit")):
        if any(part in flow for flow in flows) and grant not in client.grant_types:  # OIDC Registration §2
            raise InvalidInput("grant-types", f"a response type with {part} needs the grant type {grant}")
    if client.require_dpop and any("token" in flow for flow in flows):  # only the token endpoint sees proofs (S-101)
        raise InvalidInput("response-types", "with token cannot be bound to a key; leave out token, or require-dpop")
    hosts = {urlsplit(uri).hostname for uri in client.redirect_uris}
    pairwise = client.metadata.get("subject_type") == "pairwise"
    if pairwise and len(hosts) > 1 and not client.metadata.get("sector_identifier_uri"):  # OIDC Core §8.1
        raise InvalidInput("subject_type", "pairwise needs redirect URIs on one host, or a sector_identifier_uri")
    kind, schemes = client.metadata.get("application_type"), {urlsplit(uri).scheme for uri in client.redirect_uris}
    if kind == "web" and schemes - {"https", "http"}:  # OIDC Registration §2
        raise InvalidInput(
            "redirect-uri", "with a scheme of its own is for native applications: application_type native"
        )
    if kind != "native" and "implicit" in client.grant_types and "http" in schemes:
        raise InvalidInput("redirect-uri", "must be https where tokens travel without a code (OIDC Registration §2)")


def _check_keys(client: Client, outbound: Outbound) -> None:
    if client.jwks is not None:
        check_jwks(client.jwks)
    if client.jwks is not None and client.jwks_uri:  # RFC 7591 §2
        raise InvalidInput("jwks-uri", "and jwks must not both be there; give the keys themselves or their URL")
    if client.token_endpoint_auth_method == "private_key_jwt" and not has_keys(client):
        raise InvalidInput("jwks", "private_key_jwt needs the client's public keys; give --jwks FILE or --jwks-uri URI")
    if client.jwks_uri:
        _check_url("jwks-uri", client.jwks_uri, outbound)
    alg = client.metadata.get("token_endpoint_auth_signing_alg")
    if alg is not None:
        every = [name for names in ASSERTION_ALGORITHMS.values() for name in names]
        possible = ASSERTION_ALGORITHMS.get(client.token_endpoint_auth_method, every)
        _among("token_endpoint_auth_signing_alg", alg, possible)


def has_keys(client: Client) -> bool:
    """Tell whether a client has registered public keys, or where they are."""
    return client.jwks is not None or bool(client.jwks_uri)


def grants_for(response_types: Sequence[str], scope: str) -> tuple[str, ...]:
    """The grant types that a client needs for what it is registered to ask for (OIDC Registration §2)."""
    parts = {part for text in response_types or ("code",) for part in text.split()}
    grants = ["authorization_code"] if "code" in parts else []
    grants += ["refresh_token"] if "code" in parts and scopes.has(scope, "offline_access") else []
    return (*grants, "implicit") if parts & {"token", "id_token"} else tuple(grants)


def _among(field: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise InvalidInput(field, f"{value!r} is not supported; choose among {', '.join(allowed) or 'none yet'}")


def check_redirect_uri(uri: str, field: str = "redirect-uri") -> None:
    """Refuse what must never be a redirect URI (RFC 6749 §3.1.2, RFC 8252 §7).

    Raises:
        InvalidInput: with that *field*.
    """
    try:
        parts = urlsplit(uri)
        _ = parts.port
    except ValueError:
        raise InvalidInput(field, f"{uri[:200]!r} is no URI") from None
    if not parts.scheme or not uri.isascii() or any(c <= " " or c in '\\"<>^`{|}' for c in uri) or len(uri) > 2048:
        raise InvalidInput(field, f"{uri[:200]!r} is no absolute URI")
    if parts.scheme in _FORBIDDEN_SCHEMES:  # S-017
        raise InvalidInput(field, f"the scheme {parts.scheme} can run code or read files; it is never allowed")
    if "#" in uri:
        raise InvalidInput(field, "must have no fragment (RFC 6749 §3.1.2)")
    if parts.scheme in ("http", "https"):
        if not parts.hostname or "@" in parts.netloc:
            raise InvalidInput(field, f"{uri[:200]!r} needs a host, and no user before it")
        if parts.scheme == "http" and parts.hostname not in LOOPBACK_HOSTS:
            raise InvalidInput(field, "must be https, or http on 127.0.0.1, [::1] or localhost (RFC 8252 §7.3)")
    elif "." not in parts.scheme:
        raise InvalidInput(field, "a scheme of your own must hold a dot, like org.example.app (RFC 8252 §7.1)")
