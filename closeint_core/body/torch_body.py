# SPDX-License-Identifier: Apache-2.0
"""The body model in torch: batched, differentiable, and quick for keypoints of long clips."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import roma
import torch
from torch import Tensor, nn

from closeint_core.body.data import BodyData

__all__ = ["BodyOutput", "LinearPoints", "Skeleton", "TorchBody"]


class Skeleton(NamedTuple):
    """Posed joints and what is needed to skin points: a rest point x of joint j moves to R_j x + o_j.

    Attributes:
        joints: (..., 24, 3), posed joints with ``transl``.
        rotations: (..., 24, 3, 3), global rotation R of each joint.
        offsets: (..., 24, 3), o, with ``transl``.
        pose_feature: (..., 207), (local rotations - I) without the root; None if the body has no correctives.
    """

    joints: Tensor
    rotations: Tensor
    offsets: Tensor
    pose_feature: Tensor | None


class BodyOutput(NamedTuple):
    """Posed body: ``vertices`` (..., V or len(vertex_ids), 3) and ``joints`` (..., 24, 3), metres."""

    vertices: Tensor
    joints: Tensor


class TorchBody(nn.Module):
    """SMPL-style body model. All leading axes broadcast, e.g. poses (P, T, 24, 3) with betas (P, 1, 10).

    ``transl`` is added after skinning: joint 0 ends at J0(betas) + transl.
    """

    template: Tensor
    shapedirs: Tensor
    posedirs: Tensor | None
    weights: Tensor
    joint_template: Tensor
    joint_shapedirs: Tensor
    joint_regressor: Tensor
    faces: Tensor
    _tree_order: Tensor
    _level_order: Tensor
    _level_parents: Tensor

    def __init__(self, data: BodyData, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.data = data

        def keep(name: str, array: np.ndarray | None, kind: torch.dtype = dtype) -> None:
            # The arrays belong to the body file, not to a checkpoint of what uses the body.
            tensor = None if array is None else torch.tensor(np.asarray(array), dtype=kind)
            self.register_buffer(name, tensor, persistent=False)

        keep("template", data.template)
        keep("shapedirs", data.shapedirs)
        keep("posedirs", data.posedirs)
        keep("weights", data.dense_weights)
        # In double precision first, so that a float64 body is exact.
        regressor = data.joint_regressor.astype(np.float64)
        flat = data.shapedirs.reshape(data.num_vertices, -1)
        keep("joint_template", regressor @ data.template)
        keep("joint_shapedirs", (regressor @ flat).reshape(-1, 3, data.num_betas))
        keep("joint_regressor", data.joint_regressor)
        keep("faces", data.faces, torch.int64)
        # Made once: they take a moment, and a module of its own is not part of this one's state.
        self._named_points: dict[tuple[object, ...], LinearPoints] = {}
        self.parents = [int(parent) for parent in data.parents]
        self._levels = _levels(self.parents)
        order = torch.tensor([joint for joints, _ in self._levels for joint in joints])
        # As buffers: a list used as an index is copied to the device in every call, which waits for all under way.
        self.register_buffer("_level_order", order, persistent=False)
        self.register_buffer("_tree_order", torch.argsort(order), persistent=False)
        above = torch.tensor([max(self.parents[int(joint)], 0) for joint in order])
        self.register_buffer("_level_parents", above, persistent=False)
        for depth, (_, positions) in enumerate(self._levels):
            self.register_buffer(f"_positions_{depth}", torch.tensor(positions, dtype=torch.int64), persistent=False)

    @property
    def num_betas(self) -> int:
        """B, how many shape numbers the body has."""
        return self.shapedirs.shape[2]

    def rest_joints(self, betas: Tensor) -> Tensor:
        """Joints (..., 24, 3) of the unposed body for ``betas`` (..., <=B)."""
        return self.joint_template + _along_last(self.joint_shapedirs, betas)

    def rest_vertices(self, betas: Tensor, vertex_ids: Tensor | None = None) -> Tensor:
        """Vertices (..., V, 3) of the unposed body, or those of ``vertex_ids`` only."""
        template, shapedirs = self.template, self.shapedirs
        if vertex_ids is not None:
            template, shapedirs = template[vertex_ids], shapedirs[vertex_ids]
        return template + _along_last(shapedirs, betas)

    def skeleton(self, rotations: Tensor, betas: Tensor, transl: Tensor) -> Skeleton:
        """Forward kinematics.

        Args:
            rotations: (..., 24, 3, 3), of each joint relative to its parent; joint 0 is the global orientation.
            betas: (..., <=B).
            transl: (..., 3), metres.
        """
        rest = self.rest_joints(betas)
        lead = torch.broadcast_shapes(rotations.shape[:-3], rest.shape[:-2], transl.shape[:-1])
        rotations = rotations.expand(*lead, *rotations.shape[-3:])
        # Joints of one depth in the tree are independent: 9 steps instead of 24.
        sizes = [len(joints) for joints, _ in self._levels]
        local = rotations[..., self._level_order, :, :].split(sizes, -3)
        offset = (rest[..., self._level_order, :] - rest[..., self._level_parents, :]).split(sizes, -2)
        turned = [local[0]]
        placed = [(rest[..., :1, :] + transl[..., None, :]).expand(*lead, 1, 3)]
        for depth in range(1, len(sizes)):
            parent_rotation = self._of_parents(turned[-1], depth, -3)
            placed.append(self._of_parents(placed[-1], depth, -2) + _rotate(parent_rotation, offset[depth]))
            turned.append(parent_rotation @ local[depth])
        posed = torch.cat(placed, dim=-2)[..., self._tree_order, :]
        world = torch.cat(turned, dim=-3)[..., self._tree_order, :, :]
        offsets = posed - _rotate(world, rest)
        feature = None
        if self.posedirs is not None:
            identity = torch.eye(3, dtype=rotations.dtype, device=rotations.device)
            feature = (rotations[..., 1:, :, :] - identity).flatten(start_dim=-3)
        return Skeleton(posed, world, offsets, feature)

    def _of_parents(self, above: Tensor, depth: int, dim: int) -> Tensor:
        """For each joint of a level of the tree its parent's row of ``above``, along ``dim``; views where they do."""
        positions = self._levels[depth][1]
        if positions == list(range(positions[0], positions[0] + len(positions))):
            return above.narrow(dim, positions[0], len(positions))
        index = getattr(self, f"_positions_{depth}")
        return above[..., index, :, :] if dim == -3 else above[..., index, :]

    def skin(self, skeleton: Skeleton, betas: Tensor, vertex_ids: Tensor | None = None) -> Tensor:
        """Vertices (..., V or len(vertex_ids), 3) of a posed skeleton."""
        weights = self.weights if vertex_ids is None else self.weights[vertex_ids]
        rest = self.rest_vertices(betas, vertex_ids)
        frames = skeleton.offsets.shape[:-2].numel()
        if skeleton.pose_feature is None and rest.shape[:-2].numel() * 4 <= frames:
            # Few shapes, many frames: R_j x summed over joints is one matrix product per shape, with no
            # 3x4 transform per vertex and frame in memory.
            moments = (rest.mT[..., None, :, :] * weights.T[:, None, :]).flatten(start_dim=-3, end_dim=-2)
            return _apply_moments(skeleton, moments, weights.T)
        if skeleton.pose_feature is not None and self.posedirs is not None:
            posedirs = self.posedirs if vertex_ids is None else self.posedirs[vertex_ids]
            rest = rest + _along_last(posedirs, skeleton.pose_feature)
        rotations = torch.einsum("vj,...ja->...va", weights, skeleton.rotations.flatten(start_dim=-2))
        offsets = torch.einsum("vj,...ja->...va", weights, skeleton.offsets)
        return _rotate(rotations.unflatten(-1, (3, 3)), rest) + offsets

    def forward(self, poses: Tensor, betas: Tensor, transl: Tensor, vertex_ids: Tensor | None = None) -> BodyOutput:
        """Pose the body.

        Args:
            poses: (..., 24, 3) axis-angle in radians, or (..., 24, 3, 3) rotation matrices.
            betas: (..., <=B).
            transl: (..., 3), metres.
            vertex_ids: (N,) int64, the vertices wanted; None for all.
        """
        count = len(self.parents)
        if poses.shape[-3:] == (count, 3, 3):
            rotations = poses
        elif poses.shape[-2:] == (count, 3):
            rotations = roma.rotvec_to_rotmat(poses)
        else:
            raise ValueError(f"poses must be (..., {count}, 3) or (..., {count}, 3, 3), not {tuple(poses.shape)}")
        skeleton = self.skeleton(rotations, betas, transl)
        return BodyOutput(self.skin(skeleton, betas, vertex_ids), skeleton.joints)

    def points(self, regressor: str | Tensor | np.ndarray) -> LinearPoints:
        """Points that are linear combinations of posed vertices, without skinning the mesh.

        Args:
            regressor: ``halpe`` (26), ``lsp`` (14), a float matrix (K, V), or an integer list of vertex ids (K,).
        """
        if isinstance(regressor, str):
            named = {"halpe": self.data.halpe_regressor, "lsp": self.data.lsp_regressor}
            if regressor not in named:
                raise ValueError(f"unknown points {regressor!r}; known: {', '.join(named)}")
            key = (regressor, self.template.device, self.template.dtype)
            if key not in self._named_points:
                self._named_points[key] = self.points(named[regressor])
            return self._named_points[key]
        matrix = np.asarray(regressor.detach().cpu() if isinstance(regressor, Tensor) else regressor)
        if matrix.ndim == 1 and np.issubdtype(matrix.dtype, np.integer):
            columns, local = np.unique(matrix, return_inverse=True)
            dense = np.zeros((len(matrix), len(columns)), np.float32)
            dense[np.arange(len(matrix)), local.reshape(-1)] = 1.0
            return LinearPoints(self, dense, columns)
        if matrix.ndim != 2 or matrix.shape[1] != self.template.shape[0]:
            raise ValueError(f"a regressor must be (K, {self.template.shape[0]}), not {matrix.shape}")
        columns = np.flatnonzero(np.any(matrix != 0, axis=0))
        return LinearPoints(self, matrix[:, columns], columns)


class LinearPoints(nn.Module):
    """K points p_k = sum_v r_kv x_v of the posed mesh, computed exactly without the mesh.

    Skinning is linear in the rest vertices: with r the regressor, w the skinning weights and x the rest vertices,
    p_k = sum_j R_j m_kj + s_kj o_j, m_kj = sum_v r_kv w_vj x_v, s_kj = sum_v r_kv w_vj. The moments m are linear in
    betas and in the pose feature and are precomputed; only joints with a nonzero pair (k, j) are kept.
    Made by ``TorchBody.points``.
    """

    joints: Tensor
    moments: Tensor
    moment_shapedirs: Tensor
    weights: Tensor
    pairs: Tensor
    pair_posedirs: Tensor | None

    def __init__(self, body: TorchBody, regressor: np.ndarray, vertex_ids: np.ndarray) -> None:
        """``regressor`` (K, N) over the vertices ``vertex_ids`` (N,)."""
        super().__init__()
        data = body.data
        weights = data.dense_weights[vertex_ids].astype(np.float64)
        pair_weights = np.einsum("kv,vj->kjv", regressor.astype(np.float64), weights)
        used = np.flatnonzero(np.any(pair_weights != 0, axis=(0, 2)))
        pair_weights = pair_weights[:, used]
        count, joints = pair_weights.shape[:2]
        moments = pair_weights @ data.template[vertex_ids].astype(np.float64)  # (K, j, 3)
        directions = data.shapedirs[vertex_ids].reshape(len(vertex_ids), -1).astype(np.float64)
        shaped = (pair_weights @ directions).reshape(count, joints, 3, -1)
        dtype, device = body.template.dtype, body.template.device

        def keep(name: str, array: np.ndarray | None, kind: torch.dtype = dtype) -> None:
            tensor = None if array is None else torch.tensor(array, dtype=kind, device=device)
            self.register_buffer(name, tensor, persistent=False)

        self.count = count
        self._all_joints = len(used) == len(data.parents)
        keep("joints", used, torch.int64)
        keep("moments", moments.transpose(1, 2, 0).reshape(joints * 3, count))
        keep("moment_shapedirs", shaped.transpose(1, 2, 0, 3).reshape(joints * 3, count, -1))
        keep("weights", pair_weights.sum(axis=2).T)
        # Pose correctives differ in every frame: only the nonzero pairs are worth their cost.
        k_index, j_index = np.nonzero(np.any(pair_weights != 0, axis=2))
        keep("pairs", j_index * count + k_index, torch.int64)
        pair_posedirs = None
        if data.posedirs is not None:
            posedirs = data.posedirs[vertex_ids].reshape(len(vertex_ids), -1).astype(np.float64)
            pair_posedirs = (pair_weights[k_index, j_index] @ posedirs).reshape(len(k_index), 3, -1)
        keep("pair_posedirs", pair_posedirs)

    def shaped(self, betas: Tensor) -> Tensor:
        """Moments of shapes ``betas`` (..., B), for ``forward`` of many poses of the same bodies."""
        return self.moments + (self.moment_shapedirs[..., : betas.shape[-1]] @ betas[..., None, :, None])[..., 0]

    def forward(
        self, skeleton: Skeleton, betas: Tensor, pose_feature: Tensor | None = None, moments: Tensor | None = None
    ) -> Tensor:
        """Points (..., K, 3) of a posed skeleton; ``betas`` as given to ``TorchBody.skeleton``.

        ``pose_feature`` replaces the skeleton's own (pass zeros to leave out the correctives); ``moments`` are those of
        ``betas`` if they are known.
        """
        moments = self.shaped(betas) if moments is None else moments
        feature = skeleton.pose_feature if pose_feature is None else pose_feature
        if feature is not None and self.pair_posedirs is not None:
            corrective = _along_last(self.pair_posedirs, feature).mT  # (..., 3, pairs)
            full = corrective.new_zeros(*corrective.shape[:-1], len(self.joints) * self.count)
            full = full.index_copy(-1, self.pairs, corrective)
            full = full.unflatten(-1, (len(self.joints), self.count)).transpose(-3, -2)
            moments = moments + full.flatten(start_dim=-3, end_dim=-2)
        if self._all_joints:
            return _apply_moments(skeleton, moments, self.weights)
        chosen = skeleton._replace(
            rotations=skeleton.rotations[..., self.joints, :, :], offsets=skeleton.offsets[..., self.joints, :]
        )
        return _apply_moments(chosen, moments, self.weights)


def _apply_moments(skeleton: Skeleton, moments: Tensor, weights: Tensor) -> Tensor:
    """p_k = sum_j R_j m_kj + s_kj o_j: moments (..., j * 3, K), weights (j, K) -> (..., K, 3)."""
    rotations = skeleton.rotations.transpose(-3, -2).flatten(start_dim=-2)  # (..., 3, j * 3)
    # einsum folds axes that only one side has into the rows of one product; matmul would repeat the moments.
    rotated = torch.einsum("...ar,...rk->...ka", rotations, moments)
    return rotated + torch.einsum("...ja,jk->...ka", skeleton.offsets, weights)


def _rotate(matrices: Tensor, vectors: Tensor) -> Tensor:
    """(..., N, 3, 3) times (..., N, 3), leading axes broadcast."""
    return (matrices @ vectors[..., None])[..., 0]


def _along_last(directions: Tensor, coefficients: Tensor) -> Tensor:
    """directions (N, 3, B), coefficients (..., b <= B) -> (..., N, 3) as one matrix product."""
    count = coefficients.shape[-1]
    if count > directions.shape[-1]:
        raise ValueError(f"{count} coefficients given for {directions.shape[-1]} directions")
    flat = coefficients @ directions[..., :count].reshape(-1, count).T
    result: Tensor = flat.unflatten(-1, (directions.shape[0], 3))
    return result


def _levels(parents: list[int]) -> list[tuple[list[int], list[int]]]:
    """Joints by depth in the tree, each with the position of its parent in the level above."""
    depth = [0] * len(parents)
    for joint, parent in enumerate(parents):
        depth[joint] = depth[parent] + 1 if parent >= 0 else 0
    levels: list[tuple[list[int], list[int]]] = []
    for level in range(max(depth) + 1):
        joints = [joint for joint in range(len(parents)) if depth[joint] == level]
        above = levels[-1][0] if levels else []
        levels.append((joints, [above.index(parents[joint]) for joint in joints if level > 0]))
    return levels
