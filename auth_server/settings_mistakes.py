"""What is told of a wrong setting: one sentence, beginning with its name, that says what to write instead."""

from collections.abc import Collection, Mapping
from typing import Any

SHOWN = 64  # characters of a wrong value at most; only of kinds that are never secret


def sentence(problem: Mapping[str, Any], names: Collection[str]) -> str:
    """Return what to tell.

    Args:
        problem: from pydantic's ValidationError.errors().
        names: those of all settings.
    """
    name = str(problem["loc"][0]).upper()
    if problem["type"] == "extra_forbidden" and isinstance(problem["input"], dict):
        return f"{name}: is a table, and settings stand in none; write them at the top of the file"
    if problem["type"] == "extra_forbidden":
        return f"{name}: is not a setting{nearest(name, names)}"
    if name == "PORT" and str(problem["input"]).startswith("tcp://"):
        return (
            "PORT: is what Kubernetes sets for a service named auth-server; set enableServiceLinks: false in the pod,"
            " or give the service another name"
        )
    return f"{name}: {_wanted(problem)}"


def _wanted(problem: Mapping[str, Any]) -> str:
    limits, value = problem.get("ctx", {}), f"{problem['input']!r}"[:SHOWN]
    match "list_type" if problem["loc"][1:] else problem["type"]:
        case "int_parsing" | "int_type" | "int_from_float" | "int_parsing_size":
            return f"must be a whole number, not {value}"
        case "greater_than_equal":
            return f"must be at least {limits['ge']}, not {value}"
        case "less_than_equal":
            return f"must be at most {limits['le']}, not {value}"
        case "literal_error":
            return f"must be {limits['expected']}, not {value}"
        case "bool_parsing" | "bool_type":
            return f"must be on or off, not {value}"
        case "string_too_short":
            return f"must have at least {limits['min_length']} character"
        case "string_too_long":
            return f"must have at most {limits['max_length']} characters"
        case "list_type":
            return "must be a list of texts"
        case "string_type" | "path_type":
            return "must be text, in quotes"
        case _:
            told: str = problem["msg"]
            return told.removeprefix("Value error, ")


def nearest(name: str, names: Collection[str], ending: str = "") -> str:
    """Return a question whether another name was meant; empty if none is like it."""
    from difflib import get_close_matches  # only where something is wrong

    near = get_close_matches(name.lower().removeprefix("auth_server_"), names, 1)
    return f"; did you mean {near[0].upper()}{ending}?" if near else ""
