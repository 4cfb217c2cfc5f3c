# SPDX-License-Identifier: Apache-2.0
"""Pictures of pairs with everything that is true in them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple, Protocol

import roma
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample, interpolate, normalize

from closeint_core.body.parts import HAND_SHARE, JOINTS_IN_HALPE, PARTS, hand_centres
from closeint_core.body.torch_body import TorchBody
from closeint_core.rendering.clothes import Clothes, Wardrobe
from closeint_core.rendering.draws import Draws
from closeint_core.rendering.labels import DepthOrder, TouchGaps, depth_order, seen_joints, touch_of
from closeint_core.rendering.looks import Light, Looks, Surface, draw_light, draw_looks, shade
from closeint_core.rendering.mesh import PersonMesh
from closeint_core.rendering.rasterizer import EMPTY_DEPTH, Rasterizer
from closeint_core.rendering.surroundings import draw_floors, draw_things_in_front, draw_walls, lay_floors
from closeint_core.rendering.views import Views, Windows, draw_views, windows_around

PEOPLE = 3
"""The pair and, in some pictures, somebody else."""
_SOMEBODY_ELSE = 0.3  # share of pictures
_PERSONAL_SPACE = 0.45  # metres that somebody else keeps from the pair
_REACH = 3.0  # pixels of the picture around a joint within which it may show
_FARTHEST = 9.0  # metres; all beyond is far


class MovingPairs(Protocol):
    """P pairs over T frames, metres and radians, Z up: ``poses`` (P, 2, T, 24, 3), ``transl`` (P, 2, T, 3), ``betas``
    (P, 2, B), as ``training.synthetic.Interactions`` has them."""

    poses: Tensor
    transl: Tensor
    betas: Tensor


@dataclass(frozen=True)
class RenderedPairs:
    """B pictures of S pixels.

    Attributes:
        image: (B, 3, S, S) in 0..1, as a perfect camera sees them. hands: (B, 2, 2, 3, H, H), sharper, of the left and
            right hand of both. hand_windows: (B, 2, 2, 3), middle and side of those squares in pixels of ``image``.
        parts: (B, S, S) int64, 0 or 1 + 30 * person + part. joints: (B, 2, 13, 2) pixels, centres at +0.5.
        seen: (B, 2, 13) bool. touch: (B, 30, 30), see ``labels.touch_of``. gap: (B,) metres between the two.
        touch_places: (B, 30, 30, 2) pixels, halfway between the two parts.
        nearer: (B,), before: (B, 2, 30), whole: (B, 2, 128, 128), see ``labels.DepthOrder``.
    """

    image: Tensor
    hands: Tensor
    hand_windows: Tensor
    parts: Tensor
    joints: Tensor
    seen: Tensor
    touch: Tensor
    gap: Tensor
    touch_places: Tensor
    nearer: Tensor
    before: Tensor
    whole: Tensor

    def __len__(self) -> int:
        return len(self.image)

    def __getitem__(self, rows: Tensor | slice) -> RenderedPairs:
        """Some of the pictures."""
        return RenderedPairs(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    @classmethod
    def join(cls, parts: list[RenderedPairs]) -> RenderedPairs:
        """All pictures of several batches."""
        return cls(**{f.name: torch.cat([getattr(part, f.name) for part in parts]) for f in fields(cls)})


@dataclass(frozen=True)
class Posed:
    """B pictures' people: ``skins``, ``normals`` (B, 3, V, 3) bare, ``dressed`` and ``dressed_normals`` (B, 3, V1, 3),
    ``joints`` (B, 3, 24, 3) and ``points`` (B, 2, 13, 3), all in the world."""

    skins: Tensor
    normals: Tensor
    dressed: Tensor
    dressed_normals: Tensor
    joints: Tensor
    points: Tensor


class Painted(NamedTuple):
    """Windows of W pixels: colours (N, W, W, 3), parts (N, W, W), depth (N, W, W) and whether somebody is there."""

    colours: Tensor
    parts: Tensor
    depth: Tensor
    covered: Tensor


@dataclass(frozen=True)
class _Drawn:
    """What people wear and look like, (B * 3) rows, and the light, (B) rows."""

    clothes: Clothes
    looks: Looks
    light: Light


class PairRenderer:
    """Renders windows of interactions.

    Args:
        body: on the device that renders. size: pixels of the pictures, a multiple of 32. hand_size: of the hands'.
        finer: pixels rendered for each pixel of a picture, along each side.
        panoramas: (N, 3, H, W) in 0..1 for some of the backgrounds; without, all are made up.
    """

    def __init__(
        self, body: TorchBody, size: int = 256, hand_size: int = 96, finer: int = 2, panoramas: Tensor | None = None
    ) -> None:
        device = body.template.device
        self.body, self.size, self.hand_size, self.finer = body, size, hand_size, finer
        self.panoramas = None if panoramas is None else panoramas.to(device)
        self.draws = Draws(device)
        self.mesh = PersonMesh(body)
        self.wardrobe = Wardrobe(self.mesh, self.draws)
        self.rasterizer = Rasterizer(device)
        self.gaps = TouchGaps(body, self.mesh)
        self._faces = self.mesh.faces_of(PEOPLE)
        regressor = body.data.halpe_regressor[list(JOINTS_IN_HALPE)]
        self._points = torch.as_tensor(regressor, dtype=torch.float32, device=device)

    @torch.no_grad()
    def __call__(self, made: MovingPairs) -> RenderedPairs:
        """Pictures of P pairs over T frames: B = P * T, a pair's frames following each other with the same people in
        the same place before the same camera."""
        pairs, _, frames = made.poses.shape[:3]
        rows = torch.arange(pairs, device=self.draws.device).repeat_interleave(frames)
        people = (rows[:, None] * PEOPLE + torch.arange(PEOPLE, device=rows.device)).flatten()
        middle = made.transl[:, :, frames // 2]
        views = draw_views(self.draws, middle)
        drawn = _Drawn(
            self.wardrobe.draw(pairs * PEOPLE)[people],
            draw_looks(self.draws, pairs, PEOPLE)[people],
            draw_light(self.draws, pairs)[rows],
        )
        posed = self._posed(made, views, drawn.clothes)
        views = views[rows]
        points = views.seen(posed.points)
        windows = windows_around(self.draws, points.flatten(1, 2), frames)
        walls = draw_walls(self.draws, pairs, self.size, self.panoramas)[rows]
        standing = posed.joints[:, :, [7, 8, 0]].flatten(1, 2)
        scene = lay_floors(
            self.draws, walls, draw_floors(self.draws, pairs)[rows], views, windows, standing,
            middle.mean(1)[rows, :2],
        )  # fmt: skip
        in_front = draw_things_in_front(self.draws, pairs, self.size * self.finer)[rows]
        return self._pictures(posed, drawn, views, windows, scene, in_front, points)

    # -- people ----------------------------------------------------------------------------------------------------

    def _posed(self, made: MovingPairs, views: Views, clothes: Clothes) -> Posed:
        poses, transl, betas = self._with_somebody(made, views)
        skeleton = self.body.skeleton(roma.rotvec_to_rotmat(poses), betas, transl)
        skins = self.body.skin(skeleton, betas)
        full = torch.cat([skins, self.wardrobe.hang(clothes, skeleton.joints, skeleton.rotations)], 1)
        normals = self.mesh.normals(full)
        dressed = full + normals * clothes.displacement[..., None]

        def by_picture(values: Tensor) -> Tensor:
            result: Tensor = values.unflatten(0, (-1, PEOPLE))
            return result

        pair = by_picture(skins)[:, :2]
        return Posed(
            by_picture(skins), by_picture(normals[:, : self.mesh.body_count]), by_picture(dressed), by_picture(normals),
            by_picture(skeleton.joints), torch.einsum("kv,bpvc->bpkc", self._points, pair),
        )  # fmt: skip

    def _with_somebody(self, made: MovingPairs, views: Views) -> tuple[Tensor, Tensor, Tensor]:
        """Poses (B * 3, 24, 3), translations and shapes of the pair and somebody of another pair, who stands mostly
        behind, or where no camera sees."""
        draws, (pairs, _, frames) = self.draws, made.poses.shape[:3]
        other = torch.randperm(pairs, device=draws.device)
        forward = views.rotation[:, 2]
        level = normalize(forward * draws.tensor([1.0, 1.0, 0.0]), dim=-1)
        away = draws.uniform(pairs, 1, low=-0.5, high=3.0) * level
        away = away + draws.uniform(pairs, 1, low=-1.6, high=1.6) * views.rotation[:, 0]
        middle = made.transl[:, :, frames // 2].mean(1)
        there = made.transl[other, 0].clone()
        offset = (middle + away - there[:, frames // 2])[:, None, :2]
        there[..., :2] += offset
        near = (there[:, None, :, :2] - made.transl[..., :2]).norm(dim=-1).amin((1, 2)) < _PERSONAL_SPACE
        absent = ~draws.chance(_SOMEBODY_ELSE, pairs) | near
        behind_camera = (views.eye - 6 * forward)[:, None].expand_as(there)
        there = torch.where(absent[:, None, None], behind_camera, there)
        poses = torch.cat([made.poses, made.poses[other][:, :1]], 1).transpose(1, 2).flatten(0, 2)
        transl = torch.cat([made.transl, there[:, None]], 1).transpose(1, 2).flatten(0, 2)
        betas = torch.cat([made.betas, made.betas[other][:, :1]], 1)
        return poses, transl, betas[:, None].expand(-1, frames, -1, -1).flatten(0, 2)

    # -- pictures --------------------------------------------------------------------------------------------------

    def _pictures(
        self,
        posed: Posed,
        drawn: _Drawn,
        views: Views,
        windows: Windows,
        scene: Tensor,
        in_front: Tensor,
        points: Tensor,
    ) -> RenderedPairs:
        size, finer = self.size, self.finer
        wide = size * finer
        vertices = views.seen(posed.dressed.flatten(1, 2))
        painted = self._painted(vertices, posed, drawn, views, windows, wide)
        dim = self._dimming(painted.depth)
        behind = interpolate(scene, (wide, wide), mode="nearest")
        image = _composed(behind, painted, dim, in_front)
        hidden = in_front[:, 3] > 0.5
        parts = torch.where(hidden, 0, painted.parts)
        depth = torch.where(hidden, 0.2, painted.depth)
        joints = windows.pixels(points, size)
        pixels = windows.pixels(vertices, wide).unflatten(1, (PEOPLE, -1))[:, :2]
        trunk = views.seen(posed.joints[:, :2, [0, 9]])[..., 2].mean(-1)
        order: DepthOrder = depth_order(self.rasterizer, self.mesh, pixels, wide, trunk)
        gaps, between = self.gaps(posed.skins[:, :2], posed.normals[:, :2])
        fine_joints = torch.cat([joints[..., :2] * finer, joints[..., 2:]], -1)
        hands, hand_windows = self._hands(
            vertices, posed, drawn, views, windows, joints[..., :2], (behind, dim, in_front)
        )
        return RenderedPairs(
            avg_pool2d(image, finer) if finer > 1 else image, hands, hand_windows,
            parts[:, finer // 2 :: finer, finer // 2 :: finer].contiguous(), joints[..., :2],
            seen_joints(parts, depth, fine_joints, _REACH * finer), touch_of(gaps), gaps.amin((1, 2)),
            windows.pixels(views.seen(between), size)[..., :2], order.nearer, order.before, order.whole,
        )  # fmt: skip

    def _painted(
        self, vertices: Tensor, posed: Posed, drawn: _Drawn, views: Views, windows: Windows, size: int,
        pictures: Tensor | None = None,
    ) -> Painted:  # fmt: skip
        """People in windows, of which ``pictures`` says each one's picture (by default its own)."""
        mesh = self.mesh
        own = torch.arange(len(vertices), device=vertices.device) if pictures is None else pictures
        pixels = windows.pixels(vertices[own], size)
        depth, face = self.rasterizer(pixels, self._faces, (size, size))
        row, y, x = torch.nonzero(face >= 0, as_tuple=True)
        at = face[row, y, x]
        person = at // len(mesh.faces)
        corners = mesh.faces[at % len(mesh.faces)]  # (M, 3)
        centre = torch.stack([x, y], -1) + 0.5
        weights = _perspective_weights(
            pixels.unflatten(1, (PEOPLE, -1))[row[:, None], person[:, None], corners], centre
        )
        nearest = corners.gather(1, weights.argmax(1, keepdim=True))[:, 0]
        picture = own[row]
        who = picture * PEOPLE + person
        normals = posed.dressed_normals.flatten(0, 1)[who[:, None], corners]
        tangent = windows[row].tangents(centre, size)
        surface = Surface(
            who, picture, drawn.clothes.garment[who, nearest], mesh.parts[nearest],
            (mesh.rest[corners] * weights[..., None]).sum(1), (normals * weights[..., None]).sum(1),
            normalize(views[picture].rays(tangent), dim=-1),
        )  # fmt: skip
        count = len(own)
        colours = torch.zeros(count, size, size, 3, device=vertices.device)
        parts = torch.zeros(count, size, size, dtype=torch.int64, device=vertices.device)
        colours[row, y, x] = shade(surface, drawn.looks, drawn.light)
        parts[row, y, x] = torch.where(person < 2, 1 + person * len(PARTS) + surface.part, 0)
        return Painted(colours, parts, depth, face >= 0)

    def _dimming(self, depth: Tensor) -> Tensor:
        """(B, 1, W, W), how much darker it is where something stands out before its surroundings: a cheap stand-in for
        light that does not reach between two people."""
        finer, far = self.finer, depth.clamp(max=_FARTHEST)[:, None]
        small = avg_pool2d(far, finer) if finer > 1 else far
        radius = 9  # pixels
        padded = torch.nn.functional.pad(small, (radius,) * 4, mode="replicate")
        recess = ((small - avg_pool2d(padded, 2 * radius + 1, 1)) / 0.35).clamp(0, 1) * (small < _FARTHEST - 0.5)
        recess = recess * self.draws.uniform(len(depth), 1, 1, 1, high=0.6)
        return interpolate(recess, depth.shape[-2:], mode="bilinear")

    def _hands(
        self, vertices: Tensor, posed: Posed, drawn: _Drawn, views: Views, windows: Windows, joints: Tensor,
        layers: tuple[Tensor, Tensor, Tensor],
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """Hands more sharply, where a first look may have found them: (B, 2, 2, 3, H, H), and their squares."""
        draws, count, size = self.draws, len(joints), self.hand_size
        side = HAND_SHARE * self.size * torch.exp(0.15 * draws.normal(count, 1, 1))
        luck = draws.uniform(count, 2, 2, 1)
        spread = torch.where(luck < 0.7, 0.08, torch.where(luck < 0.92, 0.3, 1.0))
        centres = hand_centres(joints) + spread * side[..., None] * draws.normal(count, 2, 2, 2)
        side = side.expand(-1, 2, 2)
        squares = torch.cat([centres, side[..., None]], -1)
        picture = torch.arange(count, device=centres.device).repeat_interleave(4)
        middle = windows[picture].tangents(centres.flatten(0, 2), self.size)
        sharp = Windows(middle, side.flatten() / self.size * windows.side[picture])
        painted = self._painted(vertices, posed, drawn, views, sharp, size, picture)
        behind, dim, in_front = (_cut(layer, squares, self.size, size) for layer in layers)
        hands = _composed(behind, painted, dim, in_front)
        return hands.unflatten(0, (count, 2, 2)), squares


def _perspective_weights(corners: Tensor, centre: Tensor) -> Tensor:
    """Weights (M, 3) of a triangle's corners (M, 3, 3; pixels and depth) at pixels ``centre`` (M, 2), true in space."""
    x, y, z = corners.unbind(-1)
    px, py = centre.unbind(-1)
    area = (x[:, 1] - x[:, 0]) * (y[:, 2] - y[:, 0]) - (x[:, 2] - x[:, 0]) * (y[:, 1] - y[:, 0])
    first = ((x[:, 1] - px) * (y[:, 2] - py) - (x[:, 2] - px) * (y[:, 1] - py)) / area
    second = ((x[:, 2] - px) * (y[:, 0] - py) - (x[:, 0] - px) * (y[:, 2] - py)) / area
    weights = torch.stack([first, second, 1 - first - second], -1) / z
    return weights / weights.sum(-1, keepdim=True)


def _composed(behind: Tensor, painted: Painted, dim: Tensor, in_front: Tensor) -> Tensor:
    """People before what is behind them and behind what is before them, (N, 3, W, W)."""
    people = painted.colours.permute(0, 3, 1, 2)
    image = torch.where(painted.covered[:, None], people, behind) * (1 - dim)
    return torch.where(in_front[:, 3:] > 0.5, in_front[:, :3], image).clamp(0, 1)


def _cut(layer: Tensor, squares: Tensor, size: int, wanted: int) -> Tensor:
    """Squares (B, 2, 2, 3), in pixels of pictures of ``size``, of layers (B, C, W, W): (B * 4, C, wanted, wanted).

    A layer may have more pixels than ``size`` along a side.
    """
    at = (torch.arange(wanted, device=layer.device) + 0.5) / wanted - 0.5
    flat = squares.flatten(1, 2)  # (B, 4, 3)
    x = (flat[..., 0, None] + at * flat[..., 2, None]) / size * 2 - 1
    y = (flat[..., 1, None] + at * flat[..., 2, None]) / size * 2 - 1
    grid = torch.stack(torch.broadcast_tensors(x[..., None, :], y[..., :, None]), -1)  # (B, 4, wanted, wanted, 2)
    rows = grid.flatten(1, 2)  # the four squares of a picture below each other
    cut = grid_sample(layer, rows, align_corners=False, padding_mode="border")
    result: Tensor = cut.unflatten(2, (4, wanted)).transpose(1, 2).flatten(0, 1)
    return result


assert EMPTY_DEPTH > _FARTHEST
