# SPDX-License-Identifier: Apache-2.0
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from closeint_core.errors import CloseintError
from closeint_core.eyes.calibration import (
    Calibration,
    Line,
    area_under_curve,
    bootstrap_interval,
    calibration_error,
    fit_line,
    reliability,
)


def test_the_line_that_made_the_outcomes_is_found():
    random = np.random.default_rng(0)
    said = random.uniform(0.02, 0.98, 60000)
    true = Line(0.6, -0.8)
    happened = random.uniform(size=len(said)) < true(said)
    line = fit_line(said, happened)
    assert line.slope == pytest.approx(true.slope, abs=0.03)
    assert line.shift == pytest.approx(true.shift, abs=0.03)
    assert calibration_error(said, happened) > 0.1
    assert calibration_error(line(said), happened) < 0.01


def test_nothing_to_learn_from_leaves_probabilities_as_they_are():
    assert fit_line(np.array([]), np.array([])) == Line()
    assert fit_line(np.array([0.2, 0.7]), np.array([1, 1])) == Line()


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60))
def test_calibration_error_is_that_of_its_diagram(rows):
    said, happened = np.array([p for p, _ in rows]), np.array([y for _, y in rows], float)
    diagram = reliability(said, happened)
    assert sum(row["count"] for row in diagram) == len(rows)
    assert 0 <= calibration_error(said, happened) <= 1
    for row in diagram:
        assert 0 <= row["said"] <= 1


@given(st.lists(st.integers(0, 5), min_size=1, max_size=8), st.lists(st.integers(0, 5), min_size=1, max_size=8))
def test_area_under_curve_is_the_share_of_ordered_pairs(true, false):
    pairs = [1.0 if a > b else 0.5 if a == b else 0.0 for a in true for b in false]
    assert area_under_curve(np.array(true, float), np.array(false, float)) == pytest.approx(np.mean(pairs))


def test_interval_of_a_mean_is_that_of_the_normal_distribution():
    values = np.random.default_rng(1).normal(size=400)
    low, high = bootstrap_interval(len(values), lambda rows: float(values[rows].mean()))
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)
    assert low < values.mean() < high


def test_calibration_survives_json_and_refuses_other_content():
    mine = Calibration(touch=Line(0.5, 1.5))
    assert Calibration.from_dict(json.loads(json.dumps(mine.to_dict()))) == mine
    with pytest.raises(CloseintError):
        Calibration.from_dict({"touch": {"slope": 1.0}})
