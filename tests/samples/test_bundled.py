# SPDX-License-Identifier: Apache-2.0
"""The bundled sample is what its card says: small, valid, physically sound, and its truth lies on its pictures."""

from __future__ import annotations

import warnings
from pathlib import Path

import av
import igl
import numpy as np
import pytest
from scipy.spatial import cKDTree

import closeint_core
from closeint_core.body.data import load_body
from closeint_core.body.skinning import lbs
from closeint_core.clip import InteractionClip

SAMPLES = Path(closeint_core.__file__).parent / "samples"
EVERY = 8


@pytest.fixture(scope="module")
def clip() -> InteractionClip:
    return InteractionClip.load(SAMPLES / "greeting.closeint.npz")


@pytest.fixture(scope="module")
def frames(clip: InteractionClip) -> np.ndarray:
    with av.open(str(SAMPLES / clip.video)) as film:
        assert float(film.streams.video[0].average_rate) == pytest.approx(clip.fps)
        return np.stack([frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)])


@pytest.fixture(scope="module")
def picked(clip: InteractionClip) -> np.ndarray:
    return np.arange(0, clip.frames, EVERY)


@pytest.fixture(scope="module")
def vertices(clip: InteractionClip, picked: np.ndarray) -> np.ndarray:
    """(2, N, V, 3) of every eighth frame."""
    body = load_body("default")
    return np.stack([lbs(body, clip.poses[i, picked], clip.betas[i], clip.transl[i, picked])[0] for i in (0, 1)])


def test_length_size_and_labels(clip: InteractionClip, frames: np.ndarray) -> None:
    assert 3.0 <= clip.frames / clip.fps <= 5.0
    assert (SAMPLES / clip.video).stat().st_size <= 4_000_000
    assert frames.shape == (clip.frames, clip.image_size[1], clip.image_size[0], 3)
    assert clip.people == 2
    assert clip.body == load_body("default").name
    assert clip.metadata["synthetic"] is True
    assert clip.metadata["ground_truth"] is True
    assert clip.visible.all()


def test_the_two_bodies_differ(clip: InteractionClip) -> None:
    rest = load_body("default").rest(clip.betas)[0]
    stature = np.ptp(rest[..., 1], axis=1)
    assert abs(stature[0] - stature[1]) > 0.08


def test_keypoints_are_the_projected_truth(clip: InteractionClip, picked: np.ndarray, vertices: np.ndarray) -> None:
    points = np.einsum("kv,ptvi->ptki", load_body("default").halpe_regressor, vertices)
    still = clip.copy(camera_K=clip.camera_K[:1], camera_R=clip.camera_R[:1], camera_t=clip.camera_t[:1])
    # Rendered from rotation matrices, stored as float32 axis-angle: a few hundredths of a pixel.
    np.testing.assert_allclose(clip.keypoints2d[:, picked, :, :2], still.project(points), atol=0.05)
    assert (clip.keypoints2d[..., 2] == 1).all()


def test_world_conventions(clip: InteractionClip, vertices: np.ndarray) -> None:
    body = load_body("default")
    pelvis = clip.transl[:, 0] + body.rest(clip.betas)[1][:, 0]
    np.testing.assert_allclose(pelvis[:, :2].mean(0), 0, atol=1e-4)
    assert vertices[..., 2].min() > -0.002
    assert vertices[..., 2].min(axis=2).max() < 0.005  # somebody's sole is always on the floor


def test_bodies_do_not_pass_through_each_other(vertices: np.ndarray) -> None:
    faces = load_body("default").faces
    for here, there in ((0, 1), (1, 0)):
        for mine, other in zip(vertices[here], vertices[there], strict=True):
            near = mine[cKDTree(other).query(mine, distance_upper_bound=0.06)[0] < np.inf]
            if len(near):
                signed = igl.signed_distance(near.astype(np.float64), other.astype(np.float64), faces)[0]
                assert float(np.min(signed)) > -0.015


def test_contacts_are_the_geometry(clip: InteractionClip, picked: np.ndarray, vertices: np.ndarray) -> None:
    """A naive version: nearest vertices, certain where they are well within or well beyond the 15 mm."""
    parts = load_body("default").parts
    for here, there in ((0, 1), (1, 0)):
        for at, frame in enumerate(picked):
            far = cKDTree(vertices[there, at]).query(vertices[here, at])[0]
            nearest = np.full(24, np.inf)
            np.minimum.at(nearest, parts, far)
            assert (clip.contacts[here, frame, nearest < 0.012] == 1).all()
            assert (clip.contacts[here, frame, nearest > 0.040] == 0).all()
    hands, trunk = clip.contacts[:, :, [20, 21, 22, 23]], clip.contacts[:, :, [3, 6, 9]]
    assert (hands.any(2) & ~trunk.any(2)).all(0).sum() > 10, "they shake hands"
    assert (hands.any(2) & trunk.any(2)).all(0).sum() > 10, "they hug"


def test_planted_feet_stay(clip: InteractionClip) -> None:
    body = load_body("default")
    every = np.stack([lbs(body, clip.poses[i], clip.betas[i], clip.transl[i])[1] for i in (0, 1)])
    for column, joint in ((0, 10), (1, 11)):
        moved = np.linalg.norm(np.diff(every[:, :, joint, :2], axis=1), axis=-1)
        planted = (clip.foot_contacts[:, 1:, column] > 0) & (clip.foot_contacts[:, :-1, column] > 0)
        assert np.median(moved[planted]) < 0.0005
        assert np.mean(moved[planted] < 0.002) > 0.85  # the rest: rolling over heel and ball


def test_truth_lies_on_the_pictures(
    clip: InteractionClip, frames: np.ndarray, picked: np.ndarray, vertices: np.ndarray
) -> None:
    """What changes against the empty room is where the true bodies are."""
    import cv2

    still = clip.copy(camera_K=clip.camera_K[:1], camera_R=clip.camera_R[:1], camera_t=clip.camera_t[:1])
    pixels = still.project(vertices)  # (2, N, V, 2)
    faces = load_body("default").faces
    height, width = frames.shape[1:3]
    masks = np.zeros((len(picked), height, width), np.uint8)
    for mask, people in zip(masks, pixels.transpose(1, 0, 2, 3), strict=True):
        for person in people:
            # OpenCV counts from pixel centres.
            for corners in np.round((person[faces] - 0.5) * 16).astype(np.int32):
                cv2.fillConvexPoly(mask, corners, 1, shift=4)
    wide = np.stack([cv2.dilate(mask, np.ones((61, 61), np.uint8)) for mask in masks])
    films = frames[picked].astype(np.float32)
    free = np.where(wide[..., None] > 0, np.nan, films)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # pixels that are never free
        room = np.nanmedian(free, axis=0)
    known = np.isfinite(room).all(-1)
    assert known.mean() > 0.7
    changed = np.abs(films - np.nan_to_num(room)).max(-1) > 30
    inside, outside = (masks > 0) & known, (wide == 0) & known
    assert changed[inside].mean() > 0.85
    assert changed[outside].mean() < 0.01
