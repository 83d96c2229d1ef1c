"""What a protocol module may declare. Few, typed, ordered slots: a new one is a decision record."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from auth_server.domain.audit import SERVER, Actor
from auth_server.domain.client_metadata import Member
from auth_server.domain.tokens import Living
from auth_server.protocol.description import Answer, Deprecated, Example, Link, Parameter, Schema
from auth_server.protocol.messages import Request, Response
from auth_server.protocol.server import Server
from auth_server.settings import Settings
from auth_server.store.records import Client, User
from auth_server.store.state import Keep, OnceKey

Respond = Callable[[Request, Server], Response]
Responses = Mapping[int, str | tuple[str, Schema] | Answer]


class Surface(Enum):
    """How an endpoint's errors look (CONTRACT section 5)."""

    OAUTH = "oauth"
    PHOTOPRISM = "photoprism"
    PROBLEM = "problem"
    PAGE = "page"


class Body(Enum):
    """What a request body may be."""

    NONE = "none"
    FORM = "form"
    FORM_OR_JSON = "form or json"
    JSON = "json"
    ANY_JSON = "json, whatever the Content-Type says"


class Cors(Enum):
    """Whose pages may read the answer."""

    NONE = "none"
    ANY = "any"
    CLIENTS = "registered origins of public clients"


@dataclass(frozen=True)
class Operation:
    """One method of an endpoint, with what OpenAPI tells of it.

    Args:
        query: parameters that may stand in the query string; a text alone describes a string.
        request: JSON schema of the body.
        responses: status to description, to a pair of description and JSON schema, or to an Answer. Errors that
            follow from path, body, query and security need no mention, nor does the form of an error.
        security: OpenAPI security schemes, any of which will do; empty for none, `optional` for one more way: none.
        scope: the word that a bearer token's scope must name, where the operation asks for one.
        produces: Content-Type of what succeeds.
        examples: by name; those with a body are shown with it, and each is shown with the answer of its status.
        links: by name, what can be asked next with the answer of the first status that succeeds.
        deprecated: the one declaration that sets the headers and marks it in the document.
    """

    method: str
    respond: Respond
    summary: str
    description: str = ""
    query: Mapping[str, str | Parameter] = field(default_factory=dict)
    request: Schema | None = None
    responses: Responses = field(default_factory=dict)
    security: tuple[str, ...] = ()
    scope: str = ""
    produces: str = "application/json"
    examples: Mapping[str, Example] = field(default_factory=dict)
    links: Mapping[str, Link] = field(default_factory=dict)
    deprecated: Deprecated | None = None


@dataclass(frozen=True)
class Endpoint:
    """A URL.

    Args:
        path: with placeholders like `<id>`; relative to the issuer.
        lane: whether its exact path is served without Flask.
        body: what POST, PUT and DELETE may carry.
        cacheable: whether answers set their own Cache-Control; all others are no-store.
        policy: Content-Security-Policy of its answers, where the one that forbids everything is too strict.
        repeats: whether it takes all parameters as they come, and judges repeated ones itself.
        arguments: what stands in the path's placeholders; a text alone describes a string.
    """

    path: str
    surface: Surface
    operations: tuple[Operation, ...]
    tag: str
    body: Body = Body.NONE
    lane: bool = False
    cors: Cors = Cors.NONE
    cacheable: bool = False
    policy: str = ""
    repeats: bool = False
    arguments: Mapping[str, str | Parameter] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Proof:
    """That whoever asks holds a key, to which tokens are bound.

    Args:
        jkt: the key's thumbprint (RFC 7638), as tokens name it (RFC 9449 §6).
        once: the proof itself, to be spent before anything is written.
    """

    jkt: str
    once: OnceKey


@dataclass(slots=True)  # not frozen: one is made on every request, and that takes five times as long
class Caller:
    """Who asks the token endpoint: a client that authenticated, or a person with a token.

    Args:
        method: the client authentication method that was used.
        once: values to be spent before anything is written.
        proof: of the key that its tokens are to be bound to; None without one.
    """

    client: Client | None = None
    living: Living | None = None
    method: str = ""
    once: tuple[OnceKey, ...] = ()
    proof: Proof | None = None


@dataclass(slots=True)  # not frozen, as above
class Authorization:
    """What a grant allows: everything that a token needs to be issued."""

    provider: str
    method: str
    grant_type: str
    scope: str
    ttl: int | None  # seconds; None: never expires
    client: Client | None = None
    user: User | None = None
    client_name: str = ""
    audience: tuple[str, ...] = ()
    form: str = "opaque"  # opaque, jwt or app_password
    keep: Keep | None = None
    by: Actor = SERVER  # who has it made, for the audit of durable tokens
    family: bytes | None = None  # what else came of the same authorization: 32 bytes
    password_version: int = 0  # of the person when they allowed it; 0 where a new password does not end it
    sid: str = ""  # of the sign-in that the token ends with; empty for one that outlives it
    userinfo_claims: tuple[str, ...] = ()  # that the person allowed one by one (OIDC Core §5.5)
    cnf: Mapping[str, str] | None = None  # the key that the token is bound to (RFC 7800)
    beside: Callable[[str], Mapping[str, object]] | None = None  # what the answer holds beside this access token


@dataclass(frozen=True)
class Grant:
    """A grant_type of the token endpoint.

    Args:
        authenticate: who asks; by default the client.
        authorize: what is granted, or an OAuthError.
        registrable: whether clients register for it; discovery names every grant.
        only_issues: whether all that it leaves in a store is the token: then it may be tried, and done again.
    """

    grant_type: str
    authenticate: Callable[[Request, Server], Caller]
    authorize: Callable[[Request, Caller, Server], Authorization]
    registrable: bool = True
    only_issues: bool = False


Authenticate = Callable[[Request, Server], Caller]


@dataclass(frozen=True)
class ClientAuth:
    """A client authentication method. Assertions are recognised by their type; the others are RFC 6749's own."""

    method: str
    assertion_type: str = ""
    authenticate: Authenticate | None = None
    confidential: bool = True


@dataclass(frozen=True)
class Feature:
    """One module's declaration: everything it adds to the server.

    Args:
        specs: the specifications it follows.
        grant_types: that clients may register for and that never come to the token endpoint.
        response_types: that clients may register for.
        client_metadata: members of RFC 7591's metadata that it adds to those of every client.
        metadata: members of RFC 8414's document that it owns; lists of several features are united.
        openid_metadata: members of OpenID Connect Discovery's document alone.
    """

    name: str
    specs: tuple[str, ...]
    enabled: Callable[[Settings], bool] = lambda settings: True
    endpoints: tuple[Endpoint, ...] = ()
    grants: tuple[Grant, ...] = ()
    client_auth: tuple[ClientAuth, ...] = ()
    grant_types: tuple[str, ...] = ()
    response_types: tuple[str, ...] = ()
    client_metadata: tuple[Member, ...] = ()
    metadata: Callable[[Server], Mapping[str, Any]] = lambda server: {}
    openid_metadata: Callable[[Server], Mapping[str, Any]] = lambda server: {}
