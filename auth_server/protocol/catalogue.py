"""The table of contents: every feature of the protocol, in the order in which they have a say."""

from auth_server.protocol import client_authentication, profiles
from auth_server.protocol.endpoints import (
    authorization,
    check_session,
    client_configuration,
    discovery,
    end_session,
    introspection,
    jwks,
    pushed_authorization,
    registration,
    revocation,
    token,
    userinfo,
)
from auth_server.protocol.extensions import (
    backchannel_logout,
    client_assertion,
    dpop,
    frontchannel_logout,
    pkce,
    request_object,
    response_modes,
)
from auth_server.protocol.feature import Feature
from auth_server.protocol.grants import (
    authorization_code,
    client_credentials,
    device_authorization,
    implicit,
    refresh_token,
)
from auth_server.protocol.photoprism import app_passwords, config, grants, passcode, password, session
from auth_server.protocol.tokens import access_token, claims, encryption, id_token

FEATURES: tuple[Feature, ...] = (
    discovery.FEATURE,
    jwks.FEATURE,
    client_authentication.FEATURE,
    client_assertion.FEATURE,
    profiles.FEATURE,
    dpop.FEATURE,
    token.FEATURE,
    client_credentials.FEATURE,
    authorization.FEATURE,
    pushed_authorization.FEATURE,
    response_modes.FEATURE,
    pkce.FEATURE,
    request_object.FEATURE,
    authorization_code.FEATURE,
    implicit.FEATURE,
    device_authorization.FEATURE,
    refresh_token.FEATURE,
    access_token.FEATURE,
    id_token.FEATURE,
    encryption.FEATURE,
    claims.FEATURE,
    userinfo.FEATURE,
    end_session.FEATURE,
    check_session.FEATURE,
    registration.FEATURE,
    client_configuration.FEATURE,
    backchannel_logout.FEATURE,
    frontchannel_logout.FEATURE,
    introspection.FEATURE,
    revocation.FEATURE,
    session.FEATURE,
    passcode.FEATURE,
    password.FEATURE,
    grants.FEATURE,
    app_passwords.FEATURE,
    config.FEATURE,
)
