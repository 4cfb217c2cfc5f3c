# SPDX-License-Identifier: Apache-2.0
"""Synthetic interactions: seeded, touching, standing, within the limits, and divided for good."""

from __future__ import annotations

import numpy as np
import pytest
import roma
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from closeint_core.body.data import load_body
from closeint_core.body.torch_body import TorchBody
from closeint_core.errors import CloseintError
from closeint_core.mesh.penetration import measure_penetration
from closeint_core.training.synthetic import KINDS, Generator, Interactions
from closeint_core.training.synthetic.curves import bspline_basis, ease
from closeint_core.training.synthetic.diversity import measure_diversity
from closeint_core.training.synthetic.generate import MIRROR_JOINTS, acceptable
from closeint_core.training.synthetic.legs import axis_rotation, solve_leg
from closeint_core.training.synthetic.solve import Scene, Tools, Watch, hinged_overlap
from closeint_core.training.synthetic.spec import Kind, Registry, Role
from closeint_core.training.usual_range import USUAL_HIGH, USUAL_LOW

FRAMES = 18
KIND_NAMES = ["handshake", "hand on shoulder", "passing by"]


@pytest.fixture(scope="module")
def body() -> TorchBody:
    return TorchBody(load_body("default"))


@pytest.fixture(scope="module")
def made() -> Interactions:
    return Generator(KIND_NAMES)(3, FRAMES, seed=5)


def test_same_seed_same_pairs() -> None:
    generator = Generator(["passing by"], steps=3)
    first, again, other = generator(1, 10, seed=3), generator(1, 10, seed=3), generator(1, 10, seed=4)
    assert torch.equal(first.poses, again.poses)
    assert torch.equal(first.transl, again.transl)
    assert not torch.allclose(first.betas, other.betas)


def test_shapes_world_and_kinds(made: Interactions, body: TorchBody) -> None:
    assert made.poses.shape == (3, 2, FRAMES, 24, 3)
    assert made.contacts.shape == (3, FRAMES, 24, 24)
    assert sorted(made.kind_names()) == sorted(KIND_NAMES)
    assert set(made.fps.tolist()) <= {25.0, 30.0}
    pelvis = body(made.poses, made.betas[:, :, None], made.transl).joints[..., 0, :]
    assert torch.allclose(pelvis[:, :, 0, :2].mean(1), torch.zeros(3, 2), atol=1e-4)
    assert (pelvis[..., 2] > 0.5).all()


def test_touches_touch_and_nobody_is_inside(made: Interactions, body: TorchBody) -> None:
    assert acceptable(made).all()
    assert (made.touch_error > 0).any()
    with_touch = [i for i, name in enumerate(made.kind_names()) if name != "passing by"]
    assert (made.touch_error[with_touch] < 0.013).all()
    hands = [20, 21, 22, 23]
    for pair in with_touch:
        touching = made.contacts[pair].any(0)
        if not made.touch_error[pair] > 0:
            continue  # a moment before or after the touch
        assert touching[hands].any() or touching[:, hands].any(), made.kind_names()[pair]
    frames = list(range(0, FRAMES, 6))
    with torch.no_grad():
        out = body(made.poses[:, :, frames], made.betas[:, :, None], made.transl[:, :, frames])
    for pair in range(len(made)):
        exact = measure_penetration(out.vertices[pair].numpy(), body.data.faces)
        # Hands are stiff: where two palms clasp, fingers sink in by less than their own thickness.
        assert exact.max_depth.max() < 0.03
        assert exact.mean_depth.mean() < 0.0008


def test_feet_stand_still_on_the_floor(made: Interactions, body: TorchBody) -> None:
    feet = np.isin(body.data.parts, [7, 8, 10, 11])
    ids = torch.as_tensor(np.flatnonzero(feet))
    with torch.no_grad():
        out = body(made.poses, made.betas[:, :, None], made.transl, ids)
    assert out.vertices[..., 2].min() > -0.012
    ankles = out.joints[:, :, :, [7, 8]]
    both = made.planted[:, :, 1:] & made.planted[:, :, :-1]
    slide = (ankles[:, :, 1:] - ankles[:, :, :-1]).norm(dim=-1)[both]
    assert both.float().mean() > 0.4
    assert slide.max() < 0.004
    height = out.vertices[..., 2].amin(-1)
    standing = made.planted.any(-1)
    assert height[standing].abs().max() < 0.012


def test_joints_stay_within_their_limits(made: Interactions) -> None:
    arms_and_spine = [3, 6, 9, 12, 15, 13, 14, 18, 19, 20, 21]
    poses = made.poses[..., arms_and_spine, :]
    over = (poses - USUAL_HIGH[arms_and_spine]).clamp(min=0) + (USUAL_LOW[arms_and_spine] - poses).clamp(min=0)
    assert over.max() < 0.2
    knees = made.poses[..., [4, 5], 0]
    assert knees.min() > -0.05
    assert knees.max() < 2.7


def test_motion_is_smooth(made: Interactions, body: TorchBody) -> None:
    joints = body.skeleton(roma.rotvec_to_rotmat(made.poses), made.betas[:, :, None], made.transl).joints
    speed = (joints[:, :, 1:] - joints[:, :, :-1]).norm(dim=-1) * made.fps[:, None, None, None]
    jump = (joints[:, :, 2:] - 2 * joints[:, :, 1:-1] + joints[:, :, :-2]).norm(dim=-1)
    assert speed.max() < 7.0
    # The toes of a walking person reach some 60 m/s^2; 0.09 m in a frame at 30 frames a second is 80.
    assert jump.max() < 0.09


def test_mirrored_pair_is_the_reflected_mesh(made: Interactions, body: TorchBody) -> None:
    flipped = made.mirrored()
    with torch.no_grad():
        here = body(made.poses[:, :, :3], made.betas[:, :, None], made.transl[:, :, :3])
        there = body(flipped.poses[:, :, :3], flipped.betas[:, :, None], flipped.transl[:, :, :3])
    reflect = torch.tensor([1.0, -1.0, 1.0])
    assert torch.allclose(there.joints, here.joints[..., MIRROR_JOINTS, :] * reflect, atol=2e-4)
    low = there.vertices.amin(-2), (here.vertices * reflect).amin(-2)
    assert torch.allclose(*low, atol=1e-3)
    back = flipped.mirrored()
    assert torch.allclose(back.transl, made.transl, atol=1e-5)
    assert torch.equal(back.contacts, made.contacts)


def test_swapped_pair(made: Interactions) -> None:
    swapped = made.swapped()
    assert torch.equal(swapped.poses[:, 0], made.poses[:, 1])
    assert torch.equal(swapped.contacts[:, :, 3, 5], made.contacts[:, :, 5, 3])
    assert torch.equal(swapped.swapped().planted, made.planted)


def test_training_and_test_cannot_meet() -> None:
    train, test = KINDS.names("train"), KINDS.names("test")
    assert len(train) >= 16
    assert len(test) >= 5
    assert not set(train) & set(test)
    bases = {side: {KINDS.get(name).base for name in KINDS.names(side)} for side in ("train", "test")}  # type: ignore[arg-type]
    assert not bases["train"] & bases["test"]
    with pytest.raises(CloseintError, match="held out"):
        Generator([train[0], test[0]])
    with pytest.raises(CloseintError, match="held out"):
        Generator([test[0]], split="train")
    with pytest.raises(CloseintError, match="no kind"):
        Generator(["juggling"])
    with pytest.raises(CloseintError, match="split"):
        Generator()


def test_registry_refuses_a_base_on_both_sides() -> None:
    def kind(name: str, split: str, base: str) -> Kind:
        return Kind(name, split, base, 1.0, (0.0, 1.0), (Role(), Role()))  # type: ignore[arg-type]

    with pytest.raises(ValueError, match="training and test"):
        Registry([kind("a", "train", "walk"), kind("b", "test", "walk")])
    with pytest.raises(ValueError, match="two kinds"):
        Registry([kind("a", "train", "walk"), kind("a", "train", "walk")])


@settings(max_examples=30, deadline=None)
@given(frames=st.integers(2, 90), spacing=st.floats(1.5, 9.0))
def test_bspline_weights_sum_to_one_and_reproduce_lines(frames: int, spacing: float) -> None:
    basis = bspline_basis(frames, spacing)
    assert torch.allclose(basis.sum(1), torch.ones(frames), atol=1e-5)
    knots = torch.arange(basis.shape[1], dtype=torch.float32) - 1
    line = basis @ knots
    assert torch.allclose(line, torch.linspace(0, basis.shape[1] - 3, frames), atol=1e-4)


@settings(max_examples=30, deadline=None)
@given(values=st.lists(st.floats(-3, 3), min_size=2, max_size=6), seed=st.integers(0, 100))
def test_eased_keys_never_overshoot(values: list[float], seed: int) -> None:
    rng = np.random.default_rng(seed)
    times = torch.tensor(np.cumsum(rng.uniform(0.1, 1, len(values))), dtype=torch.float32)[None]
    keys = torch.tensor(values)[None, :, None]
    curve = ease(times, keys, torch.linspace(-1, float(times.max()) + 1, 50)[None])
    assert curve.min() >= min(values) - 1e-5
    assert curve.max() <= max(values) + 1e-5
    assert torch.allclose(ease(times, keys, times), keys, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(x=st.floats(-0.3, 0.5), y=st.floats(-0.15, 0.15), z=st.floats(0.05, 0.35), yaw=st.floats(-0.5, 0.5))
def test_leg_puts_the_ankle_where_it_belongs(x: float, y: float, z: float, yaw: float) -> None:
    data = load_body("default")
    rest = [torch.tensor(data.joint_template[j]) for j in (0, 1, 4, 7)]
    base = torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    pelvis, turn = torch.tensor([0.0, 0.0, 0.95]), base
    ankle = torch.tensor([x, 0.1 + y, z])
    foot = axis_rotation(2, torch.tensor(yaw)) @ base
    leg = solve_leg(tuple(rest), pelvis, turn, ankle, foot, torch.tensor([1.0, 0.0, 0.3]))  # type: ignore[arg-type]
    hip_at = pelvis + turn @ (rest[1] - rest[0])
    hip = turn @ leg.hip
    knee_at = hip_at + hip @ (rest[2] - rest[1])
    shin = hip @ leg.knee
    ankle_at = knee_at + shin @ (rest[3] - rest[2])
    tolerance = 2e-3 + float(leg.over) * 1.2
    assert torch.allclose(ankle_at, ankle, atol=tolerance)
    assert torch.allclose(shin @ leg.ankle, foot, atol=1e-4)


def test_diversity_of_copies_is_nought(made: Interactions, body: TorchBody) -> None:
    varied = measure_diversity(made, body)
    copies = measure_diversity(Interactions.join([made[:1], made[:1]]), body)
    assert copies.nearest < 1e-5 < varied.nearest
    assert varied.pose_dimensions > copies.pose_dimensions > 1
    assert varied.contact_pairs == measure_diversity(made.swapped(), body).contact_pairs
    assert abs(varied.nearest - measure_diversity(made.swapped(), body).nearest) < 1e-3


class _Elsewhere(TorchDispatchMode):
    """Notes what mixes tensors of the CPU with those of another device, or asks for a number."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        out = func(*args, **(kwargs or {}))
        tensors = [x for x in tree_leaves((args, kwargs, out)) if isinstance(x, torch.Tensor)]
        if any(x.device.type == "cpu" for x in tensors) or "local_scalar" in str(func):
            self.found.append(str(func))
        return out


def test_solver_step_waits_for_no_copy(body: TorchBody) -> None:
    away = TorchBody(load_body("default")).to("meta")
    generator = Generator(["hug", "holding hands walking", "lying across another"], oversample=1.5)
    plan = generator.plan(2, 16, 0).to(torch.device("meta"))
    scene = Scene(Tools(away), plan)
    frames = torch.arange(0, 16, 3, device="meta")
    index = torch.zeros(40, dtype=torch.int64, device="meta")
    watch = Watch(index, index, torch.zeros(40, 3, device="meta"), index)
    scene.energy(frames, watch, 0.5)  # the first time cuts the frames out of the plan
    with _Elsewhere() as seen:
        terms = scene.energy(frames, watch, 0.5)
        torch.stack(list(terms.values())).sum().backward()
    assert not seen.found


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000))
def test_overlap_and_its_gradient(seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    first = (0.1 * torch.randn(2, 3, 5, 3, generator=draw)).requires_grad_()
    second = (0.1 * torch.randn(2, 3, 4, 3, generator=draw)).requires_grad_()
    wanted = 0.2 * torch.rand(2, 1, 5, 4, generator=draw)
    share = torch.rand(2, generator=draw)
    distance = (first[:, :, :, None] - second[:, :, None]).norm(dim=-1)
    naive = ((wanted - distance).clamp(min=0) / 0.01).square().sum((-1, -2)).mean(1)
    value = hinged_overlap(first, second, wanted)
    assert torch.allclose(value, naive, rtol=1e-3, atol=1e-2)
    expected = torch.autograd.grad((naive * share).sum(), (first, second))
    found = torch.autograd.grad((value * share).sum(), (first, second))
    for a, b in zip(found, expected, strict=True):
        assert torch.allclose(a, b, rtol=1e-3, atol=0.5)


def test_oversampling_is_one_solve_of_a_plan_made_before() -> None:
    generator = Generator(["passing by", "turning round"], steps=3, oversample=2.0)
    plan = generator.plan(3, 10, seed=1)
    assert len(plan.kind) == 6
    at_once, later = generator(3, 10, seed=1), generator.make(plan, 3, seed=1)
    assert torch.equal(at_once.poses, later.poses)
    assert len(at_once) == 3
    assert set(at_once.kind_names()) == {"passing by", "turning round"}
    with pytest.raises(CloseintError, match="each one wanted"):
        Generator(["passing by"], oversample=0.5)


def test_every_kind_that_was_asked_for_is_there() -> None:
    names = set(KINDS.all_names())
    assert names >= {
        "handshake", "high five", "fist bump", "hug", "crossed hug", "hug from behind", "arm over shoulder",
        "hand on shoulder", "pat on the back", "holding hands walking", "dance hold", "push", "punch landing",
        "punch missing", "kick landing", "kick missing", "block", "clinch", "lift", "piggyback", "help up",
        "back to back", "whispering", "sitting side by side", "passing by",
    }  # fmt: skip
