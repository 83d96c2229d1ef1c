"""The table of contents: every feature of the protocol, in the order in which they have a say."""

from auth_server.protocol import client_authentication
from auth_server.protocol.endpoints import discovery, introspection, jwks, revocation, token
from auth_server.protocol.extensions import client_assertion
from auth_server.protocol.feature import Feature
from auth_server.protocol.grants import client_credentials
from auth_server.protocol.photoprism import config, grants, password, session
from auth_server.protocol.tokens import access_token

FEATURES: tuple[Feature, ...] = (
    discovery.FEATURE,
    jwks.FEATURE,
    client_authentication.FEATURE,
    client_assertion.FEATURE,
    token.FEATURE,
    client_credentials.FEATURE,
    access_token.FEATURE,
    introspection.FEATURE,
    revocation.FEATURE,
    session.FEATURE,
    password.FEATURE,
    grants.FEATURE,
    config.FEATURE,
)
