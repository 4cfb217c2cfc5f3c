#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reconstruction of real footage: two calibrated views with 3D joints, and sixteen frames of a touch.

    python benchmarks/real_footage.py --pose2sim FOLDER --model fit
    python benchmarks/real_footage.py --touch FOLDER --model fit

With ``--observations DIR`` what perception saw is kept there, and a repeated run only solves.

FOLDER of ``--pose2sim`` holds cam01.mp4, cam02.mp4, cameras.json and joints3d_first50.npz; that of ``--touch`` the
frames, in which a woman on the right lays her right hand on the right forearm of a man on the left. The footage is
not part of the repository.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
from scipy.spatial import cKDTree  # noqa: E402

from closeint_core.body.data import JOINT_NAMES, BodyData  # noqa: E402
from closeint_core.body.load import load_body  # noqa: E402
from closeint_core.body.skinning import clip_vertices  # noqa: E402
from closeint_core.clip import InteractionClip  # noqa: E402
from closeint_core.metrics.accuracy import interaction_error, mpjpe, pa_mpjpe  # noqa: E402
from closeint_core.perception import store  # noqa: E402
from closeint_core.perception.observations import Observations  # noqa: E402
from closeint_core.progress import Progress  # noqa: E402
from closeint_core.reconstruction.pipeline import reconstruct_observed  # noqa: E402
from closeint_core.settings import Settings  # noqa: E402

LIMBS = slice(5, 17)
"""Shoulders, elbows, wrists, hips, knees, ankles: the same numbers in Halpe-26 and in the joints' file."""
HIPS = (6, 7)
"""Rows of the hips among ``LIMBS``."""


def limb_joints(clip: InteractionClip, data: BodyData) -> np.ndarray:
    """(P, T, 12, 3) joints of a clip in its camera's frame, metres."""
    halpe = data.halpe_regressor[LIMBS]
    world = np.concatenate([halpe @ vertices for _, vertices, _ in clip_vertices(clip, data)], axis=1)
    return clip.world_to_camera(world)


def view_errors(clip: InteractionClip, truth: np.ndarray, camera: dict[str, Any], data: BodyData) -> dict[str, Any]:
    """Errors in mm of a view's clip.

    Args:
        truth: (2, F, 21, 3) joints of the first F frames of the footage, world. camera: K, R, t of the view.
    """
    first, last = clip.frame_start, min(clip.frame_start + clip.frames, truth.shape[1])
    true = (truth[:, first:last] @ np.array(camera["R"]).T + np.array(camera["t"]))[:, :, LIMBS]
    ours = limb_joints(clip, data)[:, : last - first]
    # People are matched by where they are in the picture.
    places = [clip.camera_K[0], np.array(camera["K"])]
    pixels = [(x @ K.T)[..., :2] / (x @ K.T)[..., 2:] for x, K in zip((ours, true), places, strict=True)]
    costs = [np.linalg.norm(pixels[0][order] - pixels[1], axis=-1).mean() for order in ([0, 1], [1, 0])]
    ours = ours[[0, 1] if costs[0] <= costs[1] else [1, 0]]
    each, aligned = mpjpe(ours, true, HIPS).mean(1), pa_mpjpe(ours, true).mean(1)
    return {
        "frames": last - first,
        "mpjpe": float(each.mean()),
        "pa_mpjpe": float(aligned.mean()),
        "interaction": float(interaction_error(ours, true).mean()),
        "mpjpe_by_person": [float(value) for value in each],
        "pa_mpjpe_by_person": [float(value) for value in aligned],
    }


@dataclass(frozen=True)
class Keep:
    """Folders for the clips and for what perception saw; None keeps nothing."""

    clips: Path | None = None
    observations: Path | None = None


def measure_views(folder: Path, settings: Settings, known_focal: bool, keep: Keep) -> dict[str, Any]:
    """Every view of the calibrated footage, and the mean over views."""
    with np.load(folder / "joints3d_first50.npz") as archive:
        truth = archive["joints"]
    cameras = json.loads((folder / "cameras.json").read_text())
    data = load_body(settings.body)
    views = {}
    for name, camera in cameras.items():
        focal = float(camera["K"][0][0]) if known_focal else None
        clip = run(folder / f"{name}.mp4", settings, focal, truth.shape[1], keep)
        views[name] = view_errors(clip, truth, camera, data)
    names = ("mpjpe", "pa_mpjpe", "interaction")
    return {**views, "mean": {name: float(np.mean([view[name] for view in views.values()])) for name in names}}


def run(source: Path, settings: Settings, focal: float | None, frames: int | None, keep: Keep) -> InteractionClip:
    """Reconstruct the first frames of a source (None: all)."""
    limits = (0, frames) if frames else None

    def look() -> Observations:
        from closeint_core.perception.pipeline import perceive
        from closeint_core.video.source import open_source

        return perceive(open_source(source, limits), device="cpu")

    if keep.observations is None:
        seen = look()
    else:
        path = keep.observations / f"{source.name}-{frames or 'all'}{store.SUFFIX}"
        seen = store.kept(path, source, look, tag=f":{frames}")
    chosen = Settings(focal=focal, frames=limits, model=settings.model, body=settings.body, device="cpu")
    clip = reconstruct_observed(seen, chosen, Progress(), video=str(source))
    if keep.clips is not None:
        clip.save(keep.clips / f"{source.stem}-{settings.model}.closeint.npz")
    return clip


def hand_to_forearm(clip: InteractionClip, data: BodyData) -> np.ndarray:
    """(T,) metres between the skins of the right person's right wrist and hand and of the left one's right forearm.

    Who is on the left is told by where the people are in the picture. Vertices are about a centimetre apart.
    """
    hand = np.isin(data.parts, [JOINT_NAMES.index(name) for name in ("right_wrist", "right_hand")])
    forearm = data.parts == JOINT_NAMES.index("right_elbow")
    middle = [np.nanmean(clip.keypoints2d[person, ..., 0]) for person in (0, 1)]
    left, right = np.argsort(middle)
    found = []
    for _, vertices, _ in clip_vertices(clip, data):
        for frame in range(vertices.shape[1]):
            distance, _ = cKDTree(vertices[left, frame, forearm]).query(vertices[right, frame, hand])
            found.append(distance.min())
    return np.array(found)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pose2sim", type=Path, help="folder of the calibrated views")
    parser.add_argument("--touch", type=Path, help="folder of the frames of the touch")
    parser.add_argument("--model", default="default", help="as for closeint reconstruct")
    parser.add_argument("--focal", choices=("known", "assumed"), default="known", help="of the calibrated views")
    parser.add_argument("--keep", type=Path, help="folder for the clips")
    parser.add_argument("--observations", type=Path, metavar="DIR", help="folder for what perception saw")
    options = parser.parse_args()
    if not options.pose2sim and not options.touch:
        parser.error("give --pose2sim, --touch, or both")
    settings = Settings(model=options.model)
    keep = Keep(options.keep, options.observations)
    if options.pose2sim:
        found = measure_views(options.pose2sim, settings, options.focal == "known", keep)
        print(f"model {options.model}, focal length {options.focal}; mm, 12 limb joints, root between the hips")
        for name, row in found.items():
            people = ""
            if "pa_mpjpe_by_person" in row:
                pairs = zip(row["mpjpe_by_person"], row["pa_mpjpe_by_person"], strict=True)
                people = "   by person " + ", ".join(f"{a:.0f}/{b:.0f}" for a, b in pairs)
            values = f"MPJPE {row['mpjpe']:6.1f}  PA-MPJPE {row['pa_mpjpe']:6.1f}  IE {row['interaction']:6.1f}"
            print(f"{name:6} {values}{people}", flush=True)
    if options.touch:
        clip = run(options.touch, settings, None, None, keep)
        for frame, distance in enumerate(hand_to_forearm(clip, load_body(clip.body))):
            print(f"frame {clip.frame_start + frame:3}  hand to forearm {1000 * distance:6.1f} mm")


if __name__ == "__main__":
    main()
