# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.people import DATA, QUICK, standing

from closeint_core.body.skinning import lbs
from closeint_core.clip import InteractionClip
from closeint_core.errors import Cancelled, CloseintError
from closeint_core.evaluation.physics_suite import make_pair, refine_and_measure
from closeint_core.mesh.contact_probability import contact_probability, part_distances
from closeint_core.mesh.penetration import measure_penetration
from closeint_core.progress import Progress
from closeint_core.solver.calibration import SOLVER
from closeint_core.solver.phases import RefineOptions, refine


def depths(clip: InteractionClip) -> np.ndarray:
    vertices, _ = lbs(DATA, clip.poses, clip.betas[:, None], clip.transl)
    return measure_penetration(vertices, DATA.faces).max_depth


def test_people_who_overlap_come_apart_and_still_touch():
    clip = standing(2, 0.35)
    vertices, _ = lbs(DATA, clip.poses, clip.betas[:, None], clip.transl)
    clip.contacts = contact_probability(part_distances(vertices, DATA.parts))
    before = depths(clip)
    assert before.min() > 0.004
    refined = refine(clip, QUICK)
    assert depths(refined).max() < min(0.005, before.max())
    vertices, _ = lbs(DATA, refined.poses, refined.betas[:, None], refined.transl)
    assert part_distances(vertices, DATA.parts).min() < 0.015
    assert vertices[..., 2].min() > -0.01
    report = refined.metadata["refinement"]
    assert set(report["before"]) <= set(report["after"])
    assert report["max_penetration_mm"][1] < report["max_penetration_mm"][0]


def test_people_far_apart_are_left_alone():
    clip = standing(4, 10.0)
    clip.keypoints2d[:] = np.nan
    refined = refine(clip, QUICK)
    assert np.abs(refined.transl - clip.transl).max() < 0.01
    assert np.abs(refined.poses - clip.poses).max() < 0.02


@pytest.mark.parametrize(("people", "frames"), [(1, 1), (1, 4), (2, 1)])
def test_one_person_or_one_frame(people, frames):
    refined = refine(standing(frames, 0.8, people), QUICK)
    assert (refined.people, refined.frames) == (people, frames)
    assert np.isfinite(refined.poses).all()


def test_two_people_in_one_place_end_finite():
    clip = standing(1, 0.8)
    clip = clip.copy(poses=clip.poses[[0, 0]], transl=clip.transl[[0, 0]])
    refined = refine(clip, RefineOptions(rounds=2, iterations=5))
    assert np.isfinite(refined.transl).all()
    assert depths(refined).max() <= max(depths(clip).max(), 0.005)


def test_values_that_are_not_finite_are_one_sentence():
    clip = standing(2, 0.8)
    clip.poses[0, 1, 3] = np.nan
    with pytest.raises(CloseintError, match="poses"):
        refine(clip, QUICK)


def test_it_can_be_cancelled():
    with pytest.raises(Cancelled):
        refine(standing(2, 0.8), QUICK, Progress(lambda: True))


def test_it_is_deterministic():
    clip = standing(2, 0.35)
    first, second = (refine(clip, RefineOptions(rounds=2, iterations=8)) for _ in range(2))
    assert (first.poses == second.poses).all()
    assert (first.transl == second.transl).all()


def test_progress_never_goes_back():
    done: list[float] = []

    class Seen(Progress):
        def on_update(self, stage: str, now: int, total: int) -> None:
            done.append(now / total)

    again = replace(SOLVER.default.refinement, again=-1.0)  # every window is refined once more, twice
    with SOLVER.using(replace(SOLVER.default, refinement=again)):
        refine(standing(2, 0.35), RefineOptions(rounds=6, iterations=1, tolerance=-1.0), Seen())
    assert len(done) > 8
    assert np.diff(done).min() >= 0
    assert done[-1] <= 1.0


def test_a_step_into_the_partner_is_not_tried_for_ever():
    """Where every step of a round ran into the partner, who was not in the way before, a foot stayed in the floor."""
    row = refine_and_measure(make_pair("passing by", 9702))
    assert row["after"]["foot_sink"] < 5.0
    assert row["after"]["max_depth"] < 5.0
