"""Small colour profiles for CMYK and grey, as no package brings them along (ICC.1:2010; lut8Type is section 10.9)."""

from __future__ import annotations

import struct
from itertools import product

_WHITE = (63190, 65536, 54061)
"""D50 as XYZ, in fixed point."""


def cmyk_profile() -> bytes:
    """Return the profile of an imaginary printer, whose colours are duller than those of a plain conversion."""
    identity = bytes(range(256))
    corners = b"".join(_lab(*inks) for inks in product((0, 1), repeat=4))
    matrix = struct.pack(">9i", *(65536 * (row == column) for row, column in product(range(3), repeat=2)))
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + matrix + 4 * identity + corners + 3 * identity
    return _profile(b"prtr", b"CMYK", b"Lab ", {b"A2B0": table + bytes(-len(table) % 4)})


def grey_profile(gamma: float = 1.8) -> bytes:
    """Return the profile of grey with a gamma (curveType is section 10.5)."""
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(256 * gamma)) + bytes(2)
    return _profile(b"mntr", b"GRAY", b"XYZ ", {b"kTRC": curve})


def _profile(kind: bytes, colours: bytes, connected_by: bytes, tags: dict[bytes, bytes]) -> bytes:
    tags = {**tags, b"wtpt": b"XYZ " + bytes(4) + struct.pack(">3i", *_WHITE)}
    directory, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        directory += name + struct.pack(">II", 128 + 4 + 12 * len(tags) + len(body), len(data))
        body += data
    header = struct.pack(
        ">I4xI4s4s4s12x4s", 128 + len(directory + body), 0x02400000, kind, colours, connected_by, b"acsp"
    )
    return header.ljust(68, b"\0") + struct.pack(">3i", *_WHITE) + bytes(48) + directory + body


def _lab(cyan: int, magenta: int, yellow: int, black: int) -> bytes:
    """Return the colour of some inks at full strength, as L*, a*, b* of 8 bits."""
    light = 255 * (1 - black) * (1 - 0.3 * cyan) * (1 - 0.4 * magenta) * (1 - 0.1 * yellow)
    a, b = (60 * magenta - 30 * cyan) * (1 - black), (80 * yellow - 40 * cyan) * (1 - black)
    return bytes(map(round, (light, a + 128, b + 128)))
