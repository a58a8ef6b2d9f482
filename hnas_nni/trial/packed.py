"""JSON and bytes in one message between a trial and the server of weights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hnas_nni.foreign_text import parse_json

_LENGTH = 8


def pack(header: Any, parts: Sequence[bytes]) -> bytes:
    """Return a message of a JSON document and some parts.

    Examples
    --------
    >>> unpack(pack({"a": 1}, [b"one", b""]))
    ({'a': 1}, [b'one', b''])
    """
    head = json.dumps([header, [len(part) for part in parts]]).encode()
    return b"".join([len(head).to_bytes(_LENGTH, "big"), head, *parts])


def unpack(message: bytes) -> tuple[Any, list[bytes]]:
    """Return what was packed.

    Raises
    ------
    ValueError
        If it is no such message.
    """
    try:
        begin = _LENGTH + int.from_bytes(message[:_LENGTH], "big")
        header, lengths = parse_json(message[_LENGTH:begin])
        parts = []
        for length in lengths:
            if not 0 <= length <= len(message) - begin:
                raise ValueError(f"a part of {length} bytes")
            parts.append(message[begin : begin + length])
            begin += length
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"not a message of weights ({error})") from None
    return header, parts
