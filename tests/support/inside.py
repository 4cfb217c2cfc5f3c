# SPDX-License-Identifier: Apache-2.0
"""Runs the scripts of ``tests/blender/inside`` in a Blender."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from blender_runtimes import BlenderRuntime

INSIDE = Path(__file__).parents[1] / "blender" / "inside"


def run_inside(runtime: BlenderRuntime, script: str, arguments: Sequence[str], **environment: str) -> str:
    """Run a script in a Blender, which has to end well; what it printed."""
    done = subprocess.run(
        runtime.python_command(INSIDE / script, arguments), env={**os.environ, **environment},
        capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, f"{runtime.label}: {script}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def write_images(folder: Path, numbers: Sequence[int]) -> None:
    """Grey images; the level is three times the number in the name."""
    cv2 = pytest.importorskip("cv2")
    folder.mkdir()
    for number in numbers:
        cv2.imwrite(str(folder / f"frame_{number:06d}.png"), np.full((72, 128, 3), 3 * number, np.uint8))
