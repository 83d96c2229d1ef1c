"""Every URL of the server, in one place: for the router, and for the document that describes them."""

from collections.abc import Iterable

from auth_server.http import operations
from auth_server.http.admin import keys
from auth_server.http.documentation import Documentation
from auth_server.http.pages import (
    account,
    change_password,
    consent,
    device,
    login,
    logo,
    logout,
    select_account,
    static,
)
from auth_server.protocol.feature import Endpoint, Feature

OWN = (*operations.ENDPOINTS, *keys.ENDPOINTS)
# For people: the document tells programs of the rest.
PAGES = (
    *login.ENDPOINTS,
    *consent.ENDPOINTS,
    *logout.ENDPOINTS,
    *device.ENDPOINTS,
    *select_account.ENDPOINTS,
    *change_password.ENDPOINTS,
    *account.ENDPOINTS,
    *static.ENDPOINTS,
    *logo.ENDPOINTS,
)


def documented_endpoints(features: Iterable[Feature]) -> tuple[Endpoint, ...]:
    """Return the endpoints of *features*, the server's own, and those that describe all of them."""
    described = (*(endpoint for feature in features for endpoint in feature.endpoints), *OWN)
    return (*described, *Documentation(described).endpoints)


def every_endpoint(features: Iterable[Feature]) -> tuple[Endpoint, ...]:
    """Return everything that has a URL: what the document tells of, and the pages."""
    return (*documented_endpoints(features), *PAGES)
