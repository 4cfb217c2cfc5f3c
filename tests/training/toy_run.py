# SPDX-License-Identifier: Apache-2.0
"""A training run on eight windows that need no generator; also a program, so that a test can kill it.

python toy_run.py CONFIG [STEP]: at that step the run writes a file "stalled" beside the configuration, and waits.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "denoiser")]

from windows import UP, synthetic_windows  # noqa: E402 - the tests' synthetic windows

from closeint_core.body.torch_body import TorchBody  # noqa: E402
from closeint_core.denoiser.canonical import PairMotion  # noqa: E402
from closeint_core.training import runs  # noqa: E402
from closeint_core.training.batches import MotionBatch, TrainingBatch  # noqa: E402
from closeint_core.training.config import TrainingConfig, read_config  # noqa: E402
from closeint_core.training.processes import Processes  # noqa: E402
from closeint_core.training.stages import DenoiserStage, PriorStage, Stage  # noqa: E402

WINDOWS, FRAMES = 8, 4
TINY: dict[str, Any] = {
    "what": "denoiser",
    "steps": 12,
    "batch": 4,
    "denoiser": {"dim": 16, "depth": 1, "heads": 2, "hidden": 32, "encoder_depth": 1},
    "prior": {"dim": 16, "depth": 1, "heads": 2, "codes": 8, "groups": 2, "code_dim": 4},
    "codes": {"steps": 6, "dim": 16, "heads": 2, "depth": 1},
    "optimizer": {"warmup": 3, "learning_rate": 1e-3},
    "validation": {"every": 0, "windows": 2, "pictures": 1},
    "log_every": 1,
    "checkpoint_every": 4,
    "device": "cpu",
}
"""A configuration of seconds."""


class ToySource:
    """Rows of eight windows, other ones in each step and process."""

    def __init__(self, body: TorchBody, batch: int, seed: int = 0, rank: int = 0, world: int = 1) -> None:
        made = synthetic_windows(body, WINDOWS, FRAMES, seed=1)
        crops = made.conditions.crops
        points = body.points("halpe")(body.skeleton(made.rotations, made.betas, made.translation), made.betas)
        self.everything = TrainingBatch(
            replace(made.conditions, features=None),
            made.truth.numbers(),
            crops.project(points),
            UP.expand(WINDOWS, 3),
            torch.zeros(WINDOWS, FRAMES, 24, 24, dtype=torch.bool),
            torch.full((WINDOWS,), 30.0),
            torch.ones(WINDOWS, FRAMES, 2, dtype=torch.bool),
        )
        pelvis = body.rest_joints(made.betas)[..., 0, :] + made.translation
        self.motion = PairMotion(made.rotations, pelvis)
        self.count, self.seed, self.rank, self.world = batch, seed, rank, world
        self.stall_at, self.stalled = -1, Path()

    def rows(self, step: int) -> torch.Tensor:
        if step == self.stall_at:
            self.stalled.touch()
            time.sleep(3600)
        generator = torch.Generator().manual_seed(self.seed + (step * self.world + self.rank))
        return torch.randint(WINDOWS, (self.count,), generator=generator)

    def batch(self, step: int) -> TrainingBatch:
        parts = [self.everything[slice(row, row + 1)] for row in self.rows(step).tolist()]
        conditions = [part.conditions for part in parts]
        crops = [part.crops for part in conditions]

        def join(items: list[Any], name: str) -> torch.Tensor:
            return torch.cat([getattr(item, name) for item in items])

        told = replace(
            conditions[0],
            init_pose6d=join(conditions, "init_pose6d"),
            keypoints=join(conditions, "keypoints"),
            crops=replace(crops[0], **{name: join(crops, name) for name in ("center", "side", "image_size", "focal")}),
        )
        names = ("target", "keypoints", "up", "contacts", "fps", "valid")
        return TrainingBatch(told, **{name: join(parts, name) for name in names})

    def motions(self, step: int) -> MotionBatch:
        rows = self.rows(step)
        return MotionBatch(PairMotion(self.motion.rotations[rows], self.motion.pelvis[rows]), UP)


def toy_stage(config: TrainingConfig, body: TorchBody, group: Processes, say: object = None) -> Stage:
    """In place of ``runs.first_stage``."""
    source = ToySource(body, config.batch // group.world, config.seed, group.rank, group.world)
    if len(sys.argv) > 2 and Path(sys.argv[0]).name == Path(__file__).name:
        source.stall_at, source.stalled = int(sys.argv[2]), Path(sys.argv[1]).with_name("stalled")
    held_out = ToySource(body, config.validation.windows, config.seed + 1)
    kind = PriorStage if config.what == "prior" else DenoiserStage
    return kind(config, body, source, held_out)


def main() -> None:
    """Train as the file says, from where it stands."""
    torch.set_num_threads(1)
    runs.first_stage = toy_stage
    runs.train(read_config(sys.argv[1]), lambda line: print(line, file=sys.stderr, flush=True))


if __name__ == "__main__":
    main()
