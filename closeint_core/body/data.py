# SPDX-License-Identifier: Apache-2.0
"""Body models as plain arrays: the bundled default body and licensed SMPL files in one form.

Numpy and the standard library only, so that Blender's Python can import it. The parameterisation
is that of SMPL (Loper et al., "SMPL: A Skinned Multi-Person Linear Model", SIGGRAPH Asia 2015).
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

JOINT_NAMES: tuple[str, ...] = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle", "right_ankle",
    "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head", "left_shoulder",
    "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hand", "right_hand",
)  # fmt: skip
"""SMPL's 24 joints in SMPL's order."""

PARENTS: tuple[int, ...] = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
"""Parent of each joint; the root's is -1."""

REGION_NAMES: tuple[str, ...] = ("skin", "shirt", "trousers", "shoes", "hair")
"""Meaning of the labels in ``BodyData.regions``."""

DEFAULT_BODY_NAME = "closeint-default/1"
DEFAULT_BODY_FILE = Path(__file__).with_name("default_body.npz")
SMPL_NAMES: tuple[str, ...] = ("smpl-neutral", "smpl-male", "smpl-female")
SMPL_OWNER = "https://smpl.is.tue.mpg.de"


@dataclass(frozen=True, eq=False)
class BodyData:
    """A body model. Rest pose: SMPL's T-pose, metres, Y up, facing +Z, left is +X.

    Attributes:
        name: ``closeint-default/1``, ``smpl-neutral``, ``smpl-male`` or ``smpl-female``.
        template: f4 (V, 3), vertices of the mean shape.
        shapedirs: f4 (V, 3, B), displacement of each vertex for one unit of each beta.
        posedirs: f4 (V, 3, 207) pose correctives, for (R[1:] - I) flattened; None if the body has none.
        joint_regressor: f4 (24, V), joints of the rest body from its vertices; rows sum to 1.
        skin_joints: i4 (V, 4), the joints that move each vertex.
        skin_weights: f4 (V, 4), their weights; rows sum to 1.
        parents: i4 (24,), -1 for the root.
        faces: i4 (F, 3), counter-clockwise seen from outside.
        parts: i4 (V,), body part 0..23 of each vertex (the joint that moves it most).
        halpe_regressor: f4 (26, V), the Halpe-26 keypoints (``closeint_core.halpe``) from posed vertices.
        lsp_regressor: f4 (14, V), the 14 LSP joints from posed vertices.
        uv: f4 (F, 3, 2), texture coordinates of each corner of each face, or None.
        regions: i1 (V,), index into ``REGION_NAMES`` for materials, or None.
    """

    name: str
    template: np.ndarray
    shapedirs: np.ndarray
    posedirs: np.ndarray | None
    joint_regressor: np.ndarray
    skin_joints: np.ndarray
    skin_weights: np.ndarray
    parents: np.ndarray
    faces: np.ndarray
    parts: np.ndarray
    halpe_regressor: np.ndarray
    lsp_regressor: np.ndarray
    uv: np.ndarray | None
    regions: np.ndarray | None

    @property
    def num_vertices(self) -> int:
        """V."""
        result: int = self.template.shape[0]
        return result

    @property
    def num_betas(self) -> int:
        """B."""
        result: int = self.shapedirs.shape[2]
        return result

    @cached_property
    def joint_template(self) -> np.ndarray:
        """f4 (24, 3), rest joints of the mean shape."""
        result: np.ndarray = (self.joint_regressor.astype(np.float64) @ self.template).astype(np.float32)
        return result

    @cached_property
    def joint_shapedirs(self) -> np.ndarray:
        """f4 (24, 3, B), displacement of each rest joint for one unit of each beta."""
        flat = self.shapedirs.reshape(self.num_vertices, -1)
        joints = self.joint_regressor.astype(np.float64) @ flat
        result: np.ndarray = joints.reshape(-1, 3, self.num_betas).astype(np.float32)
        return result

    @cached_property
    def dense_weights(self) -> np.ndarray:
        """f4 (V, 24), the skinning weights as a full matrix."""
        weights = np.zeros((self.num_vertices, len(self.parents)), np.float32)
        np.add.at(weights, (np.arange(self.num_vertices)[:, None], self.skin_joints), self.skin_weights)
        return weights

    def rest(self, betas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Vertices f4 (..., V, 3) and joints f4 (..., 24, 3) of the unposed body for ``betas`` (..., <=B).

        Missing trailing betas are zero. Raises ValueError if there are more than B.
        """
        betas = np.asarray(betas, np.float32)
        count = betas.shape[-1]
        if count > self.num_betas:
            raise ValueError(f"{count} betas given; {self.name} has {self.num_betas}")
        vertices = self.template + _along_last(self.shapedirs[..., :count], betas)
        joints = self.joint_template + _along_last(self.joint_shapedirs[..., :count], betas)
        return vertices, joints


def _along_last(directions: np.ndarray, betas: np.ndarray) -> np.ndarray:
    """directions (N, 3, b), betas (..., b) -> (..., N, 3) as one matrix product."""
    flat = betas.reshape(-1, betas.shape[-1]) @ directions.reshape(-1, betas.shape[-1]).T
    result: np.ndarray = flat.reshape(*betas.shape[:-1], directions.shape[0], 3)
    return result


def load_body(spec: str | Path = "default", data_dir: Path | None = None) -> BodyData:
    """``closeint_core.body.load.load_body``, here for tools that know it by this place."""
    # By its name, because that module imports this one.
    body: BodyData = importlib.import_module("closeint_core.body.load").load_body(spec, data_dir)
    return body
