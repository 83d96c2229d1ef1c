"""What the server declares about itself with its default settings: endpoints, and the OpenAPI document of them."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import orjson

from auth_server.http.endpoints import documented_endpoints
from auth_server.http.openapi.document import document as describe
from auth_server.protocol.catalogue import FEATURES
from auth_server.protocol.feature import Endpoint
from auth_server.settings import Settings

Json = Mapping[str, Any]
ISSUER = "http://127.0.0.1:2342"
_METHODS = ("get", "head", "put", "post", "delete", "patch")


@cache
def endpoints() -> tuple[Endpoint, ...]:
    """Return all endpoints."""
    settings = Settings(issuer=ISSUER)
    return documented_endpoints([feature for feature in FEATURES if feature.enabled(settings)])


@cache
def document() -> Json:
    """Return the OpenAPI document, as the server publishes it."""
    told: Json = orjson.loads(orjson.dumps(describe(endpoints(), ISSUER)))
    return told


def operations() -> Iterator[tuple[str, str, Json]]:
    """Yield method, path and description of every operation."""
    for path, item in document()["paths"].items():
        for method, operation in item.items():
            if method in _METHODS:
                yield method.upper(), path, operation


def resolved(item: Json) -> Json:
    """Follow a reference into the document; what stands beside it wins."""
    while "$ref" in item:
        target: Any = document()
        for part in item["$ref"].removeprefix("#/").split("/"):
            target = target[part.replace("~1", "/").replace("~0", "~")]
        item = {**target, **{name: value for name, value in item.items() if name != "$ref"}}
    return item
