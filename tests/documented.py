"""The server that the document's examples speak of: jane, an admin, with her tokens; a client with its own."""

from base64 import b32decode
from typing import Any

from auth_server.domain.credentials import digest
from auth_server.domain.sealing import Sealing, read_key
from auth_server.domain.tokens import Token
from auth_server.protocol import examples
from auth_server.store.records import Passcode, User
from tests.sites import Site

SCOPES = {examples.SESSION_TOKEN: "", examples.APP_PASSWORD: "sessions webdav", examples.CLIENT_TOKEN: "metrics"}


def prepare(here: Site) -> None:
    """Make all of them."""
    server, now = here.server, here.clock()
    hashed = server.passwords.hash(examples.PASSWORD)
    server.records.users.add(
        User(examples.UID, examples.NAME, "admin", now, now, display_name="Jane", password_hash=hashed, login_at=now)
    )
    client = {"client_id": examples.CLIENT_ID, "client_name": "Monitoring", "scope": "metrics introspect"}
    server.clients.add(client, examples.CLIENT_SECRET)
    jane: dict[str, Any] = {"subject": examples.UID, "created_at": now, "expires_at": now + 1209600}
    for value, details in {
        examples.SESSION_TOKEN: {**jane, "provider": "local", "method": "default", "grant_type": "password"},
        examples.APP_PASSWORD: {
            **jane,
            "provider": "application",
            "method": "default",
            "grant_type": "cli",
            "client_name": "Sync",
        },
        examples.CLIENT_TOKEN: {
            "provider": "client",
            "method": "oauth2",
            "grant_type": "client_credentials",
            "client_id": examples.CLIENT_ID,
            "created_at": now,
            "expires_at": now + 86400,
        },
    }.items():
        server.tokens.issue(Token(digest(value), scope=SCOPES[value], **details))
    sealing = Sealing(read_key(None, server.settings.keys_path, server.random, may_create=False), server.random)
    key = sealing.seal(b32decode(examples.KEY), f"passcode {examples.UID}")
    server.records.passcodes.put(Passcode(examples.UID, key, "", now, now, verified_at=now))
