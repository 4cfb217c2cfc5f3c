#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Take the documentation's pictures from a real Blender: ``scripts/take_screenshots.py --tools DIR [--clip CLIP]``.

Without a clip, those of the panels (``tests/gui/steps_screenshots.py``); that takes minutes, since the sample is
reconstructed. With the clip of that reconstruction, those of Look and Fix (``tests/gui/steps_tutorial.py``). DIR has
``gui_shot.sh``, which opens Blender 4.3 on a virtual screen and plays the steps, and ``get_blender.sh``, whose Blender
has ImageMagick beside it.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from build_extension import BuildError, build_extension

ROOT = Path(__file__).resolve().parent.parent
LARGEST = 150_000
PANELS = ("install.png", "setup.png", "people.png", "running.png")


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Take the documentation's pictures.")
    parser.add_argument(
        "--tools", type=Path, default=ROOT.parent / "shared" / "blender_env", help="folder of gui_shot.sh"
    )
    parser.add_argument(
        "--python", default=str(ROOT / ".envs" / "worker" / "bin" / "python"), help="the worker's Python"
    )
    parser.add_argument("--clip", type=Path, help="take the pictures of Look and Fix on this clip instead")
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="folder for the pictures (default: docs)")
    options = parser.parse_args()
    if not (options.tools / "gui_shot.sh").is_file():
        print(f"take_screenshots: there is no gui_shot.sh in {options.tools}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="closeint-pictures-") as name:
        try:
            return take(options, Path(name)) if options.clip is None else take_fixing(options, Path(name))
        except (BuildError, subprocess.CalledProcessError) as error:
            print(f"take_screenshots: {error}", file=sys.stderr)
            return 2


def play(options: argparse.Namespace, folder: Path, steps: str, size: str, *more: str) -> str:
    """Play steps of ``tests/gui`` in a window, pictures into ``folder``; returns what they printed.

    Args:
        size: of the screen, WIDTHxHEIGHT pixels. more: arguments of the steps after the folder and the worker's Python.

    Raises:
        subprocess.CalledProcessError: a step failed; its output is on stderr.
    """
    script = ROOT / "tests" / "gui" / steps
    command: list[str | Path] = [options.tools / "gui_shot.sh", "--timeout", "900", "--size", size]
    command += ["--install", build_extension(folder), folder / "last.png", script, folder, options.python, *more]
    variables = {**os.environ, "CLOSEINT_BLENDER_HOME": str(folder / "home")}
    done = subprocess.run([*map(str, command)], env=variables, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(done.stdout[-3000:], done.stderr[-3000:], file=sys.stderr)
    done.check_returncode()
    return done.stdout


def magick_of(options: argparse.Namespace) -> list[str]:
    """The command of ImageMagick."""
    path = subprocess.run(
        [str(options.tools / "get_blender.sh"), "--path", "4.3"], capture_output=True, text=True, check=True
    )
    return [path.stdout.strip(), "--exec", "convert"]


def take_fixing(options: argparse.Namespace, folder: Path) -> int:
    """The pictures of Look and Fix, without the window's right column."""
    play(options, folder, "steps_tutorial.py", "1400x1000", str(options.clip.resolve()))
    magick = magick_of(options)
    files = [options.out / "images" / name for name in ("look.png", "correct.png")]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        area = ["-crop", "1160x900+0+0", "+repage", "-resize", "1000x"]
        _run([*magick, str(folder / file.name), *area, *_small(128), str(file)])
    return _checked(files)


def take(options: argparse.Namespace, folder: Path) -> int:
    """Play the steps, then crop, join and shrink what they left in ``folder``."""
    said = play(options, folder, "steps_screenshots.py", "1280x800")
    magick = magick_of(options)
    crops = dict(re.findall(r"CROP (\S+) (\d+ \d+ \d+ \d+)", said))
    for name in PANELS:
        width, height, x, y = crops[name].split()
        area = f"{width}x{height}+{x}+{y}"
        _run([*magick, str(folder / name), "-crop", area, "+repage", str(folder / f"cut-{name}")])
    options.out.mkdir(parents=True, exist_ok=True)
    cut = [str(folder / f"cut-{name}") for name in PANELS]
    panels, window = options.out / "panels.png", options.out / "window.png"
    _run([*magick, *cut, "-background", "#303030", "-gravity", "north", "+append", *_small(128), str(panels)])
    _run([*magick, str(folder / "result.png"), "-resize", "1000x", *_small(128), str(window)])
    return _checked([panels, window])


def _checked(files: Sequence[Path]) -> int:
    """Exit status 2 if a picture is larger than a page may load."""
    for file in files:
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
