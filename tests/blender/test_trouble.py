# SPDX-License-Identifier: Apache-2.0
"""Trouble in the middle of a reconstruction in Blender, with the real worker: said, nothing changed, nothing left."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from blender_runtimes import BlenderRuntime

import closeint_core
from closeint_core.body.data import DEFAULT_BODY_FILE

SCRIPT = Path(__file__).parent / "inside" / "trouble_inside.py"
SAMPLE = Path(closeint_core.__file__).parent / "samples" / "greeting.mp4"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="signals"),
    pytest.mark.skipif(not DEFAULT_BODY_FILE.is_file(), reason="the default body is not built"),
    pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="this Python has no torch for the worker"),
]


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 160 kB, for a disk that fills."""
    folder = tmp_path / "small"
    folder.mkdir()
    try:
        command = ["mount", "-t", "tmpfs", "-o", "size=160k", "tmpfs", str(folder)]
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a file system can only be mounted by root, on Linux")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def command_of(runtime: BlenderRuntime, small: Path, *cases: str) -> tuple[list[str], dict[str, str]]:
    arguments = [str(SAMPLE), sys.executable, str(small), str(small.parent / "out.json"), *cases]
    variables = {**os.environ, "CLOSEINT_BLENDER_HOME": str(small.parent / "home"), "OMP_NUM_THREADS": "1"}
    return runtime.python_command(SCRIPT, arguments), variables


def play(runtime: BlenderRuntime, small: Path, *cases: str) -> list[dict[str, Any]]:
    command, variables = command_of(runtime, small, *cases)
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=900, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    found = json.loads((small.parent / "out.json").read_text())
    assert found["worker_ended"]
    results: list[dict[str, Any]] = found["results"]
    for result in results[:-1]:
        print(f"{result['case']}: {result['said'].strip()}")
        assert result["said"].strip().removeprefix("Error: ") == result["panel"], "what is reported is in the panel too"
        assert result["unchanged"], f"{result['case']} changed the scene"
        assert not result["written"]
        assert result["remembered"] == 0
        assert not result["orphan"]
    last = results[-1]
    assert last["case"] == "plain"
    assert last["said"] == "", "the next run works"
    assert last["written"]
    assert last["remembered"] == 1
    return results


def test_killed_at_five_moments(newest_runtime: BlenderRuntime, small: Path) -> None:
    moments = ("start", "finding people", "following the pair", "fitting", "measuring")
    results = play(newest_runtime, small, *(f"kill@{moment}" for moment in moments), "plain")
    for result in results[:-1]:
        assert "SIGKILL" in result["said"]
        assert result["log"] in result["said"]


def test_video_deleted_and_disk_full_meanwhile(newest_runtime: BlenderRuntime, small: Path) -> None:
    deleted, full, _ = play(newest_runtime, small, "deleted", "full", "plain")
    assert "deleted.mp4 (any more)" in deleted["said"]
    assert "Cannot write" in full["said"]
    assert "Free some space" in full["said"]
    assert full["left"] == ["filler"]


def test_blender_killed_in_the_middle(newest_runtime: BlenderRuntime, small: Path) -> None:
    command, variables = command_of(newest_runtime, small, "die")
    process = subprocess.Popen(
        command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    )
    assert process.stdout is not None
    worker = next(int(line.split()[1]) for line in process.stdout if line.startswith("WORKER"))
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    end = time.monotonic() + 10
    while Path(f"/proc/{worker}").exists():
        assert time.monotonic() < end, "the worker outlives Blender"
        time.sleep(0.1)
    assert not list(small.parent.glob("*.npz"))
    assert play(newest_runtime, small, "plain")[-1]["unchanged"] is False, "the next Blender's run brings the people in"
