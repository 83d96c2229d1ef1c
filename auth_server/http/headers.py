"""Headers on every answer: security, caching, CORS."""

from datetime import UTC, date, datetime, time
from email.utils import formatdate
from functools import cache

from auth_server.domain.clients import Clients
from auth_server.protocol.description import Deprecated
from auth_server.protocol.feature import Cors, Endpoint, Surface
from auth_server.protocol.messages import Headers, Request, Response

SECURITY: Headers = (
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Robots-Tag", "noindex, nofollow"),
)
POLICY = "default-src 'none'; frame-ancestors 'none'"
NO_STORE: Headers = (("Cache-Control", "no-store"), ("Pragma", "no-cache"))
HSTS: Headers = (("Strict-Transport-Security", "max-age=31536000"),)
EXPOSED = "DPoP-Nonce, Deprecation, ETag, Link, Retry-After, Sunset, WWW-Authenticate"
ALLOWED = "Authorization, Content-Type, DPoP, If-None-Match, X-Auth-Token, X-Session-ID"


def common(issuer: str, endpoint: Endpoint | None) -> Headers:
    """Return the headers that do not depend on the request."""
    policy = (endpoint and endpoint.policy) or POLICY
    framed = "frame-ancestors *" in policy  # X-Frame-Options has no word for that
    security = tuple(pair for pair in SECURITY if not (framed and pair[0] == "X-Frame-Options"))
    headers = (*security, ("Content-Security-Policy", policy)) + (HSTS if issuer.startswith("https:") else ())
    if endpoint is None or not endpoint.cacheable:
        headers += NO_STORE
    if endpoint is not None and endpoint.cors is Cors.ANY:
        headers += (("Access-Control-Allow-Origin", "*"), ("Access-Control-Expose-Headers", EXPOSED))
    return headers


@cache
def deprecation(deprecated: Deprecated, issuer: str) -> Headers:
    """Return what every answer of a deprecated operation says: since when, until when, and where to read more."""
    link = deprecated.url(issuer)
    # RFC 9745 §2.1: a date of structured fields (RFC 9651 §3.3.7)
    headers: Headers = (("Deprecation", f"@{_midnight(deprecated.since)}"),)
    links = f'<{link}>; rel="deprecation"; type="text/html"'
    if deprecated.sunset is not None:
        headers += (("Sunset", formatdate(_midnight(deprecated.sunset), usegmt=True)),)  # RFC 8594 §3
        links += f', <{link}>; rel="sunset"; type="text/html"'
    return (*headers, ("Link", links))


def _midnight(day: date) -> int:
    return int(datetime.combine(day, time(), UTC).timestamp())


def cors(request: Request, endpoint: Endpoint, clients: Clients, extra: list[str]) -> Headers:
    """Return the CORS headers for a page of a registered public client; never with credentials (S-148).

    Args:
        extra: origins from the settings.
    """
    origin = request.header("ORIGIN")
    if endpoint.cors is not Cors.CLIENTS:
        return ()
    vary = ("Vary", "Origin")
    if not origin or origin == "null":
        return (vary,)
    origins = clients.public_origins()
    # Whoever registers a client must not be asked for people's passwords by PhotoPrism's API (docs/decisions/0015).
    if origin not in extra and origin not in (origins.every if endpoint.surface is Surface.OAUTH else origins.known):
        return (vary,)
    return (("Access-Control-Allow-Origin", origin), ("Access-Control-Expose-Headers", EXPOSED), vary)


def preflight(request: Request, endpoint: Endpoint, clients: Clients, extra: list[str]) -> Response:
    """Answer OPTIONS: what a page of another origin may send."""
    methods = ", ".join(sorted({operation.method for operation in endpoint.operations} | {"OPTIONS"}))
    allowed = cors(request, endpoint, clients, extra)
    headers: Headers = (("Allow", methods), *allowed)
    if endpoint.cors is Cors.ANY or len(allowed) > 1:
        headers += (
            ("Access-Control-Allow-Methods", methods),
            ("Access-Control-Allow-Headers", ALLOWED),
            ("Access-Control-Max-Age", "3600"),
        )
    return Response(204, b"", headers)
