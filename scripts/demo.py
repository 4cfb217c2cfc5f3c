#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""From a video to two rigged characters: clip, .blend and preview. The first run installs what it needs.

python3 scripts/demo.py [VIDEO] [--out DIR] [--focal PX] [--people I,J]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import environments
from environments import ROOT, SetupError, say

sys.path.insert(0, str(ROOT))
from closeint_core.errors import CloseintError
from closeint_core.files import check_output
from closeint_core.streams import guard_output

SAMPLE = ROOT / "closeint_core" / "samples" / "greeting.mp4"
TRUTH = ROOT / "closeint_core" / "samples" / "greeting.closeint.npz"
RESULTS = {"clip.closeint.npz": "clip", "scene.blend": "blend", "preview.mp4": "video", "preview.png": "picture"}
"""The files that are written, and their kinds."""

_LABELS = {
    "people": "people",
    "frames": "frames",
    "visible_frames": "frames each was seen in",
    "reprojection_px": "reprojection error, median (px)",
    "max_penetration_mm": "deepest penetration (mm)",
    "frames_in_contact": "frames in contact",
    "lowest_point_mm": "lowest point over the floor (mm)",
    "foot_skate_mm": "foot skate while standing (mm/frame)",
    "foot_down_share": "share of feet and frames it rests on",
    "mpjpe_mm": "true error: MPJPE (mm)",
    "pa_mpjpe_mm": "true error: PA-MPJPE (mm)",
    "interaction_mm": "true error: interaction (mm)",
    "swapped": "frames with people swapped",
}


def main() -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "video", nargs="?", type=Path, help="a video or a folder of images; default: the bundled sample"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "demo", help="folder for the results")
    parser.add_argument("--focal", help="focal length in pixels, if known")
    parser.add_argument("--people", help="numbers of the two people, e.g. 0,2")
    options = parser.parse_args()
    guard_output()
    video: Path = (options.video or SAMPLE).resolve()
    out: Path = options.out.resolve()
    if status := _refused(video, out):
        return status
    try:
        worker = environments.ensure_worker()
        blender = environments.blender_command()
    except SetupError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 3
    started = time.monotonic()
    clip, blend = out / "clip.closeint.npz", out / "scene.blend"
    closeint = [str(worker), "-m", "closeint_core"]
    extra = [part for name in ("focal", "people") if (value := getattr(options, name)) for part in (f"--{name}", value)]
    say(f"reconstructing {video.name}")
    status = _call([*closeint, "reconstruct", str(video), "-o", str(clip), *extra], quiet=True)
    if status:
        return status
    say("building the Blender scene")
    script = [str(ROOT / "closeint_blender" / "make_scene.py")]
    # A whole Blender needs "--" before a script's own arguments; the module is a plain Python.
    script += ["--"] if len(blender) > 1 else []
    status = _call([*blender, *script, str(clip), "--blend", str(blend), "--footage", str(video)], quiet=True)
    if status:
        return status
    say("drawing the preview")
    status = _call([*closeint, "preview", str(clip), "-o", str(out), "--footage", str(video)])
    if status:
        return status
    truth = ["--truth", str(TRUTH)] if options.video is None else []
    measured = subprocess.run(
        [*closeint, "metrics", str(clip), "--json", *truth], stdout=subprocess.PIPE, text=True, check=False
    )
    if measured.returncode:
        return measured.returncode
    _print_results(json.loads(measured.stdout), out)
    say(f"done in {time.monotonic() - started:.0f} s")
    return 0


def _refused(video: Path, out: Path) -> int:
    """The exit code where the video is missing or a result may not be written, said on stderr; else 0."""
    if not video.exists():
        print(f"Error: there is no video at {video}.", file=sys.stderr)
        return 2
    try:
        for name, kind in RESULTS.items():
            check_output(out / name, kind, [video])
    except CloseintError as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _print_results(figures: dict[str, Any], out: Path) -> None:
    figures |= figures.pop("truth", {})
    print()
    for key, label in _LABELS.items():
        if figures.get(key) is not None:
            print(f"  {label:38} {figures[key]}")
    print()
    for name in RESULTS:
        print(f"  {out / name}")


def _call(command: list[str], *, quiet: bool = False) -> int:
    """Run a step with its progress on this terminal; ``quiet`` hides what it prints on success."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    output = subprocess.DEVNULL if quiet else None
    try:
        return subprocess.run(command, env=environment, stdout=output, check=False).returncode
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
