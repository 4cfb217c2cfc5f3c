# SPDX-License-Identifier: Apache-2.0
"""From what the network says to probabilities, and how well the two agree.

A probability p becomes sigmoid(slope * logit(p) + shift) (Platt 1999), slope and shift of each kind of evidence fitted
on renders whose interactions nobody trained on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields

import numpy as np

from closeint_core.errors import CloseintError

_EDGE = 1e-6


@dataclass(frozen=True)
class Line:
    """``slope`` and ``shift`` of a logit."""

    slope: float = 1.0
    shift: float = 0.0

    def __call__(self, probability: np.ndarray) -> np.ndarray:
        """Probabilities, calibrated; any shape."""
        p = np.clip(np.asarray(probability, np.float64), _EDGE, 1 - _EDGE)
        z = self.slope * np.log(p / (1 - p)) + self.shift
        return (1 / (1 + np.exp(-z))).astype(np.float32)


@dataclass(frozen=True)
class Calibration:
    """One line for each kind of evidence: joints that are seen or hidden (by what the network says), visibility, touch,
    parts before the other's body, and who is nearer."""

    seen_joints: Line = Line()
    hidden_joints: Line = Line()
    visible: Line = Line()
    touch: Line = Line()
    before: Line = Line()
    nearer: Line = Line()

    def to_dict(self) -> dict[str, dict[str, float]]:
        """As JSON has it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, dict[str, float]]) -> Calibration:
        """The inverse of ``to_dict``.

        Raises:
            CloseintError: not such a dictionary.
        """
        try:
            return cls(**{f.name: Line(**values[f.name]) for f in fields(cls)})
        except (KeyError, TypeError) as error:
            raise CloseintError(
                f"The calibration of the eyes is not one ({error}).", "Install closeint again."
            ) from None


def fit_line(probability: np.ndarray, happened: np.ndarray, rounds: int = 50) -> Line:
    """The line under which what happened was most probable (Newton's method; slope kept in 0.1 to 10).

    Args:
        probability, happened: (N,) in 0..1, and bool or in 0..1.
    """
    p = np.clip(np.asarray(probability, np.float64).ravel(), _EDGE, 1 - _EDGE)
    y = np.asarray(happened, np.float64).ravel()
    if len(p) == 0 or y.min() == y.max():
        return Line()
    x = np.stack([np.log(p / (1 - p)), np.ones_like(p)], 1)
    w = np.array([1.0, 0.0])
    for _ in range(rounds):
        q = 1 / (1 + np.exp(-x @ w))
        slope = x.T @ (y - q) - 1e-3 * (w - [1.0, 0.0])
        bend = (x * (q * (1 - q))[:, None]).T @ x + 1e-3 * np.eye(2)
        step = np.linalg.solve(bend, slope)
        w = w + step * min(1.0, 2.0 / max(np.abs(step).max(), 1e-9))
        w[0] = np.clip(w[0], 0.1, 10.0)
        if np.abs(step).max() < 1e-6:
            break
    return Line(float(w[0]), float(w[1]))


def reliability(probability: np.ndarray, happened: np.ndarray, bins: int = 10) -> list[dict[str, float]]:
    """A reliability diagram: for each bin with entries its count, mean probability, and share that happened."""
    p, y = np.asarray(probability, np.float64).ravel(), np.asarray(happened, np.float64).ravel()
    index = np.minimum((p * bins).astype(int), bins - 1)
    rows = []
    for number in range(bins):
        chosen = index == number
        if chosen.any():
            rows.append(
                {"count": int(chosen.sum()), "said": float(p[chosen].mean()), "happened": float(y[chosen].mean())}
            )
    return rows


def calibration_error(probability: np.ndarray, happened: np.ndarray, bins: int = 10) -> float:
    """Expected calibration error (Naeini et al. 2015): mean distance of said and happened over bins, by counts."""
    rows = reliability(probability, happened, bins)
    total = sum(row["count"] for row in rows)
    return sum(row["count"] * abs(row["said"] - row["happened"]) for row in rows) / max(total, 1)


def area_under_curve(of_true: np.ndarray, of_false: np.ndarray) -> float:
    """Probability that a true thing's value is higher than a false one's, ties counted half."""
    values = np.concatenate([of_true, of_false])
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    n, m = len(of_true), len(of_false)
    if n == 0 or m == 0:
        return float("nan")
    return float((ranks[:n].sum() - n * (n + 1) / 2) / (n * m))


def bootstrap_interval(
    count: int, measure: Callable[[np.ndarray], float], draws: int = 1000, seed: int = 0, share: float = 0.95
) -> tuple[float, float]:
    """Interval of a measure over ``count`` frames, drawn anew with replacement.

    Args:
        measure: of indices (count,) of frames; NaN where it has no value, which is left out.
    """
    generator = np.random.default_rng(seed)
    values = np.array([measure(generator.integers(count, size=count)) for _ in range(draws)], float)
    values = values[np.isfinite(values)]
    if not len(values):
        return float("nan"), float("nan")
    tail = 50 * (1 - share)
    low, high = np.percentile(values, [tail, 100 - tail])
    return float(low), float(high)
