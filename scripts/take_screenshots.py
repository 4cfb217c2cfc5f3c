#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Take the README's pictures of the panels from a real Blender: ``scripts/take_screenshots.py --tools DIR``.

DIR has ``gui_shot.sh``, which opens Blender 4.3 on a virtual screen and plays ``tests/gui/steps_screenshots.py``, and
``get_blender.sh``, whose Blender has ImageMagick beside it. Takes minutes: the sample is reconstructed.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from build_extension import BuildError, build_extension

ROOT = Path(__file__).resolve().parent.parent
LARGEST = 150_000
PANELS = ("install.png", "setup.png", "people.png", "running.png")


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Take the README's pictures of the panels.")
    parser.add_argument(
        "--tools", type=Path, default=ROOT.parent / "shared" / "blender_env", help="folder of gui_shot.sh"
    )
    parser.add_argument(
        "--python", default=str(ROOT / ".envs" / "worker" / "bin" / "python"), help="the worker's Python"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="folder for the pictures (default: docs)")
    options = parser.parse_args()
    if not (options.tools / "gui_shot.sh").is_file():
        print(f"take_screenshots: there is no gui_shot.sh in {options.tools}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="closeint-pictures-") as name:
        try:
            return take(options, Path(name))
        except (BuildError, subprocess.CalledProcessError) as error:
            print(f"take_screenshots: {error}", file=sys.stderr)
            return 2


def take(options: argparse.Namespace, folder: Path) -> int:
    """Play the steps, then crop, join and shrink what they left in ``folder``."""
    extension = build_extension(folder)
    steps = ROOT / "tests" / "gui" / "steps_screenshots.py"
    command = [options.tools / "gui_shot.sh", "--timeout", "900", "--install", extension, folder / "last.png", steps]
    variables = {**os.environ, "CLOSEINT_BLENDER_HOME": str(folder / "home")}
    done = subprocess.run(
        [*map(str, command), str(folder), options.python], env=variables, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        print(done.stdout[-3000:], done.stderr[-3000:], file=sys.stderr)
        return 2
    path = subprocess.run(
        [str(options.tools / "get_blender.sh"), "--path", "4.3"], capture_output=True, text=True, check=True
    )
    magick = [path.stdout.strip(), "--exec", "convert"]
    crops = dict(re.findall(r"CROP (\S+) (\d+ \d+ \d+ \d+)", done.stdout))
    for name in PANELS:
        width, height, x, y = crops[name].split()
        area = f"{width}x{height}+{x}+{y}"
        _run([*magick, str(folder / name), "-crop", area, "+repage", str(folder / f"cut-{name}")])
    options.out.mkdir(parents=True, exist_ok=True)
    cut = [str(folder / f"cut-{name}") for name in PANELS]
    panels, window = options.out / "panels.png", options.out / "window.png"
    _run([*magick, *cut, "-background", "#303030", "-gravity", "north", "+append", *_small(128), str(panels)])
    _run([*magick, str(folder / "result.png"), "-resize", "1000x", *_small(128), str(window)])
    for file in (panels, window):
        if file.stat().st_size > LARGEST:
            print(f"take_screenshots: {file} has {file.stat().st_size} bytes", file=sys.stderr)
            return 2
        print(file)
    return 0


def _small(colours: int) -> list[str]:
    return ["-strip", "+dither", "-colors", str(colours), "-define", "png:compression-level=9"]


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True)


if __name__ == "__main__":
    sys.exit(main())
