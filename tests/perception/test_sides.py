# SPDX-License-Identifier: Apache-2.0
"""Left and right over time."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from closeint_core.body.parts import JOINT_FLIP, PART_FLIP
from closeint_core.perception.calibration import SideCosts
from closeint_core.perception.sides import exchange_parts, exchanged_sides

FLIP = list(JOINT_FLIP)
BODY = np.array(
    [[0, -0.5], [0.35, 0], [-0.35, 0], [0.6, 0.5], [-0.6, 0.4], [0.7, 0.9], [-0.5, 0.8], [0.2, 1], [-0.2, 1],
     [0.25, 1.8], [-0.2, 1.8], [0.3, 2.6], [-0.2, 2.5]]
)  # fmt: skip


def walk(looks: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    at = np.arange(looks) / 10
    places = BODY + 0.5 * at[:, None, None] + random.normal(0, 0.03, (looks, 13, 2))
    return places, np.full((looks, 13), 0.9), at


@given(first=st.integers(3, 12), length=st.integers(1, 3), seed=st.integers(0, 99), tracked=st.booleans())
def test_a_run_of_exchanged_looks_is_found(first, length, seed, tracked):
    places, sure, at = walk(18, seed)
    wrong = np.zeros(18, bool)
    wrong[first : first + length] = True
    detected = places + 0.02 if tracked else np.full_like(places, np.nan)
    confidence = sure * 0.6 if tracked else np.zeros_like(sure)
    seen = places.copy()
    seen[wrong] = seen[wrong][:, FLIP]
    np.testing.assert_array_equal(exchanged_sides(seen, sure, detected, confidence, at), wrong)


def test_sure_and_steady_looks_are_kept_against_a_moment_of_the_tracks():
    places, sure, at = walk(20)
    detected = places.copy()
    detected[8:10] = detected[8:10][:, FLIP]
    assert not exchanged_sides(places, sure, detected, sure * 0.6, at).any()


def test_nothing_seen_changes_nothing():
    places = np.full((5, 13, 2), np.nan)
    assert not exchanged_sides(places, np.zeros((5, 13)), places, np.zeros((5, 13)), np.arange(5.0)).any()
    assert exchanged_sides(places[:0], np.zeros((0, 13)), places[:0], np.zeros((0, 13)), np.zeros(0)).shape == (0,)


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), looks=st.integers(1, 6))
def test_it_is_the_cheapest_of_all_runs(seed, looks):
    """Against every possible sequence, by the costs as they are described."""
    random = np.random.default_rng(seed)
    costs = SideCosts()
    places, detected = random.normal(0, 0.3, (2, looks, 13, 2))
    sure, confidence = random.random((2, looks, 13))
    at = np.cumsum(random.uniform(0.02, 0.3, looks))

    def disagreement(a, pa, b, pb, spread):
        return sum(
            min(((x - y) ** 2).sum() / (2 * spread**2), costs.moved) * p * q
            for x, p, y, q in zip(a, pa, b, pb, strict=True)
        )

    def price(state):
        total = 0.0
        shown = [(places[t][FLIP], sure[t][FLIP]) if state[t] else (places[t], sure[t]) for t in range(looks)]
        for t in range(looks):
            if state[t]:
                other = disagreement(places[t], sure[t], detected[t], confidence[t], costs.step)
                own = disagreement(*shown[t], detected[t], confidence[t], costs.step)
                total += np.clip(own - other, -costs.detected, costs.detected)
                total += costs.lasts if t and state[t - 1] else costs.begins
            if t:
                total += disagreement(*shown[t - 1], *shown[t], costs.step + costs.speed * (at[t] - at[t - 1]))
        return total

    prices = {state: price(state) for state in itertools.product((False, True), repeat=looks)}
    found = tuple(exchanged_sides(places, sure, detected, confidence, at).tolist())
    assert prices[found] == pytest.approx(min(prices.values()))


def test_parts_are_exchanged_as_joints_are():
    values = np.arange(60.0).reshape(2, 30)
    twice = exchange_parts(exchange_parts(values, 1), 1)
    np.testing.assert_array_equal(twice, values)
    np.testing.assert_array_equal(exchange_parts(values, 1)[:, 4], values[:, PART_FLIP[4]])
