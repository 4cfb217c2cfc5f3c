# SPDX-License-Identifier: Apache-2.0
"""The linear shape space: betas[0] stature, betas[1] weight for that stature, then principal components."""

from __future__ import annotations

import numpy as np

# A unit normal draw of the betas is an adult population of both sexes, a little wider than a real one
# (stature 1.70 +- 0.09 m, BMI 25 +- 5) so that its tails lie within 3 units.
MEAN_STATURE, STATURE_STEP = 1.71, 0.115
MEAN_ROOT_BMI, ROOT_BMI_STEP = 4.95, 0.47
DENSITY = 1000.0  # kg/m^3 of a body with air in its lungs


def volume(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Enclosed volume (N,) of closed meshes (N, V, 3)."""
    a, b, c = (vertices[:, faces[:, corner]] for corner in range(3))
    result: np.ndarray = np.einsum("nfa,nfa->n", a, np.cross(b, c)) / 6.0
    return result


def vertex_areas(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """A third of the area of the faces round each vertex, (V,)."""
    corners = vertices[faces]
    area = 0.5 * np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    areas = np.zeros(len(vertices))
    np.add.at(areas, faces, area[:, None] / 3.0)
    return areas


def mirror_map(vertices: np.ndarray) -> np.ndarray:
    """(V,) index of each vertex's mirror image in x."""
    from scipy.spatial import cKDTree

    index: np.ndarray
    distance, index = cKDTree(vertices).query(vertices * [-1.0, 1.0, 1.0])
    if distance.max() > 1e-4 or not np.array_equal(index[index], np.arange(len(index))):
        raise ValueError("the mesh is not symmetric")
    return index


def stature_vertices(vertices: np.ndarray) -> tuple[int, int]:
    """The crown's and the sole's vertex: stature is then linear in the vertices."""
    return int(np.argmax(vertices[:, 1])), int(np.argmin(vertices[:, 1]))


def population_weights(stature: np.ndarray, root_bmi: np.ndarray) -> np.ndarray:
    """(N,) weights under which the sample has the wanted stature and BMI, independent of each other."""
    grid = np.stack([(stature - MEAN_STATURE) / STATURE_STEP, (root_bmi - MEAN_ROOT_BMI) / ROOT_BMI_STEP], axis=1)
    wanted = np.exp(-0.5 * np.sum(grid**2, axis=1))
    # Density of what was drawn, by a Gaussian kernel of a third of a unit.
    square = np.sum((grid[:, None] - grid[None]) ** 2, axis=-1)
    drawn = np.exp(-0.5 * square / 0.35**2).mean(axis=1)
    weights = wanted / drawn
    # The far tails are needed too: they tell the weight direction what heavy bodies look like.
    weights = weights.clip(0.05 * weights.max(), None) * (np.abs(grid).max(axis=1) < 4.0)
    result: np.ndarray = weights / weights.sum()
    return result


def fit(vertices: np.ndarray, faces: np.ndarray, count: int = 10) -> tuple[np.ndarray, np.ndarray, dict[str, object]]:
    """Mean (V, 3) and directions (V, 3, count) from T-posed bodies (N, V, 3) with the pelvis at the origin.

    Stature and root BMI are regressed out (so that the other betas leave stature alone exactly and, on average,
    weight); what remains goes through a principal component analysis in the area metric, because the head and the
    hands hold half of the vertices. Left and right are made equal.
    """
    size = len(vertices)
    top, sole = stature_vertices(vertices[0])
    stature = vertices[:, top, 1] - vertices[:, sole, 1]
    root_bmi = np.sqrt(volume(vertices, faces) * DENSITY) / stature
    weights = population_weights(stature, root_bmi)
    design = np.stack(
        [np.ones(size), (stature - MEAN_STATURE) / STATURE_STEP, (root_bmi - MEAN_ROOT_BMI) / ROOT_BMI_STEP], axis=1
    )
    flat = vertices.reshape(size, -1)
    root = np.sqrt(weights)[:, None]
    coefficients = np.linalg.lstsq(root * design, root * flat, rcond=None)[0]
    residual = flat - design @ coefficients
    metric = np.repeat(np.sqrt(vertex_areas(vertices[0], faces)), 3)
    # The sample is smaller than the vertices: its Gram matrix has the same nonzero spectrum.
    scaled = root * residual * metric
    gram = scaled @ scaled.T
    values, vectors = np.linalg.eigh(gram)
    order = np.argsort(values)[::-1]
    values, vectors = values[order], vectors[:, order]
    components = (vectors.T @ scaled)[: count - 2] / metric  # one unit is one standard deviation
    directions = np.concatenate([coefficients[1:], components]).reshape(count, -1, 3).transpose(1, 2, 0)
    mean = coefficients[0].reshape(-1, 3)
    mirror = mirror_map(vertices[0])
    flip = np.array([-1.0, 1.0, 1.0])
    mean = 0.5 * (mean + mean[mirror] * flip)
    directions = 0.5 * (directions + directions[mirror] * flip[:, None])
    kept = float(values[: count - 2].sum() / values.sum())
    report: dict[str, object] = {
        "residual_variance_kept": kept,
        "total_variance_kept": 1.0
        - float(values[count - 2 :].sum() / np.sum((root * (flat - flat.mean(0)) * metric) ** 2)),
        "singular_values_mm": 1000.0 * np.sqrt(values[:count] / np.sum(metric[::3] ** 2)),
    }
    return mean, directions, report
