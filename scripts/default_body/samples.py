# SPDX-License-Identifier: Apache-2.0
"""Draw adult bodies from anny: rest meshes, bone heads, skinning weights, texture coordinates.

The only module that needs anny. Everything leaves in the body's frame: Y up, facing +Z, left is +X.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Local changes that real people of one height and weight differ by, with the standard deviation drawn
# (anny's unit is the artist's full slider). Without them limb proportions hardly vary.
LOCAL_CHANGES: dict[str, float] = {
    "measure-upperarm-length": 0.25,
    "measure-lowerarm-length": 0.25,
    "measure-shoulder-dist": 0.35,
    "measure-upperleg-height": 0.25,
    "measure-lowerleg-height": 0.25,
    "upperlegs-height": 0.15,
    "lowerlegs-height": 0.15,
    "torso-scale-vert": 0.25,
    "torso-scale-horiz": 0.25,
    "torso-scale-depth": 0.25,
    "torso-vshape": 0.30,
    "hip-scale-horiz": 0.30,
    "hip-scale-depth": 0.25,
    "measure-waist-circ": 0.30,
    "measure-hips-circ": 0.25,
    "measure-thigh-circ": 0.25,
    "measure-neck-height": 0.20,
    "measure-neck-circ": 0.20,
    "head-scale-vert": 0.15,
    "head-scale-horiz": 0.15,
    "head-scale-depth": 0.15,
    "buttocks-volume": 0.30,
    "stomach-tone": 0.30,
    "foot-scale": 0.20,
    "hand-scale": 0.25,
    "upperarm-fat": 0.25,
    "upperleg-fat": 0.25,
}

# What grows further with weight beyond anny's own weight slider, whose heaviest body is only at BMI 28.
HEAVY_CHANGES: dict[str, float] = {
    "stomach-pregnant": 0.55,
    "head-fat": 0.35,
    "neck-double": 0.25,
    "upperarm-fat": 0.55,
    "upperleg-fat": 0.45,
    "buttocks-volume": 0.30,
    "torso-scale-depth": 0.35,
    "torso-scale-horiz": 0.30,
    "measure-waist-circ": 0.55,
    "measure-hips-circ": 0.35,
    "measure-bust-circ": 0.35,
    "lowerleg-fat": 0.30,
    "lowerarm-fat": 0.30,
    "measure-neck-circ": 0.35,
}


@dataclass
class Samples:
    """Bodies in anny's own rest pose (arms down at 45 degrees), metres.

    vertices (N, V, 3), bones (N, 104, 3) heads, bone_names, weights (V, 104), faces (F, 3);
    keypoints maps COCO names to positions (M, 3) for ``plain_vertices`` (M, V, 3), bodies without local changes;
    uv (U, 2) and uv_faces (F, 3), the texture coordinates of each face's corners.
    """

    vertices: np.ndarray
    bones: np.ndarray
    bone_names: list[str]
    weights: np.ndarray
    faces: np.ndarray
    plain_vertices: np.ndarray
    keypoints: dict[str, np.ndarray]
    uv: np.ndarray
    uv_faces: np.ndarray

    def bone(self, name: str) -> np.ndarray:
        """(N, ...) a bone of every sampled body, by its name."""
        return self.bones[:, self.bone_names.index(name)]


def draw(count: int, seed: int = 0) -> Samples:
    """``count`` bodies; the first is the average adult."""
    import anny
    import torch
    from anny import KeypointsRegressor

    model = anny.Anny(topology="notoes", extrapolate_phenotypes=True, phenotypes="all", local_changes="default")
    rng = np.random.default_rng(seed)
    phenotypes = _phenotypes(rng, count)
    local = _local_changes(rng, phenotypes, list(model.local_change_labels))
    vertices, bones = _run(model, phenotypes, local)
    weights = np.zeros((vertices.shape[1], model.bone_count))
    indices = model.vertex_bone_indices.numpy()
    np.add.at(weights, (np.arange(len(weights))[:, None], indices), model.vertex_bone_weights.numpy())

    # Anny's COCO keypoints are defined on its own topology: evaluate both on the same plain bodies.
    source = anny.Anny(topology="anny", extrapolate_phenotypes=True, phenotypes="all")
    plain = {key: values[:150] for key, values in phenotypes.items()}
    plain_vertices, _ = _run(model, plain, {})
    source_vertices, _ = _run(source, plain, {})
    regressor = KeypointsRegressor.coco(source)
    points = regressor({"vertices": torch.as_tensor(source_vertices)}).numpy()
    keypoints = {label: points[:, index] for index, label in enumerate(regressor.labels)}
    faces = model.faces.numpy().astype(np.int64)
    uv, uv_faces = _transfer_uv(plain_vertices[0], faces, source_vertices[0], source)
    return Samples(vertices, bones, list(model.bone_labels), weights, faces, plain_vertices, keypoints, uv, uv_faces)


def _phenotypes(rng: np.random.Generator, count: int) -> dict[str, np.ndarray]:
    """Adult phenotypes, wider than the population so that the linear model is fitted over all it must cover.

    Anny's multilinear model is left only a little way outside of its corners: far outside, bones leave the mesh.
    """
    sex = rng.random(count)
    drawn = {
        "gender": np.where(rng.random(count) < 0.85, np.round(sex), sex),
        "age": rng.uniform(0.6, 1.0, count),
        "muscle": rng.normal(0.5, 0.22, count).clip(0.0, 1.0),
        "weight": rng.normal(0.6, 0.45, count).clip(-0.2, 1.25),
        "height": rng.normal(0.37, 0.12, count).clip(0.05, 0.75),
        "proportions": rng.uniform(0.1, 0.9, count),
        "cupsize": rng.normal(0.5, 0.2, count).clip(0.05, 1.0),
        "firmness": rng.normal(0.5, 0.15, count).clip(0.1, 0.9),
    }
    races = rng.dirichlet((1.0, 1.0, 1.0), count)
    for index, name in enumerate(("african", "asian", "caucasian")):
        drawn[name] = races[:, index]
    for name, values in drawn.items():
        values[0] = {"age": 0.7, "height": 0.37, "weight": 0.55}.get(name, 1 / 3 if "an" in name[-2:] else 0.5)
    return drawn


def _local_changes(
    rng: np.random.Generator, phenotypes: dict[str, np.ndarray], labels: list[str]
) -> dict[str, np.ndarray]:
    count = len(phenotypes["weight"])
    # Fat settles where it settles for one person: one factor for all of HEAVY_CHANGES, and some for each.
    heavy = (phenotypes["weight"] - 0.5).clip(-0.4, None) * rng.normal(1.4, 0.5, count).clip(0.3, None)
    local: dict[str, np.ndarray] = {}
    for name in sorted(LOCAL_CHANGES | HEAVY_CHANGES):
        amount = rng.normal(0.0, LOCAL_CHANGES.get(name, 0.0), count)
        amount = amount + HEAVY_CHANGES.get(name, 0.0) * heavy * rng.normal(1.0, 0.3, count)
        amount[0] = 0.0
        both = [label for label in labels if label in (f"{name}-incr", f"l-{name}-incr", f"r-{name}-incr")]
        if not both:
            raise KeyError(f"anny has no local change {name!r}")
        local.update(dict.fromkeys(both, amount))
    return local


def _run(model: object, phenotypes: dict[str, np.ndarray], local: dict[str, np.ndarray]) -> tuple[np.ndarray, ...]:
    """Rest vertices and bone heads, in the body's frame."""
    import torch

    count = len(phenotypes["weight"])
    vertices, bones = [], []
    for start in range(0, count, 50):
        part = slice(start, min(start + 50, count))
        size = part.stop - part.start
        pose = torch.eye(4, dtype=torch.float64).repeat(size, model.bone_count, 1, 1)  # type: ignore[attr-defined]
        arguments = {"phenotype_kwargs": {key: torch.as_tensor(v[part]) for key, v in phenotypes.items()}}
        if local:
            arguments["local_changes_kwargs"] = {key: torch.as_tensor(v[part]) for key, v in local.items()}
        with torch.no_grad():
            output = model(pose_parameters=pose, **arguments)  # type: ignore[operator]
        vertices.append(_to_body_frame(output["rest_vertices"].numpy()))
        bones.append(_to_body_frame(output["rest_bone_heads"].numpy()))
    return np.concatenate(vertices), np.concatenate(bones)


def _to_body_frame(points: np.ndarray) -> np.ndarray:
    """Anny is Z up facing -Y with its left at +X."""
    return np.stack([points[..., 0], points[..., 2], -points[..., 1]], axis=-1)


def _transfer_uv(
    vertices: np.ndarray, faces: np.ndarray, source_vertices: np.ndarray, source: object
) -> tuple[np.ndarray, np.ndarray]:
    """Anny's texture coordinates for the corners of another mesh of the same surface.

    Each face takes the chart of the source face nearest to its centre, so that no face spans a seam: its corners
    are placed by that face's affine map, and corners that agree are merged.
    """
    from scipy.spatial import cKDTree

    triangles = source.faces.numpy()  # type: ignore[attr-defined]
    coordinates = source.texture_coordinates.numpy()[  # type: ignore[attr-defined]
        source.face_texture_coordinate_indices.numpy()  # type: ignore[attr-defined]
    ]
    corners = source_vertices[triangles]
    centres = vertices[faces].mean(axis=1)
    nearest = cKDTree(corners.mean(axis=1)).query(centres)[1]
    base = corners[nearest]
    edges = np.stack([base[:, 1] - base[:, 0], base[:, 2] - base[:, 0]], axis=-1)  # (F, 3, 2)
    local = np.linalg.pinv(edges) @ (vertices[faces] - base[:, :1]).transpose(0, 2, 1)  # (F, 2, corners)
    chart = coordinates[nearest]
    axes = np.stack([chart[:, 1] - chart[:, 0], chart[:, 2] - chart[:, 0]], axis=-1)
    mapped = chart[:, :1] + (axes @ local).transpose(0, 2, 1)
    keys = np.concatenate([faces[..., None], np.round(mapped * 256.0)], axis=-1).reshape(-1, 3)
    _, first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    return mapped.reshape(-1, 2)[first].clip(0.0, 1.0), inverse.reshape(faces.shape)
