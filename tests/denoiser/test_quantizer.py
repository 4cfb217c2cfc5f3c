# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch

from closeint_core.denoiser.quantizer import VectorQuantizer, perplexity


def trained(data: torch.Tensor, codes: int, steps: int = 60, groups: int = 1, levels: int = 1) -> VectorQuantizer:
    torch.manual_seed(0)
    quantizer = VectorQuantizer(groups, codes, data.shape[1] // groups, levels, 0.8, revive_below=0.1).train()
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


def test_each_level_takes_up_what_the_last_left():
    """A vector is the sum of one code a level, each the nearest to the rest; levels make the error smaller."""
    data = torch.randn(400, 6, generator=torch.Generator().manual_seed(3))
    quantizer = trained(data, 8, groups=2, levels=3)
    found = quantizer(data)
    assert found.codes.shape == (400, 6)
    for row, codes, vector in zip(data[:40], found.codes, found.vectors, strict=False):
        for group in range(2):
            part = slice(3 * group, 3 * group + 3)
            rest = row[part].clone()
            for level in range(3):
                book = quantizer.codebook[2 * level + group]
                assert codes[2 * level + group] == (book - rest).norm(dim=1).argmin()
                rest -= book[codes[2 * level + group]]
            assert torch.allclose(vector[part], row[part] - rest, atol=1e-6)
    assert torch.allclose(quantizer.vectors(found.codes), found.vectors, atol=1e-6)
    errors = [float((trained(data, 8, groups=2, levels=n)(data).vectors - data).square().mean()) for n in (1, 2, 3)]
    assert errors[1] < 0.6 * errors[0]
    assert errors[2] < 0.6 * errors[1]


def test_the_moving_average_is_one():
    """A step moves codes as averages of sums and counts over all steps would."""
    torch.manual_seed(0)
    quantizer = VectorQuantizer(1, 4, 3, decay=0.9, revive_below=0.0).train()
    quantizer(torch.randn(50, 3))
    sums, counts = quantizer.codebook * quantizer.counts[..., None], quantizer.counts.clone()
    for _ in range(5):
        data = torch.randn(30, 3)
        codes = torch.cdist(data, quantizer.codebook[0]).argmin(dim=1)
        quantizer(data)
        for code in range(4):
            counts[0, code] = 0.9 * counts[0, code] + 0.1 * (codes == code).sum()
            sums[0, code] = 0.9 * sums[0, code] + 0.1 * data[codes == code].sum(dim=0)
        assert torch.allclose(quantizer.codebook, sums / counts[..., None], atol=1e-5)


def test_dead_codes_come_back():
    """Codes that lie where no data is are moved to data that has none."""
    _, data = clusters(6, 4)
    torch.manual_seed(0)
    quantizer = VectorQuantizer(1, 6, 4, decay=0.8).train()
    quantizer(data)
    with torch.no_grad():
        quantizer.codebook[0, 1:] = 1000.0
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
