"""The cookie by which a browser is known on our pages (ASVS 3.3)."""

from auth_server.domain.browsers import Browser
from auth_server.protocol.messages import Request
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
