# SPDX-License-Identifier: Apache-2.0
"""What the terms of the refinement are given beside the motion: their weights, and pairs of points of two people."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

from torch import Tensor

from closeint_core.solver.calibration import SOLVER
from closeint_core.solver.skinned_points import Columns, SkinnedPoints


def _weight(name: str) -> Any:
    """A field whose default is the calibration's."""
    return field(default_factory=lambda: getattr(SOLVER.now.weights, name))


@dataclass
class Weights:
    """Weights of the terms, all near one.

    Attributes:
        push: springs. contact: what draws parts together. spacing: spheres of the two people. turn: smoothness of what
            joints are turned by, where a motion is changed as little as may be.
        The others are named after their terms. What they weigh is in the calibration.
    """

    push: float = _weight("push")
    contact: float = _weight("contact")
    spacing: float = _weight("spacing")
    keep: float = _weight("keep")
    place: float = _weight("place")
    seen: float = _weight("seen")
    outlier: float = _weight("outlier")
    smooth: float = _weight("smooth")
    turn: float = _weight("turn")
    jerk: float = _weight("jerk")
    ground: float = _weight("ground")
    skate: float = _weight("skate")
    itself: float = _weight("itself")
    balance: float = _weight("balance")


@dataclass
class Pairs:
    """Up to K pairs of points in every frame, one of either person.

    Attributes:
        points: (2, T, K) the points of person 0 and of person 1.
        axis: (T, K, 3) unit direction in the axes of a joint of a person, along which person 0's point is to be seen
            from person 1's. joint: (T, K) that joint, plus 24 for person 1.
        goal: (T, K) metres along the axis. pull: the pair is drawn to between 2 mm and the goal where it is ``firm``
            (T, K), elsewhere to zero; else it is only pushed apart to the goal.
        weight: (T, K), 0 where there is no pair. knee: metres beyond which the energy grows linearly.
        frames: (T,) which frames of those that are solved for these are; None: they are all.
    """

    points: SkinnedPoints
    axis: Tensor
    joint: Tensor
    goal: Tensor
    weight: Tensor
    firm: Tensor
    pull: bool
    knee: float
    frames: Tensor | None = None

    def in_use(self) -> Pairs:
        """The same without frames that have no pair: most frames of a clip have nobody near anybody."""
        busy = (self.weight > 0).any(1).nonzero()[:, 0]
        if self.frames is not None or len(busy) == len(self.weight):
            return self
        kept = {one.name: getattr(self, one.name) for one in fields(self)}
        rows = ("axis", "joint", "goal", "weight", "firm")
        points = SkinnedPoints(self.points.moments[:, busy], self.points.weights[:, busy])
        return Pairs(**{**kept, **{name: kept[name][busy] for name in rows}, "points": points, "frames": busy})

    @cached_property
    def columns(self) -> Columns:
        """The points, frames before people: (T, 2, K)."""
        return Columns.of(SkinnedPoints(*(one.transpose(0, 1) for one in self.points)))
