# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy

import pytest
import roma
import torch
from support.windows import UP, randomize, synthetic_windows
from torch import Tensor

from closeint_core.denoiser.canonical import PairMotion, pair_frames
from closeint_core.denoiser.network import Denoiser
from closeint_core.denoiser.prior import (
    CodeModel,
    InteractionPrior,
    PriorConfig,
    canonical_joints,
    draw_interactions,
    leverage,
    load_prior,
    prior_losses,
    report,
    save_prior,
)
from closeint_core.denoiser.prior_guidance import PriorProjection
from closeint_core.denoiser.rotation6d import matrix_to_rows6d
from closeint_core.denoiser.sampler import Sampler
from closeint_core.errors import CloseintError

SMALL = PriorConfig(dim=48, heads=4, depth=1, codes=32, groups=2, code_dim=4, levels=2)


@pytest.fixture(scope="module")
def pairs(body) -> PairMotion:
    windows = synthetic_windows(body, 6, 16)
    pelvis = body.rest_joints(windows.betas)[..., 0, :] + windows.translation
    return PairMotion(windows.rotations, pelvis)


@pytest.fixture(scope="module")
def numbers(pairs) -> Tensor:
    return pair_frames(pairs, UP).into(pairs)


@pytest.fixture(scope="module")
def prior(numbers, body) -> InteractionPrior:
    """A little trained, so that its codes mean something."""
    torch.manual_seed(0)
    model = InteractionPrior(SMALL)
    model.start(numbers, body)
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    for _ in range(110):
        result = model.train()(numbers)
        optimizer.zero_grad()
        (((result.numbers - numbers) / model.deviation).square().mean() + 0.25 * result.commitment).backward()
        optimizer.step()
    return model.eval()


@torch.no_grad()
def test_what_is_known_is_reconstructed(prior, numbers, body):
    known = report(prior, body, numbers)
    mean = prior.mean.expand_as(numbers)
    chance = (canonical_joints(body, mean) - canonical_joints(body, numbers)).norm(dim=-1).mean()
    assert known.mpjpe_mm < 400 * float(chance)
    assert 16 < known.perplexity <= known.codes == 32
    again = (canonical_joints(body, prior.decode(prior(numbers).codes)) - canonical_joints(body, numbers)).norm(dim=-1)
    assert 1000 * float(again.mean()) == pytest.approx(known.mpjpe_mm, rel=1e-3)
    separable_pairs = report(prior, body, numbers.roll(1, -1))
    assert separable_pairs.mpjpe_mm > 3 * known.mpjpe_mm


@torch.no_grad()
def test_leverage_is_how_far_the_joints_move(body):
    """Turning a joint by a small angle moves the joints by the leverage of its numbers times the change of them."""
    resting = torch.cat([matrix_to_rows6d(torch.eye(3).expand(24, 3, 3)).flatten(), torch.zeros(3)])
    scale, angle = leverage(body), 0.01
    axes = torch.eye(3)
    for joint in (0, 1, 6, 16, 18):
        squares = []
        for axis in axes:
            turned = resting.clone()
            turned[6 * joint : 6 * joint + 6] = matrix_to_rows6d(roma.rotvec_to_rotmat(angle * axis)).flatten()
            pair = torch.stack([resting, turned]).expand(1, 1, 2, -1)
            joints = canonical_joints(body, pair)[0, 0]
            squares.append((joints[1] - joints[0]).square().sum(dim=-1).mean() / angle**2)
        # Each point moves by two of three axes.
        assert float(scale[6 * joint]) == pytest.approx(float((torch.stack(squares).sum() / 2).sqrt()), rel=0.02)
    assert (scale[-3:] == 1).all()


@torch.no_grad()
def test_it_begins_as_principal_components(numbers, body):
    """Before any training, decoding a latent is the projection onto the strongest components of scaled tokens."""
    config = PriorConfig(dim=48, heads=4, depth=1, codes=32, groups=4, code_dim=4, levels=2)
    model = InteractionPrior(config)
    model.start(numbers, body)
    for module in (model.to_latent[1], model.write[1]):  # leave the blocks out
        for parameter in module.parameters():
            parameter.zero_()
    tokens = ((numbers - model.mean) / model.deviation).transpose(1, 2).reshape(-1, 4 * 147)
    _, _, axes = torch.linalg.svd(tokens, full_matrices=False)
    best = tokens @ axes[:16].T @ axes[:16]
    latents = model.train().latents(numbers)
    assert float(latents.square().mean()) == pytest.approx(1.0, abs=0.01)
    back = (model.decode_latents(latents) - model.mean) / model.deviation
    # Normalising takes away a common mean and spread; of principal components they are about 0 and 1.
    assert (back.transpose(1, 2).reshape(-1, 4 * 147) - best).square().mean() < 0.01 * best.square().mean()


@torch.no_grad()
def test_place_heading_and_order_do_not_matter(prior, pairs):
    plain = prior.project(pairs, UP)
    turn = roma.rotvec_to_rotmat(UP * 2.1)
    shift = torch.tensor([3.0, -1.0, 2.0])
    rotations = pairs.rotations.clone()
    rotations[..., 0, :, :] = turn @ rotations[..., 0, :, :]
    there = prior.project(PairMotion(rotations, pairs.pelvis @ turn.T + shift), UP)
    assert (there.pelvis - (plain.pelvis @ turn.T + shift)).abs().max() < 1e-3
    assert (there.rotations[..., 1:, :, :] - plain.rotations[..., 1:, :, :]).abs().max() < 1e-3
    swapped = prior.project(PairMotion(pairs.rotations.flip(2), pairs.pelvis.flip(2)), UP)
    assert (swapped.pelvis.flip(2) - plain.pelvis).abs().max() < 1e-4
    assert (swapped.rotations.flip(2) - plain.rotations).abs().max() < 1e-4


@torch.no_grad()
def test_the_other_person_is_part_of_the_code(prior, numbers):
    other = numbers.clone()
    other[:, :, 1] = other[:, :, 1].roll(1, 0)
    before, after = prior.latents(numbers), prior.latents(other)
    assert (before - after)[:, 0].abs().max() > 1e-3


@pytest.mark.parametrize("frames", [1, 3, 4, 16, 21])
@torch.no_grad()
def test_any_length(prior, body, frames):
    windows = synthetic_windows(body, 2, frames)
    pelvis = body.rest_joints(windows.betas)[..., 0, :] + windows.translation
    motion = PairMotion(windows.rotations, pelvis)
    assert prior.project(motion, UP).pelvis.shape == pelvis.shape
    codes = prior(pair_frames(motion, UP).into(motion)).codes
    assert codes.shape == (2, 2, -(-frames // 4), 4)


@torch.no_grad()
def test_a_batch_is_its_windows(prior, numbers):
    batch = prior(numbers).numbers
    for i in range(len(numbers)):
        assert (prior(numbers[i : i + 1]).numbers - batch[i : i + 1]).abs().max() < 1e-5


def test_losses_have_gradients_everywhere(prior, numbers, body):
    model = InteractionPrior(SMALL).train()
    result = model(numbers)
    losses = prior_losses(model, body, result, numbers)
    assert set(losses) == {"numbers", "joints", "velocity", "commitment"}
    sum(losses.values()).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
    assert prior_losses(model, body, result._replace(numbers=numbers), numbers)["joints"] == 0


@torch.no_grad()
def test_projection_in_the_sampler(prior, body):
    """It acts at late steps only, on pairs only, and brings the sample nearer to what the prior knows."""
    windows = synthetic_windows(body, 3, 16)
    model = randomize(Denoiser()).eval()
    single = torch.zeros(3, 16)
    single[2] = 1
    free = Sampler(model).sample(windows.conditions).numbers()
    guide = PriorProjection(prior, body, UP, single=single, latest=20)
    found = Sampler(model, guides=[guide]).sample(windows.conditions).numbers()
    changed = (found - free).abs().amax(dim=(1, 2, 3))
    assert changed[:2].min() > 1e-4
    assert changed[2] < 1e-5
    never = PriorProjection(prior, body, UP, latest=-1)
    assert (Sampler(model, guides=[never]).sample(windows.conditions).numbers() - free).abs().max() < 1e-5
    once = guide.project(windows.truth.numbers(), windows.conditions.crops)
    assert (once[..., 144:154] - windows.betas).abs().max() < 1e-6  # shape is left as it is


@pytest.fixture(scope="module")
def codes(prior, numbers) -> CodeModel:
    torch.manual_seed(0)
    model = CodeModel(SMALL, 48, 4, 2)
    model.start(prior.latents(numbers))
    return model.eval()


def test_latents_are_learned(prior, codes, numbers):
    latents = prior.latents(numbers).detach()
    torch.manual_seed(1)
    noise, timesteps = torch.randn(60, *latents.shape[1:]), torch.randint(100, (60,))
    some = latents.repeat(10, 1, 1, 1)
    model = copy.deepcopy(codes).train()
    first = float(model.loss(some, noise, timesteps).detach())
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    for _ in range(80):
        optimizer.zero_grad()
        loss = model.loss(latents.repeat(5, 1, 1, 1), torch.randn_like(some[:30]), torch.randint(100, (30,)))
        loss.backward()
        assert all(p.grad is not None for p in model.parameters())
        optimizer.step()
    assert float(model.loss(some, noise, timesteps).detach()) < 0.6 * first


@torch.no_grad()
def test_a_seed_repeats_itself(codes):
    drawn = codes.sample(4, 16, seed=4)
    assert drawn.shape == (4, 2, 4, 8)
    assert torch.equal(drawn, codes.sample(4, 16, seed=4))
    assert torch.allclose(drawn[:2], codes.sample(2, 16, seed=4), atol=1e-3)
    assert (drawn - codes.sample(4, 16, seed=5)).abs().max() > 0.1
    assert len(torch.unique(drawn, dim=0)) == 4


@torch.no_grad()
def test_a_perfect_velocity_costs_nothing_and_leads_back(codes, prior, numbers, monkeypatch):
    """With one window as all there is, the best velocity is known: no loss, and every sample is that window."""
    only = prior.latents(numbers[:1])
    clean = (only - codes.mean) / codes.deviation

    def best(noisy: Tensor, timesteps: Tensor) -> Tensor:
        share = codes.shares[timesteps][:, None, None, None]
        noise = (noisy - share.sqrt() * clean) / (1 - share).sqrt()
        return share.sqrt() * noise - (1 - share).sqrt() * clean

    monkeypatch.setattr(codes, "_velocity", best)
    noise = torch.randn(5, *only.shape[1:])
    assert codes.loss(only.expand(5, -1, -1, -1), noise, torch.tensor([0, 20, 50, 80, 99])) < 1e-6
    assert (codes.sample(3, 16, seed=1, steps=10) - only).abs().max() < 1e-3


@torch.no_grad()
def test_drawn_interactions_are_motion_of_a_pair(prior, codes, body):
    motion = draw_interactions(prior, codes, body, 3, frames=14, seed=2)
    assert motion.rotations.shape == (3, 14, 2, 24, 3, 3)
    assert torch.allclose(torch.linalg.det(motion.rotations), torch.ones(3, 14, 2, 24), atol=1e-4)
    numbers = prior.decode_nearest(codes.sample(3, 14, seed=2))[:, :14]
    # Each person's frame, x left, y up, z ahead, in the world: the first faces +x, the second -x.
    left, up, ahead = numbers[..., -3:].unbind(dim=-1)
    side = torch.tensor([1.0, -1.0])
    offset = motion.pelvis - torch.stack([ahead * side, left * side, up], dim=-1)
    assert (offset - offset[:, :1, :1]).abs().max() < 1e-5
    assert offset[..., :2].abs().max() < 1e-5
    # Somebody's lowest joint is just over the floor, and nobody is below it.
    joints = body.skeleton(motion.rotations, torch.zeros(1), motion.pelvis - body.rest_joints(torch.zeros(1))[0]).joints
    lowest = joints[..., 2].flatten(start_dim=1).amin(dim=1)
    assert lowest.min() > 0
    assert lowest.max() < 0.1
    again = prior.decode_nearest(prior.latents(numbers))  # 16 frames, the last of 14 three times
    assert torch.equal(again[:, :14], prior(numbers).numbers)


def test_files(prior, tmp_path):
    fresh = CodeModel(SMALL, 48, 4, 2).eval()
    save_prior(prior, tmp_path / "a.safetensors", fresh)
    found, model = load_prior(tmp_path / "a.safetensors")
    assert model is not None
    assert found.config == SMALL
    assert all(torch.equal(value, found.state_dict()[name]) for name, value in prior.state_dict().items())
    assert torch.equal(fresh.sample(2, 8, seed=1), model.sample(2, 8, seed=1))
    save_prior(prior, tmp_path / "b.safetensors")
    assert load_prior(tmp_path / "b.safetensors")[1] is None
    with pytest.raises(CloseintError, match="no checkpoint"):
        load_prior(tmp_path / "c.safetensors")
    with pytest.raises(CloseintError, match="colour"):
        PriorConfig.from_dict({"colour": 3})
