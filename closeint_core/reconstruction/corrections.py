# SPDX-License-Identifier: Apache-2.0
"""The former place of ``closeint_core.corrections``; programs outside import it from here."""

from closeint_core.corrections import (
    FORMAT as FORMAT,
)
from closeint_core.corrections import (
    ContactMark as ContactMark,
)
from closeint_core.corrections import (
    Corrections as Corrections,
)
from closeint_core.corrections import (
    PositionPin as PositionPin,
)
from closeint_core.corrections import (
    RefineSettings as RefineSettings,
)
from closeint_core.corrections import (
    RotationPin as RotationPin,
)
from closeint_core.solver.solve import refine_around as refine_around
