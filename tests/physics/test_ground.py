# SPDX-License-Identifier: Apache-2.0
"""The floor from stances, and what feet do on it, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from closeint_core.physics.ground import (
    LEVEL,
    Ground,
    contact_points,
    feet_down,
    find_ground,
    fit_ground,
    foot_contacts,
    measure_feet,
    stance_spans,
)

UP = np.array([0.0, 0.0, 1.0])
PLATE = np.array([[x, y, 0.0] for x in (-0.04, 0.04) for y in (-0.08, 0.0, 0.08, 0.16)])
"""Eight points of a sole, metres, toes along y."""


def rotation(axis: int, angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    a, b = [i for i in range(3) if i != axis]
    out = np.eye(3)
    out[a, a], out[a, b], out[b, a], out[b, b] = c, -s, s, c
    return out


def walkers(rng: np.random.Generator, frames: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Soles (2, T, 2, 8, 3) of two people who stand, step once with each foot and stand; planted (2, T, 2) bool."""
    places = rng.uniform(-1.0, 1.0, (2, 2, 2, 2))  # person, foot, stance, xy
    soles = np.zeros((2, frames, 2, 8, 3))
    planted = np.ones((2, frames, 2), bool)
    for person in range(2):
        for foot in range(2):
            start = 15 + 20 * foot
            mix = np.clip((np.arange(frames) - start) / 10, 0, 1)[:, None]
            at = places[person, foot, 0] * (1 - mix) + places[person, foot, 1] * mix
            soles[person, :, foot, :, :2] = at[:, None] + PLATE[:, :2]
            soles[person, :, foot, :, 2] = 0.15 * np.sin(np.pi * mix)
            planted[person, start : start + 11, foot] = False
    return soles, planted


@given(st.integers(0, 10_000), st.floats(-0.06, 0.06), st.floats(-0.06, 0.06), st.floats(-2.0, 2.0))
def test_exact_stances_give_their_plane(seed: int, roll: float, pitch: float, height: float) -> None:
    rng = np.random.default_rng(seed)
    turn = rotation(0, roll) @ rotation(1, pitch)
    points = np.concatenate([rng.uniform(-2, 2, (12, 2)), np.zeros((12, 1))], 1)
    points[:3, :2] = [[2, 0], [-2, 1], [0, -2]]  # spread for certain
    # A prior so wide that it says nothing.
    ground = fit_ground((points + [0, 0, height]) @ turn.T, np.ones(12), UP, slope_prior=100.0)
    assert ground is not None
    assert ground.slopes == 2
    np.testing.assert_allclose(ground.normal, turn @ UP, atol=1e-5)
    assert ground.offset == pytest.approx(-height, abs=1e-5)
    assert ground.tilt == pytest.approx(np.arccos((turn @ UP)[2]), abs=1e-5)
    np.testing.assert_allclose(ground.heights((points + [0, 0, height]) @ turn.T), 0, atol=1e-5)


@given(st.integers(0, 10_000))
def test_any_frame_gives_the_same_floor(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = np.concatenate([rng.uniform(-1, 1, (8, 2)), rng.normal(0, 0.01, (8, 1))], 1)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    if np.linalg.det(turn) < 0:
        turn[:, 0] *= -1
    here, there = fit_ground(points, np.ones(8), UP), fit_ground(points @ turn.T + 3.0, np.ones(8), turn @ UP)
    assert here is not None
    assert there is not None
    np.testing.assert_allclose(there.normal, turn @ here.normal, atol=1e-6)
    np.testing.assert_allclose(there.heights(points @ turn.T + 3.0), here.heights(points), atol=1e-6)


def test_feet_that_do_not_stand_are_not_believed() -> None:
    rng = np.random.default_rng(1)
    points = np.concatenate([rng.uniform(-1.5, 1.5, (14, 2)), rng.normal(0, 0.004, (14, 1))], 1)
    points[[2, 7, 11], 2] += [0.3, 0.5, -0.25]  # a lifted partner, a step on a box, a lost foot
    ground = fit_ground(points @ rotation(0, 0.05).T, np.ones(14), UP)
    naive = np.linalg.lstsq(np.c_[points[:, :2], np.ones(14)], points[:, 2], rcond=None)[0]
    assert ground is not None
    true = rotation(0, 0.05) @ UP
    assert np.degrees(np.arccos(ground.normal @ true)) < 0.5
    assert np.degrees(np.arctan(np.linalg.norm(naive[:2]))) > 3


def test_what_stances_cannot_tell_stays_level() -> None:
    tilted = rotation(1, 0.05)  # falls along x
    row = np.array([[x, 0.0, 0.0] for x in np.linspace(-1.5, 1.5, 7)]) @ tilted.T
    ground = fit_ground(row, np.ones(7), UP)
    assert ground is not None
    assert ground.slopes == 1
    assert ground.normal[1] == pytest.approx(0, abs=1e-9)
    assert abs(ground.tilt) == pytest.approx(0.05, abs=0.002)
    few = fit_ground(row[[0, 6]], np.ones(2), UP)
    assert few is not None
    assert (few.slopes, few.tilt, few.stances) == (0, 0.0, 2)
    # Two heights that differ by more than a stance may be off: neither is believed more than the other.
    assert few.offset == pytest.approx(0, abs=0.08)
    near = fit_ground(np.array([[0, 0, 0.1], [0.02, 0, 0.11], [0, 0.02, 0.1], [0.01, 0.02, 0.11]]), np.ones(4), UP)
    assert near is not None
    assert near.slopes == 0
    assert near.offset == pytest.approx(-0.105, abs=1e-3)
    assert fit_ground(np.zeros((0, 3)), np.zeros(0), UP) is None
    assert fit_ground(row, np.zeros(7), UP) is None


@pytest.mark.parametrize("angle", [0.0, 0.03, 0.06])
def test_a_tilted_floor_from_walking_people(angle: float) -> None:
    """Two people stand and step on a floor that is tilted against what is taken for up, their feet 5 mm off it."""
    rng = np.random.default_rng(4)
    soles, planted = walkers(rng)
    stance_noise = rng.normal(0, 0.005, (2, 1, 2, 1))
    soles[..., 2] += stance_noise
    tilted, sure, true = soles @ rotation(0, angle).T, planted.astype(np.float32), rotation(0, angle) @ UP
    free = find_ground(tilted, sure, UP, 30.0, slope_prior=0.3)
    ground = find_ground(tilted, sure, UP, 30.0)
    assert free is not None
    assert ground is not None
    assert ground.slopes == free.slopes == 2
    assert ground.stances == 8
    assert np.degrees(np.arccos(free.normal @ true)) < 0.8
    # What was taken for up has its say: the slope falls short of the stances' a little, never beyond it.
    off = np.degrees(np.arccos(ground.normal @ true))
    assert off < 0.8 + 0.4 * np.degrees(angle)
    assert ground.tilt < angle + 0.01


def test_which_feet_stand() -> None:
    soles, planted = walkers(np.random.default_rng(2))
    found = foot_contacts(soles, LEVEL, 30.0) > 0.5
    assert (found == planted).mean() > 0.95
    held = soles.copy()
    held[0, :, 0, :, 2] += 0.3  # a leg that is held up does not stand however still it is
    assert not (foot_contacts(held, LEVEL, 30.0)[0, :, 0] > 0.5).any()
    assert foot_contacts(soles[:, :1], LEVEL, 30.0).shape == (2, 1, 2)


@pytest.mark.parametrize("fps", [24.0, 60.0])
@pytest.mark.parametrize("floor", [0.0, 0.3])
def test_feet_that_are_down_whatever_a_clip_says(fps: float, floor: float) -> None:
    soles, planted = walkers(np.random.default_rng(2), 90)
    down = feet_down(soles + [0, 0, floor], UP, fps)
    assert (down != planted).sum() <= 4 * 4  # two people step with two feet: at most four frames around each step
    # One that slides and jumps within its stance stands all the same, and that is what is measured.
    slid = soles.copy()
    slid[0, 70:, 0, :, 0] += 0.035
    slid[0, 60:, 1, :, 1] += np.minimum(np.arange(30) * 0.004, 0.08)[:, None]
    found = feet_down(slid, UP, fps)
    assert (found[0, 60:] == down[0, 60:]).all()
    skate = measure_feet(slid, found).skate
    assert np.nanmax(skate) == pytest.approx(0.035, abs=1e-6)
    assert skate[0, 65, 1] == pytest.approx(0.004, abs=1e-6)


def test_a_foot_that_is_held_up_is_not_down() -> None:
    soles, _ = walkers(np.random.default_rng(3))
    soles[0, :, 0, :, 2] += 0.3
    assert not feet_down(soles, UP, 30.0)[0, :, 0].any()
    assert feet_down(soles[:, :1], UP, 30.0).shape == (2, 1, 2)


@given(st.lists(st.booleans(), min_size=1, max_size=30))
def test_spans_against_a_walk_through_time(run: list[bool]) -> None:
    planted = np.zeros((1, len(run), 2), bool)
    planted[0, :, 1] = run
    rebuilt = np.zeros_like(planted)
    for person, foot, a, b in stance_spans(planted):
        assert planted[person, a:b, foot].all()
        assert a == 0 or not planted[person, a - 1, foot]
        assert b == len(run) or not planted[person, b, foot]
        rebuilt[person, a:b, foot] = True
    assert (rebuilt == planted).all()


def test_skate_float_and_sink_are_exact() -> None:
    soles = np.tile(PLATE, (1, 4, 2, 1, 1))
    soles[0, :, 0, :, 0] += np.array([0.0, 0.003, 0.003, 0.010])[:, None]
    soles[0, :, 0, :, 2] += np.array([0.0, 0.002, -0.004, 0.001])[:, None]
    planted = np.ones((1, 4, 2), bool)
    planted[0, 3, 0] = False
    measured = measure_feet(soles, planted, LEVEL)
    np.testing.assert_allclose(measured.skate[0, :, 0], [0.003, 0.0, np.nan], atol=1e-12)
    np.testing.assert_allclose(measured.skate[0, :, 1], 0, atol=1e-12)
    np.testing.assert_allclose(measured.floating[0, :, 0], [0, 0.002, 0, np.nan], atol=1e-12)
    np.testing.assert_allclose(measured.sinking[0, :, 0], [0, 0, 0.004, 0], atol=1e-12)
    np.testing.assert_allclose(measured.drift[0, :, 0], [0.003, 0, 0, np.nan], atol=1e-12)
    # On a floor that is tilted and lies elsewhere, the same figures.
    turn = rotation(0, 0.4)
    moved = measure_feet(soles @ turn.T + turn @ [0, 0, 2.0], planted, Ground(turn @ UP, -2.0))
    for name, value in vars(measured).items():
        np.testing.assert_allclose(getattr(moved, name), value, atol=1e-9)


def test_a_foot_that_rolls_over_its_toes_does_not_skate() -> None:
    toes = PLATE[:, 1].max()
    angles = np.linspace(0, 0.6, 8)
    soles = np.zeros((1, 8, 2, 8, 3))
    for frame, angle in enumerate(angles):
        about = PLATE - [0, toes, 0]
        soles[0, frame, :] = about @ rotation(0, -angle).T + [0, toes, 0]
    measured = measure_feet(soles, np.ones((1, 8, 2), bool), LEVEL)
    centre = np.linalg.norm(np.diff(soles.mean(3)[..., :2], axis=1), axis=-1)
    assert np.nanmax(measured.skate) < 1e-4
    assert centre.max() > 0.002  # which the middle of the foot would have told
    np.testing.assert_allclose(contact_points(soles, UP)[0, -1, :, 1], toes, atol=2e-3)
