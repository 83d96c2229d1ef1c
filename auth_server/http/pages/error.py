"""The page that tells a person what went wrong, and what to do."""

from flask import has_request_context
from flask import request as flask_request
from flask_babel import LazyString, gettext, lazy_gettext

from auth_server.http.pages.language import LANGUAGES, choose
from auth_server.http.pages.page import page_response, rendered
from auth_server.protocol.messages import Headers, Response

_BACK = lazy_gettext("Go back to where you came from, and try again.")
# Status to title, text and advice; 400 stands for all that is not named.
_TEXTS: dict[int, tuple[LazyString, LazyString, LazyString | str]] = {
    400: (
        lazy_gettext("That did not work"),
        lazy_gettext("This server could not understand what it was asked."),
        _BACK,
    ),
    401: (lazy_gettext("Please sign in"), lazy_gettext("This page is for those who are signed in."), _BACK),
    403: (lazy_gettext("That was not allowed"), lazy_gettext("You may not do this."), _BACK),
    404: (
        lazy_gettext("Page not found"),
        lazy_gettext("There is no page at this address."),
        lazy_gettext("See whether the address is right, or go back to where you came from."),
    ),
    405: (
        lazy_gettext("That did not work"),
        lazy_gettext("This address cannot be used in that way."),
        _BACK,
    ),
    429: (
        lazy_gettext("Too many tries"),
        lazy_gettext("There were too many requests from where you are."),
        lazy_gettext("Please wait a little, then try again."),
    ),
    500: (
        lazy_gettext("Something went wrong"),
        lazy_gettext("This is a mistake of the server, not of yours."),
        lazy_gettext("Please try again. If it happens once more, tell those who run this server."),
    ),
    503: (
        lazy_gettext("Just a moment, please"),
        lazy_gettext("The server has too much to do, or one of its parts does not answer."),
        lazy_gettext("Please try again in a few seconds."),
    ),
}


def error_page(status: int, headers: Headers, text: str = "", detail: str = "", request_id: str = "") -> Response:
    """Return the page.

    Args:
        text: what went wrong, in place of what is said of every error with this status.
        detail: for those who know more.
        request_id: by which the log names a bug.
    """
    language = _language()
    title, usual, advice = _TEXTS.get(status) or _TEXTS[400]
    values = {"title": title, "advice": advice, "detail": detail, "request_id": request_id}
    body = rendered("error.html", language, text=LazyString(gettext, text) if text else usual, **values)
    return page_response(status, body, language, headers)


def _language() -> str:
    """That of the browser that asks; where no request could be read there is none."""
    if not has_request_context():
        return LANGUAGES[0]
    wanted = flask_request.args.get("ui_locales", "")
    return choose(wanted, flask_request.headers.get("Accept-Language", ""))
