# SPDX-License-Identifier: Apache-2.0
"""The stages of a reconstruction in their order, and what part of the time each usually takes.

The pipeline hands its plan to whoever shows progress (``Progress.expect``); nobody else knows stages by name. Standard
library only.
"""

from __future__ import annotations

from closeint_core.progress import StagePlan
from closeint_core.settings import Settings

SEEING = {"finding people": 0.08, "following": 0.36}
FITTING = ("placing", "fitting", "settling", "polishing", "untangling", "refitting")
"""Stages of the fit; of a clip of several windows one stage, ``fitting windows``, stands for all."""
SHARES: dict[str, dict[str, float]] = {
    "default": {
        **SEEING, "denoising": 0.02, "placing": 0.02, "fitting": 0.02, "settling": 0.02, "polishing": 0.05,
        "refining": 0.42, "measuring": 0.01,
    },
    "fit": {
        **SEEING, "placing": 0.02, "fitting": 0.02, "untangling": 0.06, "refitting": 0.03, "refining": 0.42,
        "measuring": 0.01,
    },
    "reference": {
        "finding people": 0.10, "following": 0.22, "image features": 0.45, "denoising": 0.21, "measuring": 0.02,
    },
}  # fmt: skip
"""Shares by model. Those of ``default`` were measured by ``benchmarks/progress.py`` on the bundled sample on two cores;
those of ``fit`` follow from them, those of ``reference`` are from one run on a GPU."""


def plan_of(settings: Settings, *, seen: bool = False) -> StagePlan:
    """The plan of a reconstruction.

    Args:
        seen: the people have been observed already.
    """
    left = {
        stage: share
        for stage, share in SHARES.get(settings.model, SHARES["default"]).items()
        if not (seen and stage in SEEING) and (settings.refine or stage != "refining")
    }
    whole = sum(left.values())
    spans = dict.fromkeys(("following the pair", "following the person"), ("following", "following"))
    fits = [stage for stage in left if stage in FITTING]
    if fits:
        spans["fitting windows"] = (fits[0], fits[-1])
    return StagePlan({stage: share / whole for stage, share in left.items()}, spans)
