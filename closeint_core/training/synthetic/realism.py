# SPDX-License-Identifier: Apache-2.0
"""How near generated pairs are to recorded ones: distances, contact durations, relative facing and speeds, in a table.

    python -m closeint_core.training.synthetic.realism COUPLES [--pairs 8] [--frames 48] [--seed 0] [--device auto]
        [--trials all] [--json]

COUPLES is a folder of recorded couples (``readers.couples``). Recordings are cut into windows as long as the generated
pairs, and only joints are compared, since recordings have no skin.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import roma
import torch

from closeint_core.body.load import load_body
from closeint_core.body.torch_body import TorchBody
from closeint_core.errors import CloseintError
from closeint_core.training.readers.couples import COUPLE_JOINTS, Couple, read_couples
from closeint_core.training.synthetic.generate import Generator, Interactions
from closeint_core.training.synthetic.kinds import KINDS
from closeint_core.training.synthetic.surface import JOINT

NEAR_HAND = 0.2
"""Metres between knuckles of hands that count as held: recorded holds stay a hand's breadth open."""
NEAR_BODY = 0.2
"""Metres from a knuckle to the middle of the other's trunk or upper arm at which the hand counts as on it."""
MEASURES: dict[str, str] = {
    "pelvis to pelvis": "m",
    "nearest joints": "m",
    "nearest hands": "m",
    "facing, 180 face to face": "deg",
    "other off the own front": "deg",
    "speed of the pelvis": "m/s",
    "speed of the wrists": "m/s",
    "turning": "deg/s",
    "hand in hand, each run": "s",
    "hand on the other, each run": "s",
}
"""What is compared, and its unit."""
QUANTILES = (0.1, 0.5, 0.9)
_AT = {name: index for index, name in enumerate(COUPLE_JOINTS)}
_TRUNK = (("pelvis", "neck"), ("neck", "left_shoulder"), ("neck", "right_shoulder"), ("left_shoulder", "left_elbow"),
          ("right_shoulder", "right_elbow"))  # fmt: skip


def measure_pairs(joints: np.ndarray, fps: np.ndarray) -> dict[str, np.ndarray]:
    """Samples of every measure, one dimension each.

    Args:
        joints: (N, 2, F, len(COUPLE_JOINTS), 3) metres, Z up. fps: (N,) frames a second.
    """
    pelvis, hands = joints[..., _AT["pelvis"], :], joints[..., [_AT["left_hand"], _AT["right_hand"]], :]
    wrists = joints[..., [_AT["left_wrist"], _AT["right_wrist"]], :]
    between = np.linalg.norm(joints[:, 0, :, :, None] - joints[:, 1, :, None], axis=-1)  # (N, F, K, K)
    hand_gap = np.linalg.norm(hands[:, 0, :, :, None] - hands[:, 1, :, None], axis=-1).min((2, 3))
    heading = _headings(joints)
    towards = np.diff(pelvis[..., :2], axis=1)[:, 0]
    bearing = np.arctan2(towards[..., 1], towards[..., 0])
    off = np.stack((_turned(bearing - heading[:, 0]), _turned(bearing + np.pi - heading[:, 1])), 1)
    rate = fps[:, None, None]
    on_body = np.stack([_hand_to_trunk(hands[:, p], joints[:, 1 - p]) for p in (0, 1)], 1).min((1, 3))  # (N, F)
    return {
        "pelvis to pelvis": np.linalg.norm(pelvis[:, 0] - pelvis[:, 1], axis=-1).ravel(),
        "nearest joints": between.min((2, 3)).ravel(),
        "nearest hands": hand_gap.ravel(),
        "facing, 180 face to face": np.degrees(np.abs(_turned(heading[:, 0] - heading[:, 1]))).ravel(),
        "other off the own front": np.degrees(np.abs(off)).ravel(),
        "speed of the pelvis": (np.linalg.norm(np.diff(pelvis, axis=2), axis=-1) * rate).ravel(),
        "speed of the wrists": (np.linalg.norm(np.diff(wrists, axis=2), axis=-1) * rate[..., None]).ravel(),
        "turning": np.degrees(np.abs(_turned(np.diff(heading, axis=2))) * rate).ravel(),
        "hand in hand, each run": run_lengths(hand_gap < NEAR_HAND, fps),
        "hand on the other, each run": run_lengths(on_body < NEAR_BODY, fps),
    }


def run_lengths(held: np.ndarray, fps: np.ndarray) -> np.ndarray:
    """Seconds (M,) of every run of frames in which ``held`` (N, F) is true; runs are cut where a window is."""
    padded = np.pad(held.astype(np.int8), ((0, 0), (1, 1)))
    change = np.diff(padded, axis=1)
    row, start = np.nonzero(change == 1)
    _, end = np.nonzero(change == -1)
    result: np.ndarray = (end - start) / fps[row]
    return result


def shift(first: np.ndarray, second: np.ndarray) -> float:
    """How far (in the measure's unit) the values of one have to move on average to be spread as the other's; nan where
    there are none."""
    if not len(first) or not len(second):
        return float("nan")
    share = (np.arange(200) + 0.5) / 200
    return float(np.abs(np.quantile(first, share) - np.quantile(second, share)).mean())


def _headings(joints: np.ndarray) -> np.ndarray:
    """(...) radians, where a person faces, of joints (..., K, 3)."""
    left = joints[..., _AT["left_hip"], :] - joints[..., _AT["right_hip"], :]
    result: np.ndarray = np.arctan2(-left[..., 0], left[..., 1])
    return result


def _turned(angle: np.ndarray) -> np.ndarray:
    """Angles taken to -pi..pi."""
    return (angle + np.pi) % (2 * np.pi) - np.pi


def _hand_to_trunk(hands: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(N, F, 2) metres from hands (N, F, 2, 3) to the nearest of the other's trunk and upper arms, as line segments."""
    nearest = np.full(hands.shape[:-1], np.inf)
    for begin, end in _TRUNK:
        a, b = other[..., None, _AT[begin], :], other[..., None, _AT[end], :]
        along = b - a
        share = ((hands - a) * along).sum(-1) / np.maximum((along**2).sum(-1), 1e-9)
        nearest = np.minimum(nearest, np.linalg.norm(hands - a - np.clip(share, 0, 1)[..., None] * along, axis=-1))
    return nearest


def couple_windows(couples: Sequence[Couple], frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Joints (N, 2, frames, K, 3) of all whole windows that follow each other, and their frame rates (N,)."""
    cut, rates = [], []
    for couple in couples:
        for start in range(0, couple.joints.shape[1] - frames + 1, frames):
            cut.append(couple.joints[:, start : start + frames])
            rates.append(couple.fps)
    if not cut:
        raise CloseintError(f"No recorded couple is {frames} frames long.", "Ask for fewer frames.")
    return np.stack(cut), np.array(rates)


def joints_of(made: Interactions, body: TorchBody) -> np.ndarray:
    """(N, 2, T, len(COUPLE_JOINTS), 3) of generated pairs."""
    with torch.no_grad():
        skeleton = body.skeleton(roma.rotvec_to_rotmat(made.poses), made.betas[:, :, None], made.transl)
    return skeleton.joints[..., [JOINT[name] for name in COUPLE_JOINTS], :].cpu().numpy()


def compare(recorded: dict[str, np.ndarray], made: dict[str, dict[str, np.ndarray]]) -> list[dict[str, object]]:
    """Rows of the table: quantiles of the recorded and of each group of generated pairs, and how far those are off."""
    rows: list[dict[str, object]] = []
    for name, unit in MEASURES.items():
        row: dict[str, object] = {"measure": name, "unit": unit, "recorded": _quantiles(recorded[name])}
        for group, samples in made.items():
            row[group] = _quantiles(samples[name])
            row[f"{group}: off by"] = shift(recorded[name], samples[name])
        rows.append(row)
    return rows


def _quantiles(values: np.ndarray) -> list[float]:
    return [float(q) for q in np.quantile(values, QUANTILES)] if len(values) else []


def groups(pairs: int, frames: int, seed: int, body: TorchBody) -> dict[str, dict[str, np.ndarray]]:
    """Measures of generated pairs, ``pairs`` of each kind: the dances of the first collection, those of the wide one,
    and everything that training draws from either."""
    dances = [name for name in KINDS.names("train") if "dance" in name and "apart" not in name]
    later = [n for n in KINDS.families()["dance holds and turns"] if n in KINDS.names("train", "wide")]
    asked = {"first: dances": dances, "wide: dances": dances + later, "first: all": list(KINDS.names("train")),
             "wide: all": list(KINDS.names("train", "wide"))}  # fmt: skip
    made = Generator(asked["wide: all"], body=body, oversample=1.5)(len(asked["wide: all"]) * pairs, frames, seed)
    names, joints, fps = np.array(made.kind_names()), joints_of(made, body), made.fps.cpu().numpy()
    chosen = {group: np.isin(names, kinds) for group, kinds in asked.items()}
    return {group: measure_pairs(joints[rows], fps[rows]) for group, rows in chosen.items()}


def table(rows: list[dict[str, object]]) -> str:
    """The rows as text, 10th, 50th and 90th percentile of each group and how far it is off."""
    names = [key for key in rows[0] if key not in ("measure", "unit") and not key.endswith("off by")]
    lines = [f"{'':34}" + "".join(f"{name:>28}" for name in names)]
    for row in rows:
        cells = []
        for name in names:
            values = row[name]
            assert isinstance(values, list)
            text = " ".join(f"{value:.2f}" if abs(value) < 10 else f"{value:.0f}" for value in values) or "none"
            off = row.get(f"{name}: off by")
            cells.append(f"{text:>20}" + (f" ({off:5.2f})" if isinstance(off, float) else " " * 8))
        lines.append(f"{row['measure']!s:27}{row['unit']!s:7}" + "".join(cells))
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("couples", type=Path, help="folder with 60_01.bvh, 61_01.bvh and so on")
    parser.add_argument("--pairs", type=int, default=8, help="generated pairs of each kind")
    parser.add_argument("--frames", type=int, default=48, help="length of a window")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--trials", choices=("train", "all"), default="train", help="all: also those held out")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    options = parser.parse_args(arguments)
    try:
        every = None if options.trials == "train" else [p.stem[3:] for p in sorted(options.couples.glob("60_??.bvh"))]
        couples = read_couples(options.couples, every)
        recorded = measure_pairs(*couple_windows(couples, options.frames))
    except CloseintError as error:
        print(f"{error.message} {error.fix or ''}".strip(), file=sys.stderr)
        return 2
    body = TorchBody(load_body("default")).to(torch.device(options.device))
    rows = compare(recorded, groups(options.pairs, options.frames, options.seed, body))
    if options.json:
        print(json.dumps(rows))
    else:
        print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
