# SPDX-License-Identifier: Apache-2.0
"""The bordered solve against the same normal equations written out."""

from __future__ import annotations

import torch

from closeint_core.solver.bordered import BorderedSystem


def test_the_step_is_that_of_the_dense_system() -> None:
    people, frames, size, shared, rows = 2, 5, 6, 4, 7
    generator = torch.Generator().manual_seed(0)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    system = BorderedSystem(people, frames, size, shared, torch.device("cpu"))
    total = people * frames * size + shared
    dense, slope = torch.zeros(total, total), torch.zeros(total)

    def at(person: int, frame: int) -> slice:
        first = (frame * people + person) * size
        return slice(first, first + size)

    own, border = noise(people, frames, rows, size), noise(people, frames, rows, shared)
    residual, weight = noise(people, frames, rows), noise(people, frames, rows).abs()
    system.add_bordered_rows(own, border, residual, weight)
    for p in range(people):
        for t in range(frames):
            full = torch.zeros(rows, total)
            full[:, at(p, t)], full[:, -shared:] = own[p, t], border[p, t]
            dense += full.T @ (weight[p, t][:, None] * full)
            slope += full.T @ (weight[p, t] * residual[p, t])
    moves, change, stiff = (
        noise(people, frames, 3, size),
        noise(people, frames - 2, 3),
        noise(people, frames - 2, 3).abs(),
    )
    system.add_over_time(moves, (change, stiff, 2))
    alike = noise(people, frames - 2, size).abs()
    pulled = noise(people, frames, size)
    system.add_alike(alike, pulled)
    for p in range(people):
        for t in range(frames - 2):
            full = torch.zeros(3, total)
            own_change = torch.zeros(size, total)
            for place, factor in enumerate((1.0, -2.0, 1.0)):
                full[:, at(p, t + place)] = factor * moves[p, t + place]
                own_change[:, at(p, t + place)] = factor * torch.eye(size)
            dense += full.T @ (stiff[p, t][:, None] * full) + own_change.T @ (alike[p, t][:, None] * own_change)
            slope += full.T @ (stiff[p, t] * change[p, t])
        for t in range(frames):
            slope[at(p, t)] += pulled[p, t]
    damping, shared_damping = 0.3 + noise(frames, people * size).abs(), 0.3 + noise(shared).abs()
    dense.diagonal().add_(torch.cat((damping.flatten(), shared_damping)))
    expected = torch.linalg.solve(dense, -slope)
    step = system.solve_all(damping, shared_damping, 200, 1e-6)
    assert step.shared is not None
    torch.testing.assert_close(step.frames.flatten(), expected[:-shared], atol=2e-3, rtol=2e-3)
    torch.testing.assert_close(step.shared, expected[-shared:], atol=2e-3, rtol=2e-3)


def test_without_shared_unknowns_it_is_the_plain_system() -> None:
    system = BorderedSystem(1, 3, 2, 0, torch.device("cpu"))
    system.add_own_rows(torch.eye(2).expand(1, 3, 2, 2), torch.ones(1, 3, 2), torch.ones(1, 3, 2))
    step = system.solve_all(torch.ones(3, 2), torch.ones(0), 20, 1e-6)
    assert step.shared is None
    torch.testing.assert_close(step.frames, torch.full((3, 1, 2), -0.5))
