"""Forms that a page of another site posts in a person's browser (OIDC Core §3.1.2.1, RP-Initiated Logout §2).

The browser keeps our cookie from them (SameSite=Lax), so that nobody seems to be signed in, and a new cookie would take
the place of the one that it has. It sends the cookie along with a link.
"""

from urllib.parse import urlencode

from auth_server.protocol.browser_cookie import value_of
from auth_server.protocol.messages import Request, Response
from auth_server.protocol.server import Server

MAX_QUERY = 6000  # characters: what every browser and our own servers bear in a link


def as_link(request: Request, path: str, server: Server) -> Response | None:
    """Return an answer that lets the browser ask the same by a link; None if it has sent its cookie, or asks by one.

    Args:
        path: of the endpoint.
    """
    if request.method != "POST" or value_of(request, server):
        return None
    query = urlencode(request.pairs)
    if len(query) > MAX_QUERY:
        return None
    return Response(303, b"", (("Location", f"{server.url(path)}?{query}"),))
