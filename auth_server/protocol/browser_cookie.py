"""The cookies of a browser on our pages: one that it is known by (ASVS 3.3), and one that says whether that changed."""

import hmac
from functools import lru_cache

from auth_server.domain.browsers import Browser
from auth_server.domain.keys import base64url
from auth_server.protocol.messages import Headers, Request
from auth_server.protocol.server import Server


def name_of(server: Server) -> str:
    """Return the cookie's name; over https with a prefix that keeps other hosts from setting it (S-057)."""
    return "__Host-auth_server" if server.settings.is_https else "auth_server"


def value_of(request: Request, server: Server) -> str:
    """Return the cookie of the browser that asks; empty without one."""
    return request.cookie(name_of(server))


def browser_of(request: Request, server: Server) -> Browser | None:
    """Return the browser that asks, if anybody is signed in there."""
    return server.browsers.find(value_of(request, server))


def set_cookie(value: str, server: Server) -> tuple[str, str]:
    """Return the header that gives a browser its cookie; it ends with the browser, or by the server's clock."""
    secure = "; Secure" if server.settings.is_https else ""
    return "Set-Cookie", f"{name_of(server)}={value}; Path=/; HttpOnly; SameSite=Lax{secure}"


def clear_cookie(server: Server) -> tuple[str, str]:
    """Return the header that takes a browser's cookie away."""
    name, value = set_cookie("", server)
    return name, f"{value}; Max-Age=0"


def cookies(value: str, request: Request, server: Server) -> Headers:
    """Return the headers for a browser whose sign-ins have changed: its new cookie, and their state if it has that."""
    if not request.cookie(state_name_of(server)):
        return (set_cookie(value, server),)
    return set_cookie(value, server), state_cookie(server.browsers.find(value), server)


def state_name_of(server: Server) -> str:
    """Return the name of the cookie that tells scripts of ours whether the sign-ins are still the same.

    A browser gets it with the first answer that lets a client ask for that.
    """
    return f"{name_of(server)}_state"


def browser_state(browser: Browser | None, server: Server) -> str:
    """Return a value for who is signed in, from which nothing follows but whether that is still so.

    It stays the same while the same sign-ins last, in the same order: the first is whom clients are told of.
    """
    sids = " ".join([one.sid for one in browser.sign_ins]) if browser is not None else ""
    return _state(server.pairwise_key, sids)


@lru_cache(4096)
def _state(key: bytes, sids: str) -> str:
    return base64url(hmac.digest(key, f"state {sids}".encode(), "sha256")).decode()[:32]


def state_cookie(browser: Browser | None, server: Server) -> tuple[str, str]:
    """Return the header for it: the frame of check_session reads it, also within other sites' pages."""
    place = "SameSite=None; Secure" if server.settings.is_https else "SameSite=Lax"
    return "Set-Cookie", f"{state_name_of(server)}={browser_state(browser, server)}; Path=/; {place}"


def state_if_new(request: Request, browser: Browser | None, server: Server) -> Headers:
    """Return the header for it where the browser that asks does not have it yet."""
    known = request.cookie(state_name_of(server)) == browser_state(browser, server)
    return () if known else (state_cookie(browser, server),)


def with_state(headers: Headers, browser: Browser, server: Server) -> Headers:
    """Return headers with the one for it, if that is not among them."""
    wanted = state_cookie(browser, server)
    return headers if wanted in headers else (*headers, wanted)
