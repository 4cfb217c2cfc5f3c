# SPDX-License-Identifier: Apache-2.0
"""From a key changed by hand to a motion solved again around it, with the real worker."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from blender_runtimes import BlenderRuntime
from support.fixing_clips import touching_clip
from support.inside import run_inside

from closeint_core.body.data import DEFAULT_BODY_FILE, JOINT_NAMES
from closeint_core.body.skinning import axis_angle_to_matrix

pytestmark = [
    pytest.mark.skipif(not DEFAULT_BODY_FILE.is_file(), reason="the default body is not built"),
    pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="this Python has no torch for the worker"),
]
AT = 9
BLEND = 4  # frames: 0.15 s at 30 per second, rounded
ELBOW = JOINT_NAMES.index("right_elbow")


def test_refining_around_a_key(newest_runtime: BlenderRuntime, tmp_path: Path) -> None:
    check_refining(newest_runtime, tmp_path)


@pytest.mark.slow
def test_refining_in_every_blender(runtime: BlenderRuntime, tmp_path: Path) -> None:
    check_refining(runtime, tmp_path)


def check_refining(runtime: BlenderRuntime, tmp_path: Path) -> None:
    clip = touching_clip()
    clip.save(tmp_path / "take.closeint.npz")
    home = tmp_path / "home"
    arguments = [str(tmp_path / name) for name in ("take.closeint.npz",)]
    arguments += [sys.executable, str(tmp_path / "facts.json"), str(tmp_path / "arrays.npz")]
    run_inside(runtime, "refine_inside.py", arguments, CLOSEINT_BLENDER_HOME=str(home), OMP_NUM_THREADS="1")
    facts = json.loads((tmp_path / "facts.json").read_text())
    with np.load(tmp_path / "arrays.npz") as archive:
        arrays = {name: archive[name] for name in archive.files}
    assert "not installed" in facts["not_installed"]
    assert "nothing to refine around" in facts["nothing_to_do"]
    assert facts["edits"] == 1
    assert facts["refined"] == ["FINISHED"]
    names, names_after = facts["names"]
    assert names == names_after
    assert facts["clip"] == facts["clip_redone"] == "take-refined.closeint.npz"
    assert facts["clip_undone"] == "take.closeint.npz"
    assert facts["second"] == ["take-refined-2.closeint.npz", 0]
    assert facts["edits_after"] == 0
    assert "is gone" in facts["clip_gone"]
    assert not [name for name in facts["left"] if name.startswith("refine-")]

    rotations = {
        name: axis_angle_to_matrix(arrays[f"{name}_poses"]) for name in ("before", "edited", "after", "undone")
    }
    # The key holds, the elbow swings there and back instead of jumping, the rest of the clip is as it was.
    np.testing.assert_allclose(rotations["after"][0, AT, ELBOW], rotations["edited"][0, AT, ELBOW], atol=1e-5)
    jump = np.linalg.norm(rotations["edited"][0, AT, ELBOW] - rotations["before"][0, AT, ELBOW])
    assert jump > 0.5
    steps = np.linalg.norm(np.diff(rotations["after"][0, :, ELBOW], axis=0), axis=(-2, -1))
    assert steps.max() < 0.5 * jump
    far = np.abs(np.arange(clip.frames) - AT) > BLEND
    np.testing.assert_allclose(rotations["after"][:, far], rotations["before"][:, far], atol=2e-5)
    np.testing.assert_allclose(arrays["after_transl"][:, far], arrays["before_transl"][:, far], atol=2e-5)
    np.testing.assert_allclose(rotations["undone"], rotations["edited"], atol=1e-6)
