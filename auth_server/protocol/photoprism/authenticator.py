"""What an authenticator app reads: a key URI, and that as a QR code (photoprism-contract sections 1 and 6)."""

import struct
import zlib
from base64 import b64encode
from urllib.parse import quote

from auth_server.domain.second_factor import DIGITS, PERIOD
from auth_server.protocol.photoprism import constants

MAX_LABEL = 64  # characters of issuer and account
SIZE = 350  # pixels of the QR code, each way
QUIET = 4  # modules without ink around it (ISO/IEC 18004 §5.3.8)
LEAST = 3  # pixels of a module, for the cameras' sake


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


def qr_code(text: str) -> str:
    """Return *text* as a QR code: a PNG in a data URI, 350 pixels wide, or wider where the text is very long."""
    import segno  # loaded with the first one

    matrix = segno.make(text, error="m", micro=False).matrix
    width = len(matrix) + 2 * QUIET
    scale = max(LEAST, SIZE // width)
    size = max(SIZE, scale * width)
    return "data:image/png;base64," + b64encode(_png(matrix, scale, size)).decode()


def _png(matrix: tuple[bytearray, ...], scale: int, size: int) -> bytes:
    """Return an image in black and white with the modules in its middle; segno's own knows only multiples of them."""
    before = (size - scale * len(matrix)) // 2
    after = size - scale * len(matrix) - before
    white = "1" * size
    rows = [white] * before
    for modules in matrix:
        ink = "".join(("0" if module else "1") * scale for module in modules)
        rows += ["1" * before + ink + "1" * after] * scale
    rows += [white] * after
    width = -(-size // 8)
    lines = b"".join(b"\0" + int(row.ljust(8 * width, "1"), 2).to_bytes(width, "big") for row in rows)
    header = struct.pack(">2I5B", size, size, 1, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
