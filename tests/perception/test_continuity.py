# SPDX-License-Identifier: Apache-2.0
"""Paths through peaks."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from support.figures import as_peaks, walk

from closeint_core.perception.closeup import merge_peaks
from closeint_core.perception.continuity import follow_peaks


def chosen(peaks: np.ndarray, path: np.ndarray) -> np.ndarray:
    """(P, T, 17, 2) places of a path; NaN for none."""
    frames, joints = np.arange(peaks.shape[0])[:, None], np.arange(17)
    return np.where(path[..., None] >= 0, peaks[frames, joints, path][..., :2], np.nan)


def test_two_elbows_that_pass_each_other_keep_their_owners() -> None:
    """What is expected of both is the same place; only continuity tells them apart."""
    frames = 40
    people = [walk(300, 380, frames), walk(380, 300, frames, y=306)]
    peaks = as_peaks(people, np.random.default_rng(0))
    middle = 0.5 * (people[0] + people[1])
    predicted = np.stack(people)
    predicted[:, 12:28] = middle[12:28]
    path = follow_peaks(peaks, predicted, np.full((2, frames, 17), 25.0), np.full((2, frames), 200.0), 30.0)
    error = np.linalg.norm(chosen(peaks, path) - np.stack(people), axis=-1)
    assert (error < 1e-6).mean() > 0.97


def test_a_hidden_joint_has_no_path_and_none_is_shared() -> None:
    frames = 20
    people = [walk(300, 310, frames), walk(340, 330, frames)]
    seen = [people[0], people[1].copy()]
    seen[1][8:12, 9] = np.nan
    peaks = as_peaks(seen, np.random.default_rng(0))
    path = follow_peaks(peaks, np.stack(people), np.full((2, frames, 17), 8.0), np.full((2, frames), 200.0), 30.0)
    assert (path[1, 8:12, 9] == -1).all()
    assert not ((path[0] == path[1]) & (path[0] >= 0)).any()


@pytest.mark.parametrize("seed", range(4))
def test_no_pair_of_paths_costs_less(seed: int) -> None:
    """Dynamic programming against trying all pairs of paths, with costs worked out by hand."""
    rng = np.random.default_rng(seed)
    frames, count = 3, 2
    peaks = np.full((frames, 17, 8, 3), np.nan)
    peaks[:, 9, :count, :2] = rng.uniform(0, 40, (frames, count, 2))
    peaks[:, 9, :count, 2] = rng.uniform(0.1, 0.9, (frames, count))
    predicted = np.full((2, frames, 17, 2), np.nan)
    predicted[:, :, 9] = rng.uniform(0, 40, (2, frames, 2))
    scale, fps, sigma = 100.0, 30.0, 10.0

    def price(paths: tuple[tuple[int, ...], tuple[int, ...]]) -> float:
        total = 0.0
        for person, path in enumerate(paths):
            for t, peak in enumerate(path):
                if peak >= 0:
                    x, y, score = peaks[t, 9, peak]
                    away = ((predicted[person, t, 9] - [x, y]) ** 2).sum()
                    total += 0.5 * away / (1.5 * sigma) ** 2 - 1.0 - 3.0 * score
            for t in range(1, frames):
                a, b = path[t - 1], path[t]
                if a >= 0 and b >= 0:
                    moved = ((peaks[t - 1, 9, a, :2] - peaks[t, 9, b, :2]) ** 2).sum()
                    total += min(0.5 * moved / (scale * (0.012 + 0.3 / fps)) ** 2, 5.0)
                elif a >= 0 or b >= 0:
                    total += 0.4
        return total + 50.0 * sum(a == b >= 0 for a, b in zip(*paths, strict=True))

    single = list(itertools.product(range(-1, count), repeat=frames))
    best = min(itertools.product(single, single), key=price)
    sigmas = np.full((2, frames, 17), sigma)
    path = follow_peaks(peaks, predicted, sigmas, np.full((2, frames), scale), fps)
    found = tuple(tuple(int(i) for i in path[p, :, 9]) for p in range(2))
    assert price((found[0], found[1])) == pytest.approx(price(best))
    assert (path[:, :, :9] == -1).all()


def test_merging_adds_what_the_closer_look_misses() -> None:
    close, first = np.full((2, 17, 4, 3), np.nan), np.full((2, 17, 4, 3), np.nan)
    close[0, 3, 0] = [100, 100, 0.6]
    first[0, 3, 0], first[0, 3, 1] = [101, 101, 0.9], [140, 100, 0.5]
    first[1, 3, 0] = [50, 50, 0.9]
    merged = merge_peaks(close, first, np.full((2, 2), 200.0))
    np.testing.assert_allclose(merged[0, 3, :2], [[100, 100, 0.6], [140, 100, 0.4]])
    # in a frame without a closer look nobody was looked for
    assert np.isnan(merged[1]).all()
