"""Weights as the bytes of a safetensors file: the same bytes for the same weights."""

from __future__ import annotations

import json
from collections.abc import Mapping

import safetensors.torch
from torch import Tensor

_LENGTH_BYTES = 8
_ALIGNMENT = 8
_METADATA = "__metadata__"


def weights_file(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """Return a safetensors file: the length of its header in 8 bytes, the header in JSON, the numbers.

    safetensors itself writes the metadata in another order each time, so that equal networks would have different
    checksums.

    Parameters
    ----------
    tensors, metadata
        Weights, contiguous, and what is to be said of them, by their names.
    """
    data = safetensors.torch.save(dict(tensors))
    end = _LENGTH_BYTES + int.from_bytes(data[:_LENGTH_BYTES], "little")
    entries = json.loads(data[_LENGTH_BYTES:end])
    header = json.dumps({_METADATA: dict(sorted(metadata.items())), **entries}, separators=(",", ":")).encode()
    header += b" " * (-len(header) % _ALIGNMENT)
    return len(header).to_bytes(_LENGTH_BYTES, "little") + header + data[end:]
