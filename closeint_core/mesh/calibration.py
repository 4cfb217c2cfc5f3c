# SPDX-License-Identifier: Apache-2.0
"""The tuned numbers of what is measured on meshes: when skins touch, and how near is near.

"Chosen by hand" is a value that nobody measured. ``MESH.now`` has the values in force (``calibrated``).
"""

from __future__ import annotations

from dataclasses import dataclass

from closeint_core.calibrated import Calibrated


@dataclass(frozen=True)
class TouchCalibration:
    """When two skins touch; all that ask for it ask here.

    ``touch`` and ``release`` are a yes or no between exact skins (figures of a clip); ``even`` and ``width`` are a
    probability between vertices, which lie about 1 cm apart (contacts of a clip, and what the solver draws together or
    keeps apart).
    """

    touch: float = 0.015
    """m: between skins that touch: soft tissue, clothes, and what a reconstruction can tell. Origin: chosen by hand."""
    release: float = 0.025
    """m: up to which parts that touch before or after are taken to touch still. Origin: chosen by hand."""
    even: float = 0.02
    """m: between vertices at which a touch is as likely as not; allows for their spacing and soft tissue. Origin:
    chosen by hand."""
    width: float = 0.004
    """m: over which that changes (logistic). Origin: chosen by hand."""
    reach: float = 0.06
    """m: beyond which skins are apart for certain and distances are not told apart. Origin: ten widths from even odds,
    where a touch has a probability of 0.00005."""


@dataclass(frozen=True)
class NearCalibration:
    """How places of two skins that are near each other are found."""

    cell: float = 0.05
    """m: between samples of the skin. Origin: chosen by hand."""
    reach: float = 0.3
    """m: beyond which parts are not looked at. Origin: chosen by hand."""
    bias: float = 0.04
    """m: that a place on a part that is not to be touched counts as farther. Origin: chosen by hand."""
    bias_at: float = 0.1
    """m: twice the distance at which ``bias`` is exact; elsewhere it is a bit more or less. Origin: chosen by hand."""


@dataclass(frozen=True)
class SelfPenetrationCalibration:
    """A body inside itself."""

    rest_distance: float = 0.05
    """m: from a part, in the rest pose, up to which a vertex counts as the part's neighbour. Origin: chosen by hand."""


@dataclass(frozen=True)
class MeshCalibration:
    """All tuned numbers of the meshes."""

    touch: TouchCalibration = TouchCalibration()
    """When skins touch."""
    near: NearCalibration = NearCalibration()
    """Nearest places."""
    itself: SelfPenetrationCalibration = SelfPenetrationCalibration()
    """A body inside itself."""


MESH = Calibrated("mesh", MeshCalibration())
"""The meshes' numbers; ``MESH.now`` are those in force."""
