"""The server that the document's examples speak of.

There are jane, an admin, with her tokens and a second factor that waits; maria, whose second factor is in force; a
client with its token; and a client that has registered itself.
"""

from base64 import b32decode
from dataclasses import replace
from typing import Any

from auth_server.domain.credentials import digest
from auth_server.domain.sealing import Sealing, read_key
from auth_server.domain.tokens import Token
from auth_server.protocol import examples
from auth_server.protocol.server import Server
from auth_server.store.records import Passcode, User

SCOPES = {
    examples.SESSION_TOKEN: "",
    examples.APP_PASSWORD: "sessions webdav",
    examples.CLIENT_TOKEN: "metrics",
    examples.OPENID_TOKEN: "openid profile email",
}


def prepare(server: Server) -> None:
    """Make all of them."""
    now = server.clock()
    hashed = server.passwords.hash(examples.PASSWORD)
    server.records.users.add(
        User(examples.UID, examples.NAME, "admin", now, now, display_name="Jane", password_hash=hashed, login_at=now)
    )
    client = {
        "client_id": examples.CLIENT_ID,
        "client_name": "Monitoring",
        "scope": "metrics introspect",
        "grant_types": ("client_credentials", "authorization_code", "urn:ietf:params:oauth:grant-type:device_code"),
        "redirect_uris": (examples.REDIRECT_URI,),
    }
    server.clients.add(client, examples.CLIENT_SECRET)
    registered = {
        "client_id": examples.REGISTERED_ID,
        "client_name": "Album",
        "redirect_uris": (examples.REDIRECT_URI,),
        "response_types": ("code",),
        "grant_types": ("authorization_code",),
        "metadata": {"application_type": "web"},
        "strict_auth_method": True,
        "registration_token": digest(examples.REGISTRATION_TOKEN).hex(),
    }
    server.clients.add(registered)
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
        examples.OPENID_TOKEN: {
            **jane,
            "provider": "client",
            "method": "oauth2",
            "grant_type": "authorization_code",
            "client_id": examples.CLIENT_ID,
        },
    }.items():
        server.tokens.issue(Token(digest(value), scope=SCOPES[value], **details))
    server.records.users.add(User(examples.CAREFUL_UID, examples.CAREFUL_NAME, "user", now, now, password_hash=hashed))
    sealing = Sealing(read_key(None, server.settings.keys_path, server.random, may_create=False), server.random)
    for uid in (examples.UID, examples.CAREFUL_UID):
        key = sealing.seal(b32decode(examples.KEY), f"passcode {uid}")
        server.records.passcodes.put(Passcode(uid, key, "", now, now, verified_at=now))
    waiting = server.records.passcodes.get(examples.CAREFUL_UID, active=False)
    assert waiting is not None
    server.records.passcodes.activate(waiting, now, lambda user: replace(user, auth_method="2fa"))
