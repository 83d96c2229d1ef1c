"""JSON that every program reads alike (RFC 7493): only that comes back from every store as it was."""

import orjson

from auth_server.errors import InvalidInput


def check(field: str, value: object, most: int) -> None:
    """See that a value is such JSON.

    Args:
        most: bytes that it may take.

    Raises:
        InvalidInput: it holds a number like NaN or beyond 64 bits or half a character, or is too deep or too long.
    """
    try:
        text = orjson.dumps(value)
        same = orjson.loads(text) == value  # NaN would come back as null
    except (TypeError, ValueError):
        text, same = b"", False
    if not same:
        raise InvalidInput(field, "must hold no NaN, no number beyond 64 bits, no half character, no 250 levels")
    if len(text) > most:
        raise InvalidInput(field, f"must have at most {most} bytes as JSON")
