# SPDX-License-Identifier: Apache-2.0
"""How well the refinement repairs pairs whose truth is known: synthetic interactions of every kind, disturbed.

What the refinement is given is what a reconstruction would have of such a pair, and no more:

- a motion that is wrong: every joint is turned by noise that drifts and flickers, one person stands up to 15 cm too
  near or too far along the view, the other up to 3 cm, and a limb near the partner is pushed 1 to 8 cm into it for a
  while (before the error of depth, which may make it deeper or shallower);
- keypoints and confidences as the project's own perception would see them from a drawn camera, with its errors
  (``training.observation``: noise, limbs put on the partner, sides exchanged, people lost while they overlap);
- a belief for each body part of each person whether it touches, which is unsure near the limit and wrong in bursts
  (``evidence_f1`` in the rows says how good it is), and one for each foot whether it is planted, wrong in bursts;
- the true shapes, camera and floor.

Of several pairs generated for each kind the one whose skins are least inside each other is taken: a truth that
penetrates cannot be met. How deep the truth is stands in the rows.
"""

from __future__ import annotations

import math
import time
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import roma
import torch
from torch import Tensor

from closeint_core.body.data import BodyData
from closeint_core.body.skinning import clip_vertices, vertex_normals
from closeint_core.body.torch_body import TorchBody
from closeint_core.clip import InteractionClip
from closeint_core.errors import CloseintError
from closeint_core.mesh.contact_probability import part_distances
from closeint_core.mesh.penetration import measure_penetration
from closeint_core.metrics.accuracy import interaction_error, mpjpe
from closeint_core.solver.phases import RefineOptions, refine
from closeint_core.training.observation import observe
from closeint_core.training.synthetic import KINDS, Generator, Interactions
from closeint_core.training.synthetic.generate import default_body

TOUCH = 0.015
"""Metres between skins up to which body parts count as touching."""
_HIPS = (2, 3)
_FEET = ((7, 10), (8, 11))
_LOOSE = torch.tensor(
    [3, 5, 5, 2, 6, 6, 2, 6, 6, 2, 4, 4, 3, 3, 3, 4, 8, 8, 9, 9, 8, 8, 2, 2], dtype=torch.float32
)  # fmt: skip
"""Degrees by which each joint of a disturbed pose is typically off, about either axis."""
_LIMBS = {20: (13, 16, 18), 21: (14, 17, 19), 22: (16, 18, 20), 23: (17, 19, 21), 18: (13, 16), 19: (14, 17),
          7: (1, 4), 8: (2, 5), 10: (1, 4), 11: (2, 5), 4: (1,), 5: (2,), 15: (9, 12)}  # fmt: skip
"""Joints that move a body part when it is pushed."""


@dataclass
class SuitePair:
    """A pair of known truth. ``truth`` holds no evidence; ``disturbed`` is what the refinement is given."""

    kind: str
    seed: int
    truth: InteractionClip
    disturbed: InteractionClip


class _Noise:
    """Seeded numbers that change slowly over frames."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def white(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.generator)

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=self.generator))

    def slow(self, frames: int, *shape: int, memory: float = 8.0) -> Tensor:
        """(frames, *shape) standard normal, correlated over ``memory`` frames."""
        pad = math.ceil(3 * memory)
        time = torch.arange(frames, dtype=torch.float32)[:, None]
        kernel = torch.exp(-0.5 * ((time - torch.arange(-pad, frames + pad)) / (memory / 2)) ** 2)
        kernel = kernel / kernel.norm(dim=1, keepdim=True)
        result: Tensor = (kernel @ self.white(frames + 2 * pad, math.prod(shape))).reshape(frames, *shape)
        return result


def make_pair(kind: str, seed: int, frames: int = 40, candidates: int = 4) -> SuitePair:
    """The pair of a kind of interaction, the same for the same arguments.

    Raises:
        CloseintError: an unknown kind.
    """
    body = default_body()
    made = Generator([kind])(candidates, frames, seed)
    depths = [_depth(made, row, body.data) for row in range(len(made))]
    made = made[[int(np.argmin(depths))]]
    return disturb(made, kind, seed, body)


def _depth(made: Interactions, row: int, data: BodyData) -> float:
    body = default_body()
    vertices = body(made.poses[row], made.betas[row][:, None], made.transl[row]).vertices.numpy()
    return float(measure_penetration(vertices[:, ::3], data.faces).max_depth.max())


def disturb(made: Interactions, kind: str, seed: int, body: TorchBody) -> SuitePair:
    """One pair (N = 1) with its truth and what would be known of it."""
    # Else all kinds would be as wrong as each other for a seed, and two seeds would be a sample of two.
    own = (1009 * seed + zlib.crc32(kind.encode())) % (1 << 31)
    noise = _Noise(own + 1)
    frames = made.poses.shape[2]
    seen = observe(made, body, own + 2)
    fps = float(made.fps[0])
    truth = InteractionClip(
        poses=made.poses[0].numpy(),
        transl=made.transl[0].numpy(),
        betas=made.betas[0].numpy(),
        body=body.data.name,
        fps=fps,
        image_size=seen.cameras.size[0].numpy(),
        camera_K=seen.cameras.K.numpy(),
        camera_R=seen.cameras.R.numpy(),
        camera_t=seen.cameras.t.numpy(),
        keypoints2d=seen.keypoints2d[0].numpy(),
        visible=seen.visible[0].numpy(),
        contacts=np.zeros((2, frames, 24), np.float32),
        foot_contacts=made.planted[0].numpy().astype(np.float32),
    ).validate()
    rotations = roma.rotvec_to_rotmat(made.poses[0])
    spread = torch.deg2rad(_LOOSE)[:, None] * noise.uniform(0.5, 1.0)
    for person in (0, 1):
        turn = spread * noise.slow(frames, 24, 3) + 0.15 * spread * noise.white(frames, 24, 3)
        rotations[person] = rotations[person] @ roma.rotvec_to_rotmat(turn)
    transl = made.transl[0].clone()
    shift = 0.01 * torch.stack([noise.slow(frames, 3, memory=20.0) for _ in (0, 1)])
    rotations = _push_limb(rotations, transl, made.betas[0], body, noise)
    ray = _rays(truth, transl)
    for person, most in ((0, 0.15), (1, 0.03)):
        along = noise.uniform(-most, most) + 0.01 * noise.slow(frames, memory=30.0)
        shift[person] += along.clamp(-most, most)[:, None] * ray[person]
    distances = np.concatenate([part_distances(v, body.data.parts) for _, v, _ in clip_vertices(truth, body.data)], 1)
    belief = (0.02 - torch.as_tensor(distances)) / 0.008
    belief = belief + torch.stack([noise.slow(frames, 24) for _ in (0, 1)]) + 0.5 * noise.white(2, frames, 24)
    feet = 5.0 * made.planted[0].float() - 2.5
    feet = feet + 1.2 * torch.stack([noise.slow(frames, 2) for _ in (0, 1)])
    disturbed = truth.copy(
        poses=roma.rotmat_to_rotvec(rotations).numpy(),
        transl=(transl + shift).numpy(),
        contacts=torch.sigmoid(belief).numpy(),
        foot_contacts=torch.sigmoid(feet).numpy(),
    ).validate()
    return SuitePair(kind, seed, truth, disturbed)


def _rays(clip: InteractionClip, points: Tensor) -> Tensor:
    """(2, T, 3) unit directions from the camera to points (2, T, 3) of the world."""
    eye = -torch.as_tensor(clip.camera_R[0]).T @ torch.as_tensor(clip.camera_t[0])
    return torch.nn.functional.normalize(points - eye, dim=-1)


def _push_limb(rotations: Tensor, transl: Tensor, betas: Tensor, body: TorchBody, noise: _Noise) -> Tensor:
    """Rotations (2, T, 24, 3, 3) with one limb bent into the partner for some frames; unchanged if none is near."""
    with torch.no_grad():
        vertices = body(rotations, betas[:, None], transl).vertices.numpy()
    distance = part_distances(vertices, body.data.parts)
    distance = distance + 0.02 * noise.white(2, 1, 24).numpy()  # not always the same limb
    limbs = list(_LIMBS)
    person, frame, chosen = np.unravel_index(int(distance[..., limbs].argmin()), distance[..., limbs].shape)
    part = limbs[int(chosen)]
    if distance[person, frame, part] > 0.05:
        return rotations
    mine = np.flatnonzero(body.data.parts == part)
    other = vertices[1 - person, frame]
    gaps = np.linalg.norm(vertices[person, frame, mine][:, None] - other[None], axis=-1)
    own, their = np.unravel_index(int(gaps.argmin()), gaps.shape)
    depth = noise.uniform(0.01, 0.08)
    half = noise.uniform(4, 10)
    bump = torch.exp(-(((torch.arange(transl.shape[1]) - float(frame)) / half) ** 4))
    span = torch.nonzero(bump > 0.02)[:, 0]
    inward = -torch.as_tensor(vertex_normals(other, body.data.faces)[their], dtype=torch.float32)
    target = torch.as_tensor(other[their]) + depth * inward
    point = body.points(np.array([mine[own]]))
    chain = list(_LIMBS[part])
    turn = torch.zeros(len(span), len(chain), 3, requires_grad=True)

    def bent() -> Tensor:
        out = rotations[person, span].clone()
        out[:, chain] = out[:, chain] @ roma.rotvec_to_rotmat(turn)
        return out

    start = torch.as_tensor(vertices[person][span.numpy(), mine[own]])
    # Towards the target at the middle of the push, by its share before and after.
    goal = start + bump[span, None] * (target - start[int((span == int(frame)).nonzero()[0, 0])])
    optimiser = torch.optim.LBFGS([turn], max_iter=40, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        skeleton = body.skeleton(bent(), betas[person], transl[person, span])
        miss = (point(skeleton, betas[person])[:, 0] - goal).square().sum() / 0.005**2
        loss: Tensor = miss + turn.square().sum() / 0.3**2
        loss.backward()
        return loss

    optimiser.step(closure)
    pushed = rotations.clone()
    pushed[person, span] = bent().detach()
    return pushed


@dataclass
class _Geometry:
    depth: np.ndarray
    touching: np.ndarray
    joints: np.ndarray
    keypoints: np.ndarray
    sole: np.ndarray
    feet: np.ndarray


def _geometry(clip: InteractionClip, data: BodyData) -> _Geometry:
    """Per frame: depth (T,), touching (2, T, 24), LSP joints in camera axes, keypoints, lowest foot points (2, T)
    and where each foot's sole stands (2, T, 2, 3)."""
    depth, touching, joints, keypoints, sole = [], [], [], [], []
    foot = np.isin(data.parts, np.ravel(_FEET))
    for _, vertices, _ in clip_vertices(clip, data):
        depth.append(measure_penetration(vertices, data.faces).max_depth)
        touching.append(part_distances(vertices, data.parts) < TOUCH)
        joints.append(data.lsp_regressor @ vertices)
        keypoints.append(data.halpe_regressor @ vertices)
        sole.append(vertices[:, :, foot, 2].min(-1))
    points = np.concatenate(keypoints, 1)
    feet = points[:, :, [[20, 22, 24], [21, 23, 25]]].mean(3)
    return _Geometry(
        np.concatenate(depth),
        np.concatenate(touching, 1),
        clip.world_to_camera(np.concatenate(joints, 1).astype(np.float32)),
        points.astype(np.float32),
        np.concatenate(sole, 1),
        feet,
    )


def f1_score(found: np.ndarray, true: np.ndarray) -> float:
    """Harmonic mean of precision and recall of boolean arrays; NaN if neither holds anything."""
    total = int(found.sum()) + int(true.sum())
    return 2.0 * int((found & true).sum()) / total if total else math.nan


def measure_pair(clip: InteractionClip, truth: InteractionClip, data: BodyData) -> dict[str, Any]:
    """Errors of a clip against the truth, and what is implausible about it. Millimetres, except for ``f1`` (contacts
    of body parts within ``TOUCH``), counts, and ``pixels`` (median distance to the evidence)."""
    mine, true = _geometry(clip, data), _geometry(truth, data)
    planted = truth.foot_contacts > 0.5
    still = planted[:, 1:] & planted[:, :-1]
    moved = 1000 * np.linalg.norm(np.diff(mine.feet[..., :2], axis=1), axis=-1)[still]
    off = np.linalg.norm(clip.project(mine.keypoints) - clip.keypoints2d[..., :2], axis=-1)
    both = mine.touching & true.touching
    return {
        "mpjpe": float(mpjpe(mine.joints, true.joints, _HIPS).mean()),
        "interaction": float(interaction_error(mine.joints, true.joints).mean()),
        "f1": f1_score(mine.touching, true.touching),
        "contacts_true": int(true.touching.sum()),
        "contacts_found": int(mine.touching.sum()),
        "contacts_both": int(both.sum()),
        "max_depth": float(1000 * mine.depth.max()),
        "frames": len(mine.depth),
        "frames_over_5": int((mine.depth > 0.005).sum()),
        "frames_over_10": int((mine.depth > 0.010).sum()),
        "skate": float(moved.mean()) if moved.size else 0.0,
        "skate_p95": float(np.percentile(moved, 95)) if moved.size else 0.0,
        "foot_sink": float(1000 * np.clip(-mine.sole, 0, None).max()),
        "pixels": float(np.nanmedian(off)),
    }


def run_pair(
    kind: str, seed: int, frames: int = 40, options: RefineOptions | None = None, **settings: Any
) -> dict[str, Any]:
    """Make, refine and measure one pair: a row of the table, JSON types only."""
    pair = make_pair(kind, seed, frames)
    return refine_and_measure(pair, options, **settings)


def refine_and_measure(pair: SuitePair, options: RefineOptions | None = None, **settings: Any) -> dict[str, Any]:
    """A row of the table for a pair; ``settings`` go to ``refine``."""
    data = default_body().data
    started = time.perf_counter()
    refined = refine(pair.disturbed, options, body=default_body(), **settings)
    seconds = time.perf_counter() - started
    evidence = pair.disturbed.contacts > 0.5
    true = np.concatenate([part_distances(v, data.parts) for _, v, _ in clip_vertices(pair.truth, data)], 1) < 0.02
    return {
        "kind": pair.kind,
        "seed": pair.seed,
        "seconds": seconds,
        "evidence_f1": f1_score(evidence, true),
        "truth_depth": float(1000 * max(measure_penetration(v, data.faces).max_depth.max()
                                        for _, v, _ in clip_vertices(pair.truth, data))),
        "before": measure_pair(pair.disturbed, pair.truth, data),
        "after": measure_pair(refined, pair.truth, data),
    }  # fmt: skip


def summarise(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What the rows come to, against what is asked for: name -> value, target and whether it is met.

    Raises:
        CloseintError: there are no rows.
    """
    if not rows:
        raise CloseintError("There is no pair to summarise.", "Run at least one.")
    before, after = ([row[when] for row in rows] for when in ("before", "after"))

    def total(values: list[dict[str, Any]], key: str) -> float:
        return float(sum(value[key] for value in values))

    def mean(values: list[dict[str, Any]], key: str) -> float:
        return total(values, key) / len(values)

    def f1(values: list[dict[str, Any]]) -> float:
        return (
            2
            * total(values, "contacts_both")
            / max(total(values, "contacts_true") + total(values, "contacts_found"), 1)
        )

    frames = total(after, "frames")
    lower = sum(b["mpjpe"] > a["mpjpe"] for b, a in zip(before, after, strict=True)) / len(rows)
    closer = 100 * (1 - mean(after, "interaction") / mean(before, "interaction"))
    checks: dict[str, tuple[float, str, float]] = {
        "pairs": (len(rows), ">=", 40),
        "kinds": (len({row["kind"] for row in rows}), ">=", 10),
        "frames within 5 mm, %": (100 * (1 - total(after, "frames_over_5") / frames), ">=", 95),
        "greatest depth, mm": (max(value["max_depth"] for value in after), "<=", 10),
        "contact F1": (f1(after), ">=", 0.9),
        "clips with lower MPJPE, %": (100 * lower, ">=", 90),
        "MPJPE lower by, %": (100 * (1 - mean(after, "mpjpe") / mean(before, "mpjpe")), ">=", 15),
        "interaction error lower by, %": (closer, ">=", 40),
        "skate of planted feet, mm a frame (worst clip's mean)": (max(value["skate"] for value in after), "<=", 3),
        "deepest foot under the floor, mm": (max(value["foot_sink"] for value in after), "<=", 5),
    }  # fmt: skip
    return {
        "targets": {
            name: {"value": round(value, 3), "target": f"{sign} {limit:g}",
                   "met": bool(value >= limit if sign == ">=" else value <= limit)}
            for name, (value, sign, limit) in checks.items()
        },
        "before": {key: round(mean(before, key), 3) for key in ("mpjpe", "interaction", "max_depth", "skate", "pixels")}
        | {"f1": round(f1(before), 3),
           "frames within 5 mm, %": round(100 * (1 - total(before, "frames_over_5") / frames), 1)},
        "after": {key: round(mean(after, key), 3) for key in ("mpjpe", "interaction", "max_depth", "skate", "pixels")}
        | {"f1": round(f1(after), 3)},
        "truth": {"max_depth": round(max(row["truth_depth"] for row in rows), 2)},
        "seconds_a_frame": round(sum(row["seconds"] for row in rows) / frames, 4),
    }  # fmt: skip


def suite_pairs(per_kind: int, kinds: list[str] | None = None, seed: int = 17) -> list[tuple[str, int]]:
    """(kind, seed) of every pair of the suite; ``seed`` is the first of every kind."""
    names = list(KINDS.all_names("first")) if kinds is None else kinds
    return [(KINDS.get(name).name, 100 * repeat + seed) for repeat in range(per_kind) for name in names]
