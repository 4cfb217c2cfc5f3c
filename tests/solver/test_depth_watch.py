# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from support.people import DATA, QUICK, standing

from closeint_core.body.torch_body import TorchBody
from closeint_core.metrics.quality import clip_quality, measure_clip
from closeint_core.progress import Progress
from closeint_core.solver.depth_watch import Depths, own_depth
from closeint_core.solver.phases import refine


@pytest.mark.parametrize(
    ("depths", "worse", "traded"),
    [
        ((0.036, 0.002, 0.000, 0.068), True, True),  # what a wild motion came to
        ((0.036, 0.002, 0.000, 0.005), False, False),
        ((0.036, 0.002, 0.000, 0.020), False, True),
        ((0.036, 0.002, 0.040, 0.041), False, False),
        ((0.020, 0.002, 0.030, 0.042), False, True),
        ((0.005, 0.002, 0.030, 0.042), True, True),
        ((0.005, 0.012, 0.000, 0.000), True, False),
        ((0.005, 0.009, 0.000, 0.009), False, False),
    ],
)
def test_what_may_be_taken(depths: tuple[float, float, float, float], worse: bool, traded: bool) -> None:
    watched = Depths(*depths)
    assert (watched.worse(0.010), watched.traded(0.010)) == (worse, traded)
    assert str(watched).startswith(f"{1000 * depths[0]:.0f} to {1000 * depths[1]:.0f} mm")


def test_the_report_says_how_deep_bodies_are_in_themselves() -> None:
    clip = standing(2, 0.35)
    clip.poses[0, :, 16, 2] = -1.9  # an upper arm pressed into the ribs
    before = own_depth(clip, TorchBody(DATA))
    assert before > 0.01
    progress = Progress()
    refined = refine(clip, QUICK, progress)
    figures = [clip_quality(one, DATA, measure_clip(one, DATA)) for one in (clip, refined)]
    report = refined.metadata["refinement"]["max_self_penetration_mm"]
    assert report == pytest.approx([max(one["max_self_penetration_mm"]) for one in figures], abs=0.02)
    assert report[1] <= report[0] + 10 or progress.warnings
