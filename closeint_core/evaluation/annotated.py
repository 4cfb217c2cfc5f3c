# SPDX-License-Identifier: Apache-2.0
"""``closeint eval``: a checkpoint on annotated interactions, in the windows and by the metrics of the papers.

Two protocols. ``default`` averages what is valid and nothing else. ``reference`` has the published quirks, so that
numbers compare with the papers' (see ``reference_protocol``): a sequence's windows are joined before the acceleration
is taken, and a single person is scored together with the time-reversed copy that the network sees as the partner.
Depths (A-PD) are exact distances in both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import roma
import torch
from torch import Tensor

import closeint_core
from closeint_core.body.data import BodyData
from closeint_core.body.load import load_body
from closeint_core.body.torch_body import TorchBody
from closeint_core.camera import solve_translation
from closeint_core.denoiser.checkpoint import load_denoiser
from closeint_core.denoiser.conditions import Conditions
from closeint_core.denoiser.crops import Crops
from closeint_core.denoiser.ddim import window_noise
from closeint_core.denoiser.network import Denoiser
from closeint_core.denoiser.rotation6d import matrix_to_rows6d
from closeint_core.denoiser.sampler import Sampler
from closeint_core.denoiser.state import STATE
from closeint_core.errors import CloseintError
from closeint_core.evaluation.annotation_repair import fill_unusable
from closeint_core.halpe import HALPE_TO_LSP
from closeint_core.mesh.penetration import measure_penetration
from closeint_core.metrics.reference_protocol import (
    LSP_HIPS,
    joint_accelerations,
    joint_errors,
    joint_interaction_errors,
    vertex_errors,
)
from closeint_core.progress import Progress
from closeint_core.training.readers import AnnotatedSequence, read_annotations

PROTOCOLS = ("default", "reference")
WINDOW = 16
STEPS = 5
METRICS = {
    "mpjpe": "MPJPE",
    "pa_mpjpe": "PA-MPJPE",
    "mpvpe": "MPVPE",
    "acceleration": "Accel",
    "interaction": "Interaction",
    "a_pd": "A-PD",
}
"""Every metric's key and heading; mm, the acceleration mm/frame^2."""
_WINDOWS_AT_ONCE = 16


@dataclass(frozen=True)
class EvalOptions:
    """What is evaluated.

    Attributes:
        data: the published repository's ``data`` folder, or the folder that holds the data set's own.
        checkpoint: of a denoiser, published or our own. protocol: of ``PROTOCOLS``.
        name: of the data set. body: the body that the checkpoint speaks of; None is SMPL's neutral one.
        device: ``auto``, ``cpu`` or ``cuda``. seed: of the diffusion's noise.
    """

    data: Path
    checkpoint: Path
    protocol: str = "default"
    name: str = "Hi4D"
    body: str | None = None
    device: str = "auto"
    seed: int = 0


@dataclass
class Meshes:
    """What the metrics need of P people in T frames, metres, camera axes.

    Attributes:
        vertices: (P, T, V, 3). joints: (P, T, 14, 3) LSP joints out of the Halpe keypoints. lsp: (P, T, 14, 3) of the
            LSP regressor.
    """

    vertices: np.ndarray
    joints: np.ndarray
    lsp: np.ndarray


@dataclass
class WindowResult:
    """One test window.

    Attributes:
        sequence, start: which. image: path of its middle frame relative to the data set's folder.
        focal, image_size: of its middle frame. people: 1 or 2, as annotated. scored: of how many people there are
            errors; 2 for a single person whose reversed copy counts as well.
        values: of every metric, the numbers that are averaged: one a person-frame or, for pairs, a frame.
        predicted, truth: the meshes of the middle frame, (P, V, 3) each.
        joints: predicted and true LSP joints (2, scored, T, 14, 3). valid: bool (scored, T).
    """

    sequence: int
    start: int
    image: str
    focal: float
    image_size: tuple[int, int]
    people: int
    scored: int
    values: dict[str, np.ndarray]
    predicted: np.ndarray
    truth: np.ndarray
    joints: np.ndarray
    valid: np.ndarray

    def mean(self, metric: str) -> float | None:
        """Mean of a metric over the window, None where it says nothing."""
        return _mean([self])[metric]


@dataclass
class Evaluation:
    """Everything a report needs.

    Attributes:
        summary: JSON types. windows: by sequence and start. bodies: of the prediction; of the truth by gender.
        root: the data set's folder.
    """

    summary: dict[str, Any]
    windows: list[WindowResult]
    body: BodyData
    true_bodies: dict[str, BodyData]
    root: Path
    genders: list[tuple[str, ...]] = field(default_factory=list)


def evaluate(options: EvalOptions, progress: Progress | None = None) -> Evaluation:
    """Run a denoiser over every test window and measure it.

    Raises:
        CloseintError: files are missing (exit code 3), unusable, or do not belong together.
        Cancelled: the progress object asked to stop.
    """
    progress = progress or Progress()
    if options.protocol not in PROTOCOLS:
        raise CloseintError(f"There is no protocol {options.protocol!r}.", f"Choose {' or '.join(PROTOCOLS)}.")
    model = load_denoiser(options.checkpoint)
    root = data_root(options.data, options.name)
    sequences = read_annotations(root, "test", options.name)
    windows = test_windows(sequences)
    if not windows:
        raise CloseintError(
            f"No test sequence of {root / options.name} is longer than {WINDOW} frames.", "Check the annotation file."
        )
    check_inputs(model, sequences, progress)
    sequences = fill_unusable(sequences, progress)
    body = load_body(options.body or "smpl-neutral", options.data)
    genders = sorted({gender for sequence in sequences for gender in sequence.genders})
    bodies = {gender: load_body(f"smpl-{gender}", options.data) for gender in genders}
    if body.num_vertices != next(iter(bodies.values())).num_vertices:
        progress.warn("The checkpoint's body has another mesh than the truth: there is no vertex error.")
    device = "cuda" if options.device != "cpu" and torch.cuda.is_available() else "cpu"
    results = list(_run(model.to(device), sequences, windows, body, bodies, options, progress))
    if options.protocol == "reference":
        join_accelerations(results)
    return Evaluation(
        _summary(options, model, sequences, results, list(progress.warnings)),
        results,
        body,
        bodies,
        root / options.name,
        [sequence.genders for sequence in sequences],
    )


def data_root(folder: Path, name: str) -> Path:
    """The folder that holds the data set's: ``folder``/dataset as published, or ``folder`` itself."""
    return next((root for root in (folder / "dataset", folder) if (root / name / "annot").is_dir()), folder)


def test_windows(sequences: Sequence[AnnotatedSequence]) -> list[tuple[int, int]]:
    """(sequence, first frame) of every test window: every 16th frame, what is left at the end dropped."""
    return [(index, start) for index, one in enumerate(sequences) for start in one.windows(WINDOW, "test")]


test_windows.__test__ = False  # type: ignore[attr-defined]  # not a test, whatever pytest thinks of its name


def check_inputs(model: Denoiser, sequences: Sequence[AnnotatedSequence], progress: Progress) -> None:
    """Raises CloseintError where the annotations lack what the network reads; warns of what can be left out."""
    if any(sequence.initial_poses is None for sequence in sequences):
        raise CloseintError("The annotations lack init_poses, which the network corrects.", "Get the complete files.")
    if model.config.condition == "hmr2" and any(sequence.features is None for sequence in sequences):
        raise CloseintError("The annotations lack features, which the network reads.", "Get the complete files.")
    reads_keypoints = model.config.keypoints or model.config.condition == "keypoints"
    if reads_keypoints and any(sequence.keypoints2d_detected is None for sequence in sequences):
        raise CloseintError("The annotations lack pose2ds_pred, which the network reads.", "Get the complete files.")
    if model.config.penetration:
        progress.warn("The network's penetration input is off, as in the published demo.")


def window_conditions(sequences: Sequence[AnnotatedSequence], windows: Sequence[tuple[int, int]]) -> Conditions:
    """Conditions of some windows. A single person is doubled, the copy reversed in time, and flagged."""
    parts: dict[str, list[Tensor]] = {}
    for index, start in windows:
        one = sequences[index]
        part = slice(start, start + WINDOW)
        single = one.poses.shape[1] == 1

        def pair(values: np.ndarray, part: slice = part, single: bool = single) -> Tensor:
            chosen = torch.tensor(values[part])  # a copy: what comes out of a pickle may be read-only
            return torch.cat([chosen, chosen.flip(0)], 1) if single else chosen

        people = one.poses.shape[1]
        assert one.initial_poses is not None
        found = {
            "init": matrix_to_rows6d(roma.rotvec_to_rotmat(pair(one.initial_poses))).flatten(-2),
            "center": pair(one.centre),
            "side": 200.0 * pair(one.patch_scale),
            "size": pair(np.repeat(one.image_size[:, None], people, 1)),
            "focal": pair(np.repeat(one.focal[:, None], people, 1)),
            "single": torch.full((WINDOW,), float(single)),
        }
        if one.features is not None:
            found["features"] = pair(one.features)
        if one.keypoints2d_detected is not None:
            found["keypoints"] = pair(one.keypoints2d_detected)
        for name, value in found.items():
            parts.setdefault(name, []).append(value)
    whole = {name: torch.stack(values).float() for name, values in parts.items() if len(values) == len(windows)}
    crops = Crops(whole["center"], whole["side"], whole["size"], whole["focal"])
    single = whole["single"] if bool(whole["single"].any()) else None
    return Conditions(whole["init"], crops, whole.get("features"), whole.get("keypoints"), single)


def true_translation(body: TorchBody, sequence: AnnotatedSequence, person: int, part: slice) -> Tensor:
    """(t, 3) translations of one person, which annotations lack: those that bring the Halpe joints onto their pixels.

    By least squares, every person-frame for itself, weighted with the keypoints' confidence.
    """
    rotations = roma.rotvec_to_rotmat(torch.tensor(sequence.poses[part, person]))
    betas = torch.tensor(sequence.betas[part, person])
    skeleton = body.skeleton(rotations, betas, torch.zeros(len(betas), 3))
    points = body.points("halpe")(skeleton, betas)
    keypoints = torch.tensor(sequence.keypoints2d[part, person])
    middle = torch.tensor(sequence.image_size[part, None] / 2)
    # In units of the focal length, every frame has the same camera.
    rays = (keypoints[..., :2] - middle) / torch.tensor(sequence.focal[part, None, None])
    seen = torch.isfinite(keypoints).all(-1)
    weights = torch.where(seen, keypoints[..., 2].nan_to_num().clamp(min=0), torch.zeros(()))
    return solve_translation(points, rays.nan_to_num(), weights, torch.eye(3))


def posed_meshes(body: TorchBody, rotations: Tensor, betas: Tensor, translation: Tensor) -> Meshes:
    """Meshes of rotations (P, T, 24, 3, 3), betas (P, T, B) and translations (P, T, 3)."""
    with torch.no_grad():
        vertices = torch.stack([body(*one).vertices for one in zip(rotations, betas, translation, strict=True)]).numpy()
    halpe = body.data.halpe_regressor[HALPE_TO_LSP]
    return Meshes(vertices, halpe @ vertices, body.data.lsp_regressor @ vertices)


def window_values(
    predicted: Meshes, truth: Meshes, valid: np.ndarray, faces: np.ndarray, protocol: str
) -> dict[str, np.ndarray]:
    """The numbers whose mean each metric is.

    Args:
        valid: bool (P, T). faces: (F, 3) of the prediction. protocol: which of them count, see the module.
    """
    reference = protocol == "reference"
    valid = np.asarray(valid, bool)
    counted = valid.astype(float) if reference else np.ones(valid.shape)
    found: dict[str, list[np.ndarray]] = {name: [] for name in METRICS}
    for person, mask in enumerate(valid):
        mpvpe = np.zeros(0)
        if predicted.vertices.shape == truth.vertices.shape:
            hips = (mesh.lsp[person][:, LSP_HIPS].astype(np.float64) for mesh in (predicted, truth))
            mpvpe = vertex_errors(predicted.vertices[person], truth.vertices[person], *hips)
        errors = joint_errors(predicted.joints[person], truth.joints[person], counted[person], mpvpe)
        keep = np.ones_like(mask) if reference else mask
        # A second difference is known where three frames in a row are.
        middle = keep.copy()
        if not reference:
            middle[1:-1] &= mask[:-2] & mask[2:]
            middle[[0, -1]] = False
        found["mpjpe"].append(errors.mpjpe[keep])
        found["pa_mpjpe"].append(errors.pa_mpjpe[keep])
        found["acceleration"].append(errors.acceleration[middle])
        found["mpvpe"].append(errors.mpvpe[keep] if len(mpvpe) else mpvpe)
    if len(valid) == 2:
        found["interaction"].append(joint_interaction_errors(predicted.lsp, truth.lsp, valid))
        # The published depths are of the prediction alone, in frames that are not valid as well.
        both = np.ones(valid.shape[1], bool) if reference else valid.all(axis=0)
        found["a_pd"].append(1000 * measure_penetration(predicted.vertices[:, both], faces).mean_depth)
    return {name: np.concatenate(values) if values else np.zeros(0) for name, values in found.items()}


def _run(
    model: Denoiser,
    sequences: Sequence[AnnotatedSequence],
    windows: Sequence[tuple[int, int]],
    body_data: BodyData,
    true_data: dict[str, BodyData],
    options: EvalOptions,
    progress: Progress,
) -> Iterator[WindowResult]:
    body = TorchBody(body_data)
    true_bodies = {gender: TorchBody(data) for gender, data in true_data.items()}
    sampler = Sampler(model, STEPS)
    noise = window_noise(len(windows), WINDOW, STATE, options.seed)
    for first in range(0, len(windows), _WINDOWS_AT_ONCE):
        chosen = windows[first : first + _WINDOWS_AT_ONCE]
        conditions = window_conditions(sequences, chosen)
        state = sampler.sample(conditions, noise[first : first + len(chosen)])
        rotations, betas = state.rotations().cpu(), state.betas.cpu()
        translation = state.translation(conditions.crops.to(state.betas.device)).cpu()
        for row, (index, start) in enumerate(chosen):
            one = sequences[index]
            people = one.poses.shape[1]
            scored = 2 if options.protocol == "reference" else people
            part = slice(start, start + WINDOW)
            predicted = posed_meshes(body, *(x[row].transpose(0, 1)[:scored] for x in (rotations, betas, translation)))
            truth, valid = true_meshes(true_bodies, one, part), one.valid[part].T
            if scored > people:
                truth, valid = _with_copy(truth), np.concatenate([valid, valid[:, ::-1]])
            middle = start + WINDOW // 2
            yield WindowResult(
                index,
                start,
                one.image_names[middle],
                float(one.focal[middle]),
                (int(one.image_size[middle, 0]), int(one.image_size[middle, 1])),
                people,
                scored,
                window_values(predicted, truth, valid, body_data.faces, options.protocol),
                predicted.vertices[:people, WINDOW // 2].copy(),
                truth.vertices[:people, WINDOW // 2].copy(),
                np.stack([predicted.joints, truth.joints]),
                valid,
            )
            progress.update("evaluating", first + row + 1, len(windows))


def _with_copy(meshes: Meshes) -> Meshes:
    """A single person's meshes and, as a second person's, the same backwards in time."""
    one = (meshes.vertices, meshes.joints, meshes.lsp)
    return Meshes(*(np.concatenate([values, values[:, ::-1]]) for values in one))


def join_accelerations(results: Sequence[WindowResult]) -> None:
    """Take the published acceleration of all windows: those of a sequence are joined in order, and only the first and
    the last frame of the sequence count as 0. Writes ``values["acceleration"]`` of each window.
    """
    for sequence in sorted({result.sequence for result in results}):
        parts = sorted((result for result in results if result.sequence == sequence), key=lambda result: result.start)
        joints = np.concatenate([part.joints for part in parts], axis=2)
        valid = np.concatenate([part.valid for part in parts], axis=1)
        errors = np.stack([joint_accelerations(*person) for person in zip(*joints, valid, strict=True)])
        first = 0
        for part in parts:
            frames = part.valid.shape[1]
            part.values["acceleration"] = errors[:, first : first + frames].reshape(-1)
            first += frames


def true_meshes(bodies: dict[str, TorchBody], sequence: AnnotatedSequence, part: slice) -> Meshes:
    """The annotated people of some frames, each on the body of the own gender."""
    people = []
    for person, gender in enumerate(sequence.genders):
        body = bodies[gender]
        rotations = roma.rotvec_to_rotmat(torch.tensor(sequence.poses[part, person]))[None]
        betas = torch.tensor(sequence.betas[part, person])[None]
        people.append(posed_meshes(body, rotations, betas, true_translation(body, sequence, person, part)[None]))
    return Meshes(*(np.concatenate([getattr(p, name) for p in people]) for name in ("vertices", "joints", "lsp")))


def _summary(
    options: EvalOptions,
    model: Denoiser,
    sequences: Sequence[AnnotatedSequence],
    results: Sequence[WindowResult],
    warnings: list[str],
) -> dict[str, Any]:
    digest = hashlib.sha256(options.checkpoint.read_bytes()).hexdigest()
    return {
        "closeint": closeint_core.__version__,
        "protocol": options.protocol,
        "data": options.name,
        "checkpoint": {"file": options.checkpoint.name, "sha256": digest, "condition": model.config.condition},
        "body": options.body or "smpl-neutral",
        "seed": options.seed,
        "sequences": len(sequences),
        "windows": len(results),
        "person_frames": int(sum(WINDOW * result.scored for result in results)),
        "metrics": _mean(results),
        "by_sequence": {
            str(index): _mean([result for result in results if result.sequence == index])
            for index in sorted({result.sequence for result in results})
        },
        "warnings": warnings,
    }


def _mean(results: Sequence[WindowResult]) -> dict[str, float | None]:
    """Plain means over everything that counts in some windows."""

    def mean(metric: str) -> float | None:
        values = np.concatenate([result.values[metric] for result in results])
        return round(float(values.mean()), 4) if len(values) else None

    return {metric: mean(metric) for metric in METRICS}


def worst_windows(results: Sequence[WindowResult], count: int, metric: str = "mpjpe") -> list[WindowResult]:
    """The windows in which a metric is largest, worst first."""
    known = [(value, result) for result in results if (value := result.mean(metric)) is not None]
    return [result for _, result in sorted(known, key=lambda pair: -pair[0])[:count]]
