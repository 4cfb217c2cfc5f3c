# SPDX-License-Identifier: Apache-2.0
"""One fraction for all stages: it follows the time, never falls, and is below one until all is done."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closeint_core.estimate import Estimate
from closeint_core.progress import Progress, StagePlan
from closeint_core.reconstruction.plan import SHARES, plan_of
from closeint_core.settings import Settings

STAGES = ["finding people", "following the pair", "placing", "fitting", "refitting", "odd"]


@given(
    st.booleans(),
    st.lists(
        st.tuples(st.sampled_from(STAGES), st.integers(0, 12), st.integers(0, 10), st.floats(0.01, 5.0)), max_size=20
    ),
)
def test_fraction_never_falls(planned: bool, steps: list[tuple[str, int, int, float]]) -> None:
    now = [0.0]
    estimate = Estimate(lambda: now[0])
    if planned:
        estimate.expect(plan_of(Settings(model="fit")))
    before = 0.0
    for stage, done, total, seconds in steps:
        now[0] += seconds
        fraction, eta = estimate.update(stage, done, total)
        assert before <= fraction < 1.0
        assert eta is None or eta >= 0.0
        before = fraction


def test_a_stage_that_is_not_known_is_all_that_is_left() -> None:
    estimate = Estimate()
    assert estimate.update("reading", 1, 2)[0] == 0.5
    assert estimate.update("writing", 0, 2)[0] == 0.5
    assert estimate.update("writing", 1, 2)[0] == pytest.approx(0.75)
    assert Estimate(whole=True).update("placing", 1, 4)[0] == 0.25


@pytest.mark.parametrize("refine", [True, False])
@pytest.mark.parametrize("seen", [True, False])
@pytest.mark.parametrize("model", sorted(SHARES))
def test_the_fraction_is_the_time_gone(model: str, seen: bool, refine: bool) -> None:
    """A run whose stages take the usual time."""
    plan = plan_of(Settings(model=model, refine=refine), seen=seen)
    assert sum(plan.shares.values()) == pytest.approx(1)
    now = [0.0]
    estimate = Estimate(lambda: now[0])
    estimate.expect(plan)
    start = 0.0
    for stage, share in plan.shares.items():
        for step in range(11):
            now[0] = 100 * (start + share * step / 10)
            fraction, left = estimate.update("following the pair" if stage == "following" else stage, step, 10)
            assert fraction == pytest.approx(min(now[0] / 100, 0.99), abs=1e-6)
            if left is not None and fraction < 0.99:
                assert left == pytest.approx(100 - now[0], abs=0.2)
        start += share


def test_a_long_clip_fits_window_by_window() -> None:
    estimate = Estimate()
    plan = plan_of(Settings())
    estimate.expect(plan)
    for stage in ("finding people", "following the pair", "denoising"):
        estimate.update(stage, 1, 1)
    begun = sum(plan.shares[stage] for stage in ("finding people", "following", "denoising"))
    fits = sum(plan.shares[stage] for stage in ("placing", "fitting", "settling", "polishing"))
    assert estimate.update("fitting windows", 0, 300)[0] == pytest.approx(begun)
    assert estimate.update("fitting windows", 150, 300)[0] == pytest.approx(begun + fits / 2)
    assert estimate.update("refining", 5, 10)[0] == pytest.approx(begun + fits + plan.shares["refining"] / 2)


def test_a_plan_that_comes_late_keeps_what_was_done() -> None:
    estimate = Estimate()
    estimate.update("opening", 1, 2)
    estimate.expect(StagePlan({"a": 0.5, "b": 0.5}))
    assert estimate.update("a", 1, 1)[0] == pytest.approx(0.75)
    assert estimate.update("b", 1, 1)[0] == 0.99


def test_time_left() -> None:
    now = [0.0]
    estimate = Estimate(lambda: now[0])
    now[0] = 30.0
    fraction, eta = estimate.update("copying", 1, 4)
    assert fraction == 0.25
    assert eta == 90.0


def test_the_pipeline_announces_its_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    from support.people import observe, pair

    from closeint_core.reconstruction.pipeline import reconstruct_observed

    said: list[str] = []

    class Told(Progress):
        plan: StagePlan | None = None

        def on_plan(self, plan: StagePlan) -> None:
            self.plan = plan

        def on_update(self, stage: str, done: int, total: int) -> None:
            assert self.plan is not None
            assert self.plan.span(stage) is not None, f"{stage} is not in the plan"
            said.append(stage)

    for model in ("default", "fit"):
        reconstruct_observed(observe(pair(3)), Settings(model=model, quality="draft"), Told())
    assert {"placing", "refining", "measuring"} <= set(said)
