# SPDX-License-Identifier: Apache-2.0
"""How many interactions are made a second, where the time goes, and how many of each kind are acceptable.

    python benchmarks/generator.py [--device cuda] [--count 512] [--frames 48] [--oversample 2] [--batches 3]
        [--windows 512] [--split train] [--steps 70] [--json]

Every batch is planned, solved and finished apart, the device waited for in between; then the simulated detectors look
at as many windows of 16 frames as a training step has. The first batch warms up and is not counted.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

from closeint_core.body.load import load_body  # noqa: E402
from closeint_core.body.torch_body import TorchBody  # noqa: E402
from closeint_core.training.observation import observe  # noqa: E402
from closeint_core.training.synthetic import KINDS, Generator, Interactions  # noqa: E402
from closeint_core.training.synthetic.generate import acceptable  # noqa: E402
from closeint_core.training.synthetic.plan import Draw  # noqa: E402
from closeint_core.training.synthetic.solve import Scene  # noqa: E402

WINDOW = 16
T = TypeVar("T")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--count", type=int, default=512, help="pairs wanted of a batch")
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--oversample", type=float, default=2.0)
    parser.add_argument("--batches", type=int, default=3)
    parser.add_argument("--windows", type=int, default=512, help="windows observed at once")
    parser.add_argument("--split", choices=("train", "test"), default="train")
    parser.add_argument("--steps", type=int, default=70, help="of the solver")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    options = parser.parse_args()
    figures = measure(options)
    if options.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        if name != "acceptance":
            print(f"{name:>28}: {value:.4g}" if isinstance(value, float) else f"{name:>28}: {value}")
    print("acceptable at the first solve, by kind:")
    for name, share in sorted(figures["acceptance"].items(), key=lambda item: item[1]):
        print(f"{name:>28}: {100 * share:.0f} %")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """The figures printed, by name."""
    device = torch.device(options.device)
    cuda = device.type == "cuda"
    body = TorchBody(load_body("default")).to(device)
    generator = Generator(
        split=options.split, body=body if cuda else None, steps=options.steps, oversample=options.oversample
    )
    seconds = dict.fromkeys(("plan", "solve", "finish", "observe"), 0.0)

    def clock(name: str, work: Callable[[], T]) -> T:
        begin = time.perf_counter()
        result = work()
        if cuda:
            torch.cuda.synchronize()
        seconds[name] += time.perf_counter() - begin
        return result

    solved: list[Interactions] = []
    for batch in range(options.batches + 1):
        if batch <= 1:
            seconds = dict.fromkeys(seconds, 0.0)
            if cuda:
                torch.cuda.reset_peak_memory_stats()
        seed = batch
        plan = clock("plan", lambda: generator.plan(options.count, options.frames, seed))  # noqa: B023
        scene = Scene(generator.tools, plan.to(device))
        clock("solve", lambda: scene.solve(options.steps))  # noqa: B023
        with torch.no_grad():
            made = clock("finish", lambda: generator._finish(scene, Draw(seed)))  # noqa: B023
            rows = torch.arange(options.windows, device=device) % len(made)
            cut = made[rows]
            cut = replace(
                cut, poses=cut.poses[:, :, :WINDOW], transl=cut.transl[:, :, :WINDOW],
                contacts=cut.contacts[:, :WINDOW], planted=cut.planted[:, :, :WINDOW],
            )  # fmt: skip
            clock("observe", lambda: observe(cut, body if cuda else generator.body, seed, tools=generator.tools))  # noqa: B023
        if batch:
            solved.append(made.to("cpu"))
    every = Interactions.join(solved)
    figures = _figures(every, acceptable(every), seconds, options)
    if cuda:
        peak = torch.cuda.max_memory_allocated()
        figures["peak memory GB"] = peak / 1e9
        figures["peak memory MB a pair"] = peak / 1e6 / (len(every) / options.batches)
    return figures


def _figures(
    every: Interactions, good: torch.Tensor, seconds: dict[str, float], options: argparse.Namespace
) -> dict[str, Any]:
    """What was made in so many seconds, by name; ``good``: (N,) bool, the pairs that are acceptable."""
    makes = sum(seconds[name] for name in ("plan", "solve", "finish"))
    acceptance = {
        name: float(good[every.kind == KINDS.all_names().index(name)].float().mean())
        for name in KINDS.names(options.split)
        if (every.kind == KINDS.all_names().index(name)).any()
    }
    device = torch.device(options.device)
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "pairs planned": len(every),
        "pairs solved a second": len(every) / makes,
        "acceptable pairs a second": float(good.sum()) / makes,
        "acceptable": float(good.float().mean()),
        **{f"{name} ms a batch": 1000 * value / options.batches for name, value in seconds.items()},
        "observed windows a second": options.windows * options.batches / seconds["observe"],
        "acceptance": acceptance,
    }


if __name__ == "__main__":
    main()
