# SPDX-License-Identifier: Apache-2.0
"""Time of measuring a pair of 12,272-vertex bodies that hug, both ways: which vertices are inside, and how deep.

    python benchmarks/physics.py [--device cpu|cuda] [--frames N] [--press METRES] [--refine N [--profile]] [--json]

The pairs are the bundled sample's frames in contact, pressed together, every one in a place of its own. On the CPU
libigl's ``signed_distance`` is timed beside ours in the same run, on the same pairs: as called without arguments, and
with the other two signs it offers; it is asked for one body's vertices against the other's mesh, then the other way.
Ours is also timed one frame at a time. Inside sets are compared with libigl's winding numbers where it is installed.
Times are what passed on the clock; beside them stands the time of the processor, all threads together, which other
work on the machine stretches less.
``--refine`` refines a clip of N frames, the sample there and back, with depths before and after; ``--profile`` does it
once more and prints where the time goes: functions, and on CUDA also operations.
"""

from __future__ import annotations

import argparse
import cProfile
import dataclasses
import json
import platform
import pstats
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

from closeint_core.body.load import load_body  # noqa: E402
from closeint_core.body.skinning import clip_vertices  # noqa: E402
from closeint_core.clip import InteractionClip  # noqa: E402
from closeint_core.mesh.inside import Inside, find_inside  # noqa: E402

SAMPLE = ROOT / "closeint_core" / "samples" / "greeting.closeint.npz"


def pressed_pairs(clip: InteractionClip, frames: int, press: float) -> np.ndarray:
    """(2, frames, V, 3) pairs in contact, their bodies ``press`` metres nearer than they were."""
    body = load_body(clip.body)
    vertices = np.concatenate([part for _, part, _ in clip_vertices(clip, body)], 1)
    chest = vertices[:, :, np.isin(body.parts, (3, 6, 9))].mean(2)  # (2, T, 3)
    way = (chest[0] - chest[1]) * [1, 1, 0]
    apart = np.linalg.norm(way, axis=-1)
    hugging = np.argsort(apart)[: max(len(apart) // 6, 1)]
    chosen = np.sort(hugging)[np.arange(frames) % len(hugging)]
    out = vertices[:, chosen].copy()
    rng = np.random.default_rng(0)
    closer = press * rng.uniform(0.6, 1.4, (frames, 1))
    out[1] += (closer * way[chosen] / apart[chosen, None])[:, None]
    return (out + rng.normal(0, 0.2, (frames, 1, 3))).astype(np.float32)


def milliseconds(work: Callable[[], Any], repeats: int, cuda: bool = False) -> tuple[float, float]:
    """Median time on the clock and of the processor of some runs, after one that is not counted."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter(), time.process_time()
        work()
        if cuda:
            torch.cuda.synchronize()
        times.append((1000 * (time.perf_counter() - start[0]), 1000 * (time.process_time() - start[1])))
    clock, processor = zip(*times[1:], strict=True)
    return statistics.median(clock), statistics.median(processor)


def agrees(vertices: np.ndarray, faces: np.ndarray, found: Inside, frames: list[int]) -> bool | None:
    """Whether the inside sets of some frames equal those of libigl's winding numbers; None without libigl."""
    try:
        import igl
    except ImportError:
        return None
    frame, person, vertex = (x.cpu().numpy() for x in (found.frame, found.person, found.vertex))
    for t in frames:
        for p in (0, 1):
            mine, other = vertices[p, t].astype(np.float64), vertices[1 - p, t].astype(np.float64)
            truth = np.flatnonzero(igl.fast_winding_number(other, faces, mine) > 0.5)
            if not np.array_equal(truth, vertex[(frame == t) & (person == p)]):
                return False
    return True


def time_libigl(vertices: np.ndarray, faces: np.ndarray, frames: list[int]) -> dict[str, tuple[float, float]]:
    """Milliseconds a pair, both ways, of ``igl.signed_distance``, for each of its signs: clock and processor."""
    import igl

    signs: dict[str, dict[str, Any]] = {
        "libigl signed_distance as is": {},
        "libigl, pseudonormals": {"sign_type": igl.SIGNED_DISTANCE_TYPE_PSEUDONORMAL},
        "libigl, fast winding numbers": {"sign_type": igl.SIGNED_DISTANCE_TYPE_FAST_WINDING_NUMBER},
    }
    bodies = np.ascontiguousarray(vertices[:, frames], np.float64)
    out = {}
    for name, sign in signs.items():

        def both_ways(sign: dict[str, Any] = sign) -> None:
            for t in range(len(frames)):
                for p in (0, 1):
                    igl.signed_distance(bodies[p, t], bodies[1 - p, t], faces, **sign)

        clock, processor = milliseconds(both_ways, 1)
        out[name] = clock / len(frames), processor / len(frames)
    return out


def time_gradient(at: Tensor, faces: Tensor) -> None:
    """One measurement with the gradient of the summed depths."""
    leaf = at.clone().requires_grad_()
    found = find_inside(leaf, faces)
    found.depth.sum().backward()


def time_refinement(clip: InteractionClip, frames: int, device: str, profiled: bool) -> dict[str, Any]:
    """Seconds to refine ``clip`` there and back to ``frames`` frames, and what became of it."""
    from closeint_core.body.torch_body import TorchBody
    from closeint_core.solver.phases import refine

    body = TorchBody(load_body(clip.body)).to(device)
    long = repeated(clip, frames)

    def work() -> InteractionClip:
        return refine(long, body=body)

    refine(repeated(clip, 8), body=body)  # what is made once
    start = time.perf_counter(), time.process_time()
    done = work()
    times = time.perf_counter() - start[0], time.process_time() - start[1]
    result = done.metadata["refinement"]
    if profiled:
        profile(work, device)
    return {
        f"refinement of {frames} frames s": times[0],
        f"refinement of {frames} frames s, processor": times[1],
        "refinement rounds": result["rounds"],
        "deepest before and after mm": result["max_penetration_mm"],
    }


def profile(work: Callable[[], Any], device: str) -> None:
    """Print the functions that took longest, and on CUDA the operations."""
    profiler = cProfile.Profile()
    profiler.runcall(work)
    for order in ("tottime", "cumtime"):
        pstats.Stats(profiler, stream=sys.stderr).strip_dirs().sort_stats(order).print_stats(40)
    if device == "cuda":
        kinds = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
        with torch.profiler.profile(activities=kinds) as operations:
            work()
            torch.cuda.synchronize()
        for order in ("self_device_time_total", "self_cpu_time_total"):
            table = operations.key_averages().table(sort_by=order, row_limit=30, max_name_column_width=50)
            print(table, file=sys.stderr)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--frames", type=int, help="pairs (default: 24 on the CPU, 512 on CUDA)")
    parser.add_argument("--press", type=float, default=0.03, help="metres by which the bodies are pushed together")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--refine", type=int, metavar="N", default=0, help="also refine a clip of N frames")
    parser.add_argument("--profile", action="store_true", help="print where the refinement's time goes")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    cuda = options.device == "cuda"
    frames = options.frames or (512 if cuda else 24)
    clip = InteractionClip.load(SAMPLE)
    vertices = pressed_pairs(clip, frames, options.press)
    triangles = load_body(clip.body).faces.astype(np.int64)
    at, faces = (torch.as_tensor(array, device=options.device) for array in (vertices, triangles))

    found = find_inside(at, faces)
    compared = list(range(0, frames, max(frames // 6, 1)))[:6]
    report: dict[str, Any] = {
        "device": torch.cuda.get_device_name() if cuda else platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "vertices": vertices.shape[2],
        "frames": frames,
        "inside per frame": round(len(found) / frames, 1),
        "frames in contact": len(found.frame.unique()),
        "deepest mm": round(1000 * float(found.depth.max()), 1) if len(found) else 0.0,
        "inside sets equal libigl": agrees(vertices, triangles, found, compared),
    }

    def note(name: str, times: tuple[float, float], count: int) -> float:
        report[f"{name} ms"], report[f"{name} ms, processor"] = times[0] / count, times[1] / count
        return times[0] / count

    ours = note("ours", milliseconds(lambda: find_inside(at, faces), options.repeats, cuda), frames)
    report["ours frames a second"] = 1000 / ours
    note("ours with gradients", milliseconds(lambda: time_gradient(at, faces), options.repeats, cuda), frames)

    def one_by_one() -> None:
        for t in compared:
            find_inside(at[:, t : t + 1], faces)

    note("ours, one frame at a time", milliseconds(one_by_one, options.repeats, cuda), len(compared))
    if cuda:
        report["peak memory GB"] = torch.cuda.max_memory_allocated() / 1e9
    else:
        for name, times in time_libigl(vertices, triangles, compared).items():
            note(name, times, 1)
            report[f"{name} / ours"] = times[0] / ours
            report[f"{name} / ours, processor"] = times[1] / report["ours ms, processor"]
    if options.refine:
        report |= time_refinement(clip, options.refine, options.device, options.profile)
    if options.json:
        print(json.dumps(report))
        return
    for name, value in report.items():
        print(f"{name:42} {value:.2f}" if isinstance(value, float) else f"{name:42} {value}")


def repeated(clip: InteractionClip, frames: int) -> InteractionClip:
    """The clip there and back, over and over, to a number of frames: nothing jumps."""
    index = np.abs((np.arange(frames) + clip.frames - 1) % (2 * clip.frames - 2) - (clip.frames - 1))
    names = ("poses", "transl", "keypoints2d", "visible", "contacts", "foot_contacts")
    return dataclasses.replace(clip, **{name: getattr(clip, name)[:, index] for name in names})


if __name__ == "__main__":
    main()
