# SPDX-License-Identifier: Apache-2.0
"""Batches out of the pool: the same for the same step, true to the pictures, renewed in turn."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch

from closeint_core.denoiser.conditions import Conditions
from closeint_core.denoiser.state import PairState
from closeint_core.training.batches import Share, TrainingBatch
from closeint_core.training.losses import DenoiserLosses, LossWeights
from closeint_core.training.synthetic.generate import default_body, default_tools
from closeint_core.training.synthetic_source import DataConfig, SyntheticSource

CONFIG = DataConfig(kinds=("passing by",), pool=4, chunk=2, clip=34, renew=3, solver_steps=6, alone=0.3, hidden=0.6)


@pytest.fixture(scope="module")
def source() -> SyntheticSource:
    return SyntheticSource(CONFIG, default_body(), Share(24, seed=5, split="train"))


@pytest.fixture(scope="module")
def batch(source) -> TrainingBatch:
    return source.batch(0)


def tensors(batch: TrainingBatch) -> list[torch.Tensor]:
    found = []
    for part in (batch, batch.conditions, batch.conditions.crops):
        found += [value for f in fields(part) if isinstance(value := getattr(part, f.name), torch.Tensor)]
    return found


def test_a_step_gives_the_same_batch_wherever_training_starts(source):
    fresh = SyntheticSource(CONFIG, default_body(), Share(24, seed=5, split="train"))
    source.batch(2)
    for a, b in zip(tensors(source.batch(7)), tensors(fresh.batch(7)), strict=True):
        assert torch.equal(a.nan_to_num(-1.0), b.nan_to_num(-1.0))


def test_chunks_are_renewed_in_turn():
    fresh = SyntheticSource(CONFIG, default_body(), Share(4, seed=6))
    fresh.prepare(0)
    before = fresh.prepare(0).poses.clone()
    changed = [~torch.equal(a, b) for a, b in zip(before, fresh.prepare(3).poses, strict=True)]
    assert sum(bool(x) for x in (before != fresh.prepare(3).poses).flatten(1).any(1)) == 2
    assert len(changed) == 4
    assert (before != fresh.prepare(6).poses).flatten(1).any(1).all()


def test_ranks_and_splits_see_different_people():
    one = SyntheticSource(CONFIG, default_body(), Share(4, seed=5, rank=0, world=2))
    two = SyntheticSource(CONFIG, default_body(), Share(4, seed=5, rank=1, world=2))
    assert not torch.equal(one.prepare(0).betas, two.prepare(0).betas)


def test_the_target_projects_onto_what_was_seen(source, batch):
    """Also with a focal length that is only a guess: then the pair is elsewhere, but looks alike."""
    state, crops = PairState.of(batch.target), batch.conditions.crops
    body = default_body()
    skeleton = body.skeleton(state.rotations(), state.betas, state.translation(crops))
    pixels = crops.project(body.points("halpe")(skeleton, state.betas))
    assert ((pixels - batch.keypoints).norm(dim=-1) / crops.side[..., None]).max() < 1e-3
    seen = batch.conditions.keypoints
    assert seen is not None
    found = seen.isfinite().all(-1)
    error = ((seen[..., :2] - batch.keypoints).norm(dim=-1) / crops.side[..., None])[found]
    assert 0.002 < error.median() < 0.04


def test_windows_observed_together_belong_to_steps_of_their_own(source):
    """Four steps are observed at once; none of their windows is another's, whichever step is asked for first."""
    steps = [source.batch(step) for step in (5, 4, 7, 6)]
    targets = torch.stack([step.target for step in steps]).flatten(1)
    assert (targets[:, None] - targets).abs().amax(-1).fill_diagonal_(1.0).min() > 1e-3
    assert torch.equal(source.batch(5).target, steps[0].target)


def test_upwards_is_where_heads_are(batch):
    state = PairState.of(batch.target)
    spine = default_body().skeleton(state.rotations(), state.betas, torch.zeros(3)).joints
    up = torch.nn.functional.normalize(spine[..., 15, :] - spine[..., 0, :], dim=-1)
    assert (up * batch.up[:, None, None]).sum(-1).median() > 0.9
    torch.testing.assert_close(batch.up.norm(dim=-1), torch.ones(len(batch)))


def test_some_are_hidden_and_some_alone(batch):
    seen = batch.conditions.keypoints
    assert seen is not None
    assert batch.conditions.single is not None
    unseen = (~seen.isfinite().all(-1)).all(-1)
    assert 0.02 < unseen.float().mean() < 0.6
    assert 0 < batch.conditions.single.mean() < 1


def test_the_truth_costs_nothing_and_errors_cost(batch):
    losses = DenoiserLosses(default_body(), tools=default_tools(), pair_share=1.0)
    right = losses(batch.target, batch)
    assert set(right) == {f.name for f in fields(LossWeights)}
    assert all(float(value) < 1e-4 for value in right.values())
    wrong = losses(batch.target + 0.05 * torch.randn(batch.target.shape, generator=torch.manual_seed(0)), batch)
    assert all(float(value) > 1e-3 for value in wrong.values()), wrong


def test_moving_both_people_together_is_no_error_of_the_pair(batch):
    losses = DenoiserLosses(default_body(), tools=default_tools())
    state, crops = PairState.of(batch.target), batch.conditions.crops
    moved = PairState.of_motion(
        state.rotations(), state.betas, state.translation(crops) + torch.tensor([0.1, 0.0, 0.3]), crops
    )
    terms = losses(moved.numbers(), batch)
    assert float(terms["interaction"]) < 1e-3
    assert float(terms["joints"]) < 1e-3
    assert float(terms["keypoints"]) > 0.1


def test_bringing_people_together_is_penetration(batch):
    losses = DenoiserLosses(default_body(), tools=default_tools(), pair_share=1.0)
    state, crops = PairState.of(batch.target), batch.conditions.crops
    place = state.translation(crops)
    middle = place.mean(2, keepdim=True)
    terms = losses(
        PairState.of_motion(state.rotations(), state.betas, 0.7 * middle + 0.3 * place, crops).numbers(), batch
    )
    assert float(terms["penetration"]) > 1.0


def test_whoever_is_alone_is_not_judged_as_a_pair(batch):
    losses = DenoiserLosses(default_body(), tools=default_tools())
    alone: Conditions = replace(batch.conditions, single=torch.ones(batch.target.shape[:2]))
    noisy = batch.target + 0.05 * torch.randn(batch.target.shape, generator=torch.manual_seed(0))
    terms = losses(noisy, replace(batch, conditions=alone))
    assert float(terms["interaction"]) == float(terms["contact"]) == float(terms["penetration"]) == 0.0
    assert float(terms["joints"]) > 0.1


def test_gradients_are_finite_at_the_truth(batch):
    losses = DenoiserLosses(default_body(), tools=default_tools())
    numbers = batch.target.clone().requires_grad_()
    losses.total(losses(numbers, batch)).backward()
    assert numbers.grad is not None
    assert numbers.grad.isfinite().all()
