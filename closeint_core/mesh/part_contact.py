# SPDX-License-Identifier: Apache-2.0
"""Which parts of two bodies touch, from the distance between their skins, steadily over time."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from closeint_core.mesh.calibration import MESH
from closeint_core.mesh.closest import box_gap, face_corners, triangle_distance
from closeint_core.mesh.inside import Inside, find_inside
from closeint_core.mesh.patches import met_faces, patches_of, pose
from closeint_core.mesh.winding import Lattice

_FRAMES = {"cpu": 4, "cuda": 32}  # at a time


@torch.no_grad()
def part_gaps(
    vertices: Tensor, faces: Tensor, parts: Tensor, reach: float | None = None, inside: Inside | None = None
) -> Tensor:
    """Distance from every body part of one person to every body part of the other.

    Args:
        vertices: (2, T, V, 3) metres. faces: (F, 3) int64. parts: (V,) int64 body part of each vertex.
        reach: metres, beyond which distances are not told apart; the calibration's ``release`` if not given.
        inside: what ``find_inside`` found, if it is known.

    Returns:
        (T, J, J) metres from each vertex to the nearest skin of the other, both ways: 0 where one is inside, at most
        ``reach``. Row: part of person 0, column: part of person 1.

    Raises:
        CloseintError: a vertex is not a number.
    """
    reach = MESH.now.touch.release if reach is None else reach
    inside = find_inside(vertices, faces) if inside is None else inside
    joints = int(parts.max()) + 1
    face_part = parts[faces].sort(1).values[:, 1]  # what two of the corners agree on, or the middle one
    out = torch.full((vertices.shape[1] * joints * joints,), reach, dtype=vertices.dtype, device=vertices.device)

    def key(frame: Tensor, person: Tensor, vertex: Tensor, face: Tensor) -> Tensor:
        own, other = parts[vertex], face_part[face]
        first, second = torch.where(person == 0, own, other), torch.where(person == 0, other, own)
        return (frame * joints + first) * joints + second

    out[key(inside.frame, inside.person, inside.vertex, inside.face)] = 0
    low, high = vertices.amin(2) - reach, vertices.amax(2)
    near = ((low[0] <= high[1]) & (low[1] <= high[0])).all(1).nonzero()[:, 0]
    patches = patches_of(faces, vertices[0, 0])
    bits = 1 << torch.arange(joints, device=parts.device)
    group_parts = _mask(parts[patches.points], joints)  # (P, J) which parts a group of vertices, a patch is of
    patch_bits = (_mask(face_part[patches.members], joints) * bits).sum(1)
    for part in near.split(_FRAMES[vertices.device.type]):
        frames = len(part)
        lattice = Lattice.around(vertices[:, part])
        at = lattice.put(vertices[:, part]).flatten(1, 2)
        posed = pose(patches, at)
        flat, scale = at.flatten(1), lattice.scale.repeat(2)
        count, width = patches.points.shape
        groups = at.index_select(2, patches.points.reshape(-1)).reshape(3, 2 * frames * count, width)
        body_of = torch.arange(2 * frames, device=at.device).repeat_interleave(count)
        mesh, own = (body_of + frames) % (2 * frames), patches.own.repeat(2 * frames, 1)
        # What is closer than a little is found first: most of what is near is near because those parts touch.
        for within in (reach / 6, reach):
            far = (within * scale).float()[body_of].expand(3, -1)
            table = out.view(-1, joints, joints)[part]
            unsure = torch.cat([table, table.mT]) > (0 if within < reach else reach / 6)  # (2 t, J own, J other)
            unsure_bits = (unsure * bits).sum(2)  # (2 t, J)
            asked = torch.where(group_parts, unsure_bits[:, None], 0)  # (2 t, P, J)
            asked = _any_bit(asked.flatten(0, 1))

            def keep(group: Tensor, patch: Tensor, asked: Tensor = asked) -> Tensor:
                return (asked[group] & patch_bits[patch]) != 0

            for group, place, face in met_faces(groups, own, mesh, posed, far, far, keep=keep):
                body = group // count
                pair = key(part[body % frames], body // frames, patches.points[group % count, place], face)
                rows = (out[pair] > 0).nonzero()[:, 0]
                group, place, face, body, pair = (x[rows] for x in (group, place, face, body, pair))
                point = groups.flatten(1).index_select(1, group * width + place)
                corners = face_corners(flat, mesh[group] * at.shape[2], faces, face)
                # A corner is as near as its face can be far; a face whose box is further than that is out.
                unit = scale[body]
                most = (corners[0] - point).square().sum(0).double().sqrt() / unit
                out.scatter_reduce_(0, pair, most.to(out.dtype), "amin")
                least = box_gap(point, corners.amin(0), corners.amax(0)).double().sqrt() / unit
                close = (least <= out[pair] * (1 + 1e-5)).nonzero()[:, 0]
                gap = triangle_distance(point[:, close].double(), corners[..., close].double()).sqrt() / unit[close]
                out.scatter_reduce_(0, pair[close], gap.to(out.dtype), "amin")
    return out.reshape(-1, joints, joints)


def _mask(parts: Tensor, joints: int) -> Tensor:
    """(N, joints) bool, which parts occur in each row of (N, K)."""
    return torch.zeros(len(parts), joints, dtype=torch.bool, device=parts.device).scatter_(1, parts, True)


def _any_bit(bits: Tensor) -> Tensor:
    """(N,) all bits that occur in each row of (N, K)."""
    out = bits[:, 0]
    for column in bits.unbind(1)[1:]:
        out = out | column
    return out


def steady_contacts(gaps: Tensor) -> Tensor:
    """Contacts that do not flicker: (T, ...) bool from distances (T, ...).

    Two parts touch from when they come within ``release`` until they leave it, if they come within ``touch`` between:
    the same forwards and backwards in time. Both are the calibration's.
    """
    touch, release = MESH.now.touch.touch, MESH.now.touch.release
    held = gaps < release
    # Runs of frames within release are numbered; one that comes within touch counts as a whole.
    starts = held & ~torch.cat([torch.zeros_like(held[:1]), held[:-1]])
    run = starts.long().cumsum(0)
    touched = torch.zeros((len(gaps) + 1, *gaps.shape[1:]), dtype=torch.int64, device=gaps.device)
    touched.scatter_reduce_(0, run, (held & (gaps <= touch)).long(), "amax")
    return held & (touched.gather(0, run) > 0)


@dataclass(frozen=True)
class ContactScores:
    """How well contacts agree with the truth, 0 to 1; over frames and pairs of parts."""

    precision: float
    recall: float
    f1: float


def contact_scores(found: Tensor, truth: Tensor) -> ContactScores:
    """Compare contacts, bool of one shape. Nothing found is precise, nothing to find is recalled."""
    both, mine, true = (int(x.sum()) for x in (found & truth, found, truth))
    precision, recall = both / mine if mine else 1.0, both / true if true else 1.0
    return ContactScores(precision, recall, 2 * both / (mine + true) if mine + true else 1.0)
