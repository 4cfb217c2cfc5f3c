# SPDX-License-Identifier: Apache-2.0
"""Imports into the scenes that people have: objects hidden in some mode, centimetres, shots, moved projects, links."""

from __future__ import annotations

import functools
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from blender_runtimes import BlenderRuntime
from support.inside import run_inside
from support.wild_clips import random_clip

from closeint_core.body.data import DEFAULT_BODY_FILE, load_body
from closeint_core.body.skinning import lbs
from closeint_core.clip import InteractionClip

pytestmark = pytest.mark.skipif(not DEFAULT_BODY_FILE.is_file(), reason="the default body is not built")

FRAMES = (0, 3, 5)


def clips() -> tuple[InteractionClip, InteractionClip]:
    return random_clip(11, frames=6), random_clip(12, frames=6)


def write_hostile(folder: Path, clip: InteractionClip) -> None:
    """Clip files with one thing wrong each; some of them may be usable all the same."""
    folder.mkdir()
    good = folder / "good.npz"
    clip.save(good)
    with np.load(good) as archive:
        whole = {key: archive[key] for key in archive.files}
    good.unlink()
    for key, value in whole.items():
        changes: dict[str, Any] = {"empty": value[:0] if value.ndim else np.zeros(0), "scalar": np.float32(3)}
        if value.ndim:
            changes["text"] = np.array("text")
        if value.dtype.kind == "f":
            changes |= {"nan": np.full_like(value, np.nan), "huge": np.full_like(value, 1e30)}
            changes |= {"zero": np.zeros_like(value), "negative": -np.abs(value) - 1}
        if value.dtype.kind == "i":
            changes |= {"zero": np.zeros_like(value), "negative": -np.abs(value) - 1, "huge": value * 0 + 2**40}
        for name, wrong in changes.items():
            np.savez(folder / f"{key} {name}.npz", **{**whole, key: wrong})
        np.savez(folder / f"{key} missing.npz", **{k: v for k, v in whole.items() if k != key})
    content = (clip.save(folder / "whole.npz")).read_bytes()
    (folder / "cut.npz").write_bytes(content[: len(content) // 2])
    (folder / "none.npz").write_bytes(b"")


@dataclass(frozen=True)
class Measured:
    facts: dict[str, Any]
    arrays: dict[str, np.ndarray]


@functools.cache
def measured(runtime: BlenderRuntime) -> Measured:
    with tempfile.TemporaryDirectory(prefix="closeint-test-") as name:
        folder = Path(name)
        for part, clip in zip(("one", "two"), clips(), strict=True):
            clip.save(folder / f"{part}.closeint.npz")
        write_hostile(folder / "hostile", clips()[0])
        run_inside(runtime, "measure_scenes.py", [name])
        facts = json.loads((folder / "facts.json").read_text())
        with np.load(folder / "arrays.npz") as archive:
            return Measured(facts, {key: archive[key] for key in archive.files})


def reference(clip: InteractionClip) -> tuple[np.ndarray, np.ndarray]:
    """Joints (F, P, 24, 3) at FRAMES, and vertices (P, V, 3) at the last of them, metres."""
    at = list(FRAMES)
    vertices, joints = lbs(load_body(clip.body), clip.poses[:, at], clip.betas[:, None], clip.transl[:, at])
    return joints.swapaxes(0, 1), vertices[:, -1]


def test_hidden_in_a_mode(runtime: BlenderRuntime) -> None:
    cases = measured(runtime).facts["hidden"]
    into = cases.pop("into hidden")
    assert len(cases) == 10
    for name, case in cases.items():
        assert case["error"] == "", name
        assert case["people"] == 2, name
        assert case["after"] == case["before"], name
        assert case["before"][0] == name.split()[0]
    assert into == {"error": "", "people": 2}


def test_a_unit_of_a_centimetre(runtime: BlenderRuntime) -> None:
    """Everything is 100 times as many units, and what is read back is in metres."""
    result = measured(runtime)
    facts, arrays = result.facts["centimetres"], result.arrays
    one, two = clips()
    joints, vertices = reference(one)
    np.testing.assert_allclose(arrays["heads"], 100 * joints, atol=0.01)
    np.testing.assert_allclose(arrays["skins"], 100 * vertices, atol=0.05)
    assert np.ptp(arrays["skins"][0], axis=0).max() > 50, "people of centimetres, not of 1.7"
    at = list(FRAMES)
    np.testing.assert_allclose(arrays["transl"], one.transl, atol=1e-5)
    np.testing.assert_allclose(arrays["played"], one.transl, atol=1e-5)
    np.testing.assert_allclose(arrays["now_transl"][:, 0], one.transl[:, at[-1]], atol=1e-5)
    np.testing.assert_allclose(arrays["moved"], 100 * joints + (100, 0, 0), atol=0.01)
    seen = (arrays["points"] @ one.camera_R[0].T + one.camera_t[0]) @ one.camera_K[0].T
    np.testing.assert_allclose(arrays["pixels"], seen[:, :2] / seen[:, 2:], atol=0.05)
    sides = np.ptp(one.transl[..., :2], axis=(0, 1)) + 3
    np.testing.assert_allclose(facts["floor"][:2], 100 * sides, rtol=1e-4)
    np.testing.assert_allclose(facts["clip"], [1, 100_000], rtol=1e-5)
    assert facts["edits"] == facts["reapplied"] == ""
    joints, vertices = reference(two)
    np.testing.assert_allclose(arrays["reapplied"], 100 * joints, atol=0.01)
    np.testing.assert_allclose(arrays["reapplied_skins"], 100 * vertices, atol=0.05)


def test_a_shot_stays_as_it_is(runtime: BlenderRuntime) -> None:
    facts = measured(runtime).facts["shots"]
    clip = clips()[0]
    clips_own = {"rate": pytest.approx(clip.fps, rel=1e-6), "range": [1, 6], "size": [1280, 720]}
    assert facts["untouched"] == {**clips_own, "camera": "one Camera"}
    before, after, step, start = facts["shot"]
    assert after == before == {"rate": 25.0, "range": [10, 90], "size": [1280, 720], "camera": "Camera"}
    assert (step, start) == (pytest.approx(25 / clip.fps, rel=1e-6), 10)
    assert facts["asked"] == {**clips_own, "camera": "one.001 Camera"}
    before, after = facts["animated"]
    assert after == before
    before, after, step = facts["never"]
    assert after == before
    assert step == 1.0


def test_a_project_is_moved(runtime: BlenderRuntime) -> None:
    facts = measured(runtime).facts["moved"]
    assert facts["unsaved"][0].endswith("a.closeint.npz")
    assert not facts["unsaved"][0].startswith("//")
    beside_scenes = ["//../clips/a.closeint.npz"]
    assert facts["saved"] == beside_scenes
    assert facts["after_copy"] == [beside_scenes, 6]
    assert facts["second"] == [["//clips/a.closeint.npz"], 6]
    assert facts["moved scenes/shot"] == [beside_scenes, 6]
    assert facts["moved copy"] == facts["moved second"] == [["//clips/a.closeint.npz"], 6]
    assert "is gone" in facts["gone"]
    assert facts["beside"] == 6


def test_bones_are_renamed(runtime: BlenderRuntime) -> None:
    result = measured(runtime)
    assert result.facts["renamed"] == {
        "found": True, "same": True, "reapplied": "", "excluded": True, "smoothed": "",
    }  # fmt: skip
    np.testing.assert_allclose(result.arrays["renamed"], reference(clips()[1])[0], atol=1e-4)


def test_linked_characters(runtime: BlenderRuntime) -> None:
    facts = measured(runtime).facts["linked"]
    for operator in ("smooth", "to_floor", "measure", "reapply"):
        assert "one Person 1 is linked from library.blend" in facts[operator], operator
        assert "Traceback" not in facts[operator]
    assert "The active collection one is linked from another file" in facts["into"]
    assert facts["unchanged"]
    assert facts["exported"] == ["linked.glb"]
    assert facts["after_export"]


def test_hostile_clips(runtime: BlenderRuntime) -> None:
    """Each is refused in a sentence and leaves nothing, or comes in whole."""
    cases = measured(runtime).facts["hostile"]
    assert len(cases) > 60
    for name, (error, same) in cases.items():
        assert "Traceback" not in error, f"{name}: {error}"
        assert same or not error, name
    refused = [name for name, (error, _) in cases.items() if error]
    assert len(refused) > 40
    assert cases["whole.npz"][0] == ""
