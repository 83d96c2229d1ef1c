"""Images that the server makes (PNG), as a camera sees them."""

import struct
import zlib


def pixels(data: bytes) -> memoryview:
    """Return the grey values of an image of one bit a pixel."""
    place, packed = 8, b""
    width, height = struct.unpack(">2I", data[16:24])
    while place < len(data):
        length, kind = struct.unpack(">I4s", data[place : place + 8])
        content = data[place + 8 : place + 8 + length]
        assert struct.unpack(">I", data[place + 8 + length :][:4])[0] == zlib.crc32(kind + content)
        packed += content if kind == b"IDAT" else b""
        place += 12 + length
    lines, row = zlib.decompress(packed), 1 + -(-width // 8)
    grey = bytearray()
    for number in range(height):
        bits = bin(int.from_bytes(b"\1" + lines[number * row + 1 : (number + 1) * row], "big"))[3:]
        grey += bytes(255 * int(bit) for bit in bits[:width])
    return memoryview(bytes(grey)).cast("B", (height, width))
