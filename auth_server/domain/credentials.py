"""Formats of tokens, identifiers and secrets: how they are made, recognised and digested.

The formats are PhotoPrism's, but for client secrets, which are longer (256 bits).
"""

import re
import zlib
from hashlib import sha256
from hmac import compare_digest

from auth_server.clock import Random

BASE36 = "abcdefghijklmnopqrstuvwxyz0123456789"
BASE62 = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_DIGITS36 = "0123456789abcdefghijklmnopqrstuvwxyz"

ACCESS_TOKEN = re.compile(r"[0-9a-f]{48}", re.ASCII).fullmatch
_APP_PASSWORD = re.compile(r"[0-9A-Za-z]{6}(?:-[0-9A-Za-z]{6}){3}", re.ASCII).fullmatch
JWT = re.compile(r"[A-Za-z0-9_-]{1,4096}\.[A-Za-z0-9_-]{1,8192}\.[A-Za-z0-9_-]{1,2048}", re.ASCII).fullmatch
SESSION_ID = re.compile(r"[0-9a-f]{64}", re.ASCII).fullmatch
REF_ID = re.compile(r"sess[0-9a-z]{8}", re.ASCII).fullmatch
CLIENT_ID = re.compile(r"[A-Za-z0-9._~:/-]{1,255}", re.ASCII).fullmatch
CLIENT_SECRET = re.compile(r"[!-~]{32,128}", re.ASCII).fullmatch

ACCESS_TOKEN_LENGTH = 48
APP_PASSWORD_LENGTH = 27
SECRET_LENGTH = 43  # base-62 characters: 256 bits


def random_text(random: Random, alphabet: str, length: int) -> str:
    """Return *length* characters of *alphabet*, each equally likely."""
    limit = 256 - 256 % len(alphabet)  # bytes above would favour the first letters
    text = ""
    while len(text) < length:
        text += "".join(alphabet[byte % len(alphabet)] for byte in random(length - len(text) + 8) if byte < limit)
    return text[:length]


def new_access_token(random: Random) -> str:
    """Return an opaque access token: 24 random bytes as 48 hex digits."""
    return random(24).hex()


def new_app_password(random: Random) -> str:
    """Return an app password: `xxxxxx-xxxxxx-xxxxxx-xxxxxx`, its last character a check character."""
    text = random_text(random, BASE62, 23)
    body = f"{text[:6]}-{text[6:12]}-{text[12:18]}-{text[18:]}"
    return body + check_character(body)


def check_character(body: str) -> str:
    """Return the check character of an app password's first 26 characters: CRC-32 modulo 62 in base 62."""
    return BASE62[zlib.crc32(body.encode("ascii")) % 62]


def is_app_password(value: str) -> bool:
    """Tell whether *value* has an app password's form and its check character is right."""
    return _APP_PASSWORD(value) is not None and value[26] == check_character(value[:26])


def is_token(value: str) -> bool:
    """Tell whether *value* has the form of any token of ours; what has not is refused without a lookup."""
    return bool(ACCESS_TOKEN(value)) or is_app_password(value) or bool(JWT(value))


def digest(value: str) -> bytes:
    """Return the SHA-256 under which a token or secret is kept: 32 bytes; in hex digits PhotoPrism's session id."""
    return sha256(value.encode()).digest()


def secret_matches(secret: str, stored_digest: str) -> bool:
    """Compare a secret with a stored digest (hex digits) in constant time."""
    return compare_digest(sha256(secret.encode("utf-8", "surrogatepass")).hexdigest(), stored_digest)


def ref_id(key: bytes) -> str:
    """Return the short name of a token: `sess` and the first 41 bits of its digest in base 36.

    Derived, not drawn: it is found by a range of digests, without an index of its own.
    """
    number = int.from_bytes(key[:6], "big") >> 7
    text = ""
    for _ in range(8):
        number, digit = divmod(number, 36)
        text = _DIGITS36[digit] + text
    return "sess" + text


def ref_id_prefix(ref: str) -> str | None:
    """Return the first ten hex digits of the digests that *ref* names; None if it is no ref id of ours."""
    if not REF_ID(ref):
        return None
    number = int(ref[4:], 36)
    return f"{number >> 1:010x}" if number < 1 << 41 else None


def new_uid(random: Random, prefix: str, now: int) -> str:
    """Return a unique id of 16 characters: the prefix, six of the time in base 36, nine random ones."""
    stamp = ""
    while now:
        now, digit = divmod(now, 36)
        stamp = _DIGITS36[digit] + stamp
    return prefix + stamp[:6] + random_text(random, BASE36, 9)


def new_client_secret(random: Random) -> str:
    """Return a client secret: 43 base-62 characters, 256 bits."""
    return random_text(random, BASE62, SECRET_LENGTH)


def new_password(random: Random) -> str:
    """Return a password for a person who will change it: 20 characters without look-alikes, in groups of five."""
    text = random_text(random, "abcdefghijkmnpqrstuvwxyzACDEFGHJKLMNPQRTUVWXY34679", 20)
    return "-".join(text[i : i + 5] for i in range(0, 20, 5))
