# SPDX-License-Identifier: Apache-2.0
"""Time and memory of solving the bundled sample: the fit to what was seen, and the refinement on the exact meshes.

    python benchmarks/solver.py [--against REV] [--frames 120] [--device cpu|cuda] [--threads 2] [--runs 1]
        [--observed FILE] [--json]

The sample is looked at once; what was seen of it is kept in FILE (default: in the folder for temporary files), there
and back to the number of frames asked for. Every run is a process of its own with the same number of threads, after a
short one that is not counted. With ``--against`` the same is done with the code of a git revision, in a worktree that
is removed afterwards; the two sides take turns, and the ratios (this code to that revision's) are printed.
Times are what passed on the clock; beside them stands the time of the processor, all threads together, which other
work on the machine stretches less. Memory is the process's greatest (and on CUDA what torch held at most).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = Path("closeint_core") / "samples" / "greeting.mp4"

# What a side runs; it has to work with older revisions, so it knows as little of the package as it can.
_LOOK = """
import sys
import numpy as np
from closeint_core.perception.pipeline import perceive
from closeint_core.video.source import open_source
seen = perceive(open_source(sys.argv[1]))
arrays = {name: value for name, value in vars(seen).items() if isinstance(value, np.ndarray)}
np.savez_compressed(sys.argv[2], fps=seen.fps, image_size=seen.image_size, people=seen.people, **arrays)
"""
_SIDE = """
import json, resource, sys, time
import numpy as np
import torch
from closeint_core.perception.observations import Observations
from closeint_core.reconstruction import pipeline

path, frames, device = sys.argv[1], int(sys.argv[2]), sys.argv[3]
with np.load(path) as stored:
    arrays = {name: stored[name] for name in stored.files}
fixed = dict(fps=float(arrays.pop("fps")), frame_start=0,
             image_size=tuple(int(x) for x in arrays.pop("image_size")),
             people=tuple(int(x) for x in arrays.pop("people")))

def observed(count):
    length = arrays["visible"].shape[1]
    there = np.concatenate([np.arange(length), np.arange(length - 2, 0, -1)])
    chosen = np.resize(there, count)
    cut = {name: x[chosen] if name == "peaks" else x[:, chosen] for name, x in arrays.items()}
    return Observations(**cut, **fixed)

times = {}

def timed(name):
    work = getattr(pipeline, name)
    def measured(*args, **kwargs):
        start = time.perf_counter(), time.process_time()
        out = work(*args, **kwargs)
        if device == "cuda":
            torch.cuda.synchronize()
        times[name] = time.perf_counter() - start[0], time.process_time() - start[1]
        return out
    setattr(pipeline, name, measured)

timed("solve_learned")
timed("refine")
settings = pipeline.Settings(device=device)
pipeline.reconstruct_observed(observed(16), settings)
clip = pipeline.reconstruct_observed(observed(frames), settings)
held = torch.cuda.max_memory_allocated() / 2**20 if device == "cuda" else 0.0
said = clip.metadata.get("refinement", {})
print(json.dumps({
    "fit s": times["solve_learned"][0], "fit s, processor": times["solve_learned"][1],
    "refinement s": times["refine"][0], "refinement s, processor": times["refine"][1],
    "memory MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "memory of the device MB": held,
    "rounds": said.get("rounds", 0), "deepest after mm": said.get("max_penetration_mm", [0, 0])[1],
}))
"""


def environment(code: Path, threads: int) -> dict[str, str]:
    """Of a process that runs the package in a folder with so many threads."""
    return {**os.environ, "PYTHONPATH": str(code), "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}


def look(path: Path) -> None:
    """What perception sees of the sample, kept at ``path``."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "seen.npz"
        command = [sys.executable, "-c", _LOOK, str(ROOT / SAMPLE), str(made)]
        subprocess.run(command, check=True, cwd=ROOT, env=environment(ROOT, os.cpu_count() or 1))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(made.read_bytes())


def solve(code: Path, seen: Path, options: argparse.Namespace) -> dict[str, float]:
    """Figures of one run of the code in a folder."""
    command = [sys.executable, "-c", _SIDE, str(seen), str(options.frames), options.device]
    done = subprocess.run(
        command, cwd=code, env=environment(code, options.threads), stdout=subprocess.PIPE, text=True, check=True
    )
    figures: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    figures["fit and refinement s"] = figures["fit s"] + figures["refinement s"]
    figures["fit and refinement s, processor"] = figures["fit s, processor"] + figures["refinement s, processor"]
    return figures


@contextmanager
def worktree(revision: str) -> Iterator[Path]:
    """A folder with the code of a revision."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "code"
        subprocess.run(
            ["git", "-C", str(ROOT), "worktree", "add", "--quiet", "--detach", str(path), revision], check=True
        )
        try:
            yield path
        finally:
            subprocess.run(["git", "-C", str(ROOT), "worktree", "remove", "--force", str(path)], check=True)


def medians(runs: list[dict[str, float]]) -> dict[str, float]:
    """Of every figure over some runs."""
    return {name: statistics.median(one[name] for one in runs) for name in runs[0]}


def measure(seen: Path, options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Medians of this code's figures, and of the other revision's and the ratios if one is asked for."""
    if not options.against:
        return {"this code": medians([solve(ROOT, seen, options) for _ in range(options.runs)])}
    ours, theirs = [], []
    with worktree(options.against) as other:
        for _ in range(options.runs):
            theirs.append(solve(other, seen, options))
            ours.append(solve(ROOT, seen, options))
    here, there = medians(ours), medians(theirs)
    ratios = {name: here[name] / there[name] for name in here if there[name]}
    return {"this code": here, options.against: there, "ratio": ratios}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", metavar="REV", help="git revision to compare with")
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=1, help="of each side")
    default = Path(tempfile.gettempdir()) / "closeint-benchmark" / "greeting.npz"
    parser.add_argument("--observed", type=Path, default=default, metavar="FILE", help="what perception saw")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    if not options.observed.is_file():
        look(options.observed)
    report = measure(options.observed, options)
    if options.json:
        print(json.dumps({"frames": options.frames, "threads": options.threads, **report}))
        return
    print_table(report)


def print_table(report: dict[str, dict[str, Any]]) -> None:
    """A line for every figure, a column for every side."""
    print(f"{'':<34}" + "".join(f"{name[:16]:>18}" for name in report))
    for name in report["this code"]:
        cells = (f"{column[name]:>18.2f}" if name in column else f"{'':>18}" for column in report.values())
        print(f"{name:<34}" + "".join(cells))


if __name__ == "__main__":
    main()
