"""Packs a screenshot into a palette of 256 colours: a third of its bytes, and the eye sees none.

A screen of text has few colours and many shades of each between letter and ground. The most
frequent ones are kept as they are and every other pixel takes the nearest of them. It needs no
library: what Chromium writes is eight bits a channel, without interlace.
"""

import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from typing import Final

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
COLOURS_MAX: Final = 256

Colour = bytes


def repacked(png: bytes) -> bytes:
    """Return the same picture with a palette, as small as zlib makes it."""
    width, height, channels, raw = _read(png)
    stride = width * channels
    pixels = _unfiltered(raw, height, stride, channels)
    colours = [bytes(pixels[i : i + 3]) for i in range(0, len(pixels), channels)]
    counted = Counter(colours)
    kept = [colour for colour, _ in counted.most_common(COLOURS_MAX)]
    number = {colour: i for i, colour in enumerate(kept)}
    for colour in counted:
        if colour not in number:
            number[colour] = min(range(len(kept)), key=lambda i: _apart(kept[i], colour))
    rows = bytearray()
    for y in range(height):
        rows.append(0)  # no filter: numbers of a palette have no neighbours
        rows += bytes(number[c] for c in colours[y * width : (y + 1) * width])
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    return b"".join(
        (
            SIGNATURE,
            _chunk(b"IHDR", header),
            _chunk(b"PLTE", b"".join(kept)),
            _chunk(b"IDAT", zlib.compress(bytes(rows), 9)),
            _chunk(b"IEND", b""),
        )
    )


def _apart(one: Colour, other: Colour) -> int:
    """Return how far apart two colours are; the eye is keenest for green."""
    red, green, blue = (a - b for a, b in zip(one, other, strict=True))
    return 3 * red * red + 6 * green * green + blue * blue


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(SIGNATURE)
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        yield png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        at += length + 12


def _chunk(kind: bytes, body: bytes) -> bytes:
    check = zlib.crc32(kind + body)
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", check)


def _read(png: bytes) -> tuple[int, int, int, bytes]:
    assert png.startswith(SIGNATURE), "no PNG"
    found = list(_chunks(png))
    width, height, depth, kind, _, _, interlace = struct.unpack(">IIBBBBB", found[0][1])
    assert (depth, interlace) == (8, 0), "eight bits a channel, without interlace"
    channels = {2: 3, 6: 4}[kind]
    body = b"".join(body for name, body in found if name == b"IDAT")
    return width, height, channels, zlib.decompress(body)


def _unfiltered(raw: bytes, height: int, stride: int, step: int) -> bytearray:
    """Undo the five filters of PNG, row by row."""
    out = bytearray()
    above = bytearray(stride)
    for y in range(height):
        start = y * (stride + 1)
        kind, row = raw[start], bytearray(raw[start + 1 : start + 1 + stride])
        if kind:
            _undo(kind, row, above, step)
        out += row
        above = row
    return out


def _undo(kind: int, row: bytearray, above: bytearray, step: int) -> None:
    for i in range(len(row)):
        left = row[i - step] if i >= step else 0
        corner = above[i - step] if i >= step else 0
        guess = (0, left, above[i], (left + above[i]) // 2, _paeth(left, above[i], corner))[kind]
        row[i] = (row[i] + guess) & 0xFF


def _paeth(left: int, up: int, corner: int) -> int:
    near = left + up - corner
    return min((left, up, corner), key=lambda one: abs(near - one))
