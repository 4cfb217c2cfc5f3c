# SPDX-License-Identifier: Apache-2.0
"""Runs a fit on until its two bodies are out of each other, exact mesh against exact mesh.

The spheres of the fit stand in for the volume; what they leave is found here vertex by vertex. In
rounds: measure which vertices are inside the partner and where its surface is nearest, then let the
fit run on with those pairs as springs that push only, all other evidence kept. What is left after
that is for ``physics.refinement``.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from closeint_core.progress import Progress
from closeint_core.solver.initial import PairFit, Stage
from closeint_core.solver.separation import Separation, Springs, find_penetration, join_springs, point_apart


def separate(fit: PairFit, stage: Stage, progress: Progress, rounds: int = 2, tolerance: float = 0.004) -> None:
    """Run the fit on until no vertex is deeper than ``tolerance`` metres, or for ``rounds`` rounds."""
    collected: Springs | None = None
    for number in range(rounds):
        motion = fit.motion()
        springs = point_apart(find_penetration(fit.body, motion.rotations, motion.transl, motion.betas), fit)
        if not len(springs.depth) or float(springs.depth.max()) <= tolerance:
            break
        # Pairs of earlier rounds stay, so that what came out does not slide back in.
        collected = springs if collected is None else join_springs(collected, springs)
        fit.extra = Separation(collected, torch.as_tensor(fit.body.data.parts, dtype=torch.long))
        fit.run(
            replace(stage, rate=stage.rate * 0.85**number),
            progress,
            number * stage.iterations,
            rounds * stage.iterations,
        )
    fit.extra = None
