"""Authentication context class references: how sure we are of a sign-in (OpenID Connect Core §2, §5.5.1.1)."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

PASSWORD, SECOND_FACTOR = "1", "2"
CLASSES = (PASSWORD, SECOND_FACTOR)  # each includes those before it


def reached(amr: Collection[str]) -> str:
    """Return the class of a sign-in, by the methods that it was proven with (RFC 8176)."""
    return SECOND_FACTOR if "mfa" in amr else PASSWORD


def requested(asked: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the classes that a request for the claim `acr` names, the best first."""
    one = asked.get("value")
    values = asked.get("values")
    named: Sequence[Any] = values if isinstance(values, list) else [one] if one is not None else []
    return tuple(value for value in named if isinstance(value, str))


def satisfies(amr: Collection[str], wanted: Sequence[str]) -> bool:
    """Tell whether a sign-in is of one of these classes; of none in particular, any will do."""
    return not wanted or told(amr, wanted) in wanted


def told(amr: Collection[str], wanted: Sequence[str]) -> str:
    """Return what a client is told: the first class it named that the sign-in includes, else what it is."""
    held = CLASSES[: CLASSES.index(reached(amr)) + 1]
    return next((name for name in wanted if name in held), held[-1])
