# SPDX-License-Identifier: Apache-2.0
"""The published network's stored outputs, reproduced.

The fixtures are in ``reference_fixtures`` beside this file; those of other names in ../shared/reference, seen from the
repository, are read as well. CLOSEINT_REFERENCE_DIR names another folder, which then counts alone. Weights are rebuilt
from names, shapes and the seed in the file.
"""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from closeint_core.denoiser.checkpoint import denoiser_from_state_dict
from closeint_core.denoiser.conditions import Conditions
from closeint_core.denoiser.crops import Crops
from closeint_core.denoiser.hmr2 import hmr2_from_state_dict
from closeint_core.denoiser.sampler import Sampler
from closeint_core.metrics.reference_protocol import interaction_errors, person_errors

HERE = Path(__file__).resolve().parent
GIVEN = os.environ.get("CLOSEINT_REFERENCE_DIR")
FOLDERS = [Path(GIVEN)] if GIVEN else [HERE / "reference_fixtures", HERE.parents[1] / "shared" / "reference"]
TOLERANCE = 1e-4
METRIC_TOLERANCE = 1e-3  # mm

Arrays = dict[str, np.ndarray]


def fixtures(pattern: str) -> list[object]:
    """Parameters: the fixtures that match, or one that is skipped with a reason."""
    found: dict[str, Path] = {}
    for folder in FOLDERS:
        for path in sorted(folder.glob(pattern)):
            found.setdefault(path.name, path)
    if found:
        return [pytest.param(path, id=path.stem) for path in found.values()]
    reason = f"no fixture {pattern} in {FOLDERS[0]}"
    return [pytest.param(None, marks=pytest.mark.skip(reason=reason), id="none")]


def read(path: Path) -> Arrays:
    with np.load(path, allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}


def stand_in_weights(path: Path, seed: int) -> dict[str, torch.Tensor]:
    """The weights that the fixture was made with; ``weights.py`` lies beside it."""
    shapes = json.loads(path.with_name(path.stem.rsplit("_seed", 1)[0] + "_shapes.json").read_text())
    spec = importlib.util.spec_from_file_location("stand_in_weights", path.with_name("weights.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {name: torch.from_numpy(array) for name, array in module.make(shapes, seed).items()}


def worst(ours: torch.Tensor, stored: np.ndarray) -> float:
    assert ours.numel() == stored.size
    return float(np.abs(ours.numpy().reshape(stored.shape) - stored).max())


def denoiser_differences(path: Path, data: Arrays) -> dict[str, float]:
    """Largest absolute difference of each output from the stored one."""
    windows, frames, people, _ = data["noise"].shape
    lead = (windows, frames, people)

    def given(name: str, *shape: int) -> torch.Tensor:
        return torch.from_numpy(data[f"in_{name}"].astype(np.float32)).reshape(*lead, *shape)

    crops = Crops(
        given("center", 2),
        200.0 * given("scale"),
        torch.stack([given("img_w"), given("img_h")], dim=-1),
        given("focal_length"),
    )
    keypoints = given("pred_keypoints", 26, 3).clone()  # stored as the network sees them
    keypoints[..., :2] = keypoints[..., :2] * 256.0 + crops.center[..., None, :]
    conditions = Conditions(
        given("init_pose_6d", 144),
        crops,
        given("features", 1024),
        keypoints,
        torch.from_numpy(data["in_single_person"].reshape(windows, frames)),
    )
    model = denoiser_from_state_dict(stand_in_weights(path, int(data["seed"])), path)
    sampler = Sampler(model, steps=len(data["timestep_map"]))
    assert sorted(data["timestep_map"].tolist()) == sampler.schedule.timesteps.tolist()
    state = sampler.sample(conditions, torch.from_numpy(data["noise"]))
    return {
        "pose6d": worst(state.pose6d, data["out_pred_pose6d"]),
        "shape": worst(state.betas, data["out_pred_shape"]),
        "crop camera": worst(state.crop_camera, data["out_pred_cam"]),
        "rotations": worst(state.rotations(), data["out_pred_rotmat"]),
        # A crop camera's scale near 0 makes the depth ill-conditioned; over the depth, everything is linear in it.
        "translation": worst(
            _over_depth(state.translation(crops)), _over_depth(torch.from_numpy(data["out_pred_cam_t"])).numpy()
        ),
    }


def _over_depth(translation: torch.Tensor) -> torch.Tensor:
    """(x / z, y / z, 1 / z)."""
    return torch.cat([translation[..., :2], torch.ones_like(translation[..., 2:])], -1) / translation[..., 2:]


def hmr2_differences(path: Path, data: Arrays) -> dict[str, float]:
    weights = stand_in_weights(path, int(data["seed"]))
    model = hmr2_from_state_dict(weights, path, heads=4, decoder_heads=2)
    with torch.no_grad():
        out = model(torch.from_numpy(data["in_img"]).float())
    return {
        "orientation": worst(out.rotations[:, :1], data["out_global_orient"]),
        "pose": worst(out.rotations[:, 1:], data["out_body_pose"]),
        "betas": worst(out.betas, data["out_betas"]),
        "camera": worst(out.camera, data["out_cam"]),
        "feature": worst(out.feature, data["out_feature"]),
    }


def metric_differences(path: Path, data: Arrays) -> dict[str, float]:
    found: dict[str, float] = {}

    def compare(name: str, ours: np.ndarray) -> None:
        stored = data[f"out_{name}"]
        assert ours.shape == stored.shape
        found[name] = float(np.abs(ours - stored).max())

    regressor = data["lsp_regressor"]
    for person in range(len(data["valid"])):
        ours = person_errors(data["pred_verts"][person], data["gt_verts"][person], regressor, data["valid"][person])
        for name, values in (
            ("abs", ours.absolute),
            ("mpjpe", ours.mpjpe),
            ("pa_mpjpe", ours.pa_mpjpe),
            ("accel", ours.acceleration),
            ("mpvpe", ours.mpvpe),
        ):
            compare(f"{name}_{person}", values)
    compare("interaction", interaction_errors(data["pred_verts"], data["gt_verts"], regressor, data["valid"]))
    return found


KINDS: dict[str, tuple[Callable[[Path, Arrays], dict[str, float]], float]] = {
    "denoiser_*_seed*.npz": (denoiser_differences, TOLERANCE),
    "hmr2_tiny_seed*.npz": (hmr2_differences, TOLERANCE),
    "metrics_seed*.npz": (metric_differences, METRIC_TOLERANCE),
}


def check(path: Path, data: Arrays, pattern: str) -> None:
    compare, tolerance = KINDS[pattern]
    differences = compare(path, data)
    print(path.name, {name: f"{value:.1e}" for name, value in differences.items()})
    wrong = {name: value for name, value in differences.items() if not value <= tolerance}
    assert not wrong, f"{path.name} differs by more than {tolerance}: {wrong}"


ALL = [
    pytest.param(*found.values, pattern, id=found.id, marks=found.marks)
    for pattern in KINDS
    for found in fixtures(pattern)
]


@pytest.mark.parametrize(("path", "pattern"), ALL)
def test_fixture(path: Path, pattern: str) -> None:
    check(path, read(path), pattern)


@pytest.mark.parametrize(("path", "pattern"), ALL)
def test_a_corrupted_fixture_fails(path: Path, pattern: str) -> None:
    """One number of any stored output, or of what went in, changed a little: the comparison notices."""
    data = read(path)
    outputs = [key for key in data if key.startswith("out_")]
    rng = np.random.default_rng(0)
    for key in outputs:
        changed = data | {key: data[key].copy()}
        changed[key].flat[rng.integers(changed[key].size)] *= 1.01
        changed[key].flat[rng.integers(changed[key].size)] += 5e-3 if key != "out_pred_cam_t" else 10.0
        with pytest.raises(AssertionError):
            check(path, changed, pattern)
    name = {"denoiser": "in_features", "hmr2": "in_img", "metrics": "pred_verts"}[pattern.split("_")[0]]
    changed = data | {name: data[name][..., ::-1].copy()}
    with pytest.raises(AssertionError):
        check(path, changed, pattern)
    with pytest.raises(AssertionError):
        check(path, data | {"seed": np.int64(1)} if "seed" in data else data | {"valid": 1 - data["valid"]}, pattern)


def _loops(seed: int) -> Arrays:
    """A metrics fixture of another seed, its values computed one number at a time."""
    rng = np.random.default_rng(seed)
    frames, vertices = 7, 40
    truth = rng.normal(size=(2, frames, vertices, 3))
    data: Arrays = {
        "gt_verts": truth.astype(np.float32),
        "pred_verts": (truth + 0.05 * rng.normal(size=truth.shape)).astype(np.float32),
        "lsp_regressor": rng.dirichlet(np.ones(vertices), 14).astype(np.float32),
        "valid": (rng.random((2, frames)) < 0.7).astype(np.float32),
    }
    joints = {
        name: np.einsum("kv,ptvi->ptki", data["lsp_regressor"], data[f"{name}_verts"]).astype(np.float64)
        for name in ("pred", "gt")
    }
    hips = {name: (points[:, :, 2] + points[:, :, 3]) / 2 for name, points in joints.items()}

    def gap(a: np.ndarray, b: np.ndarray) -> float:
        return 1000 * float(np.mean([np.sqrt(np.sum((x - y) ** 2)) for x, y in zip(a, b, strict=True)]))

    for person in (0, 1):
        rows: dict[str, list[float]] = {name: [] for name in ("abs", "mpjpe", "pa_mpjpe", "accel", "mpvpe")}
        for t in range(frames):
            ours, true = joints["pred"][person, t], joints["gt"][person, t]
            counts = float(data["valid"][person, t])
            mine, theirs = hips["pred"][person, t], hips["gt"][person, t]
            rows["abs"].append(counts * gap(ours, true))
            rows["mpjpe"].append(counts * gap(ours - mine, true - theirs))
            # A similarity alignment through quaternions (Horn 1987), not through a singular value decomposition.
            rows["pa_mpjpe"].append(counts * gap(_horn(ours, true), true))
            second = 0.0
            if 0 < t < frames - 1:
                moved = [
                    sum(
                        weight * (joints[name][person, t + step] - hips[name][person, t + step])
                        for step, weight in ((-1, 1), (0, -2), (1, 1))
                    )
                    for name in ("pred", "gt")
                ]
                second = counts * gap(moved[0], moved[1])
            rows["accel"].append(second)
            rows["mpvpe"].append(
                gap(data["pred_verts"][person, t] - mine, data["gt_verts"][person, t].astype(np.float64) - theirs)
            )
        data |= {f"out_{name}_{person}": np.array(values) for name, values in rows.items()}
    between = []
    for t in np.flatnonzero(data["valid"].all(axis=0)):
        pairs = [
            abs(float(np.linalg.norm(p[0, t, i] - p[1, t, j])) - float(np.linalg.norm(g[0, t, i] - g[1, t, j])))
            for p, g in [(joints["pred"], joints["gt"])]
            for i in range(14)
            for j in range(14)
        ]
        between.append(1000 * float(np.mean(pairs)))
    return {**data, "out_interaction": np.array(between)}


def _horn(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    p, t = points - points.mean(0), target - target.mean(0)
    s = p.T @ t
    d = np.array([s[1, 2] - s[2, 1], s[2, 0] - s[0, 2], s[0, 1] - s[1, 0]])
    matrix = np.block([[np.array([[np.trace(s)]]), d[None]], [d[:, None], s + s.T - np.trace(s) * np.eye(3)]])
    w, x, y, z = np.linalg.eigh(matrix)[1][:, -1]
    rotation = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
    turned = p @ rotation.T
    return (turned * t).sum() / (p**2).sum() * turned + target.mean(0)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_metrics_of_other_seeds(seed: int, tmp_path: Path) -> None:
    """Any seed's fixture is met, and any change of it is noticed, through the file as well."""
    path = tmp_path / f"metrics_seed{seed}.npz"
    np.savez(path, **_loops(seed))
    test_fixture(path, "metrics_seed*.npz")
    test_a_corrupted_fixture_fails(path, "metrics_seed*.npz")


@pytest.mark.parametrize("path", fixtures("metrics_seed*.npz"))
def test_the_protocol_of_the_command_has_the_stored_means(path: Path) -> None:
    """``closeint eval --protocol reference`` averages exactly what the fixture holds."""
    from closeint_core.evaluation.annotated import Meshes, window_values

    data = read(path)
    regressor = data["lsp_regressor"].astype(np.float64)
    guess, truth = (
        Meshes(data[name], regressor @ data[name], regressor @ data[name]) for name in ("pred_verts", "gt_verts")
    )
    outside = np.array([[0, 0, 0]])  # no surface: the fixture has no penetration
    found = window_values(guess, truth, data["valid"] > 0.5, outside, "reference")
    for metric, stored in (
        ("mpjpe", "mpjpe"), ("pa_mpjpe", "pa_mpjpe"), ("mpvpe", "mpvpe"), ("acceleration", "accel"),
    ):  # fmt: skip
        both = np.concatenate([data[f"out_{stored}_{person}"] for person in (0, 1)])
        assert found[metric].mean() == pytest.approx(both.mean(), abs=METRIC_TOLERANCE)
    assert found["interaction"].mean() == pytest.approx(data["out_interaction"].mean(), abs=METRIC_TOLERANCE)
