# SPDX-License-Identifier: Apache-2.0
"""How long the stages of a reconstruction take, and how well the time left is told.

    python benchmarks/progress.py [VIDEO] [--model default] [--device cpu] [--frames A:B]

Prints each stage's share of the whole, as ``closeint_core/reconstruction/plan.py`` keeps it, and what was said of the
time left when half of it and more had gone, beside what it turned out to be.
"""

from __future__ import annotations

import argparse
import itertools
import time
from pathlib import Path

from closeint_core.estimate import Estimate
from closeint_core.options import settings_of
from closeint_core.progress import Progress, StagePlan
from closeint_core.reconstruction.pipeline import reconstruct

SAMPLE = Path(__file__).parents[1] / "closeint_core" / "samples" / "greeting.mp4"


class Stopwatch(Progress):
    """Notes when each stage begins, and what the estimate says then and later."""

    def __init__(self) -> None:
        super().__init__()
        self.start = time.monotonic()
        self.estimate = Estimate()
        self.plan = StagePlan({})
        self.began: dict[str, float] = {}
        self.said: list[tuple[float, float, float | None]] = []

    def on_plan(self, plan: StagePlan) -> None:
        """Expect it."""
        self.plan = plan
        self.estimate.expect(plan)

    def on_update(self, stage: str, done: int, total: int) -> None:
        """Note it."""
        at = time.monotonic() - self.start
        self.began.setdefault(stage, at)
        self.said.append((at, *self.estimate.update(stage, done, total)))


def main() -> None:
    """Run one reconstruction and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("video", nargs="?", default=str(SAMPLE))
    for name in ("model", "device", "frames"):
        parser.add_argument(f"--{name}")
    options = parser.parse_args()
    watch = Stopwatch()
    settings = settings_of({"model": options.model, "device": options.device, "frames": options.frames})
    reconstruct(options.video, settings, watch)
    whole = time.monotonic() - watch.start
    begins = [*watch.began.items(), ("", whole)]
    print(f"{whole:.1f} s in all\n\nstage                  share  expected")
    for (stage, begun), (_, end) in itertools.pairwise(begins):
        span = watch.plan.span(stage)
        expected = "-" if span is None else f"{span[1] - span[0]:.3f}"
        print(f"{stage:22} {(end - begun) / whole:.3f}  {expected}")
    print("\ngone   left, s   said, s   ratio")
    for goal in (0.5, 0.6, 0.7, 0.8, 0.9, 0.95):
        at, _, left = next((one for one in watch.said if one[0] >= goal * whole), watch.said[-1])
        true = whole - at
        if left is not None:
            print(f"{at / whole:.2f}   {true:7.1f}   {left:7.1f}   {left / max(true, 1e-3):.2f}")


if __name__ == "__main__":
    main()
