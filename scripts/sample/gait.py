# SPDX-License-Identifier: Apache-2.0
"""Feet that really stand: exact foot motion from footsteps, and the pelvis path that goes with it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

from sample.keys import Role, Side, Step, sample_keys
from sample.rig import BASE, JOINT, Rig, axis_rotation

ROLL_SECONDS = 0.16
"""How long the heel rises before a foot leaves the floor."""
STRIKE_SECONDS = 0.1
"""How long the foot takes to lie flat after it lands."""


@dataclass(frozen=True)
class FootPath:
    """One foot over time.

    Attributes:
        place: (T, 3) forward, left, lift of the foot in the stage frame, metres.
        yaw: (T,) radians.
        ankle: (T, 3) ankle joint in the stage frame.
        turn: (T, 3, 3) rotation of the foot in the stage frame.
        toes: (T,) bend of the toes about their x axis, radians.
        planted: (T,) 1 while the foot carries weight without sliding.
    """

    place: np.ndarray
    yaw: np.ndarray
    ankle: Tensor
    turn: Tensor
    toes: Tensor
    planted: np.ndarray


def smoothstep(x: np.ndarray) -> np.ndarray:
    """0 to 1 with no velocity and no acceleration at either end."""
    x = np.clip(x, 0, 1)
    result: np.ndarray = x**3 * (10 - 15 * x + 6 * x * x)
    return result


def foot_path(
    rig: Rig, side: Side, stand: tuple[float, float, float], steps: list[Step], times: np.ndarray
) -> FootPath:
    """The foot's exact motion: it rolls over its ball, swings, lands, and does not move in between."""
    place = np.tile(np.asarray([stand[0], stand[1], 0.0]), (len(times), 1))
    yaw = np.full(len(times), np.radians(stand[2]))
    planted = np.ones(len(times))
    pitch_keys: list[tuple[float, float]] = [(times[0] - 10.0, 0.0)]
    flat_toes = np.ones(len(times))
    at = np.asarray(stand, dtype=np.float64)
    for step in steps:
        to = np.asarray(step.to)
        span = step.landing - step.lift_off
        phase = (times - step.lift_off) / span
        moved = smoothstep(phase)[:, None]
        place[:, :2] += moved * (to - at)[:2]
        yaw += moved[:, 0] * np.radians(to[2] - at[2])
        reach = float(np.hypot(*(to - at)[:2]))
        inside = (phase > 0) & (phase < 1)
        lift = 0.025 + 0.06 * min(reach, 0.6)
        place[inside, 2] += lift * np.sin(np.pi * phase[inside]) ** 2
        planted[inside] = 0
        flat_toes[inside] = 1 - smoothstep(phase[inside] / 0.6)
        pitch_keys += [
            (step.lift_off - ROLL_SECONDS, 0.0),
            (step.lift_off, step.heel_rise),
            (step.lift_off + 0.3 * span, 0.7 * step.heel_rise),
            (step.landing, -step.toe_rise),
            (step.landing + STRIKE_SECONDS, 0.0),
        ]
        at = to
    for earlier, later in pairwise(pitch_keys):
        if later[0] <= earlier[0]:
            raise ValueError(f"the steps of the {side} foot follow each other too fast near {later[0]:.2f} s")
    pitch = torch.from_numpy(np.radians(sample_keys(pitch_keys, times)[:, 0])).float()

    ankle, ball = rig.joints[JOINT[f"{side}_ankle"]], rig.joints[JOINT[f"{side}_foot"]]
    own = (rig.rest[:, 0] > 0) == (side == "left")
    sole = own & (rig.rest[:, 1] < rig.sole + 0.06)
    heel_z = rig.rest[sole, 2].min() + 0.02
    toe_pivot = torch.stack((ball[0], torch.tensor(rig.sole), ball[2]))
    heel_pivot = torch.stack((ankle[0], torch.tensor(rig.sole), heel_z))
    roll = axis_rotation(0, pitch)
    pivot = torch.where((pitch > 0)[:, None], toe_pivot, heel_pivot)
    offset = pivot - ankle + torch.einsum("tij,tj->ti", roll, ankle - pivot)
    heading = axis_rotation(2, torch.from_numpy(yaw).float()) @ BASE
    height = torch.tensor([0.0, 0.0, float(ankle[1]) - rig.sole])
    ankle_path = torch.from_numpy(place).float() + torch.einsum("tij,tj->ti", heading, offset) + height
    # The toes stay flat on the floor while the heel is up, and straighten in the air.
    toes = -torch.relu(pitch) * torch.from_numpy(flat_toes).float()
    ankle_path[:, 2] += clearance(rig, side, ankle_path, heading @ roll, toes)
    return FootPath(place, yaw, ankle_path, heading @ roll, toes, planted)


def clearance(rig: Rig, side: Side, ankle: Tensor, turn: Tensor, toes: Tensor) -> Tensor:
    """How far (T,) the foot has to be lifted so that no part of it is below the floor, metres."""
    joints = [JOINT[f"{side}_ankle"], JOINT[f"{side}_foot"]]
    weights = torch.zeros(len(rig.rest), 24).scatter_add_(1, rig.skin_joints, rig.skin_weights)[:, joints]
    ids = torch.nonzero((weights.sum(1) > 0.9) & (rig.rest[:, 1] < rig.sole + 0.06))[:, 0]
    weights = weights[ids] / weights[ids].sum(1, keepdim=True)
    toe_turn = turn @ axis_rotation(0, toes)
    ball = ankle + turn @ (rig.joints[joints[1]] - rig.joints[joints[0]])
    as_foot = (rig.rest[ids] - rig.joints[joints[0]]) @ turn.transpose(-1, -2) + ankle[:, None]
    as_toes = (rig.rest[ids] - rig.joints[joints[1]]) @ toe_turn.transpose(-1, -2) + ball[:, None]
    height = (weights[:, :1] * as_foot + weights[:, 1:] * as_toes)[..., 2]
    return torch.relu(-height.amin(1))


def pelvis_path(rig: Rig, role: Role, feet: tuple[FootPath, FootPath], times: np.ndarray, fps: float) -> np.ndarray:
    """(T, 3) of the pelvis joint in the stage frame: between the feet, shifted over the one that carries."""
    places = np.stack([foot.place[:, :2] for foot in feet])  # (2, T, 2)
    carry = np.stack([foot.planted for foot in feet])
    carry = carry / carry.sum(0)
    middle = places.mean(0)
    shift = 0.45 * ((carry[..., None] * places).sum(0) - middle)
    # Weight moves over before the foot lifts, and forward motion is carried through, not stopped at each step.
    path = gaussian_filter1d(middle, 0.14 * fps, axis=0, mode="nearest")
    path += gaussian_filter1d(shift, 0.11 * fps, axis=0, mode="nearest")
    ankles = 0.5 * (rig.joints[JOINT["left_ankle"]] + rig.joints[JOINT["right_ankle"]])
    extra = sample_keys(role.pelvis, times)
    # Path is where the ankles are; the pelvis joint stands a little in front of or behind them.
    forward = float(rig.joints[0, 2] - ankles[2])
    standing = float(rig.joints[0, 1]) - rig.sole
    return np.column_stack(
        (path[:, 0] + forward + extra[:, 0], path[:, 1] + extra[:, 1], 0.995 * standing + extra[:, 2])
    )
