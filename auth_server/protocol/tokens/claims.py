"""What a client may know of a person: claims by scope, and those asked for one by one (OIDC Core §5)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from auth_server.protocol.errors import InvalidRequest
from auth_server.protocol.feature import Feature
from auth_server.protocol.server import Server
from auth_server.protocol.tokens import acr
from auth_server.store.records import User

# OIDC Core §5.4.
BY_SCOPE: Mapping[str, tuple[str, ...]] = {
    "profile": (
        "name", "family_name", "given_name", "middle_name", "nickname", "preferred_username", "profile", "picture",
        "website", "gender", "birthdate", "zoneinfo", "locale", "updated_at",
    ),
    "email": ("email", "email_verified"),
    "address": ("address",),
    "phone": ("phone_number", "phone_number_verified"),
}  # fmt: skip
_KNOWN = frozenset(claim for claims in BY_SCOPE.values() for claim in claims)


@dataclass(frozen=True, slots=True)
class ClaimsRequest:
    """The claims parameter (OIDC Core §5.5): claim to what is asked of it, for each of the two places."""

    userinfo: Mapping[str, Any] = field(default_factory=dict)
    id_token: Mapping[str, Any] = field(default_factory=dict)

    def names(self) -> tuple[str, ...]:
        """Return the claims of a person that are asked for one by one."""
        return tuple(sorted((self.userinfo.keys() | self.id_token.keys()) & _KNOWN))

    @property
    def subject(self) -> str:
        """The `sub` of the only person that will do (OIDC Core §5.5.1); empty if it may be anybody."""
        for part in (self.id_token, self.userinfo):
            value = (part.get("sub") or {}).get("value")
            if isinstance(value, str):
                return value
        return ""

    @property
    def essential_acr(self) -> tuple[str, ...]:
        """The classes of which the sign-in must have one (OIDC Core §5.5.1.1)."""
        asked = self.id_token.get("acr") or {}
        return acr.requested(asked) if asked.get("essential") is True else ()


def read_request(text: str) -> ClaimsRequest:
    """Return what a claims parameter asks for.

    Raises:
        InvalidRequest: it is no JSON object of objects.
    """
    if not text:
        return ClaimsRequest()
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise InvalidRequest("claims is no JSON") from None
    if not isinstance(value, dict):
        raise InvalidRequest("claims must be a JSON object")
    parts = [value.get(name) or {} for name in ("userinfo", "id_token")]
    if not all(isinstance(part, dict) for part in parts):
        raise InvalidRequest("userinfo and id_token in claims must be objects")
    for asked in (asked for part in parts for asked in part.values()):
        if asked is not None and not isinstance(asked, dict):
            raise InvalidRequest("a member of claims must be null or an object")
    return ClaimsRequest(*parts)


def released(user: User, scope: str, asked: Mapping[str, Any], server: Server) -> dict[str, Any]:
    """Return the claims of a person that a scope, and names asked for one by one, let a client see (S-153).

    One by one there are those of OIDC Core only: what else is known of a person is nobody's guess.
    """
    granted = scope.split()
    wanted = {claim for word in granted for claim in claims_of(word, server)} | (asked.keys() & _KNOWN)
    have = _of(user)
    return {name: have[name] for name in sorted(wanted) if name in have}


def claims_of(word: str, server: Server) -> tuple[str, ...]:
    """Return the claims that a word of a scope stands for."""
    return BY_SCOPE.get(word) or tuple(server.settings.scope_claims.get(word, ()))


def _own(server: Server) -> set[str]:
    """The claims that scopes of one's own stand for."""
    return {claim for claims in server.settings.scope_claims.values() for claim in claims}


def _of(user: User) -> dict[str, Any]:
    """Every claim that there is of a person; what has no value is left out (OIDC Core §5.3.2)."""
    own: dict[str, Any] = {
        "name": user.display_name or None,
        "preferred_username": user.name,
        "updated_at": user.updated_at,
    }
    if user.email:
        own |= {"email": user.email, "email_verified": user.email_verified}
    every = {**user.claims, **own}
    return {name: value for name, value in every.items() if value is not None}


FEATURE = Feature(
    name="claims",
    specs=("OpenID Connect Core §5",),
    openid_metadata=lambda server: {
        "claims_supported": ["sub", "iss", "auth_time", "acr", "amr", *sorted(_KNOWN | _own(server))],
        "claim_types_supported": ["normal"],
        "claims_parameter_supported": True,
    },
    metadata=lambda server: {
        "scopes_supported": ["openid", *BY_SCOPE, "offline_access", *server.settings.scope_claims]
    },
)
