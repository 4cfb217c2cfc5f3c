# SPDX-License-Identifier: Apache-2.0
"""Windows of recorded interactions, from annotation files in the layout in which CloseInt was published.

Files hold no translation: it is solved for anew from the true keypoints. Their shapes belong to gendered bodies, the
network's to the neutral one: shapes are carried over by least squares between the two rest bodies.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import roma
import torch
from torch import Tensor

from closeint_core.body.load import load_body
from closeint_core.body.torch_body import TorchBody
from closeint_core.camera import solve_translation
from closeint_core.denoiser.conditions import Conditions
from closeint_core.denoiser.crops import Crops
from closeint_core.denoiser.rotation6d import matrix_to_rows6d
from closeint_core.denoiser.state import PairState
from closeint_core.errors import CloseintError
from closeint_core.training.batches import Share, TrainingBatch
from closeint_core.training.logs import Say
from closeint_core.training.readers.hi4d import AnnotatedSequence, read_annotations

FPS = 30.0
"""Of Hi4D; its annotation files do not say."""
_UP = (0.0, -1.0, 0.0)  # the files do not say either: that of a level camera, for pictures alone
_FEWEST_KEYPOINTS = 4  # by which a person is placed
_AT_ONCE = 2048  # frames posed together
_NEAR = 0.1  # metres between two joints that count as a touch of their body parts


@dataclass(frozen=True)
class RecordedConfig:
    """Recorded interactions to learn from, in place of synthetic ones.

    Attributes:
        folder: the published ``data`` folder (or the repository, or its ``data/dataset``); empty for synthetic ones.
        train, test: names of the data sets, folders with ``annot/train.pkl`` and ``annot/test.pkl``.
        epochs: passes over all windows; they take the place of ``steps`` unless 0.
    """

    folder: str = ""
    train: str = "Hi4D"
    test: str = "Hi4D"
    epochs: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 0:
            raise CloseintError("recorded.epochs must not be negative.", "Use 0 to count steps.")


def published_layout(folder: Path, name: str) -> tuple[Path, Path]:
    """Where annotations and body models lie in a published folder.

    Args:
        folder: the repository, its ``data`` folder, or ``data/dataset``. name: of the data set.

    Returns:
        (root, data): the folder of the data set's folder, and the folder that has ``smpl``.

    Raises:
        CloseintError: there is no such data set (exit code 3).
    """
    for root, data in (
        (folder / "dataset", folder),
        (folder / "data" / "dataset", folder / "data"),
        (folder, folder.parent),
    ):
        if (root / name).is_dir():
            return root, folder if (folder / "smpl").is_dir() else data
    raise CloseintError(
        f"There is no data set {name} in {folder}.",
        f"Name the published data folder, with dataset/{name}/annot/train.pkl in it.",
        exit_code=3,
    )


@dataclass(frozen=True)
class _Frames:
    """What is kept of all sequences, one behind the other, N frames, two people; float32 on the CPU."""

    rotations: Tensor  # (N, 2, 24, 3, 3)
    init_pose6d: Tensor  # (N, 2, 144)
    betas: Tensor  # (N, 2, 10) of the neutral body
    translation: Tensor  # (N, 2, 3) of it
    keypoints: Tensor  # (N, 2, 26, 2)
    detected: Tensor  # (N, 2, 26, 3)
    features: Tensor  # (N, 2, 1024), or (N, 2, 0)
    center: Tensor
    side: Tensor
    image_size: Tensor
    focal: Tensor
    single: Tensor  # (N,) 1 or 0
    valid: Tensor  # (N, 2) bool


class RecordedSource:
    """Batches of one annotation file (see ``batches.BatchSource``).

    For training, windows begin at every frame; every window comes once in each pass, in an order of its own. For
    testing they follow one another as published, and come in their order, or as many as wanted spread evenly over it.

    Args:
        body: the neutral body on the device of the batches. share: which batches.
        length: T, frames of a window. most: windows at most; None for all.
        features: whether the network needs HMR2.0's.

    Raises:
        CloseintError: no such file or body model (exit code 3), or one that cannot be used.
    """

    def __init__(
        self,
        config: RecordedConfig,
        body: TorchBody,
        share: Share,
        length: int = 16,
        most: int | None = None,
        features: bool = True,
        say: Say = lambda line: None,
    ) -> None:
        self.body, self.count, self.length = body, share.count, length
        self.seed, self.rank, self.world, self.split = share.seed, share.rank, share.world, share.split
        split = share.split
        name = config.train if split == "train" else config.test
        root, data = published_layout(Path(config.folder), name)
        sequences = read_annotations(root, split, name)
        bodies = _Bodies(data, say)
        parts, starts, begin = [], [], 0
        for index, sequence in enumerate(sequences):
            if features and sequence.features is None:
                raise CloseintError(
                    f"{root / name / 'annot'}/{split}.pkl, sequence {index}: there are no features, which the "
                    "network's condition hmr2 needs.",
                    "Use denoiser.condition: keypoints, or a file with features.",
                )
            frames = _frames(sequence, bodies, features, twice=split == "train")
            if frames is None:
                continue
            found = torch.tensor(sequence.windows(length, split), dtype=torch.int64)
            # Windows in which nobody is valid teach nothing.
            there = frames.valid.any(1)[found[:, None] + torch.arange(length)].any(1)
            starts.append(begin + found[there])
            parts.append(frames)
            begin += sequence.frames
        self.starts = torch.cat(starts) if starts else torch.zeros(0, dtype=torch.int64)
        if not len(self.starts):
            raise CloseintError(f"No sequence of {name} ({split}) has {length} frames.", "Choose fewer data.frames.")
        if most is not None and len(self.starts) > most:
            self.starts = self.starts[torch.linspace(0, len(self.starts) - 1, most).round().long()]
        if split == "test":
            self.count = min(share.count, len(self))
        self._frames = _Frames(**{f.name: torch.cat([getattr(p, f.name) for p in parts]) for f in fields(_Frames)})
        self._orders: dict[int, Tensor] = {}

    def __len__(self) -> int:
        """Windows."""
        return len(self.starts)

    def steps(self, epochs: int) -> int:
        """Steps, of all processes together, that so many passes take."""
        return math.ceil(epochs * len(self) / (self.count * self.world))

    def rows(self, step: int) -> Tensor:
        """(B,) which windows a step has."""
        places = (step * self.world + self.rank) * self.count + torch.arange(self.count)
        if self.split == "test":
            return places % len(self)
        passes = places // len(self)
        rows = [self._order(int(p))[place % len(self)] for p, place in zip(passes, places, strict=True)]
        return torch.stack(rows)

    def _order(self, number: int) -> Tensor:
        """The order of a pass."""
        if number not in self._orders:
            if len(self._orders) > 2:
                self._orders.clear()
            draw = torch.Generator().manual_seed((self.seed * 1_000_003 + number) % (1 << 63))
            self._orders[number] = torch.randperm(len(self), generator=draw)
        return self._orders[number]

    def batch(self, step: int) -> TrainingBatch:
        """The windows of a step."""
        frames = self.starts[self.rows(step)][:, None] + torch.arange(self.length)
        device = self.body.template.device
        cut = _Frames(**{f.name: getattr(self._frames, f.name)[frames].to(device) for f in fields(_Frames)})
        crops = Crops(cut.center, cut.side, cut.image_size, cut.focal)
        conditions = Conditions(
            cut.init_pose6d,
            crops,
            cut.features if cut.features.shape[-1] else None,
            cut.detected,
            cut.single,
        )
        target = PairState.of_motion(cut.rotations, cut.betas, cut.translation, crops)
        joints = self.body.skeleton(cut.rotations, cut.betas, cut.translation).joints
        touching = torch.cdist(joints[:, :, 0], joints[:, :, 1]) < _NEAR
        touching &= cut.valid.all(-1)[..., None, None] & (cut.single == 0)[..., None, None]
        count = len(frames)
        return TrainingBatch(
            conditions,
            target.numbers(),
            cut.keypoints,
            target.betas.new_tensor(_UP).expand(count, 3),
            touching,
            target.betas.new_full((count,), FPS),
            cut.valid,
        )


# -- from a file's numbers to those of the neutral body ----------------------------------------------------------


class _Bodies:
    """The bodies of the genders, and how their shapes look on the neutral one."""

    def __init__(self, data: Path, say: Say) -> None:
        self._data, self._say = data, say
        self.neutral = TorchBody(load_body("smpl-neutral", data))
        self._known: dict[str, tuple[TorchBody, Tensor]] = {}

    def of(self, gender: str) -> tuple[TorchBody, Tensor]:
        """A body, and the (1 + 10, 10) matrix that takes (1, its betas) to the neutral body's.

        That one's rest vertices then come nearest, wherever the two bodies' origins are.
        """
        if gender not in self._known:
            body = self.neutral
            if gender != "neutral":
                try:
                    body = TorchBody(load_body(f"smpl-{gender}", self._data))
                except CloseintError as error:
                    if error.exit_code != 3:
                        raise
                    self._say(f"There is no {gender} body in {self._data}: shapes count as the neutral body's.")
            self._known[gender] = body, _carried_over(body, self.neutral)
        return self._known[gender]


def _carried_over(body: TorchBody, neutral: TorchBody) -> Tensor:
    if body is neutral:
        return torch.cat([torch.zeros(1, body.num_betas), torch.eye(body.num_betas)])[:, :10]
    if body.template.shape != neutral.template.shape:
        raise CloseintError("The gendered and the neutral body have different meshes.", "Get all three from one place.")

    def centred(vertices: Tensor) -> Tensor:
        return (vertices - vertices.mean(0, keepdim=True)).flatten(0, 1)

    wanted = torch.cat(
        [centred(body.template[..., None] - neutral.template[..., None]), centred(body.shapedirs)], dim=-1
    )
    result: Tensor = torch.linalg.lstsq(centred(neutral.shapedirs).double(), wanted.double()).solution.float().T
    return result


def _frames(sequence: AnnotatedSequence, bodies: _Bodies, features: bool, twice: bool) -> _Frames | None:
    """One sequence; None if it has nobody.

    A single person is there twice, the second time backwards in time; that one is valid only if ``twice``.
    """
    people = sequence.poses.shape[1]
    initial = sequence.poses if sequence.initial_poses is None else sequence.initial_poses
    given: dict[str, np.ndarray] = {
        "rotations": sequence.poses,
        "init_pose6d": initial,
        "betas": sequence.betas,
        "keypoints": sequence.keypoints2d,
        "detected": sequence.keypoints2d if sequence.keypoints2d_detected is None else sequence.keypoints2d_detected,
        "center": sequence.centre,
        "side": 200.0 * sequence.patch_scale,
        "image_size": np.broadcast_to(sequence.image_size[:, None], (sequence.frames, people, 2)),
        "focal": np.broadcast_to(sequence.focal[:, None], (sequence.frames, people)),
    }
    if features and sequence.features is not None:
        given["features"] = sequence.features
    valid = torch.tensor(sequence.valid & (given["side"] > 0) & (given["focal"] > 0))
    parts: dict[str, Tensor] = {}
    for name, array in given.items():
        values = torch.tensor(np.ascontiguousarray(array))
        if name != "detected":
            valid &= torch.isfinite(values).flatten(2).all(-1) if values.ndim > 2 else torch.isfinite(values)
        parts[name] = values
    everyone = [_person({k: v[:, p] for k, v in parts.items()}, valid[:, p], sequence.genders[p], bodies)
                for p in range(people)]  # fmt: skip
    there = [person for person in everyone if person is not None]
    if not there:
        return None
    if len(there) == 1:
        there.append({name: values.flip(0) for name, values in there[0].items()})
    both = {name: torch.stack([person[name] for person in there], 1) for name in there[0]}
    seen = both["valid"].clone()
    if sum(person is not None for person in everyone) == 1:
        single = torch.ones(sequence.frames)
        seen[:, 1] &= twice
    else:
        single = (~seen.all(1)).float()
    both.setdefault("features", both["focal"].new_zeros(*both["focal"].shape, 0))
    return _Frames(**{**both, "single": single, "valid": seen})


def _person(given: dict[str, Tensor], valid: Tensor, gender: str, bodies: _Bodies) -> dict[str, Tensor] | None:
    """One person over F frames, as in ``_Frames`` with valid (F,); what is not valid is as in the nearest frame that
    is. None if none is."""
    if not valid.any():
        return None
    nearest = _nearest(valid)
    given = {name: values[nearest] for name, values in given.items()}
    body, carry = bodies.of(gender)
    rotations = roma.rotvec_to_rotmat(given["rotations"])
    betas, halpe = given["betas"], body.points("halpe")
    nowhere = betas.new_zeros(3)
    pieces = [
        halpe(body.skeleton(some, shapes, nowhere), shapes)
        for some, shapes in zip(rotations.split(_AT_ONCE), betas.split(_AT_ONCE), strict=True)
    ]
    points = torch.cat(pieces)
    crops = Crops(given["center"], given["side"], given["image_size"], given["focal"])
    translation, placed = place_people(points, given["keypoints"], crops)
    valid = valid & placed
    if not valid.any():
        return None
    pixels = crops.project(points + translation[:, None])
    said = given["keypoints"]
    neutral_betas = torch.cat([torch.ones_like(betas[:, :1]), betas], dim=-1) @ carry
    moved = body.rest_joints(betas)[:, 0] - bodies.neutral.rest_joints(neutral_betas)[:, 0]
    made = {
        **given,
        "rotations": rotations,
        "init_pose6d": matrix_to_rows6d(roma.rotvec_to_rotmat(given["init_pose6d"])).flatten(start_dim=-2),
        "betas": neutral_betas,
        "translation": translation + moved,
        "keypoints": torch.where(said[..., 2:] > 0, said[..., :2], pixels),
    }
    nearest = _nearest(valid)
    return {name: values[nearest] for name, values in made.items()} | {"valid": valid}


def _nearest(valid: Tensor) -> Tensor:
    """(F,) the index of the nearest frame that is valid (F,); there is one."""
    found = valid.nonzero()[:, 0]
    apart = (torch.arange(len(valid))[:, None] - found).abs()
    return found[apart.argmin(1)]


def place_people(points: Tensor, keypoints: Tensor, crops: Crops) -> tuple[Tensor, Tensor]:
    """Where people stand, by least squares over their keypoints, weighted by confidence; linear, as published.

    Args:
        points: (N, K, 3) metres, of people at the origin, camera axes. keypoints: (N, K, 3) pixels and confidence.
        crops: (N,), of which the focal length and the size of the image are used.

    Returns:
        Translations (N, 3), metres, and (N,) whether there is enough to tell them by; 0 where not.
    """
    # In units of the focal length, every frame has the same camera. In double precision: depths are ill-conditioned.
    rays = ((keypoints[..., :2] - crops.image_size[:, None] / 2) / crops.focal[:, None, None]).double()
    weights = keypoints[..., 2].double().nan_to_num().clamp(min=0) * torch.isfinite(rays).all(-1)
    solved = solve_translation(points.double(), rays.nan_to_num(), weights, torch.eye(3, dtype=torch.float64))
    depth = points[..., 2].mean(1) + solved[:, 2]
    usable = ((weights > 0).sum(1) >= _FEWEST_KEYPOINTS) & torch.isfinite(solved).all(1) & (depth > 0)
    return torch.where(usable[:, None], solved, 0.0).float(), usable
