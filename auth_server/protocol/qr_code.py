"""QR codes as images (ISO/IEC 18004), for the authenticator apps of people and the screens of devices."""

import struct
import zlib
from base64 import b64encode

SIZE = 350  # pixels of the image, each way
QUIET = 4  # modules without ink around the code (ISO/IEC 18004 §5.3.8)
LEAST = 3  # pixels of a module, for the cameras' sake


def data_uri(text: str) -> str:
    """Return *text* as a QR code in a data URI."""
    return "data:image/png;base64," + b64encode(png(text)).decode()


def png(text: str) -> bytes:
    """Return *text* as a QR code: an image 350 pixels wide, or wider where the text is very long."""
    import segno  # loaded with the first one

    matrix = segno.make(text, error="m", micro=False).matrix
    width = len(matrix) + 2 * QUIET
    scale = max(LEAST, SIZE // width)
    size = max(SIZE, scale * width)
    return _png(matrix, scale, size)


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
