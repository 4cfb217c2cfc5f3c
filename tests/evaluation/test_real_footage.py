# SPDX-License-Identifier: Apache-2.0
"""The measures of ``benchmarks/real_footage.py`` on clips whose answer is known."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from support.clips import random_clip

from closeint_core.body.data import JOINT_NAMES, BodyData, load_body
from closeint_core.body.skinning import lbs


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "real_footage.py"
    spec = importlib.util.spec_from_file_location("real_footage", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def data() -> BodyData:
    return load_body("default")


@pytest.mark.parametrize("turned", [False, True])
def test_a_clip_that_is_the_truth_has_no_error(bench: ModuleType, data: BodyData, turned: bool) -> None:
    clip = random_clip(2, 4, seed=3)
    clip.frame_start = 1
    clip.transl[1, :, 0] += 1.0
    vertices, _ = lbs(data, clip.poses, clip.betas[:, None], clip.transl)
    joints = np.zeros((2, 5, 21, 3))  # one more frame than the clip, before it
    joints[:, 1:, :17] = (data.halpe_regressor @ vertices)[:, :, :17]
    camera = {"K": clip.camera_K[0], "R": clip.camera_R[0], "t": clip.camera_t[0]}
    found = bench.view_errors(clip, joints[::-1] if turned else joints, camera, data)
    assert found["frames"] == 4
    assert found["mpjpe"] == pytest.approx(0, abs=0.05)
    assert found["interaction"] == pytest.approx(0, abs=0.05)
    # One wrist of one person 24 cm off is 20 mm on the average of twelve joints, 10 mm over both people.
    joints[0, :, 9] += [0.0, 0.24, 0.0]
    found = bench.view_errors(clip, joints, camera, data)
    assert found["mpjpe"] == pytest.approx(10, abs=0.05)
    assert found["mpjpe_by_person"] == pytest.approx([20, 0], abs=0.05)


def test_the_distance_of_hand_and_forearm(bench: ModuleType, data: BodyData) -> None:
    clip = random_clip(2, 3, seed=1)
    clip.poses[:], clip.betas[:] = 0.0, 0.0
    clip.poses[..., 0, 0] = np.pi / 2
    clip.transl[:] = 0.0
    clip.keypoints2d[0, ..., 0], clip.keypoints2d[1, ..., 0] = 100.0, 300.0  # the second person is on the right
    rest, _ = data.rest(np.zeros(10, np.float32))
    hand = rest[np.isin(data.parts, [JOINT_NAMES.index("right_wrist"), JOINT_NAMES.index("right_hand")])]
    forearm = rest[data.parts == JOINT_NAMES.index("right_elbow")]
    # In the same rest pose and place, the right forearm ends where the right hand begins.
    near = bench.hand_to_forearm(clip, data)
    naive = np.linalg.norm(hand[:, None] - forearm[None], axis=-1).min()
    np.testing.assert_allclose(near, naive, atol=1e-5)
    clip.transl[1, :, 2] += 1.0
    far = bench.hand_to_forearm(clip, data)
    moved = np.linalg.norm(hand[:, None] + [0, 1, 0] - forearm[None], axis=-1).min()
    np.testing.assert_allclose(far, moved, atol=1e-5)
    clip.keypoints2d = clip.keypoints2d[::-1].copy()
    assert bench.hand_to_forearm(clip, data)[0] == pytest.approx(
        np.linalg.norm(hand[:, None] - [0, 1, 0] - forearm[None], axis=-1).min(), abs=1e-5
    )
