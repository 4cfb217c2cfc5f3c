# SPDX-License-Identifier: Apache-2.0
"""A step's passes: gradients as autograd makes them, and the same from a recorded graph."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from closeint_core.training.train_step import Passes, RecordedPasses, copied, tensors_in


@dataclass(frozen=True)
class Inner:
    x: Tensor
    left_out: Tensor | None = None


@dataclass(frozen=True)
class Outer:
    inner: Inner
    y: Tensor


class Squares(nn.Module):
    """Loss of a linear layer on nested inputs."""

    def __init__(self, device: str) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2, device=device)

    def forward(self, batch: Outer, scale: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        errors = (self.layer(batch.inner.x) - batch.y) * scale
        return errors.square().mean(), {"largest": errors.abs().amax()}


def inputs(seed: int, device: str = "cpu") -> tuple[Outer, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    x, y, scale = torch.randn(5, 3, generator=draw), torch.randn(5, 2, generator=draw), torch.rand(1, generator=draw)
    return Outer(Inner(x.to(device)), y.to(device)), scale.to(device)


def expected(objective: Squares, given: tuple[Outer, Tensor]) -> tuple[Tensor, list[Tensor]]:
    loss, _ = objective(*given)
    return loss.detach(), list(torch.autograd.grad(loss, list(objective.parameters())))


def test_gradients_are_those_of_this_step_alone():
    objective = Squares("cpu")
    passes = Passes(objective, list(objective.parameters()))
    for seed in (0, 1):
        loss, terms = passes(inputs(seed))
        wanted, gradients = expected(objective, inputs(seed))
        assert torch.equal(loss, wanted)
        assert set(terms) == {"largest"}
        for parameter, gradient in zip(objective.parameters(), gradients, strict=True):
            torch.testing.assert_close(parameter.grad, gradient)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_recorded_step_is_the_step():
    objective = Squares("cuda")
    passes = RecordedPasses(objective, list(objective.parameters()), 1)
    for seed in (0, 1, 2):
        loss, _ = passes(inputs(seed, "cuda"))
        wanted, gradients = expected(objective, inputs(seed, "cuda"))
        torch.testing.assert_close(loss, wanted)
        for parameter, gradient in zip(objective.parameters(), gradients, strict=True):
            torch.testing.assert_close(parameter.grad, gradient)


def test_copies_are_equal_and_apart():
    given = inputs(0)
    again = copied(given)
    ours, theirs = list(tensors_in(again)), list(tensors_in(given))
    assert len(ours) == len(theirs) == 3
    assert all(torch.equal(a, b) and a.data_ptr() != b.data_ptr() for a, b in zip(ours, theirs, strict=True))
    assert again[0].inner.left_out is None
