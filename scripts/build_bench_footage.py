#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Render the benchmark's films: held-out kinds of interaction, each a video with its truth beside it.

    python scripts/build_bench_footage.py --out FOLDER              # then: closeint bench --rendered FOLDER

Run it with the worker's Python. Films that are there already are left alone, so an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

import numpy as np  # noqa: E402
from build_sample import pick_blender  # noqa: E402
from sample import film  # noqa: E402
from sample.held_out import casting, shoot  # noqa: E402

from closeint_core.body.load import load_body  # noqa: E402
from closeint_core.clip import SUFFIX  # noqa: E402
from closeint_core.evaluation.bench_cases import draw_pair  # noqa: E402

FILM_SEED = 250
"""Keeps the films' motions apart from those of the simulated cases."""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Render the benchmark's films.")
    parser.add_argument("--out", type=Path, required=True, help="folder for the films and their truth")
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--frames", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--samples", type=int, default=3, help="light paths a pixel")
    parser.add_argument("--blender", help="a Blender, or a Python with bpy")
    parser.add_argument("--only", type=int, nargs="*", help="numbers of the clips to render")
    parser.add_argument("--stills", help="render only these frames, such as ::12, and keep overlays of the truth")
    options = parser.parse_args()
    start = time.perf_counter()

    def say(text: str) -> None:
        print(f"[{time.perf_counter() - start:6.1f} s] {text}", file=sys.stderr, flush=True)

    runtime = pick_blender(options.blender)
    data = load_body("default")
    say(f"rendering with {runtime.label}")
    options.out.mkdir(parents=True, exist_ok=True)
    for index in options.only or range(options.count):
        made = draw_pair(index, options.frames, options.seed + FILM_SEED)
        name = f"{index:02d}-{made.kind_names()[0].replace(' ', '-')}"
        target = options.out / f"{name}.mp4"
        if target.exists():
            continue
        random = np.random.default_rng((options.seed, index))
        clip, vertices = shoot(made, random, data)
        clip.video = target.name
        with tempfile.TemporaryDirectory() as temporary:
            scene_file, folder = Path(temporary) / "scene.npz", Path(temporary) / "frames"
            film.write_scene(scene_file, casting(random, clip.betas, options.samples), clip, list(vertices))
            pictures = film.render(runtime, scene_file, folder, options.stills or "", lambda text: None)
            if options.stills:
                for picture in pictures:
                    frame = int(picture.stem.split("_")[1])
                    out = options.out / f"{name}_{frame:04d}"
                    out.with_suffix(".png").write_bytes(picture.read_bytes())
                    film.overlay(picture, clip.keypoints2d[:, frame], Path(f"{out}_overlay.png"))
            else:
                clip.save(options.out / f"{name}{SUFFIX}")
                film.encode(pictures, target, clip.fps)
        say(f"{name}: {len(pictures)} frames")


if __name__ == "__main__":
    main()
