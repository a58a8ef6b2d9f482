"""What :func:`hnas_nni.upscale` takes: arrays of every byte order and range, networks as torch hands them about."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lively_networks import lively_network
from torch import nn

from hnas_nni import HNAS_A, Genotype, export, load, save, upscale
from hnas_nni.architecture.spaces import EFFICIENT
from hnas_nni.data import bicubic_upsample, load_pairs
from hnas_nni.inference import Bicubic, NetworkModel
from hnas_nni.network.base import SuperResolutionNetwork

_PHOTO = load_pairs("embedded:photos", 2, limit=1)[0].lr[:20, :24]


@pytest.fixture(scope="module", params=["paper", "efficient"])
def network(request: pytest.FixtureRequest) -> SuperResolutionNetwork:
    small = replace(Genotype.random(0, space=EFFICIENT), depth=2, position=2, width=4)
    return lively_network(replace(HNAS_A, position=2) if request.param == "paper" else small, 2, 2)


@pytest.mark.parametrize("dtype", [">u2", "<u2", ">f4", ">f8", "float16", "float64", "longdouble"])
def test_byte_orders_and_kinds_of_numbers(dtype: str) -> None:
    kind = np.dtype(dtype)
    levels = 1 if kind.kind == "f" else 65535
    found = upscale((_PHOTO / 255 * levels).astype(kind), "bicubic", scale=2)
    assert found.dtype == kind
    expected = bicubic_upsample(_PHOTO, 2) / 255
    assert np.abs(found.astype(float) / levels - expected).max() < 0.004  # half a grey level, after either pass


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (_PHOTO.astype(float), r"image: floating point from \d+ to \d+ is not valid; give 0..1, or levels as uint8"),
        (_PHOTO.astype(float) / 255 - 1, r"image: floating point from -\S+ to -?\S+ is not valid; give 0..1"),
        (np.where(_PHOTO > 99, np.nan, 0.5), "image: holds numbers that are not finite"),
        (np.where(_PHOTO > 99, np.inf, 0.5), "image: holds numbers that are not finite"),
        (_PHOTO.astype(">i4"), "image: type >i4 is not valid; give uint8, uint16, or floating point in 0..1"),
        (_PHOTO > 99, "image: type bool is not valid"),
    ],
)
def test_other_ranges_are_refused(image: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        upscale(image, Bicubic(2))


def test_an_overshoot_is_cut() -> None:
    image = (_PHOTO / 255 * 1.4 - 0.2).astype(np.float32)
    found = upscale(image, "bicubic", scale=2)
    assert found.min() == 0 and found.max() == 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("self_ensemble", [False, True])
def test_networks_of_other_types(
    network: SuperResolutionNetwork, dtype: torch.dtype, self_ensemble: bool, tmp_path: Path
) -> None:
    other = copy.deepcopy(network).to(dtype)
    expected = upscale(_PHOTO, network, self_ensemble=self_ensemble).astype(int)
    found = upscale(_PHOTO, other, self_ensemble=self_ensemble)
    assert found.dtype == np.uint8
    assert np.abs(found - expected).mean() < {torch.float16: 0.5, torch.bfloat16: 3, torch.float64: 0.01}[dtype]
    assert next(other.parameters()).dtype == dtype
    save(other, tmp_path / "model.safetensors")
    read = load(tmp_path / "model.safetensors")
    assert next(read.parameters()).dtype == torch.float32
    assert np.abs(upscale(_PHOTO, read).astype(int) - upscale(_PHOTO, other)).mean() < 3


@pytest.mark.parametrize(
    "wrap",
    [
        nn.DataParallel,
        lambda network: torch.compile(network, backend="eager"),
        lambda network: nn.DataParallel(torch.compile(network, backend="eager")),
        torch.optim.swa_utils.AveragedModel,
    ],
    ids=["DataParallel", "compiled", "both", "averaged"],
)
def test_networks_that_torch_has_wrapped(network: SuperResolutionNetwork, wrap: object, tmp_path: Path) -> None:
    wrapped = wrap(copy.deepcopy(network))
    expected = upscale(_PHOTO, network)
    np.testing.assert_array_equal(upscale(_PHOTO, wrapped), expected)
    np.testing.assert_array_equal(NetworkModel(wrapped)(_PHOTO), expected)
    save(wrapped, tmp_path / "model.safetensors")
    np.testing.assert_array_equal(upscale(_PHOTO, tmp_path / "model.safetensors"), expected)
    assert export(wrapped, tmp_path / "model.pt") <= 1e-4


@pytest.mark.parametrize("model", [nn.Conv2d(3, 3, 1), nn.DataParallel(nn.Conv2d(3, 3, 1)), None, 3])
def test_what_is_no_network_is_refused(model: object, tmp_path: Path) -> None:
    for use in (
        lambda: upscale(_PHOTO, model),
        lambda: NetworkModel(model),
        lambda: save(model, tmp_path / "model.safetensors"),
        lambda: export(model, tmp_path / "model.pt"),
    ):
        with pytest.raises(ValueError, match=r"is no network of hnas_nni; give one of Genotype.build or hnas_nni.load"):
            use()


def test_weights_of_several_types_are_refused(network: SuperResolutionNetwork) -> None:
    mixed = copy.deepcopy(network)
    next(mixed.children()).half()
    with pytest.raises(ValueError, match=r"weights are of the types torch.float16, torch.float32; convert them to one"):
        upscale(_PHOTO, mixed)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda network: network.to(torch.float8_e4m3fn), r"weights are of the types torch.float8_e4m3fn; convert"),
        (lambda network: network.to("meta"), "is on the meta device, which holds no weights"),
    ],
    ids=["8 bits", "meta"],
)
def test_weights_that_nothing_computes_with_are_refused(
    network: SuperResolutionNetwork, change: Callable[[SuperResolutionNetwork], object], told: str, tmp_path: Path
) -> None:
    model = change(copy.deepcopy(network))
    for use in (
        lambda: upscale(_PHOTO, model),
        lambda: save(model, tmp_path / "model.safetensors"),
        lambda: export(model, tmp_path / "model.pt"),
    ):
        with pytest.raises(ValueError, match=told):
            use()
    assert not list(tmp_path.iterdir())
