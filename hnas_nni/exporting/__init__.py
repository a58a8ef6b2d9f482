"""Networks in formats that run without this project: ONNX, TorchScript and torch.export."""

from __future__ import annotations

from hnas_nni.exporting.export import TOLERANCE, ExportError, export
from hnas_nni.exporting.formats import FORMATS, format_of

__all__ = ["FORMATS", "TOLERANCE", "ExportError", "export", "format_of"]
