"""What a client gets when a person has allowed it: a code, or what it is registered to get without one."""

import orjson

from auth_server.domain import credentials
from auth_server.domain.browsers import Browser, SignIn
from auth_server.domain.keys import base64url
from auth_server.protocol import profiles
from auth_server.protocol.authorization_grant import Allowed, kept
from auth_server.protocol.authorization_request import CODE, ID_TOKEN, TOKEN, AuthorizationRequest, authentication_of
from auth_server.protocol.endpoints.check_session import session_state
from auth_server.protocol.grants import implicit
from auth_server.protocol.messages import Response
from auth_server.protocol.server import Server
from auth_server.store.records import User
from auth_server.store.state import Entry, Kind


def grant(asked: AuthorizationRequest, browser: Browser, sign_in: SignIn, server: Server) -> Response:
    """Return the answer to the client."""
    user = server.browsers.user(sign_in)
    assert user is not None
    members: dict[str, str] = {}
    if CODE in asked.response_type:
        members["code"] = new_code(asked, sign_in, user, server)
    if TOKEN in asked.response_type:
        members |= implicit.access_token_for(asked, sign_in, user, members.get("code", ""), server)
    if ID_TOKEN in asked.response_type:
        members["id_token"] = implicit.id_token_for(asked, sign_in, user, members, server)
    members |= session_state(asked.redirect, asked.scope, browser, server)
    server.metrics.authorized(asked.client.first_party)
    return asked.redirect.answer(members, server)


def new_code(asked: AuthorizationRequest, sign_in: SignIn, user: User, server: Server) -> str:
    """Return a code, shown this once; what it stands for is kept under its digest."""
    code = base64url(server.random(32)).decode()
    key, now = credentials.digest(code), server.clock()
    versions = (user.password_version, user.token_version, asked.client.token_version)
    authentication = authentication_of(asked, sign_in)
    known = {
        **kept(Allowed(asked.scope, authentication, key, *versions, tuple(asked.claims.userinfo), asked.jkt)),
        "redirect_uri": asked.redirect.uri,
        "redirect_given": asked.redirect.given,
        "challenge": asked.challenge,
    }
    expires_at = now + min(server.settings.code_ttl, profiles.of(asked.client).code_ttl)
    entry = Entry(key, expires_at, orjson.dumps(known), asked.client.client_id, user.uid, family=key)
    server.state.put(Kind.CODE, entry, now)
    return code
