# SPDX-License-Identifier: Apache-2.0
"""What the benchmark asks: held-out interactions with their truth, and what perception would report of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from closeint_core.body.data import BodyData
from closeint_core.body.torch_body import TorchBody
from closeint_core.clip import InteractionClip
from closeint_core.errors import CloseintError
from closeint_core.mesh.contact_probability import clip_contacts
from closeint_core.perception.observations import Observations
from closeint_core.training.cameras import Cameras
from closeint_core.training.observation import SimulatedObservations, observe
from closeint_core.training.synthetic import KINDS, generate
from closeint_core.training.synthetic.generate import Interactions, acceptable

COCO = 17
HIDDEN_WINDOW = 16
"""Frames of a clip of the hidden test; one person is unseen in half of them."""


@dataclass
class Case:
    """One question of the benchmark.

    Attributes:
        name: unique within a run. kind: of interaction.
        truth: the true motion with its camera; ``contacts`` are measured on its meshes.
        observations: what the methods are given.
        camera: (3, 3) intrinsics that the methods are given, the same for all.
        scored: bool (P, T), the person-frames whose errors count.
    """

    name: str
    kind: str
    truth: InteractionClip
    observations: Observations
    camera: torch.Tensor
    scored: np.ndarray


def draw_pair(index: int, frames: int, seed: int) -> Interactions:
    """The pair of number ``index``: held-out kinds take turns, and a pair does not depend on how many are drawn."""
    names = KINDS.names("test")
    kind = names[index % len(names)]
    made = None
    for attempt in range(5):
        made = generate([kind], 1, frames, (seed * 1000 + index) * 10 + attempt, split="test")
        if bool(acceptable(made)[0]):
            return made
    raise CloseintError(f"No acceptable {kind} of {frames} frames came out of seed {seed}.", "Take another --seed.")


def simulated_case(index: int, frames: int, seed: int, data: BodyData, *, hidden: bool = False) -> Case:
    """A held-out interaction as the project's perception would report it.

    Args:
        hidden: one of the pair is unseen in half of the frames, and only those frames of that person count.
    """
    made = draw_pair(index, frames, seed + (500 if hidden else 0))
    seen = observe(made, TorchBody(data), seed * 100_003 + index)
    truth = true_clip(made, seen.cameras, data)
    observations = observations_of(seen, truth.fps)
    case = Case(
        case_name(index, frames, seed, hidden),
        made.kind_names()[0],
        truth,
        observations,
        seen.cameras.K[0],
        np.ones((2, frames), bool),
    )
    return _hide(case, np.random.default_rng((seed, index))) if hidden else case


def case_name(index: int, frames: int, seed: int, hidden: bool) -> str:
    """Name under which the results of a simulated case are kept."""
    return f"{'hidden' if hidden else 'simulated'}-s{seed}-t{frames}-{index:04d}"


def true_clip(made: Interactions, cameras: Cameras, data: BodyData) -> InteractionClip:
    """The clip of the first of the generated pairs, seen by the first camera."""
    frames = made.poses.shape[2]
    clip = InteractionClip(
        poses=made.poses[0].numpy(),
        transl=made.transl[0].numpy(),
        betas=made.betas[0].numpy(),
        body=data.name,
        fps=float(made.fps[0]),
        image_size=cameras.size[0].numpy(),
        camera_K=cameras.K[:1].numpy(),
        camera_R=cameras.R[:1].numpy(),
        camera_t=cameras.t[:1].numpy(),
        keypoints2d=np.full((2, frames, 26, 3), np.nan, np.float32),
        visible=np.ones((2, frames), bool),
        contacts=np.zeros((2, frames, 24), np.float32),
        foot_contacts=made.planted[0].float().numpy(),
        metadata={"synthetic": True, "ground_truth": True, "kind": made.kind_names()[0]},
    )
    clip.contacts = clip_contacts(clip, data)
    return clip


def observations_of(seen: SimulatedObservations, fps: float) -> Observations:
    """The first simulated pair in the form in which perception hands over what it saw."""
    keypoints = seen.keypoints2d[0].numpy()
    width, height = (int(v) for v in seen.cameras.size[0])
    # The detector's peaks are those it made keypoints of; it does not say whose they are.
    peaks = keypoints[:, :, :COCO].transpose(1, 2, 0, 3).copy()
    return Observations(
        keypoints2d=keypoints,
        landmarks3d=seen.landmarks3d[0].numpy(),
        landmarks3d_confidence=seen.landmarks3d_confidence[0].numpy(),
        visible=seen.visible[0].numpy(),
        boxes=boxes_of(keypoints),
        peaks=peaks,
        fps=fps,
        frame_start=0,
        image_size=(width, height),
        people=(0, 1),
    )


def boxes_of(keypoints: np.ndarray) -> np.ndarray:
    """f4 (P, T, 4) xyxy round keypoints (P, T, 26, 3); NaN without any."""
    found = np.isfinite(keypoints[..., :1])
    low = np.where(found, keypoints[..., :2], np.inf).min(2)
    high = np.where(found, keypoints[..., :2], -np.inf).max(2)
    boxes = np.concatenate([low, high], -1)
    return np.where(np.isfinite(boxes), boxes, np.nan).astype(np.float32)


def one_person(observations: Observations, person: int) -> Observations:
    """What was seen of one person, and nothing of the other: the detector's peaks too are that person's alone."""
    part = slice(person, person + 1)
    keypoints = observations.keypoints2d[part]
    return replace(
        observations,
        keypoints2d=keypoints,
        landmarks3d=observations.landmarks3d[part],
        landmarks3d_confidence=observations.landmarks3d_confidence[part],
        visible=observations.visible[part],
        boxes=observations.boxes[part],
        peaks=keypoints[:, :, :COCO].transpose(1, 2, 0, 3).copy(),
        people=observations.people[part],
    )


def without(observations: Observations, person: int, frames: np.ndarray) -> Observations:
    """The observations with nothing of ``person`` in ``frames`` (bool (T,))."""
    keypoints, landmarks = observations.keypoints2d.copy(), observations.landmarks3d.copy()
    confidence, visible = observations.landmarks3d_confidence.copy(), observations.visible.copy()
    boxes, peaks = observations.boxes.copy(), observations.peaks.copy()
    keypoints[person, frames] = np.nan
    landmarks[person, frames] = np.nan
    confidence[person, frames] = 0.0
    visible[person, frames] = False
    boxes[person, frames] = np.nan
    peaks[frames] = keypoints[:, frames, :COCO].transpose(1, 2, 0, 3)
    return replace(
        observations,
        keypoints2d=keypoints,
        landmarks3d=landmarks,
        landmarks3d_confidence=confidence,
        visible=visible,
        boxes=boxes,
        peaks=peaks,
    )


def _hide(case: Case, random: np.random.Generator) -> Case:
    """The case with one of its people unseen for half of the frames in one run, anywhere in the clip."""
    frames = case.truth.frames
    length = frames // 2
    person = int(random.integers(2))
    start = int(random.integers(frames - length + 1))
    gone = np.zeros(frames, bool)
    gone[start : start + length] = True
    # Who is never seen outside the gap cannot be reconstructed by anything: take the other one then.
    if not case.observations.visible[person, ~gone].any():
        person = 1 - person
    scored = np.zeros((2, frames), bool)
    scored[person] = gone
    return replace(case, observations=without(case.observations, person, gone), scored=scored)
