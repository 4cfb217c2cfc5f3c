# SPDX-License-Identifier: Apache-2.0
"""The methods that the benchmark compares, each from the same observations to a clip."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from closeint_core.body.torch_body import TorchBody
from closeint_core.clip import InteractionClip
from closeint_core.errors import CloseintError
from closeint_core.evaluation.bench_cases import one_person
from closeint_core.perception.observations import Observations
from closeint_core.progress import Progress
from closeint_core.reconstruction.learned import WEIGHTS, LearnedOptions, default_denoiser, solve_learned
from closeint_core.reconstruction.result import build_clip
from closeint_core.solver.phases import refine, settled_options
from closeint_core.solver.solve import Solution, solve
from closeint_core.solver.state import Floor, Motion

METHODS = {
    "a": "per-person fit, each person alone",
    "b": "pair fit",
    "b+": "pair fit + refinement",
    "c": "network without the other person",
    "d": "network",
    "e": "network + refinement",
}
"""Every method's key and what it is."""
LEARNED = {"c", "d", "e"}
"""Those that need the network."""


@dataclass
class Question:
    """What a method is given: the body, what was seen (P = 2) and the intrinsics (3, 3); the network is the bundled
    one if ``checkpoint`` does not name another."""

    body: TorchBody
    observations: Observations
    camera: torch.Tensor
    checkpoint: Path | None = None


class Answers:
    """Solves one question by several methods, doing once what they share."""

    def __init__(self, question: Question, progress: Progress | None = None) -> None:
        self.question = question
        self.progress = progress or Progress()
        self.seconds: dict[str, float] = {}
        """What each method took from the observations on, what it shares with others included."""
        self._clips: dict[str, InteractionClip] = {}

    def clip(self, method: str) -> InteractionClip:
        """The clip of a method of ``METHODS``.

        Raises:
            CloseintError: the method cannot solve it, or needs a model that is missing.
        """
        if method not in self._clips:
            first = {"b+": "b", "e": "d"}.get(method)
            before = self.clip(first) if first else None
            started = time.perf_counter()
            self._clips[method] = self._solve(method, before)
            self.seconds[method] = time.perf_counter() - started + (self.seconds[first] if first else 0.0)
        return self._clips[method]

    def _solve(self, method: str, before: InteractionClip | None) -> InteractionClip:
        q = self.question
        if method == "a":
            return self._build(alone(q, self.progress))
        if method == "b":
            return self._build(solve(q.body, q.observations, q.camera, self.progress))
        if method in ("c", "d"):
            options = LearnedOptions(alone=method == "c", model=default_denoiser(q.checkpoint or WEIGHTS))
            solved = solve_learned(q.body, q.observations, q.camera, self.progress, options)
            return self._build(solved)
        if before is not None:
            return refine(before, settled_options(), progress=self.progress, body=q.body)
        raise CloseintError(f"There is no method {method!r}.", f"Choose among {', '.join(METHODS)}.")

    def _build(self, solution: Solution) -> InteractionClip:
        return build_clip(solution, self.question.observations, self.question.body.data, "")


def check_methods(methods: tuple[str, ...], checkpoint: Path | None = None) -> None:
    """Raises CloseintError for an unknown method, or one whose network is not there (exit code 3)."""
    unknown = [method for method in methods if method not in METHODS]
    if unknown or not methods:
        raise CloseintError(
            f"There is no method {', '.join(unknown) or '(none given)'}.", f"Choose among {', '.join(METHODS)}."
        )
    if set(methods) & LEARNED:
        default_denoiser(checkpoint or WEIGHTS)


def alone(question: Question, progress: Progress) -> Solution:
    """Each person fitted as if nobody else were there; in the camera's frame, over the floor of whom is seen more."""
    seen = question.observations
    parts = []
    for person in range(len(seen.visible)):
        own = one_person(seen, person)
        if not own.visible.any():
            raise CloseintError(f"Person {person} is seen in no frame.", "Take another clip.")
        parts.append(solve(question.body, own, question.camera, progress))
    motions = [part.motion for part in parts]
    # Where the two floors differ, the clip stands on the one that is known better.
    best = motions[int(np.argmax(seen.visible.sum(1)))]
    motion = Motion(
        torch.cat([m.rotations for m in motions]),
        torch.cat([m.transl for m in motions]),
        torch.cat([m.betas for m in motions]),
        Floor(best.floor.normal, best.floor.offset),
    )
    return Solution(
        motion,
        question.camera,
        np.concatenate([part.keypoints2d for part in parts]),
        np.concatenate([part.foot_contacts for part in parts]),
    )
