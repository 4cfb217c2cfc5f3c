# SPDX-License-Identifier: Apache-2.0
"""Corrections as files, and what solving around them promises."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.clips import random_clip

from closeint_core.body.data import JOINT_NAMES, load_body
from closeint_core.body.skinning import lbs, vertex_normals
from closeint_core.clip import InteractionClip
from closeint_core.corrections import ContactMark, Corrections, PositionPin, RefineSettings, RotationPin
from closeint_core.errors import Cancelled, CloseintError
from closeint_core.mesh.contact_probability import contact_probability, part_distances
from closeint_core.mesh.penetration import measure_penetration
from closeint_core.progress import Progress
from closeint_core.solver.contact_pairs import signed_gap, touching_pairs
from closeint_core.solver.pinned_solve import find_spans, spread_pins
from closeint_core.solver.solve import refine_around

BODY = load_body()
FRAMES = 21
AT = 10
QUICK = RefineSettings(blend_seconds=0.2, iterations=25, rounds=2)
TOUCH = 0.37  # metres between the pelvises at which the two just touch
BLEND = 6  # frames, of QUICK at 30 per second
SHOULDER, WRIST, HAND = (JOINT_NAMES.index(f"left_{name}") for name in ("shoulder", "wrist", "hand"))


def standing_pair(gap: float = 0.7) -> InteractionClip:
    """Two people who face each other, arms hanging, the first swaying a little; seen by a level camera."""
    poses = np.zeros((2, FRAMES, 24, 3), np.float32)
    poses[..., 16, 2], poses[..., 17, 2] = -1.2, 1.2
    poses[0, :, 3, 0] = 0.05 * np.sin(np.linspace(0, 3, FRAMES))
    # Upright (Y up to Z up), the first facing +X, the second -X.
    poses[0, :, 0] = 2.0944 * np.array([1, 1, 1]) / np.sqrt(3)
    poses[1, :, 0] = 2.0944 * np.array([1, -1, -1]) / np.sqrt(3)
    transl = np.zeros((2, FRAMES, 3), np.float32)
    transl[0, ..., 0], transl[1, ..., 0] = -gap / 2, gap / 2
    vertices, _ = lbs(BODY, poses, np.zeros((2, 1, 10), np.float32), transl)
    transl[..., 2] -= vertices[..., 2].min()
    vertices[..., 2] -= vertices[..., 2].min()
    rotation = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], np.float32)
    clip = random_clip(2, FRAMES).copy(
        poses=poses,
        transl=transl,
        betas=np.zeros((2, 10), np.float32),
        fps=30.0,
        camera_R=rotation[None],
        camera_t=(-rotation @ np.array([0, -4, 1.2], np.float32))[None],
        visible=np.ones((2, FRAMES), bool),
        foot_contacts=np.ones((2, FRAMES, 2), np.float32),
        metadata={"model": "fit", "quality": {"frames": FRAMES}},
    )
    pixels = clip.project(BODY.halpe_regressor @ vertices)
    clip.keypoints2d = np.concatenate([pixels, np.full_like(pixels[..., :1], 0.9)], -1)
    clip.contacts = contact_probability(part_distances(vertices, BODY.parts))
    return clip.validate()


def posed(clip: InteractionClip) -> tuple[np.ndarray, np.ndarray]:
    return lbs(BODY, clip.poses, clip.betas[:, None], clip.transl)


def part(name: str) -> np.ndarray:
    return np.flatnonzero(BODY.parts == JOINT_NAMES.index(name))


def assert_far_frames_unchanged(before: InteractionClip, after: InteractionClip, blend: int = BLEND) -> None:
    far = np.abs(np.arange(FRAMES) - AT) > blend
    assert far.any()
    for name in ("poses", "transl", "contacts"):
        np.testing.assert_array_equal(getattr(after, name)[:, far], getattr(before, name)[:, far])
    for name in ("keypoints2d", "visible", "betas", "camera_K", "camera_R", "camera_t", "foot_contacts"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))


# -- files -----------------------------------------------------------------------------------------------------------

numbers = st.floats(-10, 10, width=32)
three = st.tuples(numbers, numbers, numbers)
indices = st.tuples(st.integers(0, 1), st.integers(0, 4), st.integers(0, 23))
marks = st.builds(
    lambda first, more, person, a, b, touch: ContactMark(
        first, min(first + more, 4), person, a, b, touch and b is not None
    ),
    st.integers(0, 4), st.integers(0, 3), st.integers(0, 1), st.integers(0, 23), st.none() | st.integers(0, 23),
    st.booleans(),
)  # fmt: skip
any_corrections = st.builds(
    lambda rotations, positions, contacts: Corrections(
        [RotationPin(*where, value) for where, value in rotations],
        [PositionPin(*where, value) for where, value in positions],
        contacts,
    ),
    st.lists(st.tuples(indices, three), max_size=4), st.lists(st.tuples(indices, three), max_size=4),
    st.lists(marks, max_size=4),
)  # fmt: skip


@given(any_corrections)
def test_corrections_survive_json(corrections: Corrections) -> None:
    again = Corrections.from_json(json.loads(json.dumps(corrections.to_json())))
    assert again == corrections
    assert again.validate(random_clip()) is again
    assert set(again.frames()) >= {pin.frame for pin in corrections.joint_pins()}


def test_corrections_survive_a_file(tmp_path):
    corrections = Corrections([RotationPin(0, 1, 2, (0.1, 0.2, 0.3))], [], [ContactMark(1, 3, 1, 22, None, False)])
    assert Corrections.load(corrections.save(tmp_path / "new" / "c.json")) == corrections
    assert corrections.frames().tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("pin", "said"),
    [
        ({"type": "rotation", "person": 0, "frame": 0, "joint": "tail", "rotation": [0, 0, 0]}, "tail"),
        ({"type": "rotation", "person": 0, "frame": 0.5, "joint": "head", "rotation": [0, 0, 0]}, "whole number"),
        ({"type": "position", "person": 0, "frame": 0, "joint": "head", "position": [0, 0]}, "cannot be read"),
        ({"type": "wish", "person": 0, "frame": 0}, "wish"),
        ("pin", "cannot be read"),
    ],
)
def test_unreadable_pins_are_named(pin, said):
    with pytest.raises(CloseintError, match=said):
        Corrections.from_json({"format": "closeint-corrections/1", "pins": [pin]})


def test_other_files_are_refused(tmp_path):
    (tmp_path / "a.json").write_text("[1]")
    (tmp_path / "b.json").write_text("no json")
    for name in ("a.json", "b.json", "missing.json"):
        with pytest.raises(CloseintError):
            Corrections.load(tmp_path / name)


@pytest.mark.parametrize(
    "wrong",
    [
        Corrections([RotationPin(2, 0, 0, (0, 0, 0))]),
        Corrections([RotationPin(0, 99, 0, (0, 0, 0))]),
        Corrections([RotationPin(0, 0, 0, (0, float("nan"), 0))]),
        Corrections(contacts=[ContactMark(3, 2, 0, 1, 1)]),
        Corrections(contacts=[ContactMark(0, 0, 0, 1, None, True)]),
        Corrections(),
    ],
)
def test_corrections_that_do_not_fit_the_clip(wrong):
    with pytest.raises(CloseintError):
        refine_around(random_clip(), wrong)


def test_settings():
    assert RefineSettings.from_json({"rounds": 1}).rounds == 1
    assert RefineSettings.from_json(None) == RefineSettings()
    for wrong in ({"speed": 1}, {"rounds": 0}, {"blend_seconds": -1.0}, {"apart": float("inf")}):
        with pytest.raises(CloseintError):
            RefineSettings.from_json(wrong)


# -- arithmetic ------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 29), min_size=1, max_size=6, unique=True), st.integers(2, 12))
def test_spread_pins_meet_their_values_and_fade(frames: list[int], blend: int) -> None:
    at = torch.tensor(sorted(frames))
    values = torch.arange(1.0, len(at) + 1)[:, None] * torch.tensor([[1.0, -2.0]])
    spread = spread_pins(at, values, 30, blend)
    torch.testing.assert_close(spread[at], values)
    far = (torch.arange(30)[:, None] - at).abs().amin(1) > blend
    assert (spread[far] == 0).all()
    assert spread.abs().max() <= 2 * values.abs().max() + 1e-5


def test_spans_join_when_they_meet():
    assert find_spans(np.array([3, 20, 22]), 40, 4) == [(0, 8), (16, 27)]
    assert find_spans(np.array([39]), 40, 4) == [(35, 40)]


def test_touching_pairs_are_the_closest():
    vertices = posed(standing_pair(TOUCH))[0][:, AT : AT + 2]
    pairs = touching_pairs(vertices, BODY.parts)
    assert set(pairs.frame) == {0, 1}
    assert pairs.weight[pairs.frame == 0].sum() == pytest.approx(1)
    for t in range(2):
        mine = pairs.frame == t
        found = [(BODY.parts[a], BODY.parts[b]) for a, b in zip(pairs.a[mine], pairs.b[mine], strict=True)]
        assert len(set(found)) == len(found)
        lengths = []
        for a, b in zip(pairs.a[mine], pairs.b[mine], strict=True):
            to_all = np.linalg.norm(vertices[0, t, a] - vertices[1, t], axis=-1)
            assert to_all[b] == to_all.min()
            lengths.append(to_all[b])
        front = [np.flatnonzero(np.abs(vertices[p, t, :, 0]) < 0.06) for p in (0, 1)]
        between = np.linalg.norm(vertices[0, t, front[0], None] - vertices[1, t, front[1]], axis=-1)
        assert min(lengths) == pytest.approx(between.min(), abs=1e-6)


def test_normals_point_outwards():
    mesh = pytest.importorskip("trimesh").Trimesh(BODY.template, BODY.faces, process=False)
    assert (vertex_normals(BODY.template, BODY.faces) * mesh.vertex_normals).sum(1).min() > 0.5


# -- solving ---------------------------------------------------------------------------------------------------------


def test_a_pinned_rotation_is_exact_and_its_neighbours_follow():
    clip = standing_pair()
    target = tuple(float(x) for x in clip.poses[0, AT, SHOULDER] + np.array([0.0, 0.3, 0.6], np.float32))
    after = refine_around(clip, Corrections([RotationPin(0, AT, SHOULDER, target)]), QUICK)
    np.testing.assert_array_equal(after.poses[0, AT, SHOULDER], np.float32(target))
    assert_far_frames_unchanged(clip, after)
    # No spike: the arm swings there and back over the window.
    joints, old = posed(after)[1], posed(clip)[1]
    height = (joints - old)[0, :, WRIST, 2]
    assert height[AT] > 0.1
    assert (np.diff(height[AT - BLEND : AT + 1]) > -0.01).all()
    assert np.abs(np.diff(height)).max() < 0.45 * height[AT]
    # The feet of a person who stands stay.
    feet = [JOINT_NAMES.index(name) for name in ("left_ankle", "right_ankle")]
    assert np.linalg.norm((joints - old)[:, :, feet], axis=-1).max() < 0.01
    assert "quality" not in after.metadata
    assert after.metadata["model"] == "fit"


def test_a_pinned_position_is_reached_by_the_whole_body():
    clip = standing_pair()
    before = posed(clip)[1]
    target = before[1, AT, WRIST] + np.array([-0.1, 0.05, 0.25], np.float32)
    corrections = Corrections(positions=[PositionPin(1, AT, WRIST, tuple(target.tolist()))])
    progress = Progress()
    after = refine_around(clip, corrections, QUICK, progress)
    joints = posed(after)[1]
    assert np.linalg.norm(joints[1, AT, WRIST] - target) < 0.005
    assert progress.warnings == []
    assert after.metadata["refinement"]["position_error_mm"] < 5
    assert_far_frames_unchanged(clip, after)
    # The other one has no reason to move but to keep a hand out of the way.
    assert np.linalg.norm(joints[0, :, :16] - before[0, :, :16], axis=-1).max() < 0.01


def test_a_pinned_root_is_exact():
    clip = standing_pair()
    target = posed(clip)[1][0, AT, 0] + np.array([0.0, 0.1, 0.0], np.float32)
    after = refine_around(clip, Corrections(positions=[PositionPin(0, AT, 0, tuple(target.tolist()))]), QUICK)
    assert np.linalg.norm(posed(after)[1][0, AT, 0] - target) < 1e-4
    assert_far_frames_unchanged(clip, after)


def test_positions_that_exclude_each_other_are_said():
    clip = standing_pair()
    wrist = posed(clip)[1][0, AT, WRIST]
    elbow = wrist + np.array([0, 0, 1.0], np.float32)  # nobody's forearm is that long
    pins = [PositionPin(0, AT, joint, tuple(x.tolist())) for joint, x in ((WRIST, wrist), (WRIST - 2, elbow))]
    progress = Progress()
    refine_around(clip, Corrections(positions=pins), QUICK, progress)
    assert any("could not be reached" in warning for warning in progress.warnings)


def test_a_marked_contact_is_made_without_going_through():
    clip = standing_pair(gap=0.55)
    hand, chest = part("left_hand"), part("right_shoulder")
    vertices = posed(clip)[0]
    assert signed_gap(vertices[:, AT : AT + 1], BODY.faces, 0, hand, chest) > 0.2
    mark = ContactMark(AT, AT + 1, 0, HAND, JOINT_NAMES.index("right_shoulder"))
    after = refine_around(clip, Corrections(contacts=[mark]), replace(QUICK, iterations=50))
    vertices = posed(after)[0][:, AT : AT + 2]
    for t in (0, 1):
        assert signed_gap(vertices, BODY.faces, t, hand, chest) < 0.01
    assert measure_penetration(vertices, BODY.faces).max_depth.max() < 0.015
    assert (after.contacts[0, AT : AT + 2, HAND] == 1).all()
    assert (after.contacts[1, AT : AT + 2, JOINT_NAMES.index("right_shoulder")] == 1).all()


def test_parts_marked_as_apart_come_apart_and_other_contacts_stay():
    clip = standing_pair(TOUCH)
    vertices = posed(clip)[0]
    touching = touching_pairs(vertices[:, AT : AT + 1], BODY.parts)
    assert len(touching)
    mine = int(BODY.parts[touching.a[0]])
    mark = ContactMark(AT, AT, 0, mine, None, False)
    after = refine_around(clip, Corrections(contacts=[mark]), QUICK)
    now = posed(after)[0][:, AT : AT + 1]
    everything = np.arange(len(BODY.parts))
    assert signed_gap(now, BODY.faces, 0, np.flatnonzero(BODY.parts == mine), everything) > 0.015
    assert after.contacts[0, AT, mine] == 0
    assert after.metadata["refinement"]["clearance_mm"] > 15


def test_contacts_that_were_there_hold():
    """The first person's root is pulled aside while the two touch: the second follows."""
    clip = standing_pair(TOUCH)
    vertices, joints = posed(clip)
    pairs = touching_pairs(vertices[:, AT : AT + 1], BODY.parts)
    assert len(pairs)
    target = joints[0, AT, 0] + np.array([0.0, 0.03, 0.0], np.float32)
    after = refine_around(clip, Corrections(positions=[PositionPin(0, AT, 0, tuple(target.tolist()))]), QUICK)
    moved, new_joints = posed(after)
    gaps = [np.linalg.norm(x[0, AT, pairs.a] - x[1, AT, pairs.b], axis=-1) for x in (vertices, moved)]
    assert np.abs(gaps[1] - gaps[0]).mean() < 0.01
    assert new_joints[1, AT, 9, 1] - joints[1, AT, 9, 1] > 0.01


def test_one_person_alone_and_a_moving_camera():
    clip = standing_pair()
    single = InteractionClip(**{
        name: getattr(clip, name)[:1] if name in ("poses", "transl", "betas", "keypoints2d", "visible", "contacts",
                                                  "foot_contacts") else getattr(clip, name)
        for name in clip.__dataclass_fields__
    })  # fmt: skip
    single = single.copy(
        camera_K=single.camera_K.repeat(FRAMES, 0),
        camera_R=single.camera_R.repeat(FRAMES, 0),
        camera_t=single.camera_t.repeat(FRAMES, 0),
    ).validate()
    target = (0.0, 0.0, -0.6)
    after = refine_around(single, Corrections([RotationPin(0, 0, SHOULDER, target)]), QUICK)
    np.testing.assert_array_equal(after.poses[0, 0, SHOULDER], np.float32(target))
    np.testing.assert_array_equal(after.poses[:, BLEND + 1 :], single.poses[:, BLEND + 1 :])


def test_cancelling_stops_it():
    calls = []

    def cancelled() -> bool:
        calls.append(1)
        return len(calls) > 5

    corrections = Corrections([RotationPin(0, AT, SHOULDER, (0.0, 0.0, -0.5))])
    with pytest.raises(Cancelled):
        refine_around(standing_pair(), corrections, QUICK, Progress(cancelled))
    assert len(calls) < 10
