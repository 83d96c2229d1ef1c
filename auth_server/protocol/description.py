"""What an operation tells of itself beside its code: parameters, answers, examples, links, the end of its life.

The document (http/openapi/) is written from this. A schema with a `title` becomes a component of that name, wherever
it stands, and a class of that name in generated clients.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

Schema = Mapping[str, Any]
"""JSON schema, draft 2020-12."""

TEXT: Schema = {"type": "string", "pattern": r"^[^\u0000]*$"}
SHORTEST_NOTICE = timedelta(days=365)  # docs/api-stability.md promises it


@dataclass(frozen=True)
class Parameter:
    """A parameter in a path or a query string.

    Args:
        description: what it chooses, and what holds without it.
        schema: of its value, with limits and `default`.
        required: in a query string; those of a path always are.
    """

    description: str
    schema: Schema = field(default_factory=lambda: TEXT)
    required: bool = False


@dataclass(frozen=True)
class Answer:
    """What comes back with one status.

    Args:
        schema: of the body; None for an error in the form of its surface, or for no body.
        headers: those that it always has, beside the ones of every answer: name to schema with a description.
        example: of the body, where no Example of the operation leads to it.
    """

    description: str
    schema: Schema | None = None
    headers: Mapping[str, Schema] = field(default_factory=dict)
    example: Any = None


@dataclass(frozen=True)
class Example:
    """A request that can be sent as it stands, and its answer; tests/api/test_examples.py sends every one.

    Args:
        request: the members of the body; None for no body.
        arguments: values of parameters in path and query string.
        status: of the answer.
        response: the answer's body: values of its own, but the members of the real one. None where there is none, or
            where it is an error, whose bodies the document shows anyway.
        security: which of the operation's ways to authenticate is used: by default its first, `none` for none.
    """

    summary: str
    request: Mapping[str, Any] | None = None
    arguments: Mapping[str, str | int] = field(default_factory=dict)
    status: int = 200
    response: Any = None
    security: str = ""


@dataclass(frozen=True)
class Link:
    """What can be asked next with what an answer holds (OpenAPI 3.1, Link Object).

    Args:
        operation: its operationId, for example `post_oauth_introspect`; left out where that is switched off.
        arguments: parameters to runtime expressions, for example `$response.body#/session_id`.
        request: members of the next body to runtime expressions.
    """

    operation: str
    description: str
    arguments: Mapping[str, str] = field(default_factory=dict)
    request: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Deprecated:
    """That an operation is to be avoided, and until when it is there. Headers and document follow from this.

    Args:
        since: the day of the announcement (RFC 9745).
        link: where it says what to use instead: a URL, or a path of this server.
        sunset: the first day on which it may be gone (RFC 8594); None while that is not decided.

    Raises:
        ValueError: less notice than docs/api-stability.md promises.
    """

    since: date
    link: str
    sunset: date | None = None

    def __post_init__(self) -> None:
        if self.sunset is not None and self.sunset - self.since < SHORTEST_NOTICE:
            raise ValueError(f"an operation stays for {SHORTEST_NOTICE.days} days after it was deprecated")

    def url(self, issuer: str) -> str:
        """Return where the link leads."""
        return issuer + self.link if self.link.startswith("/") else self.link
