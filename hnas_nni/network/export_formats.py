"""The formats: how a network is written in each, and how the file is run again, by the format's own runtime."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

OPSET = 18
"""Version of ONNX's operators: the oldest for which torch writes all of ours."""

METADATA_FILE = "hnas.json"
"""Name of the metadata among the extra files of TorchScript and torch.export."""

_EXAMPLE_SIZE = (2, 3, 12, 10)
_DYNAMIC = {0: "batch", 2: "height", 3: "width"}

Metadata = Mapping[str, str]
Runner: TypeAlias = "Callable[[Tensor], Tensor]"


class Format(NamedTuple):
    """A file format.

    Parameters
    ----------
    suffix
        Usual ending of its files.
    title
        For people.
    write
        ``write(network, path, metadata)``.
    load
        Returns the file as a function from LR to SR, both ``(n, 3, h, w)``.
    """

    suffix: str
    title: str
    write: Callable[[nn.Module, Path, Metadata], None]
    load: Callable[[Path], Runner]


class MissingPackagesError(ValueError):
    """Packages that a format needs are not installed; the message says how to get them."""


def format_of(path: Path) -> str:
    """Return the name of the format whose usual ending a file has.

    Raises
    ------
    ValueError
        If no format has it.
    """
    for name, known in FORMATS.items():
        if path.suffix.lower() == known.suffix:
            return name
    endings = ", ".join(f"{known.suffix} ({name})" for name, known in FORMATS.items())
    raise ValueError(f"{path}: no format has this ending; use one of {endings}, or name the format")


def _write_onnx(network: nn.Module, path: Path, metadata: Metadata) -> None:
    _require_onnx()
    import onnx
    import torch

    with _quiet():
        program = torch.onnx.export(
            network,
            _example(),
            dynamo=True,
            opset_version=OPSET,
            input_names=["lr"],
            output_names=["sr"],
            dynamic_shapes=_dynamic_shapes(),
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    onnx.helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def _load_onnx(path: Path) -> Runner:
    _require_onnx()
    import onnxruntime
    import torch

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(lr: Tensor) -> Tensor:
        (sr,) = session.run(["sr"], {"lr": lr.numpy()})
        return torch.from_numpy(sr)

    return run


def _require_onnx() -> None:
    try:
        for package in ("onnx", "onnxruntime", "onnxscript"):
            import_module(package)
    except ModuleNotFoundError as error:
        raise MissingPackagesError(
            f"ONNX needs the package {error.name}, which is not installed; install all it needs with: "
            "pip install 'hnas-nni[onnx]'"
        ) from error


def _write_torchscript(network: nn.Module, path: Path, metadata: Metadata) -> None:
    import torch

    # Nothing in a network depends on its input's values or size but the size of its output, so a trace is exact.
    with _quiet(), torch.no_grad():
        traced = torch.jit.trace(network, _example(), check_trace=False)
        data = BytesIO()  # torch says little of why it can't write a file
        torch.jit.save(traced, data, _extra_files={METADATA_FILE: json.dumps(dict(metadata))})
    path.write_bytes(data.getvalue())


def _load_torchscript(path: Path) -> Runner:
    import torch

    with _quiet():
        return torch.jit.load(str(path))


def _write_exported(network: nn.Module, path: Path, metadata: Metadata) -> None:
    import torch

    with _quiet():
        try:
            program = torch.export.export(network, _example(), dynamic_shapes=_dynamic_shapes())
        except torch._dynamo.exc.UserError as error:
            # As of windows that are cut at the image's border, of which it can't tell that there is always one.
            raise ValueError(
                "exported: torch.export can't follow this network for images of every size; give another format"
            ) from error
        data = BytesIO()  # by name it would refuse one that does not end in .pt2
        torch.export.save(program, data, extra_files={METADATA_FILE: json.dumps(dict(metadata))})
    path.write_bytes(data.getvalue())


def _load_exported(path: Path) -> Runner:
    import torch

    with _quiet(), open(path, "rb") as file:
        return torch.export.load(file).module()


def _example() -> tuple[Tensor]:
    import torch

    return (torch.rand(_EXAMPLE_SIZE, generator=torch.Generator().manual_seed(0)),)


def _dynamic_shapes() -> tuple[dict[int, torch.export.Dim]]:
    import torch

    return ({axis: torch.export.Dim(name) for axis, name in _DYNAMIC.items()},)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the libraries' notes on their own future, which the user can do nothing about."""
    import torch

    with warnings.catch_warnings():
        for category in (DeprecationWarning, FutureWarning, UserWarning, torch.jit.TracerWarning):
            warnings.simplefilter("ignore", category)
        yield


FORMATS: Mapping[str, Format] = {
    "onnx": Format(".onnx", f"ONNX, opset {OPSET}", _write_onnx, _load_onnx),
    "torchscript": Format(".pt", "TorchScript", _write_torchscript, _load_torchscript),
    "exported": Format(".pt2", "torch.export", _write_exported, _load_exported),
}
"""The formats by name."""
