#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Make the bundled sample again: author the motion, render it in Blender, write the truth beside it.

    python scripts/build_sample.py                                 # the bundled greeting
    python scripts/build_sample.py --motion meeting --out /some/folder
    python scripts/build_sample.py --seed 3 --out /some/folder     # other people, another camera

Run it with the worker's Python. Blender is looked for as scripts/blender_runtimes.py says.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

import torch  # noqa: E402
from blender_runtimes import BlenderRuntime, find_runtimes, probe  # noqa: E402
from sample import film, truth  # noqa: E402
from sample.collide import skin  # noqa: E402
from sample.motions import MOTIONS  # noqa: E402
from sample.solve import Scene  # noqa: E402

from closeint_core.clip import SUFFIX  # noqa: E402


def pick_blender(executable: str | None) -> BlenderRuntime:
    """The Blender to render with: the given one, else 4.5 where there is one, else the newest."""
    if executable:
        for is_module in ("python" in Path(executable).name, "python" not in Path(executable).name):
            runtime = probe(Path(executable), is_module)
            if runtime:
                return runtime
        raise SystemExit(f"{executable} is neither a Blender nor a Python with bpy.")
    runtimes = find_runtimes()
    if not runtimes:
        raise SystemExit("No Blender was found; name one with --blender, or install bpy in .envs/bpy-4.5.")
    return next((r for r in runtimes if r.is_module and r.number[:2] == (4, 5)), runtimes[-1])


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Make the bundled sample clip again.")
    parser.add_argument("--motion", choices=sorted(MOTIONS), default="greeting")
    parser.add_argument("--seed", type=int, default=0, help="other bodies and another camera; 0: as written")
    parser.add_argument("--out", type=Path, default=ROOT / "closeint_core" / "samples", help="folder for the results")
    parser.add_argument("--name", help="name of the results (default: the motion's)")
    parser.add_argument("--blender", help="a Blender, or a Python with bpy")
    parser.add_argument("--rounds", type=int, default=9, help="rounds of the motion's optimisation")
    parser.add_argument("--steps", type=int, default=40, help="steps of each round")
    parser.add_argument("--frames", default="", help="render only these, such as ::12; then no film is written")
    parser.add_argument("--stills", type=Path, help="keep the pictures, and overlays of the truth, in this folder")
    parser.add_argument("--no-render", action="store_true", help="only the motion and its truth")
    options = parser.parse_args()

    start = time.perf_counter()

    def say(text: str) -> None:
        print(f"[{time.perf_counter() - start:6.1f} s] {text}", file=sys.stderr, flush=True)

    runtime = None if options.no_render else pick_blender(options.blender)
    motion = film.varied(MOTIONS[options.motion], options.seed)
    name = options.name or motion.name
    torch.manual_seed(options.seed)
    scene = Scene(motion)
    poses = scene.solve(options.rounds, options.steps, say)
    centre = truth.centre_of_start(poses)
    vertices = [
        skin(actor.rig, pose) - centre.astype("float32") for actor, pose in zip(scene.actors, poses, strict=True)
    ]
    clip = truth.make_clip(scene, poses, vertices, {"seed": options.seed, "generator": "scripts/build_sample.py"})
    clip.video = f"{name}.mp4"
    say(f"truth: {clip.metadata['figures']}")
    clip.save(options.out / f"{name}{SUFFIX}")
    if runtime is None:
        return
    with tempfile.TemporaryDirectory() as temporary:
        scene_file = Path(temporary) / "scene.npz"
        stage = film.Stage([actor.rig for actor in scene.actors], motion.looks, motion.wall, motion.floor)
        film.write_scene(scene_file, stage, clip, vertices)
        folder = options.stills or Path(temporary) / "frames"
        say(f"rendering with {runtime.label}")
        pictures = film.render(runtime, scene_file, folder, options.frames, say)
        if options.stills:
            for picture in pictures:
                frame = int(picture.stem.split("_")[1])
                film.overlay(picture, clip.keypoints2d[:, frame], folder / f"overlay_{frame:04d}.png")
        if not options.frames:
            film.encode(pictures, options.out / f"{name}.mp4", motion.fps)
            say(f"wrote {options.out / name}.mp4")


if __name__ == "__main__":
    main()
