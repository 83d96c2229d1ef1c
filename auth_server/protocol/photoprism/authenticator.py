"""What an authenticator app reads: a key URI (photoprism-contract sections 1 and 6)."""

from urllib.parse import quote

from auth_server.domain.second_factor import DIGITS, PERIOD
from auth_server.protocol.photoprism import constants

MAX_LABEL = 64  # characters of issuer and account


def key_uri(name: str, secret: str) -> str:
    """Return what an authenticator app reads.

    Args:
        name: of the account.
        secret: the key in base 32.
    """
    issuer = quote(str(constants.CONFIG["appName"])[:MAX_LABEL], safe="")
    account = quote(name[:MAX_LABEL], safe="")
    query = f"algorithm=SHA1&digits={DIGITS}&issuer={issuer}&period={PERIOD}&secret={secret}"
    return f"otpauth://totp/{issuer}:{account}?{query}"
