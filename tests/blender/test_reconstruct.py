# SPDX-License-Identifier: Apache-2.0
"""The operators without a window, in every Blender of this machine, against a stand-in for the worker."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from blender_runtimes import BlenderRuntime
from support.wild_clips import random_clip

from closeint_core.body.data import DEFAULT_BODY_FILE
from closeint_core.settings import MODELS

INSIDE = Path(__file__).parent / "inside"

pytestmark = [
    pytest.mark.skipif(not DEFAULT_BODY_FILE.is_file(), reason="the default body is not built"),
    pytest.mark.skipif(os.name == "nt", reason="the stand-in worker is started by a shell script"),
]


@functools.cache
def ran(runtime: BlenderRuntime) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What the script found, and the requests that the worker was sent."""
    with tempfile.TemporaryDirectory(prefix="closeint-test-") as name:
        folder = Path(name)
        random_clip(3, frames=5).save(folder / "result.npz")
        videos = folder / "videos"
        videos.mkdir()
        for video in ("good.mp4", "bad.mp4", "crash.mp4"):
            (videos / video).write_bytes(b"stands for a video")
        out = folder / "facts.json"
        variables = {
            **os.environ,
            "CLOSEINT_BLENDER_HOME": str(folder / "home"),
            "CLOSEINT_TEST_CLIP": str(folder / "result.npz"),
            "CLOSEINT_TEST_REQUESTS": str(folder / "requests"),
            "CLOSEINT_TEST_PYTHON": sys.executable,
        }
        command = runtime.python_command(INSIDE / "run_operators.py", [name, str(videos), str(out)])
        done = subprocess.run(
            command, env=variables, capture_output=True, text=True, timeout=240, stdin=subprocess.DEVNULL
        )
        assert done.returncode == 0, f"{runtime.label}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        requests = [json.loads(line) for line in (folder / "requests").read_text().splitlines()]
        return json.loads(out.read_text()), requests


def test_nothing_installed(runtime: BlenderRuntime) -> None:
    facts, _ = ran(runtime)
    assert facts["state_before"] == "missing"
    assert "Worker not installed. See Set-Up below." in facts["before"]
    assert "There is no Python at" in facts["no_python"]


def test_nothing_is_downloaded_while_offline(runtime: BlenderRuntime) -> None:
    facts, _ = ran(runtime)
    assert not facts["online"]
    assert "online access is off" in facts["install"]
    assert not facts["environment"]


def test_doctor(runtime: BlenderRuntime) -> None:
    facts, _ = ran(runtime)
    assert facts["doctor"] == ["FINISHED"]
    assert facts["report"]


def test_reconstruction_is_imported_as_one_undo_step(runtime: BlenderRuntime) -> None:
    facts, requests = ran(runtime)
    assert facts["done"] == ["FINISHED"]
    assert len(facts["people"]) == 2
    assert facts["after_undo"] == []
    assert facts["said"] == "Imported good.closeint.npz."
    clip, video, people, frames = facts["history"][0]
    assert (clip, Path(video).name, people, frames) == ("good.closeint.npz", "good.mp4", 2, 5)
    request = next(r for r in requests if r["command"] == "reconstruct")
    assert request["frames"] == [2, 7]
    assert (request["focal"], request["fps"]) == (900.0, 48.0)
    assert request["quality"] == "high"
    assert request["people"] is None
    assert Path(request["input"]).is_absolute()


def test_dropped_video(runtime: BlenderRuntime) -> None:
    facts, _ = ran(runtime)
    assert facts["drop"] == ["closeint.drop_video", True]
    assert facts["dropped"] == ["FINISHED", True]
    assert "There is no video" in facts["dropped_gone"]
    assert facts["sample"] == ["FINISHED"]


def test_picked_people_in_their_order(runtime: BlenderRuntime) -> None:
    facts, requests = ran(runtime)
    assert facts["find"] == ["FINISHED"]
    assert facts["picked"] == ["PICK", 0, 2]
    assert facts["swapped"] == [1, 2]
    asked = [r for r in requests if r["command"] == "reconstruct"][1]
    assert asked["people"] == {"frame": 4, "boxes": [[60.0, 12.0, 99.0, 95.0], [120.0, 5.0, 150.0, 80.0]]}
    assert "Two different people" in facts["same_person"]


def test_settings_of_the_scene(runtime: BlenderRuntime) -> None:
    facts, requests = ran(runtime)
    assert facts["from_scene"] == ["FINISHED"]
    asked = [r for r in requests if r["command"] == "reconstruct"][1]
    assert asked["frames"] == [3, 9]
    assert (asked["focal_mm"], asked["sensor_mm"]) == (35.0, 24.0)
    assert facts["starts_at"] == [4], "the motion is not where the scene's range says"
    assert "before the video's first" in facts["before_the_video"]
    assert "7 to 3" in facts["empty_range"]


def test_import_options_of_the_panel(runtime: BlenderRuntime) -> None:
    facts, _ = ran(runtime)
    assert facts["with_options"] == ["FINISHED"]
    # No meshes, no camera, but a floor; the clip's 5 frames of 29.97 a second over the scene's 50, in strips.
    assert facts["made"] == ["ARMATURE", "ARMATURE", "MESH"]
    assert facts["made_start"] == 101
    assert facts["made_step"] == pytest.approx(50 / 30 * 1.001)
    assert facts["made_action"]
    ((first, last),) = facts["made_strips"]
    assert first == pytest.approx(101)
    assert last == pytest.approx(101 + 4 * 50 / 30 * 1.001, abs=1e-3)
    assert facts["made_scene"] == [1, 250, 50]
    assert facts["made_collections"] == 1, "the floor has its own; the people are in the active one"
    assert facts["again_with_options"] == ["FINISHED"]
    assert facts["again_ends"] == [101, 105]
    assert facts["again_mesh"]


def test_result_onto_the_same_characters(runtime: BlenderRuntime) -> None:
    facts, _ = ran(runtime)
    assert "No characters of a clip are chosen" in facts["onto_none"]
    assert facts["onto_same"] == ["FINISHED"]
    assert facts["onto_count"] == 0
    assert facts["onto_new_action"]
    assert facts["onto_clip"]
    assert "and the partner" in facts["onto_said"]


def test_models_are_the_core_s(runtime: BlenderRuntime) -> None:
    facts, requests = ran(runtime)
    assert facts["models"] == list(MODELS)
    assert all(len(tip) > 20 for tip in facts["model_tips"])
    asked = [r["model"] for r in requests if r["command"] == "reconstruct"]
    assert asked[0] == MODELS[0]
    assert "reference" in asked


def test_problems_are_said_and_change_nothing(runtime: BlenderRuntime) -> None:
    facts, _ = ran(runtime)
    assert "No video is chosen" in facts["no_video"]
    assert "The frame range '7' is not A:B" in facts["wrong_frames"]
    assert "bad.mp4 is bad. Take another." in facts["bad"]
    assert "There is no video" in facts["gone"]
    assert "stopped unexpectedly (exit status 9)" in facts["crash"]
    assert facts["log"] in facts["crash"]
    assert facts["unchanged"]
    assert facts["after_crash"] == ["FINISHED"]
    assert facts["not_imported"]


def test_results_can_be_imported_again(runtime: BlenderRuntime) -> None:
    facts, _ = ran(runtime)
    assert facts["again"] == ["FINISHED"]
    assert "not there any more" in facts["again_gone"]
    assert facts["forgotten"] == 1


def test_default_cube_can_be_hidden(runtime: BlenderRuntime) -> None:
    facts, _ = ran(runtime)
    assert facts["cube"] == [True, ["FINISHED"], False, ["CANCELLED"]]


def test_the_worker_is_kept_and_ends_with_the_extension(runtime: BlenderRuntime) -> None:
    facts, _ = ran(runtime)
    assert facts["same_worker"]
    assert facts["worker_alive"]
    assert facts["worker_ended"]
    assert facts["registered"]
    assert facts["unregistered"]
    assert not facts["torch"]
