# SPDX-License-Identifier: Apache-2.0
import pytest
import torch
from torch import nn

from closeint_core.eyes.inference import ready_for_cpu
from closeint_core.eyes.network import PairNetwork


@pytest.fixture(scope="module")
def network() -> PairNetwork:
    """Random, norms included."""
    torch.manual_seed(2)
    network = PairNetwork().eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.3, 0.3)
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.uniform_(-0.3, 0.3)
            module.running_var.uniform_(0.5, 1.5)
    return network


def test_a_network_that_is_ready_gives_the_same_answers(network):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    ready = ready_for_cpu(network)
    inputs = torch.rand(2, 3, 64, 64), torch.rand(2, 4, 64, 64), torch.rand(1, 2, 2, 3, 96, 96), torch.rand(1, 2, 2, 3)
    with torch.inference_mode():
        first, second = network(*inputs)
        same_first, same_second = ready(
            *(x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x for x in inputs)
        )
    for name in ("heat", "masks", "visible", "tokens", "local", "places", "spread"):
        torch.testing.assert_close(getattr(same_first, name), getattr(first, name), atol=2e-3, rtol=2e-3)
    for one, other in zip(same_second, second, strict=True):
        torch.testing.assert_close(one, other, atol=2e-3, rtol=2e-3)
    # every norm but that of each stem, to which prompts are added before, is gone
    assert sum(isinstance(m, nn.BatchNorm2d) for m in ready.modules()) == 2
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name  # the network itself stays as it was
