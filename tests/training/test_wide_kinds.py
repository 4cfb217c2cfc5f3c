# SPDX-License-Identifier: Apache-2.0
"""The wide collection of interactions: what is held out stays out, the first collection stays as it was, and what is
new touches, faces, rests and measures as it should."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import roma
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from closeint_core.body.data import load_body
from closeint_core.body.torch_body import TorchBody
from closeint_core.errors import CloseintError
from closeint_core.evaluation.bench_cases import draw_pair
from closeint_core.evaluation.physics_suite import suite_pairs
from closeint_core.mesh.penetration import measure_penetration
from closeint_core.training.batches import Share
from closeint_core.training.config import read_config
from closeint_core.training.synthetic import KINDS, Generator, Interactions
from closeint_core.training.synthetic.generate import acceptable, default_tools
from closeint_core.training.synthetic.kinds import HELD_OUT
from closeint_core.training.synthetic.plan import Draw, make_plan
from closeint_core.training.synthetic.spec import Kind, Registry, Role
from closeint_core.training.synthetic.surface import PLACE
from closeint_core.training.synthetic.whole_body import of_stature, raised, tilted
from closeint_core.training.synthetic_source import DataConfig, SyntheticSource

FIRST = (
    "handshake", "high five", "fist bump", "hand on shoulder", "hand on cheek", "cheek kiss", "whispering", "hug",
    "crossed hug", "hug from behind", "holding hands walking", "linked arms walking", "arm over shoulder",
    "pat on the back", "sitting side by side", "passing by", "back to back", "dance hold", "slow dance",
    "two-hand dance", "push", "punch landing", "punch missing", "block", "clinch", "kick landing", "shoulder check",
    "help up", "lift", "piggyback", "walking near", "walking about another", "dancing apart", "shadow boxing",
    "picking up", "crouching", "arms raised", "turning round", "kick missing",
)  # fmt: skip
HELD_OUT_FIRST = (
    "fist bump", "whispering", "hug from behind", "back to back", "two-hand dance", "kick landing", "kick missing",
)  # fmt: skip
FRAMES = 12
BEHIND = "chin on the shoulder from behind"
SOLVED = ["palms pressed together", BEHIND, "child round the waist", "kneeling to embrace a child"]


@pytest.fixture(scope="module")
def body() -> TorchBody:
    return TorchBody(load_body("default"))


@pytest.fixture(scope="module")
def made() -> Interactions:
    """One of each; what was rejected is made anew."""
    return Generator(SOLVED)(len(SOLVED), FRAMES, seed=3)


# -- the wall ----------------------------------------------------------------------------------------------------------


def test_every_held_out_kind_is_in_the_one_list() -> None:
    listed = [name for names in HELD_OUT.values() for name in names]
    assert len(listed) == len(set(listed))
    assert set(listed) == set(KINDS.names("test", "wide"))
    assert set(HELD_OUT_FIRST) == set(KINDS.names("test")) < set(listed)
    train = set(KINDS.names("train", "wide"))
    for family, names in KINDS.families().items():
        assert set(HELD_OUT[family]) == set(names) - train, family
        # Embraces from behind, for instance, can be learned from some and judged on another.
        assert set(names) & train, family
        assert set(names) - train, family


def test_a_list_that_is_wrong_is_refused() -> None:
    kind = Kind("a", "test", "stand", 1.0, (0.0, 1.0), (Role(), Role()))
    Registry([kind], held_out=["a"])
    with pytest.raises(ValueError, match="held out is wrong about a"):
        Registry([kind], held_out=[])
    with pytest.raises(ValueError, match="held out is wrong about b"):
        Registry([kind], held_out=["a", "b"])


@pytest.mark.parametrize("collection", ["first", "wide"])
def test_training_never_draws_what_is_held_out(collection: str) -> None:
    config = DataConfig(collection=collection, pool=200, chunk=200, clip=4, oversample=1.5)  # type: ignore[arg-type]
    held_out = {name for names in HELD_OUT.values() for name in names}
    generator = Generator(split="train", collection=collection, oversample=1.5)  # type: ignore[arg-type]
    plan = generator.plan(len(generator.kinds), 4, seed=1)
    drawn = {KINDS.all_names()[number] for number in plan.kind.tolist()}
    assert drawn == set(KINDS.names("train", collection))  # type: ignore[arg-type]
    assert not drawn & held_out
    source = SyntheticSource(config, generator.body, Share(2, seed=0))
    assert {kind.name for kind in source.generator.kinds} == drawn
    judged = SyntheticSource(config, generator.body, Share(2, seed=0, split="test"))
    assert {kind.name for kind in judged.generator.kinds} == set(KINDS.names("test", collection))  # type: ignore[arg-type]


def test_held_out_kinds_cannot_be_named_for_training() -> None:
    for name in KINDS.names("test", "wide"):
        with pytest.raises(CloseintError, match="held out"):
            Generator([name], split="train")
    with pytest.raises(CloseintError, match="collection 'all'"):
        Generator(split="train", collection="all")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["denoiser", "prior"])
def test_configurations_say_what_they_learn_from(name: str) -> None:
    """The bundled weights have learned from the first collection; the files must go on to say so."""
    config = read_config(Path(__file__).parents[2] / f"closeint_core/training/configs/{name}.yaml")
    assert config.data.collection == "first"


# -- the first collection ----------------------------------------------------------------------------------------------


def test_first_collection_is_as_it_was() -> None:
    """Films, bench and physics suite draw by name, number and order."""
    assert KINDS.all_names("first") == FIRST
    assert KINDS.all_names()[: len(FIRST)] == FIRST
    assert KINDS.names("test") == HELD_OUT_FIRST
    assert [name for name, _ in suite_pairs(2)] == 2 * list(FIRST)
    assert Generator(split="test").kinds == tuple(KINDS.get(name) for name in HELD_OUT_FIRST)


def test_bench_draws_the_first_collection_only(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Enough(Exception):
        pass

    def note(kinds: list[str], *_: object, **__: object) -> Interactions:
        asked.extend(kinds)
        raise Enough

    monkeypatch.setattr("closeint_core.evaluation.bench_cases.generate", note)
    for index in range(len(HELD_OUT_FIRST)):
        with pytest.raises(Enough):
            draw_pair(index, 8, 0)
    assert tuple(asked) == HELD_OUT_FIRST


# Plans of seed 7, 2 pairs of 10 frames, as they were before there was a wide collection: shape, spine, pelvis, ankle,
# feet, touching; places touched; number of the kind.
RECORDED: dict[str, tuple[tuple[float, ...], list[list[int]], int]] = {
    "hug": ((0.22821, 7.21425, 0.13718, 0.0767, 0.0, 50.0), [[34, 72, 35, 70, 0], [33, 73, 35, 74, 29]], 7),
    "piggyback": ((0.22821, 7.59798, -0.14881, 0.0767, 1.67575, 50.0), [[81, 43, 67, 29, 3], [82, 43, 68, 29, 3]], 29),
    "kick missing": ((0.22821, 10.18213, 0.74853, 0.5129, 1.91569, 0.0), [[0] * 5] * 2, 38),
}


@pytest.mark.parametrize("name", RECORDED)
def test_old_kinds_are_planned_as_before(name: str, body: TorchBody) -> None:
    plan = make_plan(KINDS.get(name), KINDS.all_names().index(name), 2, 10, Draw(7), body)
    numbers, places, number = RECORDED[name]
    found = (
        plan.betas[1, 0, 0], plan.prior[0, 1, 9].abs().sum(), plan.pelvis[1, 1, 4, 0], plan.ankles[1, 0, 9, 1, 2],
        plan.foot_pitch[0, 0].abs().sum(), plan.weight[0].sum(),
    )  # fmt: skip
    assert [float(value) for value in found] == pytest.approx(numbers, abs=2e-4)
    assert plan.theirs[:, :5].tolist() == places
    assert plan.kind.tolist() == [number] * 2
    assert torch.equal(plan.tilt, torch.eye(3).expand_as(plan.tilt))
    assert not plan.rests.any()


# -- the parts that are new --------------------------------------------------------------------------------------------


def test_all_new_kinds_can_be_planned(body: TorchBody) -> None:
    names = KINDS.all_names()
    for number, name in enumerate(names[len(FIRST) :], len(FIRST)):
        plan = make_plan(KINDS.get(name), number, 2, 8, Draw(1), body)
        for field, value in plan.__dict__.items():
            assert torch.isfinite(value).all(), (name, field)
        apart = (plan.pelvis[:, 0] - plan.pelvis[:, 1]).norm(dim=-1)
        assert apart.max() < 2.0, name


@settings(max_examples=20, deadline=None)
@given(wanted=st.floats(1.37, 2.0), seed=st.integers(0, 1000))
def test_people_are_as_tall_as_wanted(wanted: float, seed: int) -> None:
    body = default_tools().body
    betas = torch.randn(2, 10, generator=torch.Generator().manual_seed(seed)).clamp(-2.2, 2.2)
    shaped = of_stature(betas, torch.tensor([wanted, 1.7]), body)
    assert torch.equal(shaped[:, 1:], betas[:, 1:])
    vertices = body.rest_vertices(shaped, torch.arange(body.data.num_vertices))
    height = vertices[..., 1].amax(1) - vertices[..., 1].amin(1)
    assert height.tolist() == pytest.approx([wanted, 1.7], abs=0.004)


def test_children_are_children(body: TorchBody) -> None:
    for name in KINDS.families()["adult and child"]:
        kind = KINDS.get(name)
        plan = make_plan(kind, 0, 16, 4, Draw(2), body)
        rest = body.rest_vertices(plan.betas, torch.arange(body.data.num_vertices))[..., 1]
        height = rest.amax(-1) - rest.amin(-1)
        for person, role in enumerate(kind.roles):
            assert role.stature is not None
            assert height[:, person].min() > role.stature[0] - 0.004, name
            assert height[:, person].max() < role.stature[1] + 0.004, name
        assert (height.amax(1) - height.amin(1) > 0.15).all(), name


@settings(max_examples=30, deadline=None)
@given(pitch=st.floats(-100, 100), roll=st.floats(-40, 40))
def test_tilt_turns_the_body_as_it_says(pitch: float, roll: float) -> None:
    prior = torch.zeros(1, 5, 24, 3)
    out = tilted(Role(tilt=((0.0, pitch, 0.0, 0.0),)), torch.zeros(1, 5), prior)
    up, ahead = out["tilt"][0, 0] @ torch.tensor([0.0, 1, 0]), out["tilt"][0, 0] @ torch.tensor([0.0, 0, 1])
    angle = math.radians(pitch)
    assert up.tolist() == pytest.approx([0, math.cos(angle), math.sin(angle)], abs=1e-5)  # forward is z
    assert ahead.tolist() == pytest.approx([0, -math.sin(angle), math.cos(angle)], abs=1e-5)
    assert torch.allclose(roma.rotvec_to_rotmat(out["prior"][:, :, 0]), out["tilt"], atol=1e-5)
    side = tilted(Role(tilt=((0.0, 0.0, roll, 0.0),)), torch.zeros(1, 5), prior)["tilt"][0, 0]
    assert (side @ torch.tensor([0.0, 1, 0]))[0] == pytest.approx(math.sin(math.radians(roll)), abs=1e-5)  # left is x
    assert "prior" not in tilted(Role(), torch.zeros(1, 5), prior)


def test_who_is_carried_is_as_high_as_the_other() -> None:
    person = {
        "pelvis": torch.rand(2, 4, 3), "ankles": torch.rand(2, 4, 2, 3),
        "free": torch.tensor([1.0, 0.0]).expand(2, 4, 2),
    }  # fmt: skip
    up = raised(person, torch.tensor([0.1, -0.2]))
    assert torch.allclose((up["pelvis"] - person["pelvis"])[..., 2], torch.tensor([[0.1], [-0.2]]).expand(2, 4))
    gone = up["ankles"] - person["ankles"]
    assert torch.allclose(gone[:, :, 0, 2], torch.tensor([[0.1], [-0.2]]).expand(2, 4))
    assert not gone[:, :, 1].any()  # a foot on the floor stays there
    assert not gone[..., :2].any()


# -- solved ------------------------------------------------------------------------------------------------------------


def _pair(made: Interactions, name: str) -> int:
    return made.kind_names().index(name)


def _vertices(made: Interactions, body: TorchBody, pair: int, frames: list[int]) -> torch.Tensor:
    """(2, F, V, 3)"""
    with torch.no_grad():
        return body(made.poses[pair][:, frames], made.betas[pair][:, None], made.transl[pair][:, frames]).vertices


def test_new_kinds_touch_and_nobody_is_inside(made: Interactions, body: TorchBody) -> None:
    assert sorted(made.kind_names()) == sorted(SOLVED)
    assert acceptable(made).all(), list(zip(made.kind_names(), made.touch_error, made.depth, strict=True))
    for pair, name in enumerate(made.kind_names()):
        exact = measure_penetration(_vertices(made, body, pair, [0, 6, 11]).numpy(), body.data.faces)
        assert exact.max_depth.max() < 0.035, name
        assert exact.mean_depth.mean() < 0.001, name
        if made.touch_error[pair] > 0:
            assert made.contacts[pair].any(), name


def test_palms_that_hold_face_each_other(made: Interactions, body: TorchBody) -> None:
    pair = _pair(made, "palms pressed together")
    surface = default_tools().surface
    betas = made.betas[pair][:, None]
    skeleton = body.skeleton(roma.rotvec_to_rotmat(made.poses[pair]), betas, made.transl[pair])
    places = surface.places(skeleton, surface.shaped(betas))
    hands = [PLACE["left_palm"], PLACE["right_palm"]]
    positions, normals = places.positions[:, :, hands], places.normals[:, :, hands]  # (2, T, 2, 3)
    gap = (positions[0] - positions[1].flip(1)).norm(dim=-1)
    facing = (normals[0] * normals[1].flip(1)).sum(-1)
    assert gap.min() < 0.02
    held = gap < 0.02
    assert held[-1].all()  # the touch lasts to the end of the timeline
    assert facing[held].max() < -0.75


def test_an_embrace_from_behind_is_not_face_to_face(made: Interactions, body: TorchBody) -> None:
    pair = _pair(made, BEHIND)
    root = roma.rotvec_to_rotmat(made.poses[pair][:, :, 0])
    ahead = root[..., 2]  # forward axis of each pelvis in the world
    assert ((ahead[0] * ahead[1]).sum(-1) > 0.7).all()
    joints = body.skeleton(roma.rotvec_to_rotmat(made.poses[pair]), made.betas[pair][:, None], made.transl[pair]).joints
    towards = joints[1, :, 0] - joints[0, :, 0]
    behind = (towards * ahead[0]).sum(-1)
    assert (behind.abs() > 0.08).all()
    assert (behind > 0).all() or (behind < 0).all()


def test_who_kneels_is_on_the_floor(made: Interactions, body: TorchBody) -> None:
    pair = _pair(made, "kneeling to embrace a child")
    heights = _vertices(made, body, pair, [0, 6, 11])[..., 2]
    assert heights.amin(-1).min() > -0.02
    assert heights.amin(-1).max() < 0.012
    rest = body.rest_vertices(made.betas[pair], torch.arange(body.data.num_vertices))[..., 1]
    adult = int((rest.amax(-1) - rest.amin(-1)).argmax())
    knees = torch.as_tensor(np.flatnonzero(np.isin(body.data.parts, [4, 5])))
    assert heights[adult][:, knees].amin(-1).max() < 0.015
    assert heights[1 - adult][:, knees].amin(-1).min() > 0.02  # of a child that stands, from the shin up


def test_the_same_seed_gives_the_same_new_pairs() -> None:
    generator = Generator(["carried in both arms"], steps=3)
    first, again = generator(1, 8, seed=5), generator(1, 8, seed=5)
    assert torch.equal(first.poses, again.poses)
    assert torch.equal(first.transl, again.transl)
