# SPDX-License-Identifier: Apache-2.0
"""One shape a person from a whole clip: found where the evidence speaks, kept where it does not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.people import DATA, QUICK, standing

from closeint_core.body.skinning import clip_vertices
from closeint_core.body.torch_body import TorchBody
from closeint_core.clip import InteractionClip
from closeint_core.solver.phases import RefineOptions, refine
from closeint_core.solver.shared_shape import _Evidence, with_shared_shape

BODY = TorchBody(DATA)


def tall_and_short(frames: int = 6, people: int = 2) -> InteractionClip:
    """Two of known, different shapes with the keypoints to match (synthetic)."""
    clip = standing(frames, 0.8, people)
    betas = np.zeros_like(clip.betas)
    betas[:, 0] = [1.2, -0.9][:people]
    betas[:, 1] = [0.5, -0.5][:people]
    clip = clip.copy(betas=betas)
    soles = np.concatenate([v[..., 2].min(-1) for _, v, _ in clip_vertices(clip, DATA)], 1)
    transl = clip.transl.copy()
    transl[..., 2] -= soles
    clip = clip.copy(transl=transl)
    points = np.concatenate([DATA.halpe_regressor @ v for _, v, _ in clip_vertices(clip, DATA)], 1)
    pixels = clip.project(points.astype(np.float32))
    return clip.copy(keypoints2d=np.concatenate([pixels, np.full_like(pixels[..., :1], 0.9)], -1))


def heights(clip: InteractionClip) -> np.ndarray:
    return np.concatenate([np.ptp(v[..., 2], -1) for _, v, _ in clip_vertices(clip, DATA)], 1)[:, 0]


@settings(deadline=None, max_examples=8)
@given(st.integers(0, 1000))
def test_statures_are_found_from_keypoints_and_floor(seed: int) -> None:
    truth = tall_and_short()
    off = np.random.default_rng(seed).normal(0, 0.7, truth.betas.shape).astype(np.float32)
    wrong = truth.copy(betas=truth.betas + off)
    found = with_shared_shape(wrong, BODY, 0.5)
    # No keypoint tells all ten coefficients: what the rest do to the crown of the head stays.
    assert (np.abs(heights(found) - heights(truth)) < 0.03).all()
    before, after = (np.abs((clip.betas - truth.betas)[:, 0]) for clip in (wrong, found))
    assert (after < 0.15 + 0.1 * before).all()
    assert found.poses is wrong.poses or np.array_equal(found.poses, wrong.poses)


def test_right_shapes_stay() -> None:
    truth = tall_and_short()
    found = with_shared_shape(truth, BODY, 0.5)
    assert np.abs(heights(found) - heights(truth)).max() < 0.008
    assert np.abs(found.transl - truth.transl).max() < 0.06


def test_nothing_known_changes_nothing() -> None:
    clip = tall_and_short()
    blind = clip.copy(
        keypoints2d=np.full_like(clip.keypoints2d, np.nan), foot_contacts=np.zeros_like(clip.foot_contacts)
    )
    found = with_shared_shape(blind, BODY, 0.5)
    assert np.allclose(found.betas, clip.betas, atol=1e-5)
    assert np.allclose(found.transl, clip.transl, atol=1e-5)
    assert with_shared_shape(clip, BODY, 0.0) is clip


def test_step_is_that_of_the_whole_system() -> None:
    """Places eliminated frame by frame give the same step as one dense least-squares problem of everything."""
    clip = tall_and_short(frames=3, people=1)
    evidence = _Evidence(clip, torch.device("cpu"))
    draw = torch.Generator().manual_seed(0)
    view = torch.as_tensor(clip.transl)[..., None, :]
    placed = view + torch.tensor([0.0, 0.0, 1.0]) + 0.3 * torch.randn(1, 3, 26 + 36, 3, generator=draw)
    slopes = 0.05 * torch.randn(1, 3, 26 + 36, 3, 10, generator=draw)
    zero, none = torch.zeros(1, 3, 3), torch.zeros(1, 10)
    step, shift = evidence.solve(placed, slopes, zero, none, 0.5)

    # The energy with the same weights, as a function of all unknowns; its Gauss-Newton step by autograd. Few frames
    # count as they are.
    def residuals(unknown: torch.Tensor) -> torch.Tensor:
        shape, place = unknown[:10], unknown[10:].reshape(1, 3, 1, 3)
        points = placed + (slopes @ shape[None, None, None, :, None])[..., 0] + place
        seen = points[..., :26, :] @ evidence.R[:, None].mT + evidence.t[:, None, None]
        pixels = seen[..., :2] / seen[..., 2:] * evidence.K[:, None, (0, 1), (0, 1)] + evidence.K[:, None, :2, 2]
        error = (pixels - evidence.observed) * scale
        height = points[..., 26:, 2].unflatten(-1, (2, -1))
        stood = (share * height).sum(-1) / 0.015 * evidence.standing.sqrt()
        away = place[..., 0, :]
        along = (away * ray).sum(-1, keepdim=True)
        return torch.cat([
            (error * weight.sqrt()[..., None]).flatten(), stood.flatten(), ((away - along * ray) / 0.05).flatten(),
            (along / 0.20).flatten(), shape / 0.5,
        ])  # fmt: skip

    at = placed[..., :26, :] @ evidence.R[:, None].mT + evidence.t[:, None, None]
    focal = evidence.K[:, None, (0, 1), (0, 1)]
    scale = at[..., :1, 2:] / focal / 0.03
    pixels = at[..., :2] / at[..., 2:] * focal + evidence.K[:, None, :2, 2]
    apart = ((pixels - evidence.observed) * scale).square().sum(-1)
    weight = evidence.confidence / (1 + apart / 9).square()
    share = torch.softmax(-placed[..., 26:, 2].unflatten(-1, (2, -1)) / 0.002, -1)
    eye = (evidence.R.mT @ evidence.t[..., None])[..., 0]
    ray = torch.nn.functional.normalize(placed[..., :26, :].mean(2) + eye, dim=-1)
    unknown = torch.zeros(19)
    slope = torch.func.jacrev(residuals)(unknown).double()
    whole = torch.linalg.lstsq(slope, -residuals(unknown).double()[:, None]).solution[:, 0]
    torch.testing.assert_close(step[0].double(), whole[:10], rtol=2e-2, atol=2e-3)
    torch.testing.assert_close(shift.flatten().double(), whole[10:], rtol=2e-2, atol=2e-3)


def test_refinement_finds_shapes_if_asked() -> None:
    truth = tall_and_short()
    wrong = truth.copy(betas=truth.betas * 0)
    kept, found = (refine(wrong, RefineOptions(rounds=QUICK.rounds, shape=shape)) for shape in (0.0, 0.5))
    assert np.array_equal(kept.betas, wrong.betas)
    assert np.abs(heights(found) - heights(truth)).max() < 0.03
    assert np.abs(heights(kept) - heights(truth)).max() > 0.05


@pytest.mark.parametrize("people", [1, 2])
def test_one_frame_and_one_person(people: int) -> None:
    clip = tall_and_short(frames=1, people=people)
    found = with_shared_shape(clip, BODY, 0.25).validate()
    assert np.isfinite(found.betas).all()
    assert found.betas.dtype == clip.betas.dtype
    assert found.transl.dtype == clip.transl.dtype
