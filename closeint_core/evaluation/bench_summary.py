# SPDX-License-Identifier: Apache-2.0
"""What a benchmark's records say together: means with confidence intervals, and what is required of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from closeint_core.evaluation.bench_methods import METHODS
from closeint_core.evaluation.bench_metrics import METRICS, f1

Record = Mapping[str, Any]
_RESAMPLES = 2000
_CONTACTS = ("contact_true_positives", "contact_false_positives", "contact_false_negatives")


@dataclass(frozen=True)
class Target:
    """``better`` has to be lower than ``worse`` by the share ``least`` in a metric, on a set of cases.

    Attributes:
        cases: ``simulated``, ``hidden`` or ``rendered``, as the names of cases begin.
    """

    cases: str
    metric: str
    better: str
    worse: str
    least: float


TARGETS = (
    Target("simulated", "mpjpe", "e", "a", 0.30),
    Target("simulated", "interaction", "e", "a", 0.50),
    Target("simulated", "a_pd", "e", "a", 0.80),
    Target("simulated", "interaction", "d", "c", 0.25),
    Target("hidden", "mpjpe", "d", "a", 0.40),
    *(
        Target("rendered", metric, "e", other, 0.0)
        for other in ("a", "b")
        for metric in ("mpjpe", "pa_mpjpe", "interaction", "a_pd")
    ),
)


def summarise(records: Iterable[Record], seed: int = 0) -> dict[str, Any]:
    """Tables and targets of a run, JSON types.

    Every method is averaged over the cases that all methods of the run solved, so that all face the same; ``failed``
    counts what each could not solve. Intervals are 95 % percentiles of bootstrap means over clips.
    """
    everything = list(records)
    sets = []
    for name in ("simulated", "hidden", "rendered"):
        own = [record for record in everything if record["case"].startswith(name)]
        if own:
            sets.append((name, own))
    return {
        "sets": {name: _summarise_set(own, seed) for name, own in sets},
        "targets": [row for name, own in sets for row in _check_targets(name, own, seed)],
    }


def _by_method(records: Sequence[Record]) -> tuple[dict[str, dict[str, Record]], list[str]]:
    """Records by method and case, and the cases that every method solved."""
    table: dict[str, dict[str, Record]] = {}
    for record in records:
        table.setdefault(record["method"], {})[record["case"]] = record
    solved = [{case for case, record in rows.items() if "error" not in record} for rows in table.values()]
    return {method: table[method] for method in METHODS if method in table}, sorted(set.intersection(*solved))


def _summarise_set(records: Sequence[Record], seed: int) -> dict[str, Any]:
    table, cases = _by_method(records)
    return {
        "clips": len(cases),
        "frames": int(sum(next(iter(table.values()))[case]["frames"] for case in cases)),
        "methods": {
            method: {
                "title": METHODS[method],
                "failed": sum("error" in record for record in rows.values()),
                "seconds": _rounded(np.mean([rows[case]["seconds"] for case in cases])) if cases else None,
                **{metric: _interval(rows, cases, metric, seed) for metric in METRICS},
            }
            for method, rows in table.items()
        },
        "kinds": {
            kind: {
                method: {
                    metric: _value(rows, [case for case in cases if rows[case]["kind"] == kind], metric)
                    for metric in METRICS
                }
                for method, rows in table.items()
            }
            for kind in sorted({next(iter(table.values()))[case]["kind"] for case in cases})
        },
    }


def _values(rows: Mapping[str, Record], cases: Sequence[str], metric: str) -> np.ndarray:
    """(clips, 1) of a metric, NaN where it says nothing; contacts are counted: (clips, 3)."""
    names = _CONTACTS if metric == "contact_f1" else (metric,)
    found = [[rows[case]["scores"][name] for name in names] for case in cases]
    return np.array([[np.nan if value is None else value for value in row] for row in found], float)


def _pooled(values: np.ndarray, picks: np.ndarray) -> np.ndarray:
    """The mean, or F1 of the summed counts, for every row of clip numbers (N, clips)."""
    if values.shape[1] == 1:
        result: np.ndarray = np.nanmean(values[picks, 0], axis=1)
        return result
    sums = values[picks].sum(1)
    return np.array([np.nan if (score := f1(*row)) is None else score for row in sums])


def _value(rows: Mapping[str, Record], cases: Sequence[str], metric: str) -> float | None:
    values = _values(rows, cases, metric)
    if not len(values) or np.isnan(values).all():
        return None
    return _rounded(_pooled(values, np.arange(len(values))[None])[0])


def _interval(rows: Mapping[str, Record], cases: Sequence[str], metric: str, seed: int) -> dict[str, float] | None:
    values = _values(rows, cases, metric) if cases else np.zeros((0, 1))
    values = values[~np.isnan(values).any(1)]
    if not len(values):
        return None
    picks = np.random.default_rng(seed).integers(len(values), size=(_RESAMPLES, len(values)))
    low, high = np.nanpercentile(_pooled(values, picks), [2.5, 97.5])
    mean = _pooled(values, np.arange(len(values))[None])[0]
    return {"mean": _rounded(mean), "low": _rounded(low), "high": _rounded(high)}


def _check_targets(name: str, records: Sequence[Record], seed: int) -> list[dict[str, Any]]:
    table, cases = _by_method(records)
    rows = []
    for target in TARGETS:
        if target.cases != name or target.better not in table or target.worse not in table or not cases:
            continue
        both = [_values(table[method], cases, target.metric) for method in (target.better, target.worse)]
        kept = ~np.isnan(both[0]).any(1) & ~np.isnan(both[1]).any(1)
        if not kept.any():
            continue
        # Both methods are drawn on the same clips: what is hard for one is hard for the other.
        picks = np.random.default_rng(seed).integers(kept.sum(), size=(_RESAMPLES, kept.sum()))
        every = np.arange(kept.sum())[None]
        better, worse = (_pooled(values[kept], every)[0] for values in both)
        ratios = _pooled(both[0][kept], picks) / np.maximum(_pooled(both[1][kept], picks), 1e-9)
        low, high = np.percentile(1 - ratios, [2.5, 97.5])
        lower = 1 - better / max(worse, 1e-9)
        rows.append(
            {
                "cases": name, "metric": target.metric, "better": target.better, "worse": target.worse,
                "lower_by": _rounded(lower, 4), "low": _rounded(low, 4), "high": _rounded(high, 4),
                "required": target.least, "met": bool(lower > 0 and lower >= target.least),
            }
        )  # fmt: skip
    return rows


def as_text(summary: Mapping[str, Any]) -> str:
    """The summary as Markdown tables, as they stand in a README."""
    lines: list[str] = []
    for name, table in summary["sets"].items():
        lines += [f"**{name}**: {table['clips']} clips, {table['frames']} frames", ""]
        lines += ["| method | " + " | ".join(METRICS.values()) + " | failed | s/clip |"]
        lines += ["|---" * (len(METRICS) + 3) + "|"]
        for method, row in table["methods"].items():
            cells = [_cell(row[metric]) for metric in METRICS]
            lines.append(f"| {method}: {row['title']} | {' | '.join(cells)} | {row['failed']} | {row['seconds']} |")
        lines.append("")
    if summary["targets"]:
        lines += ["| cases | metric | | lower by | required | |", "|---|---|---|---|---|---|"]
        for row in summary["targets"]:
            interval = f"{row['lower_by']:.1%} ({row['low']:.1%} to {row['high']:.1%})"
            lines.append(
                f"| {row['cases']} | {METRICS[row['metric']]} | {row['better']} against {row['worse']} | {interval} | "
                f"{row['required']:.0%} | {'met' if row['met'] else 'MISSED'} |"
            )
    return "\n".join(lines)


def _cell(interval: Mapping[str, float] | None) -> str:
    if interval is None:
        return "-"
    digits = 2 if abs(interval["mean"]) < 10 else 1
    return f"{interval['mean']:.{digits}f} ({interval['low']:.{digits}f}-{interval['high']:.{digits}f})"


def _rounded(value: Any, digits: int = 3) -> float:
    return round(float(value), digits)
