# SPDX-License-Identifier: Apache-2.0
"""How far joints bend: published ranges of motion, as bounds on the rotation vectors of SMPL's joints.

Sources of the degrees, of which the most mobile healthy group's mean is taken where they differ by age or sex:

- [C] Soucie et al., "Range of motion measurements: reference values and a database for comparison studies",
  Haemophilia 17, 2011 (the CDC's Joint Range of Motion Study, 674 people of 2 to 69 years).
- [N] Norkin, White, "Measurement of Joint Motion: A Guide to Goniometry", appendix A, which compares the American
  Academy of Orthopaedic Surgeons (1965), Boone and Azen (1979) and others.
- [M] Merck Manual, "Normal Values for Range of Motion of Joints".
- [W] Wilson, Furukawa, "Evaluation of the patient with hip pain", American Family Physician 89, 2014.
- [R] Rabin et al., "Weight-bearing ankle dorsiflexion range of motion", Journal of Athletic Training 50, 2015, and the
  30 to 38 degrees usually given for the lunge: an ankle bends further under a person's weight than in the hand.
- [S] Savlovskis, "Range of the Motion of the Cervical, Thoracic and Lumbar Spine", Anatomy Standard.
- [K] Neumann, "Kinesiology of the Musculoskeletal System".

SMPL's rest pose is a T: y up, z ahead, the left arm along +x. About the left side's axes, a positive turn

- about x takes what is below backwards and what is above forwards: it bends the spine, the neck and the knee,
  stretches the hip, points the toes, and turns the upper arm inwards;
- about y turns to the left: the thigh and the foot outwards; it takes the arm back, and stretches the elbow;
- about z takes what is on the left up: it lifts the leg sideways and the arm overhead, turns the sole outwards, and
  bends the hand back.

A rotation vector has these as components as long as one of them dominates. Where several are large they mix, which is
what the calibration's ``margin`` allows for, besides the difference between a goniometer and a skeleton of 24 joints.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from closeint_core.physics.calibration import PHYSICS

_Range = tuple[float, float]
_RANGES: dict[str, tuple[_Range, _Range, _Range]] = {
    # flexion, extension [C]; medial [M], lateral rotation [W]; adduction, abduction [W]
    "hip": ((-141, 28), (-45, 60), (-30, 50)),
    # extension beyond straight, flexion [C]; rotation of the bent knee [K]; to the sides [K]
    "knee": ((-5, 153), (-15, 30), (-7, 7)),
    # dorsiflexion [R], plantar flexion [M]; adduction, abduction of the foot (20) with the rotation of the lower leg,
    # which shows at the ankle where a knee is taken for a hinge [K]; inversion, eversion [M]
    "ankle": ((-38, 50), (-35, 50), (-35, 25)),
    # extension, flexion of the toes [M]; toes of one piece do nothing else
    "foot": ((-80, 30), (-5, 5), (-5, 5)),
    # the whole trunk: extension, flexion; rotation; lateral flexion [N]
    "spine": ((-25, 80), (-45, 45), (-35, 35)),
    # from the trunk to the skull: extension, flexion [S]; rotation [N]; lateral flexion [S]
    "neck": ((-63, 64), (-80, 80), (-49, 49)),
    # clavicle: posterior, anterior rotation; protraction, retraction; depression, elevation [K]
    "collar": ((-45, 10), (-30, 30), (-15, 45)),
    # lateral, medial rotation [N]; across the chest [N], back: a hanging arm that is stretched back by 89 degrees [N]
    # turns by 69 about y; down (90) and across (30), up [N]
    "shoulder": ((-118, 90), (-135, 69), (-120, 90)),
    # supination, pronation [N]; flexion [N], extension beyond straight [C]; the carrying angle [K]
    "elbow": ((-93, 96), (-158, 7), (-15, 15)),
    # half of the forearm's rotation; radial, ulnar deviation [N]; flexion, extension [N]
    "wrist": ((-46, 48), (-22, 39), (-96, 89)),
    # fingers as one piece at the knuckles: flexion, extension [M]
    "hand": ((-10, 10), (-25, 25), (-90, 30)),
}
_SHARE: dict[str, float] = {"spine": 1 / 2, "neck": 3 / 5}
"""Of a range that several joints have together (three of the spine, two of the neck), what one of them may do: more
than its part, since they do not bend evenly."""
KINDS: dict[str, tuple[int, ...]] = {
    "spine": (3, 6, 9), "neck": (12, 15), "hip": (1, 2), "knee": (4, 5), "ankle": (7, 8), "foot": (10, 11),
    "collar": (13, 14), "shoulder": (16, 17), "elbow": (18, 19), "wrist": (20, 21), "hand": (22, 23),
}  # fmt: skip
"""SMPL's joints; of a pair the left one first."""


def bounds(ranges: dict[str, tuple[_Range, _Range, _Range]]) -> tuple[Tensor, Tensor]:
    """(24, 3) least and greatest components of rotation vectors, from ranges of the left side's joints in their unit;
    the right side mirrors y and z, and the root is free."""
    low, high = torch.full((24, 3), -torch.inf), torch.full((24, 3), torch.inf)
    for kind, joints in KINDS.items():
        least, most = torch.tensor(ranges[kind], dtype=torch.float32).T
        low[list(joints)], high[list(joints)] = least, most
        if kind not in _SHARE:
            mirror = torch.tensor([1.0, -1.0, -1.0])
            low[joints[1]], high[joints[1]] = (
                torch.minimum(mirror * least, mirror * most),
                torch.maximum(mirror * least, mirror * most),
            )
    return low, high


def joint_bounds() -> tuple[Tensor, Tensor]:
    """(24, 3) least and greatest components of rotation vectors, radians, by the calibration in force; infinite for the
    root, which is free."""
    return _limits(PHYSICS.now.limits.margin)


@functools.lru_cache(maxsize=4)
def _limits(margin: float) -> tuple[Tensor, Tensor]:
    shared = {
        kind: tuple((_SHARE.get(kind, 1.0) * a - margin, _SHARE.get(kind, 1.0) * b + margin) for a, b in axes)
        for kind, axes in _RANGES.items()
    }
    low, high = bounds(shared)  # type: ignore[arg-type]
    return torch.deg2rad(low), torch.deg2rad(high)


LIMIT_LOW, LIMIT_HIGH = _limits(PHYSICS.default.limits.margin)
"""``joint_bounds`` of the version's own calibration."""


def beyond_limits(rotation_vectors: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    """Radians (..., 24, 3) by which rotation vectors are beyond their bounds: positive above, negative below;
    ``joint_bounds`` if no others are given."""
    usual = joint_bounds()
    low, high = (one if own is None else own for own, one in zip((low, high), usual, strict=True))
    low, high = low.to(rotation_vectors), high.to(rotation_vectors)
    return (rotation_vectors - high).clamp(min=0) - (low - rotation_vectors).clamp(min=0)
