# SPDX-License-Identifier: Apache-2.0
"""The range of joint angles of synthetic poses: those of people at ease, mostly narrower than the joints' limits.

``physics.joint_limits`` has the limits.
"""

from __future__ import annotations

from closeint_core.physics.joint_limits import bounds

# Radians about the left side's x, y, z.
_RANGES: dict[str, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    "hip": ((-2.3, 0.7), (-0.9, 0.9), (-0.6, 0.9)),
    "knee": ((-0.05, 2.6), (-0.25, 0.25), (-0.2, 0.2)),
    "ankle": ((-0.7, 0.8), (-0.4, 0.4), (-0.4, 0.4)),
    "foot": ((-0.3, 0.5), (-0.2, 0.2), (-0.2, 0.2)),
    "spine": ((-0.35, 0.7), (-0.5, 0.5), (-0.45, 0.45)),
    "neck": ((-0.6, 0.6), (-0.8, 0.8), (-0.5, 0.5)),
    "collar": ((-0.3, 0.3), (-0.5, 0.4), (-0.5, 0.6)),
    "shoulder": ((-1.7, 1.7), (-2.0, 0.9), (-1.6, 1.5)),
    "elbow": ((-1.3, 1.5), (-2.6, 0.1), (-0.5, 0.5)),
    "wrist": ((-0.9, 0.9), (-0.6, 0.6), (-1.2, 1.2)),
    "hand": ((-0.3, 0.3), (-0.3, 0.3), (-0.5, 0.3)),
}
USUAL_LOW, USUAL_HIGH = bounds(_RANGES)
"""(24, 3) bounds on rotation vectors, radians; infinite for the root, which is free."""
