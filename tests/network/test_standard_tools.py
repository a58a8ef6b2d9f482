"""Networks are plain torch: what torch and safetensors offer for any module works on them."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
import torch.nn.functional as F
from torch.nn.utils import parameters_to_vector, prune, vector_to_parameters

from hnas_nni import HNAS_A, HNAS_B, Genotype, load, save
from hnas_nni.architecture.spaces import EFFICIENT
from hnas_nni.network.base import SuperResolutionNetwork
from hnas_nni.network.over_parameterised import collapse, expand

_LR = torch.rand(2, 3, 8, 9, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module", params=["HNAS-A", "HNAS-B", "efficient", "collapsed", "loaded"])
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> SuperResolutionNetwork:
    torch.manual_seed(0)
    if request.param in ("efficient", "collapsed"):
        network = replace(Genotype.random(0, space=EFFICIENT), depth=2, position=2, width=4).build(2)
        if request.param == "collapsed":
            expand(network)
            collapse(network)
        return network
    network = replace(HNAS_B if request.param == "HNAS-B" else HNAS_A, position=2).build(2, 4, 2)
    if request.param == "loaded":
        path = tmp_path_factory.mktemp("models") / "model.safetensors"
        save(network, path)
        return load(path)
    return network


@pytest.fixture()
def network(built: SuperResolutionNetwork) -> SuperResolutionNetwork:
    return copy.deepcopy(built)


def test_safetensors_writes_the_weights(network: SuperResolutionNetwork, tmp_path: Path) -> None:
    safetensors.torch.save_file(network.state_dict(), tmp_path / "weights.safetensors")
    found = safetensors.torch.load_file(tmp_path / "weights.safetensors")
    assert found.keys() == network.state_dict().keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in network.state_dict().items())


def test_weights_become_a_vector_and_back(network: SuperResolutionNetwork) -> None:
    expected = network(_LR)
    vector = parameters_to_vector(network.parameters()).detach()
    vector_to_parameters(torch.zeros_like(vector), network.parameters())
    vector_to_parameters(vector, network.parameters())
    torch.testing.assert_close(network(_LR), expected)


def test_lbfgs_trains(network: SuperResolutionNetwork) -> None:
    target = F.interpolate(_LR, scale_factor=2, mode="nearest")
    optimizer = torch.optim.LBFGS(network.parameters(), lr=0.1, max_iter=5)

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = F.mse_loss(network(_LR), target)
        value.backward()
        return value

    before = optimizer.step(loss)
    assert loss() < before


def test_prune_takes_the_smallest_weights(network: SuperResolutionNetwork) -> None:
    convolutions = [(module, "weight") for module in network.modules() if isinstance(module, torch.nn.Conv2d)]
    prune.global_unstructured(convolutions, pruning_method=prune.L1Unstructured, amount=0.5)
    weights = parameters_to_vector(module.weight for module, _ in convolutions)
    assert (weights == 0).float().mean() == pytest.approx(0.5, abs=0.01)
    assert network(_LR).isfinite().all()


def test_the_result_can_be_viewed_in_another_shape(network: SuperResolutionNetwork) -> None:
    assert network(_LR).view(2, -1).shape == (2, 3 * 16 * 18)
