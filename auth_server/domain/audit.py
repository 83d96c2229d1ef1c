"""Audit: what happened, by whom, from where, with what outcome; kept in the store, never with a secret."""

from dataclasses import dataclass
from typing import Any

from auth_server.clock import Clock, rfc3339
from auth_server.store.records import AuditEvent, Records

MAX_TEXT = 255
EVERY_DAY = frozenset(("login.password", "login.app_password"))  # power loss may take those of the last second


@dataclass(frozen=True, slots=True)
class Actor:
    """Who has something changed, and from where.

    Args:
        name: uid of a person, `cli` for the command line, `server` for the server itself.
        client_id: the client through which they do, if any.
    """

    name: str
    client_id: str = ""
    address: str = ""


SERVER = Actor("server")


class Audit:
    """Writes audit events. There is no way to change or remove one."""

    def __init__(self, records: Records, clock: Clock) -> None:
        self._records, self._clock = records, clock

    def record(
        self,
        event: str,
        outcome: str = "ok",
        *,
        actor: str = "",
        client_id: str = "",
        address: str = "",
        **details: Any,
    ) -> None:
        """Write one event.

        Args:
            event: noun and verb, for example `login.password` or `key.rotate`.
            outcome: `ok`, or a short reason of failure.
            actor: uid or name of the person, `cli` for the command line.
            client_id: the client that asked, if one did.
            address: where the request came from.
            details: what was changed; never secrets.

        Raises:
            Unavailable: it could not be written.
        """
        write = self._records.audit.note if event in EVERY_DAY else self._records.audit.add
        write(
            AuditEvent(
                at=self._clock(),
                event=event,
                outcome=outcome[:64],
                actor=_storable(actor),
                client_id=_storable(client_id),
                address=address,
                details=details,
            )
        )

    def change(self, event: str, by: Actor, *, client_id: str = "", **details: Any) -> None:
        """Write that somebody has changed something.

        Args:
            client_id: the client that was changed; by default the one through which it was done.

        Raises:
            Unavailable: it could not be written.
        """
        self.record(event, actor=by.name, client_id=client_id or by.client_id, address=by.address, **details)


def _storable(text: str) -> str:
    """Return what somebody sent as every database takes it: no NUL, no lone surrogate, and not too long."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:MAX_TEXT])


def described(event: AuditEvent) -> dict[str, Any]:
    """Return an event as it is shown."""
    return {
        "at": rfc3339(event.at),
        "event": event.event,
        "outcome": event.outcome,
        "actor": event.actor or None,
        "client_id": event.client_id or None,
        "address": event.address or None,
        "details": dict(event.details),
    }
