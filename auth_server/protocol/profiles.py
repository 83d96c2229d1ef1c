"""Rule sets per client: a profile decides what OAuth 2.1 leaves open (FAPI 2.0 Security Profile).

A profile is an administrator's choice, and no client can set or change its own. What registration can settle is
settled there: the client becomes one that must push its requests, prove its key and so on. The rest stands here, and is
asked where it matters.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from auth_server.errors import InvalidInput
from auth_server.protocol.errors import OAuthError, UnauthorizedClient, UnsupportedResponseType
from auth_server.protocol.feature import Feature
from auth_server.store.records import Client

Apply = Callable[[Client, Sequence[str]], Client]
FAPI_ALGS = ("PS256", "ES256", "EdDSA", "Ed25519")  # FAPI 2.0 SP §5.4.1
_FAPI_GRANTS = frozenset(("authorization_code", "refresh_token", "client_credentials"))
_SIGNED = ("token_endpoint_auth_signing_alg", "request_object_signing_alg", "userinfo_signed_response_alg")
ID_TOKEN_ALG = "id_token_signed_response_alg"


@dataclass(frozen=True, slots=True)
class Profile:
    """What holds for clients of a profile.

    Args:
        apply: takes a client and the algorithms that the server signs with, and returns it with everything that the
            profile demands of it, or raises InvalidInput.
        algorithms: that what the client signs may have; None for all that are supported.
        issuer_alone: whether `aud` of its assertions must be the issuer, as a text.
        names_redirect: whether its requests must hold a redirect_uri.
        code_ttl: seconds that its codes live at most.
        rotates: whether its refresh tokens are replaced when they are used.
        unregistered: how it is told that it asks for another response type than it may.
    """

    apply: Apply = lambda client, signing_algs: client
    algorithms: Collection[str] | None = None
    issuer_alone: bool = False
    names_redirect: bool = False
    code_ttl: int = 600
    rotates: bool = True
    unregistered: type[OAuthError] = UnauthorizedClient

    def among(self, algorithms: Sequence[str]) -> tuple[str, ...]:
        """Return those of some algorithms that may be used."""
        return tuple(alg for alg in algorithms if self.algorithms is None or alg in self.algorithms)


def of(client: Client) -> Profile:
    """Return a client's profile."""
    return PROFILES[client.profile]


def _fapi2(client: Client, signing_algs: Sequence[str]) -> Client:
    """Make a client one of FAPI 2.0, or tell everything that is missing at once."""
    missing = [*_missing(client), *_wrongly_signed(client, signing_algs)]
    if missing:
        raise InvalidInput("profile", f"fapi2 needs {'; '.join(missing)}")
    alg = next(alg for alg in signing_algs if alg in FAPI_ALGS)
    settled = {ID_TOKEN_ALG: alg, **client.metadata, "require_pkce": True}  # FAPI 2.0 SP §5.3.2.2
    return replace(client, require_par=True, require_dpop=True, metadata=settled)


def _missing(client: Client) -> Iterator[str]:
    if client.token_endpoint_auth_method != "private_key_jwt":  # FAPI 2.0 SP §5.3.2.1; mutual TLS is not offered
        yield "the authentication method private_key_jwt"
    if set(client.response_types) - {"code"}:
        yield "no response type but code"
    if unfit := set(client.grant_types) - _FAPI_GRANTS:
        yield f"no grant type but {', '.join(sorted(_FAPI_GRANTS))} (not {', '.join(sorted(unfit))})"
    if any(urlsplit(uri).scheme != "https" for uri in client.redirect_uris):
        yield "redirect URIs with https"
    if "authorization_code" in client.grant_types and not client.redirect_uris:
        yield "a redirect URI"


def _wrongly_signed(client: Client, signing_algs: Sequence[str]) -> Iterator[str]:
    for name in (*_SIGNED, ID_TOKEN_ALG):
        if client.metadata.get(name, "ES256") not in FAPI_ALGS:
            yield f"{name} among {', '.join(FAPI_ALGS)}"
    if not set(signing_algs) & set(FAPI_ALGS):
        yield f"one of {', '.join(FAPI_ALGS)} in the setting SIGNING_ALGS"
    elif client.token_format == "jwt" and signing_algs[0] not in FAPI_ALGS:
        yield f"one of {', '.join(FAPI_ALGS)} as the first of SIGNING_ALGS, or opaque tokens"


PROFILES: Mapping[str, Profile] = {
    "oauth21": Profile(),
    "fapi2": Profile(
        apply=_fapi2,
        algorithms=FAPI_ALGS,
        issuer_alone=True,  # FAPI 2.0 SP §5.3.2.1-8 (S-006)
        names_redirect=True,  # FAPI 2.0 SP §5.3.2.2
        code_ttl=60,  # FAPI 2.0 SP §5.3.2.1
        rotates=False,  # FAPI 2.0 SP §5.3.2.1-9 (S-040)
        unregistered=UnsupportedResponseType,  # S-022
    ),
}

FEATURE = Feature(name="profiles", specs=("FAPI 2.0 Security Profile",))
