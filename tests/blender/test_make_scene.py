# SPDX-License-Identifier: Apache-2.0
"""The headless command: a clip in, a .blend out, or one sentence."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from blender_runtimes import ROOT, BlenderRuntime
from support.wild_clips import random_clip

from closeint_core.body.data import DEFAULT_BODY_FILE

pytestmark = pytest.mark.skipif(not DEFAULT_BODY_FILE.is_file(), reason="the default body is not built")


def run(runtime: BlenderRuntime, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = runtime.python_command(ROOT / "closeint_blender" / "make_scene.py", arguments)
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=120, stdin=subprocess.DEVNULL)


def test_scene_is_saved(runtime: BlenderRuntime, tmp_path: Path) -> None:
    random_clip(5, frames=6, video="gone.mp4").save(tmp_path / "dance.closeint.npz")
    done = run(
        runtime, str(tmp_path / "dance.closeint.npz"), "--blend", str(tmp_path / "new" / "s.blend"), cwd=tmp_path
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "gone.mp4 was not found" in done.stderr
    assert (tmp_path / "new" / "s.blend").stat().st_size > 100_000
    assert os.listdir(tmp_path / "new") == ["s.blend"]


def test_bad_clip_is_one_sentence(runtime: BlenderRuntime, tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_text("no clip")
    done = run(runtime, str(tmp_path / "a.npz"), "--blend", str(tmp_path / "s.blend"), cwd=tmp_path)
    assert done.returncode == 2
    said = [line for line in done.stderr.splitlines() if line.startswith("make_scene: ")]
    assert len(said) == 1
    assert "is not a readable clip file" in said[0]
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "s.blend").exists()


def test_missing_licensed_body(newest_runtime: BlenderRuntime, tmp_path: Path) -> None:
    random_clip(5, frames=3).copy(body="smpl-female").save(tmp_path / "a.closeint.npz")
    done = run(newest_runtime, "a.closeint.npz", "--blend", "s.blend", cwd=tmp_path)
    assert done.returncode == 3
    assert "SMPL_FEMALE" in done.stderr
    assert "Traceback" not in done.stderr


def test_runs_as_a_module(runtime: BlenderRuntime, tmp_path: Path) -> None:
    if not runtime.is_module:
        pytest.skip("a whole Blender runs files, not modules")
    random_clip(5, frames=3, people=1).save(tmp_path / "solo.closeint.npz")
    clip, scene = str(tmp_path / "solo.closeint.npz"), str(tmp_path / "s.blend")
    command = [str(runtime.executable), "-m", "closeint_blender.make_scene", clip, "--blend", scene]
    # From the repository's folder: some builds of Python for Blender clear PYTHONPATH.
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "s.blend").is_file()
