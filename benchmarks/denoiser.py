# SPDX-License-Identifier: Apache-2.0
"""Time and memory of sampling the denoiser: ours as one CUDA graph, ours eager, and a straightforward loop.

    python benchmarks/denoiser.py [--device cuda|cpu ...] [--windows 1 64] [--checkpoint FILE] [--json]

All sides draw the same windows (16 frames, two people, 5 DDIM steps) from the same noise and weights, parameters out;
what they differ by is printed. The straightforward loop is written as one would first write it: everything about the
condition in every step, one person after the other, torch's own attention, and in every step the whole mesh of both
people (a body of SMPL's size, 6,890 vertices with pose correctives) with its keypoints projected into the image.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, layer_norm, silu

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "denoiser")]

from windows import randomize, synthetic_windows  # noqa: E402 - the tests' synthetic windows

from closeint_core.body.data import PARENTS, BodyData  # noqa: E402
from closeint_core.body.load import load_body  # noqa: E402
from closeint_core.body.torch_body import TorchBody  # noqa: E402
from closeint_core.denoiser.checkpoint import load_denoiser  # noqa: E402
from closeint_core.denoiser.conditions import Conditions  # noqa: E402
from closeint_core.denoiser.ddim import window_noise  # noqa: E402
from closeint_core.denoiser.network import Denoiser  # noqa: E402
from closeint_core.denoiser.rotation6d import rows6d_to_matrix  # noqa: E402
from closeint_core.denoiser.sampler import Sampler  # noqa: E402
from closeint_core.denoiser.state import STATE, PairState, mean_state  # noqa: E402

FRAMES = 16
SIDES = ("graph", "graph tf32", "graph bfloat16", "graph float16", "eager", "straightforward")


def full_size_body() -> TorchBody:
    """A body as large as SMPL's; its numbers are random, its cost is not."""
    rng = np.random.default_rng(0)
    count = 6890
    halpe = np.zeros((26, count), np.float32)
    for row in halpe:
        row[rng.choice(count, 40, replace=False)] = 1 / 40
    regressor = np.zeros((24, count), np.float32)
    for row in regressor:
        row[rng.choice(count, 40, replace=False)] = 1 / 40
    return TorchBody(
        BodyData(
            name="smpl-neutral",
            template=rng.normal(size=(count, 3)).astype(np.float32),
            shapedirs=0.01 * rng.normal(size=(count, 3, 10)).astype(np.float32),
            posedirs=0.001 * rng.normal(size=(count, 3, 207)).astype(np.float32),
            joint_regressor=regressor,
            skin_joints=rng.integers(0, 24, (count, 4)).astype(np.int32),
            skin_weights=np.full((count, 4), 0.25, np.float32),
            parents=np.array(PARENTS, np.int32),
            faces=rng.integers(0, count, (13776, 3)).astype(np.int32),
            parts=rng.integers(0, 24, count).astype(np.int32),
            halpe_regressor=halpe,
            lsp_regressor=halpe[:14],
            uv=None,
            regions=None,
        )
    )


class Straightforward:
    """The published network and loop, written without a thought to speed."""

    def __init__(self, model: Denoiser, body: TorchBody) -> None:
        self.model, self.body = model, body
        self.halpe = torch.as_tensor(body.data.halpe_regressor, device=model.positions.device)
        self.weights = model.state_dict()
        self.schedule = Sampler(model).schedule
        self.attention: dict[str, nn.MultiheadAttention] = {}
        for name in self.weights:
            if name.endswith("in_proj_weight"):
                stem = name.removesuffix(".in_proj_weight")
                module = nn.MultiheadAttention(256, 8, add_zero_attn=True, batch_first=True).to(model.positions.device)
                module.load_state_dict({key: self.weights[f"{stem}.{key}"] for key in module.state_dict()})
                self.attention[stem] = module

    def dense(self, name: str, value: Tensor) -> Tensor:
        """One linear layer, by its name in the checkpoint."""
        result: Tensor = value @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]
        return result

    def adaptive(self, name: str, value: Tensor, embedding: Tensor) -> Tensor:
        """Layer normalisation whose scale and shift depend on the embedding (B, C)."""
        scale, shift = self.dense(f"{name}.emb_layers.1", silu(embedding)).chunk(2, -1)
        return layer_norm(value, (256,), eps=1e-6) * (1 + scale) + shift

    def block(self, name: str, own: Tensor, other: Tensor, embedding: Tensor) -> Tensor:
        """One transformer block of a person ``own`` (B, T, C) who attends to ``other`` (B, T, C)."""
        query = self.adaptive(f"{name}.sa_block.norm", own, embedding)
        own = own + self.attention[f"{name}.sa_block.attention"](query, query, query)[0]
        query = self.adaptive(f"{name}.ca_block.norm", own, embedding)
        key = self.adaptive(f"{name}.ca_block.xf_norm", other, embedding)
        own = own + self.attention[f"{name}.ca_block.attention"](query, key, key)[0]
        hidden = gelu(self.dense(f"{name}.ffn.linear1", self.adaptive(f"{name}.ffn.norm", own, embedding)))
        return own + self.dense(f"{name}.ffn.linear2", hidden)

    def predict(self, x: Tensor, timestep: int, conditions: Conditions) -> Tensor:
        """The clean state (B, T, 2, STATE) that the network sees in a noisy ``x`` of that shape at one timestep."""
        table, info = self.model.positions, conditions.crops.info()
        assert conditions.features is not None
        read = torch.cat([conditions.features, info], -1)
        read = layer_norm(read, (1027,), self.weights["project.0.weight"], self.weights["project.0.bias"])
        time_row = table[torch.full((len(x),), timestep, device=x.device)]
        time_part = self.dense("embed_timestep.time_embed.2", silu(self.dense("embed_timestep.time_embed.0", time_row)))
        embedding = time_part[:, None, None] + self.dense("feature_embed", self.dense("project.1", read))
        states = [self.dense("motion_embed", x[:, :, p]) + table[: x.shape[1]] for p in (0, 1)]
        for layer in range(4):
            states = [self.block(f"blocks.{layer}", states[p], states[1 - p], embedding[:, :, p]) for p in (0, 1)]
        out = []
        for p in (0, 1):
            read = torch.cat([states[p], info[:, :, p]], -1)
            parts = []
            for head in ("head", "shape_head", "cam_head"):
                norm = self.weights[f"{head}.0.weight"], self.weights[f"{head}.0.bias"]
                parts.append(self.dense(f"{head}.1", layer_norm(read, (259,), *norm)))
            out.append(torch.cat(parts, -1))
        return torch.stack(out, 2)

    def mesh_and_keypoints(self, numbers: Tensor, conditions: Conditions) -> Tensor:
        """What the published loop computes in every step and does not need: (..., 26, 2) pixels."""
        state = PairState.of(numbers)
        rotations = rows6d_to_matrix(state.pose6d.unflatten(-1, (24, 6)))
        translation = state.translation(conditions.crops)
        vertices = self.body(rotations, state.betas, translation).vertices
        return conditions.crops.project(self.halpe @ vertices)

    @torch.no_grad()
    def sample(self, conditions: Conditions, noise: Tensor) -> PairState:
        """The pair's state after all steps of the published sampler, from ``noise`` (B, T, 2, STATE)."""
        mean = mean_state(conditions.init_pose6d)
        x = noise
        clean = x
        for index in reversed(range(len(self.schedule.timesteps))):
            clean = self.predict(x, int(self.schedule.timesteps[index]), conditions)
            self.mesh_and_keypoints(clean + mean, conditions)
            share, previous = (float(t[index]) for t in (self.schedule.alphas_cumprod, self.schedule.previous))
            epsilon = ((1 / share) ** 0.5 * x - clean) / (1 / share - 1) ** 0.5
            x = previous**0.5 * clean + (1 - previous) ** 0.5 * epsilon
        return PairState.of(clean + mean)


def make_side(side: str, model: Denoiser) -> Callable[[Conditions, Tensor], PairState]:
    """What is timed: conditions and noise on the device in, parameters out."""
    if side == "straightforward":
        return Straightforward(model, full_size_body().to(model.positions.device)).sample
    sampler = Sampler(model, precision=side.partition(" ")[2] or "float32", graphs=side.startswith("graph"))
    return sampler.sample


def measure(run: Callable[[], object], device: str, seconds: float = 1.0) -> dict[str, float]:
    """Median and fastest milliseconds of a run, over at least 5 runs and about ``seconds``."""

    def wait() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    for _ in range(3):
        run()
    wait()
    times: list[float] = []
    begin = time.perf_counter()
    while len(times) < 5 or (time.perf_counter() - begin < seconds and len(times) < 300):
        start = time.perf_counter()
        run()
        wait()
        times.append(1000 * (time.perf_counter() - start))
    return {"median_ms": float(np.median(times)), "fastest_ms": min(times), "runs": len(times)}


def inputs(count: int, device: str) -> tuple[Conditions, Tensor]:
    """Conditions and noise of ``count`` windows on a device."""
    windows = synthetic_windows(TorchBody(load_body("default")), count, FRAMES)
    return windows.conditions.to(device), window_noise(count, FRAMES, STATE, seed=0).to(device)


def load_model(checkpoint: str | None, device: str) -> Denoiser:
    """The denoiser of a checkpoint, or one with random weights, ready to run."""
    model = load_denoiser(checkpoint) if checkpoint else randomize(Denoiser())
    assert isinstance(model, Denoiser)
    return model.eval().to(device)


def joints(state: PairState, conditions: Conditions, body: TorchBody) -> Tensor:
    """(B, T, 2, 24, 3) pelvis-aligned, metres: a random network's crop cameras are no measure."""
    posed = body.skeleton(state.rotations(), state.betas, torch.zeros(3, device=state.betas.device)).joints
    return posed - posed[..., :1, :]


def peak_in_own_process(side: str, count: int, checkpoint: str | None) -> float:
    """MB of memory by which a process of its own grows when it samples on the CPU."""
    command = [sys.executable, __file__, "--device", "cpu", "--windows", str(count), "--memory-of", side]
    command += ["--checkpoint", checkpoint] if checkpoint else []
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def memory_of(side: str, count: int, checkpoint: str | None) -> float:
    """MB above what the process holds just before it samples for the first time; not a number where not Linux."""
    given = inputs(count, "cpu")
    sample = make_side(side, load_model(checkpoint, "cpu"))
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the peak is counted anew from here
    except OSError:
        return float("nan")
    before = _peak_kb()
    sample(*given)
    return (_peak_kb() - before) / 1024


def _peak_kb() -> int:
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


def benchmark(device: str, counts: list[int], checkpoint: str | None) -> list[dict[str, Any]]:
    """One row of times a number of windows."""
    model = load_model(checkpoint, device)
    body = TorchBody(load_body("default")).to(device)
    rows = []
    for count in counts:
        conditions, noise = inputs(count, device)
        expected = joints(Sampler(model, graphs=False, precision="float32").sample(conditions, noise), conditions, body)
        sides = SIDES if device == "cuda" else ("eager", "straightforward")
        for side in sides:
            if device == "cuda":  # reserved memory: a graph's own pool does not count as allocated
                torch.cuda.synchronize()
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()
                held = torch.cuda.memory_reserved()
            sample = make_side(side, model)
            found = sample(conditions, noise)
            row: dict[str, Any] = {"windows": count, "side": side}
            row |= measure(lambda run=sample, given=(conditions, noise): run(*given), device)  # type: ignore[misc]
            if device == "cuda":
                row["peak_mb"] = (torch.cuda.max_memory_reserved() - held) / 2**20
            else:
                row["peak_mb"] = peak_in_own_process(side, count, checkpoint)
            error = 1000 * (joints(found, conditions, body) - expected).norm(dim=-1)
            row |= {"off_by_mean_mm": float(error.mean()), "off_by_max_mm": float(error.max())}
            rows.append(row)
            del sample
    return rows


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    devices = ["cuda", "cpu"] if torch.cuda.is_available() else ["cpu"]
    parser.add_argument("--device", nargs="+", choices=["cuda", "cpu"], default=devices)
    parser.add_argument("--windows", type=int, nargs="+", default=[1, 64])
    parser.add_argument("--checkpoint", help="weights of a denoiser; random ones of its size otherwise")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--memory-of", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory_of:
        print(memory_of(options.memory_of, options.windows[0], options.checkpoint))
        return
    for device in options.device:
        rows = benchmark(device, options.windows, options.checkpoint)
        name = torch.cuda.get_device_name() if device == "cuda" else f"CPU, {torch.get_num_threads()} threads"
        if options.json:
            print(json.dumps({"device": name, "torch": torch.__version__, "rows": rows}))
            continue
        print(
            f"{name}, torch {torch.__version__}, Python {platform.python_version()}; {FRAMES} frames, 2 people, 5 steps"
        )
        print(f"{'windows':>7}  {'side':<16} {'median ms':>9} {'fastest':>8} {'peak MB':>8}  off by mm (mean, max)")
        for row in rows:
            print(
                f"{row['windows']:>7}  {row['side']:<16} {row['median_ms']:>9.2f} {row['fastest_ms']:>8.2f} "
                f"{row['peak_mb']:>8.1f}  {row['off_by_mean_mm']:.4f}, {row['off_by_max_mm']:.4f}"
            )


if __name__ == "__main__":
    main()
