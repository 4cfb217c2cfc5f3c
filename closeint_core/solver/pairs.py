# SPDX-License-Identifier: Apache-2.0
"""What the terms of the refinement are given beside the motion: their weights, and pairs of points of two people."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from closeint_core.solver.skinned_points import (
    Riders,
)


@dataclass
class Weights:
    """Weights of the terms, all near one.

    Attributes:
        push: springs. contact: what draws parts together. spacing: spheres of the two people. turn: smoothness of what
            joints are turned by, where a motion is changed as little as may be.
        The others are named after their terms.
    """

    push: float = 1.0
    contact: float = 1.0
    spacing: float = 1.0
    keep: float = 6.0
    place: float = 1.0
    seen: float = 0.7
    outlier: float = 0.1
    smooth: float = 0.3
    turn: float = 0.0
    jerk: float = 0.05
    ground: float = 3.0
    skate: float = 2.0
    itself: float = 0.5
    balance: float = 0.1


@dataclass
class Pairs:
    """Up to K pairs of points in every frame, one of either person.

    Attributes:
        riders: (2, T, K) the points of person 0 and of person 1.
        axis: (T, K, 3) unit direction in the axes of a joint of a person, along which person 0's point is to be seen
            from person 1's. joint: (T, K) that joint, plus 24 for person 1.
        goal: (T, K) metres along the axis. pull: the pair is drawn to between 2 mm and the goal where it is ``firm``
            (T, K), elsewhere to zero; else it is only pushed apart to the goal.
        weight: (T, K), 0 where there is no pair. knee: metres beyond which the energy grows linearly.
    """

    riders: Riders
    axis: Tensor
    joint: Tensor
    goal: Tensor
    weight: Tensor
    firm: Tensor
    pull: bool
    knee: float
