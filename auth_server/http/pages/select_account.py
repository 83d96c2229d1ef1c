"""Choosing one of the accounts that are signed in on this browser (OIDC Core §3.1.2.1, prompt select_account)."""

from typing import Any
from urllib.parse import urlencode

from auth_server.http.pages.page import check_form, endpoint, show
from auth_server.protocol import interaction
from auth_server.protocol.browser_cookie import browser_of, cookies, value_of
from auth_server.protocol.interaction import PARAMETER, Step
from auth_server.protocol.messages import Request, Response
from auth_server.protocol.server import Server


def page(request: Request, server: Server) -> Response:
    """Return the accounts; or lead on, where nobody is signed in any more."""
    waiting = interaction.find(request, server)
    browser = browser_of(request, server)
    if browser is None:
        return interaction.resume(waiting, value_of(request, server), server)
    _, asked = interaction.asked_by(waiting, server)
    users = [user for one in browser.sign_ins if (user := server.browsers.user(one))]
    other = f"{server.url(Step.LOGIN.value)}?{urlencode({PARAMETER: waiting.secret})}"
    values: dict[str, Any] = {"interaction": waiting, "client": asked.client, "users": users, "other": other}
    return show("select_account.html", request, server, **values)


def submit(request: Request, server: Server) -> Response:
    """Go on with the account that was chosen, and a new cookie."""
    cookie = check_form(request, server)
    waiting = interaction.find(request, server)
    uid = request.form.get("account", "")
    chosen = server.browsers.select(cookie, uid) if uid else None
    if chosen is None:  # not one that is signed in here, or not any more
        return page(request, server)
    new, _ = chosen
    request.actor = uid
    headers = cookies(new, request, server)
    return interaction.resume(interaction.selected(waiting, uid), new, server, headers)


ENDPOINTS = (
    endpoint(Step.SELECT.value, page, submit, "Choose an account", {PARAMETER: "The request that it is for."}),
)
