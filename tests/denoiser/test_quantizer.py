# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch

from closeint_core.denoiser.quantizer import VectorQuantizer, perplexity


def trained(data: torch.Tensor, codes: int, steps: int = 60, groups: int = 1) -> VectorQuantizer:
    torch.manual_seed(0)
    quantizer = VectorQuantizer(groups, codes, data.shape[1] // groups, decay=0.8).train()
    for _ in range(steps):
        quantizer(data)
    return quantizer.eval()


def clusters(count: int, dim: int, each: int = 50, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    centres = 5 * torch.randn(count, dim, generator=generator)
    points = centres.repeat_interleave(each, 0)
    return centres, points + 0.05 * torch.randn(points.shape, generator=generator)


def test_the_nearest_code_is_chosen():
    quantizer = trained(clusters(8, 6)[1], 8, groups=2)
    data = torch.randn(40, 6)
    found = quantizer(data)
    for row, codes, vector in zip(data, found.codes, found.vectors, strict=True):
        for group in range(2):
            part = row[3 * group : 3 * group + 3]
            distances = (quantizer.codebook[group] - part).norm(dim=1)
            assert codes[group] == distances.argmin()
            assert torch.allclose(vector[3 * group : 3 * group + 3], quantizer.codebook[group, codes[group]], atol=1e-6)
    assert torch.allclose(quantizer.vectors(found.codes), found.vectors, atol=1e-6)


def test_codes_move_to_the_middle_of_what_they_stand_for():
    centres, data = clusters(6, 4)
    quantizer = trained(data, 24)
    assert torch.cdist(centres, quantizer.codebook[0]).amin(1).max() < 0.1
    codes = quantizer(data).codes[:, 0]
    for code in codes.unique():
        assert (data[codes == code].mean(dim=0) - quantizer.codebook[0, code]).norm() < 0.05


def test_dead_codes_come_back():
    """Codes that lie where no data is are moved to data that has none."""
    _, data = clusters(6, 4)
    torch.manual_seed(0)
    quantizer = VectorQuantizer(1, 6, 4, decay=0.8).train()
    quantizer(data)
    with torch.no_grad():
        quantizer.codebook[0, 1:] = 1000.0
        quantizer.sums.copy_(quantizer.codebook)
        quantizer.counts.fill_(1.0)
    for _ in range(80):
        quantizer(data)
    assert quantizer.codebook.abs().max() < 50
    codes = quantizer.eval()(data).codes
    assert perplexity(codes, 6) > 4.5
    assert torch.isfinite(quantizer.codebook).all()


def test_evaluation_changes_nothing():
    quantizer = trained(clusters(6, 4)[1], 6)
    before = {name: tensor.clone() for name, tensor in quantizer.state_dict().items()}
    quantizer(torch.randn(10, 4))
    assert all(torch.equal(before[name], tensor) for name, tensor in quantizer.state_dict().items())


def test_gradients_pass_straight_through_and_commitment_pulls():
    quantizer = trained(clusters(6, 4)[1], 6)
    data = torch.randn(10, 4, requires_grad=True)
    found = quantizer(data)
    (gradient,) = torch.autograd.grad(found.vectors.sum(), data, retain_graph=True)
    assert torch.equal(gradient, torch.ones_like(data))
    (pull,) = torch.autograd.grad(found.commitment, data)
    assert torch.allclose(pull, 2 * (data - found.vectors).detach() / data.numel(), atol=1e-7)


@pytest.mark.parametrize("used", [1, 3, 16])
def test_perplexity_counts_codes_in_use(used):
    codes = torch.arange(480)[:, None].repeat(1, 2) % used
    assert perplexity(codes, 16) == pytest.approx(used)
    shares = np.array([0.5, 0.25, 0.25])
    uneven = torch.tensor([0, 0, 1, 2])[:, None]
    assert perplexity(uneven, 5) == pytest.approx(float(np.exp(-(shares * np.log(shares)).sum())))
