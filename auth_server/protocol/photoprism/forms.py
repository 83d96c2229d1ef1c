"""Members of JSON bodies as PhotoPrism reads them: by name in whatever case, all of them strings."""

from collections.abc import Collection, Mapping
from typing import Any

from auth_server.errors import InvalidInput


def read_texts(members: Mapping[str, Any], known: Collection[str]) -> dict[str, str]:
    """Return the members that are known, by their names in lower case; others are ignored, and null is absent.

    Raises:
        InvalidInput: one of them is no string, or there twice.
    """
    values: dict[str, str] = {}
    for given, value in members.items():
        name = given.lower()
        if name not in known or value is None:
            continue
        if not isinstance(value, str) or name in values:
            raise InvalidInput(name, "must be a string, and given once")
        values[name] = value
    return values
