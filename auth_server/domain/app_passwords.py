"""App passwords: the rules for their names, scopes and lifetimes, on every road that makes one."""

from auth_server.domain import scopes
from auth_server.errors import InvalidInput, Refused

MAX_NAME = 160
MAX_TTL = 315360000  # seconds
_SWITCHES = frozenset(("", "true", "false", "*"))


def checked_name(text: str) -> str:
    """Return the name of an app password: without control characters, with single blanks.

    Raises:
        InvalidInput: nothing is left of it, or it has more than 160 characters.
    """
    name = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    if not 0 < len(name) <= MAX_NAME:
        raise InvalidInput("client_name", f"must have 1 to {MAX_NAME} printable characters")
    return name


def checked_scope(text: str) -> str:
    """Return the scope of an app password in normal form.

    Raises:
        InvalidInput: it is malformed or empty; or it has a word like `photos:view`, which would cover nothing.
        Refused: it names a word that app passwords never reach, such as `admin:keys`.
    """
    scope = scopes.normal(text) if scopes.is_valid(text) else ""
    if not scope:
        raise InvalidInput("scope", "must be words parted by blanks, for example: sessions webdav")
    for word in scope.split():
        if scopes.is_named(word):
            raise Refused("scope", f"an app password never has {word}; give it to a client of its own")
        if word.partition(":")[2] not in _SWITCHES:
            raise InvalidInput("scope", f"{word} would cover nothing; write {word.partition(':')[0]}")
    return scope


def checked_ttl(seconds: int | None, default: int) -> int | None:
    """Return how long an app password lives, in seconds; None for ever.

    Args:
        seconds: as asked; None takes the default. 0 and -1, of either, mean for ever.

    Raises:
        InvalidInput: any other negative number, or more than ten years.
    """
    if seconds is None:
        seconds = default
    if not -1 <= seconds <= MAX_TTL:
        raise InvalidInput("expires_in", f"must be 1 to {MAX_TTL} seconds, or -1 for never")
    return seconds if seconds > 0 else None
