"""How an authorization response travels: query and fragment (OAuth 2.0 Multiple Response Types §2.1), form_post.

Each carries `iss` (RFC 9207), so that a client of several servers knows whose answer it holds.
"""

import html
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from urllib.parse import urlencode, urlsplit

from auth_server.protocol.feature import Feature
from auth_server.protocol.messages import Response

QUERY, FRAGMENT, FORM_POST = "query", "fragment", "form_post"
MODES = (QUERY, FRAGMENT, FORM_POST)
_SUBMIT = "document.forms[0].submit()"
_SUBMIT_HASH = b64encode(sha256(_SUBMIT.encode()).digest()).decode()
_PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>Going back</title>'
    '<meta name="viewport" content="width=device-width"><form method="post" action="{action}">{fields}'
    "<noscript><p>One more step leads back to the application.</p><button>Continue</button></noscript></form>"
    "<script>{script}</script></html>"
)


def default(response_type: frozenset[str]) -> str:
    """Return the mode of a response type for which none is asked: tokens never stand in a query string."""
    return QUERY if response_type in (frozenset(("code",)), frozenset()) else FRAGMENT


def is_allowed(mode: str, response_type: frozenset[str]) -> bool:
    """Tell whether a response may travel like that (OAuth 2.0 Multiple Response Types §3)."""
    return mode in MODES and (mode != QUERY or default(response_type) == QUERY)


def answer(uri: str, mode: str, members: Mapping[str, str]) -> Response:
    """Return the answer that leads the browser back to a client, with these members.

    303, never 307: a form that held credentials must not be sent on (RFC 9700 §4.12).
    """
    if mode == FORM_POST:
        return _form_post(uri, members)
    if mode == FRAGMENT:
        location = f"{uri}#{urlencode(members)}"
    else:
        location = f"{uri}{'&' if urlsplit(uri).query else '?'}{urlencode(members)}"
    return Response(303, b"", (("Location", location),))


def _form_post(uri: str, members: Mapping[str, str]) -> Response:
    """A page that posts itself; whoever has no scripts presses a button."""
    fields = "".join(
        f'<input type="hidden" name="{html.escape(name)}" value="{html.escape(value)}">'
        for name, value in members.items()
    )
    page = _PAGE.format(action=html.escape(uri), fields=fields, script=_SUBMIT)
    parts = urlsplit(uri)
    target = f"{parts.scheme}://{parts.netloc}" if parts.netloc else f"{parts.scheme}:"
    policy = (
        f"default-src 'none'; script-src 'sha256-{_SUBMIT_HASH}'; form-action {target};"
        " base-uri 'none'; frame-ancestors 'none'"
    )
    return Response(200, page.encode(), (("Content-Type", "text/html; charset=utf-8"),), policy)


FEATURE = Feature(
    name="response_modes",
    specs=("OAuth 2.0 Multiple Response Types", "OAuth 2.0 Form Post Response Mode", "RFC 9207"),
    metadata=lambda server: {
        "response_modes_supported": list(MODES),
        "authorization_response_iss_parameter_supported": True,
    },
)
