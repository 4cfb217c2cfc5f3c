# SPDX-License-Identifier: Apache-2.0
"""The refinement on disturbed synthetic pairs of every kind of interaction, against every target.

    python benchmarks/physics_suite.py [--jobs N] [--out FILE.json] [--per-kind 2] [--seed 17] [--frames 40]
        [--kinds NAME ...] [--device cpu|cuda]

Every pair is made, disturbed, refined and measured in a process of its own thread (what the refinement is given is
described in ``closeint_core.evaluation.physics_suite``). Prints a table and the targets; FILE gets all rows as JSON.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import sys
import time
import traceback
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("OMP_NUM_THREADS", "1")  # the processes share the cores

import torch  # noqa: E402

from closeint_core.evaluation.physics_suite import run_pair, suite_pairs, summarise  # noqa: E402

_COLUMNS = ("mpjpe", "interaction", "f1", "max_depth", "skate", "foot_sink", "pixels")


def one(job: tuple[str, int, int, str]) -> dict[str, Any]:
    """A row, or what went wrong with it."""
    torch.set_num_threads(1)
    kind, seed, frames, device = job
    try:
        return run_pair(kind, seed, frames, device=device)
    except Exception:  # one pair that fails must not take the others' results with it
        return {"kind": kind, "seed": seed, "error": traceback.format_exc()}


def line(row: dict[str, Any]) -> str:
    """A row of the table: before > after of every column."""
    if "error" in row:
        return f"{row['kind']:<22}{row['error'].strip().splitlines()[-1]}"
    cells = (f"{row['before'][key]:7.2f} >{row['after'][key]:6.2f}" for key in _COLUMNS)
    over = 100 * row["after"]["frames_over_5"] / row["after"]["frames"]
    return f"{row['kind']:<22}" + "".join(f"{cell:>17}" for cell in cells) + f"{over:7.1f}{row['seconds']:8.1f}"


def main() -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at a time")
    parser.add_argument("--out", type=Path, help="file for all rows and the summary")
    parser.add_argument("--per-kind", type=int, default=2, help="pairs of every kind")
    parser.add_argument("--seed", type=int, default=17, help="of the first pair of every kind")
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--kinds", nargs="+", help="only these kinds")
    parser.add_argument("--device", default="cpu", help="cpu or cuda, where the refinement runs")
    arguments = parser.parse_args()
    pairs = suite_pairs(arguments.per_kind, arguments.kinds, arguments.seed)
    jobs = [(kind, seed, arguments.frames, arguments.device) for kind, seed in pairs]
    started = time.perf_counter()
    rows = []
    print(f"{'before > after':<22}" + "".join(f"{name:>17}" for name in _COLUMNS) + "  >5mm%       s", flush=True)
    with multiprocessing.get_context("spawn").Pool(min(arguments.jobs, len(jobs))) as pool:
        for row in pool.imap_unordered(one, jobs):
            rows.append(row)
            print(line(row), flush=True)
    failed = [row for row in rows if "error" in row]
    rows = [row for row in rows if "error" not in row]
    summary = summarise(rows) | {
        "failed": len(failed),
        "wall_seconds": round(time.perf_counter() - started, 1),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    print()
    for name, check in summary["targets"].items():
        print(f"{'ok  ' if check['met'] else 'MISS'} {name:<56}{check['value']:>10}  ({check['target']})")
    print(json.dumps({key: value for key, value in summary.items() if key != "targets"}, indent=1))
    for row in failed:
        print(row["error"], file=sys.stderr)
    if arguments.out:
        arguments.out.write_text(json.dumps({"summary": summary, "rows": rows, "failed": failed}, indent=1))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
