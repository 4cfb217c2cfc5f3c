#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long importing 1,000 frames of two people takes, beside an importer that inserts keyframes one by one.

python3 benchmarks/blender_import.py [--frames 1000] [--runs 5]      (with a bpy Python, or finds a Blender itself)

Both read the same clip file and make the same armatures, meshes and camera in the same Blender, in one run; they
differ in how the keys are made. The best of the runs counts, of the slow one a single run.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

TARGET_SECONDS = 1.0


def insert_keyframes(target: Any, name: str, channels: Any, frames: Any) -> Any:
    """What ``importer.fcurves.write_action`` does, the way that importers usually do it."""
    for row, frame in enumerate(frames.tolist()):
        for channel in channels:
            owner, _, attribute = channel.data_path.rpartition(".")
            bone = target.path_resolve(owner) if owner else target
            setattr(bone, attribute, channel.values[row])
            bone.keyframe_insert(attribute, frame=frame, group=channel.group)
    target.animation_data.action.name = name
    return target.animation_data.action


def make_clip(path: Path, frames: int) -> None:
    """Two people in smooth made-up motion."""
    import numpy as np

    from closeint_core.clip import InteractionClip

    rng = np.random.default_rng(0)
    phase = np.linspace(0, 20, frames)[None, :, None, None]
    poses = rng.normal(0, 0.2, (2, 1, 24, 3)) * np.sin(phase * rng.uniform(0.5, 2, (2, 1, 24, 3)))
    poses[:, :, 0] += (np.pi / 2, 0, 0)
    transl = rng.normal(0, 0.02, (2, frames, 3)) + np.array([0, 0, 1])
    InteractionClip(
        poses=poses, transl=transl, betas=rng.normal(0, 1, (2, 10)), body="closeint-default/1", fps=30.0,
        image_size=np.array([1920, 1080]),
        camera_K=np.array([[[1500, 0, 960], [0, 1500, 540], [0, 0, 1]]]),
        camera_R=np.array([[[1, 0, 0], [0, 0, -1], [0, 1, 0]]]), camera_t=np.array([[0, 1, 4]]),
        keypoints2d=np.full((2, frames, 26, 3), np.nan), visible=np.ones((2, frames), bool),
        contacts=np.zeros((2, frames, 24)), foot_contacts=np.zeros((2, frames, 2)),
        metadata={"quality": {"penetration_mm": [0.0] * frames}},  # as a reconstruction has it
    ).save(path)  # fmt: skip


def measure(frames: int, runs: int) -> int:
    """Runs in Blender; prints the figures."""
    import bpy

    from closeint_blender.importer import build, motion
    from closeint_blender.importer.fcurves import curves_of, write_action

    def once(path: Path) -> tuple[float, float, int]:
        bpy.ops.wm.read_factory_settings(use_empty=True)
        writing = 0.0

        def timed(*arguments: Any) -> Any:
            nonlocal writing
            begin = time.perf_counter()
            action = write_action(*arguments)
            writing += time.perf_counter() - begin
            return action

        with mock.patch.object(motion, "write_action", timed):
            begin = time.perf_counter()
            result = build.import_clip(bpy.context, path)
            total = time.perf_counter() - begin
        curves = [curve for person in result.people for curve in curves_of(bpy.data.objects[person.armature])]
        return total, writing, sum(len(curve.keyframe_points) for curve in curves)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "benchmark.closeint.npz"
        make_clip(path, frames)
        ours = min(once(path) for _ in range(runs))
        with mock.patch.object(motion, "write_action", insert_keyframes):
            slow = once(path)
    assert ours[2] == slow[2], "the two importers made different numbers of keys"
    print(f"Blender {bpy.app.version_string}, {frames} frames, 2 people, {ours[2]} keys")
    print(f"  closeint importer     {ours[0]:8.3f} s  (keys {ours[1]:.3f} s)")
    print(f"  keyframe_insert       {slow[0]:8.3f} s  (keys {slow[1]:.3f} s)")
    print(f"  ratio                 {slow[0] / ours[0]:8.1f}    (keys {slow[1] / ours[1]:.1f})")
    print(f"  target                {TARGET_SECONDS:8.3f} s  {'met' if ours[0] < TARGET_SECONDS else 'MISSED'}")
    return 0 if ours[0] < TARGET_SECONDS or frames > 1000 else 1


def main(arguments: list[str]) -> int:
    """The command line; outside Blender, starts itself in every one that is found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args(arguments)
    try:
        import bpy  # noqa: F401
    except ImportError:
        from blender_runtimes import find_runtimes

        runtimes = find_runtimes()
        if not runtimes:
            print(
                "blender_import: no Blender was found; name a Python with bpy in CLOSEINT_BPY_PYTHONS.", file=sys.stderr
            )
            return 2
        return max(
            subprocess.run(r.python_command(Path(__file__), arguments), check=False).returncode for r in runtimes
        )
    return measure(options.frames, options.runs)


if __name__ == "__main__":
    sys.exit(main(sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]))
