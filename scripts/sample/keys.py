# SPDX-License-Identifier: Apache-2.0
"""The vocabulary in which a motion is written down: keyed curves, footsteps, touches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from scipy.interpolate import PchipInterpolator

Side = Literal["left", "right"]
Keys = Sequence[Sequence[float]]
"""Rows of (time in seconds, value, value, ...)."""


def sample_keys(keys: Keys, times: np.ndarray) -> np.ndarray:
    """Values (T, D) of ``keys`` at ``times`` (T,): monotone cubic between keys, held before and after.

    A monotone cubic never overshoots a key, so a weight stays within 0..1 and a held pose stays held.
    """
    table = np.asarray(keys, dtype=np.float64)
    if len(table) == 1:
        return np.repeat(table[:, 1:], len(times), axis=0)
    clamped = np.clip(times, table[0, 0], table[-1, 0])
    result: np.ndarray = PchipInterpolator(table[:, 0], table[:, 1:], axis=0)(clamped)
    return result


@dataclass(frozen=True)
class Step:
    """One swing of a foot, from where it stands to a new place.

    Attributes:
        side: which foot.
        lift_off, landing: seconds.
        to: (forward, left, yaw in degrees) in the person's own stage frame (see ``Role``).
        heel_rise: pitch in degrees at which the foot leaves the floor, rolling over its ball.
        toe_rise: pitch in degrees at which it lands: positive on the heel, negative on the toes (a step back).
    """

    side: Side
    lift_off: float
    landing: float
    to: tuple[float, float, float]
    heel_rise: float = 28.0
    toe_rise: float = 10.0


@dataclass(frozen=True)
class Build:
    """What a body is like, whatever the shape coefficients of the body model mean.

    Attributes:
        stature: metres.
        bmi: body mass index, with 1,000 kg a cubic metre.
        taper: width between the shoulder joints over that between the hip joints; about 1.9 on average.
    """

    stature: float
    bmi: float
    taper: float


@dataclass(frozen=True)
class Role:
    """What one person does.

    The stage frame of a person has its origin at the place where the two meet, ``forward`` towards the
    partner and ``left`` to the person's left; the partner's is the same turned by 180 degrees.

    Attributes:
        build: the body.
        stand: where the left and the right foot stand at the start: (forward, left, yaw in degrees).
        steps: footsteps in order of time.
        pelvis: (t, forward, left, up) metres added to the path that follows from the feet.
        facing: (t, yaw in degrees) of the pelvis.
        torso: (t, lean forward, lean left, turn left) degrees, shared by pelvis and spine.
        head: (t, nod, tilt left, turn left) degrees, relative to the chest.
        left_arm, right_arm: (t, lowering, swing, twist, elbow, pronation, wrist) degrees; see ``arm_pose``.
        gaze: (t, weight) of looking at the partner's eyes.
    """

    build: Build
    stand: tuple[tuple[float, float, float], tuple[float, float, float]]
    steps: Sequence[Step]
    pelvis: Keys = ((0, 0, 0, 0),)
    facing: Keys = ((0, 0),)
    torso: Keys = ((0, 0, 0, 0),)
    head: Keys = ((0, 0, 0, 0),)
    left_arm: Keys = ((0, 72, 0, 0, 18, 0, 0),)
    right_arm: Keys = ((0, 72, 0, 0, 18, 0, 0),)
    gaze: Keys = ((0, 1),)


@dataclass(frozen=True)
class Touch:
    """A point of one person held at a place of the partner's surface.

    Attributes:
        who: 0 or 1.
        point: the anchor that is brought (see ``anchors.ANCHORS``).
        on: the partner's anchor.
        keys: (t, weight, gap in metres between the surfaces).
        normal: weight of facing the partner's surface, relative to the position.
        along: optional (anchor direction) the fingers should point to, in the partner's chest frame
            (left, up, forward).
    """

    who: int
    point: str
    on: str
    keys: Keys
    normal: float = 1.0
    along: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class Via:
    """A joint guided through a place in the chest frame of the partner or of the person itself.

    Attributes:
        who: 0 or 1.
        joint: name of the joint (see ``rig.JOINTS``).
        frame: whose chest frame.
        keys: (t, weight, left, up, forward) metres from that person's spine3 joint.
    """

    who: int
    joint: str
    frame: Literal["self", "partner"]
    keys: Keys


@dataclass(frozen=True)
class Camera:
    """Where the film camera stands, in the world (metres), and its lens."""

    position: tuple[float, float, float]
    target: tuple[float, float, float]
    size: tuple[int, int]
    focal: float


@dataclass(frozen=True)
class Look:
    """Colours of one person: linear RGB."""

    skin: tuple[float, float, float]
    shirt: tuple[float, float, float]
    trousers: tuple[float, float, float]
    shoes: tuple[float, float, float]
    hair: tuple[float, float, float]
    pattern: Literal["plain", "stripes", "checks"] = "plain"


@dataclass(frozen=True)
class Motion:
    """A whole scene: two people, what they do to each other, who watches."""

    name: str
    seconds: float
    fps: float
    roles: tuple[Role, Role]
    looks: tuple[Look, Look]
    camera: Camera
    touches: Sequence[Touch] = field(default_factory=tuple)
    vias: Sequence[Via] = field(default_factory=tuple)
    wall: tuple[float, float, float] = (0.62, 0.60, 0.55)
    floor: tuple[float, float, float] = (0.36, 0.22, 0.12)

    @property
    def times(self) -> np.ndarray:
        """(T,) seconds of the frames."""
        return np.arange(round(self.seconds * self.fps)) / self.fps
