# SPDX-License-Identifier: Apache-2.0
"""The network: a look at the square around the pair for each of the two, then both together with their hands.

Rows come in twos: row 2i of a batch is about the first person of picture i, row 2i + 1 about the second. The first look
(``PairNetwork.look``) finds joints and masks of the person it is told of; the second (``PairNetwork.compare``) takes
both people's features and sharper pictures of their hands, of one frame or of several that follow each other.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from closeint_core.body.parts import JOINTS, PARTS
from closeint_core.eyes.backbone import CHANNELS, Backbone
from closeint_core.eyes.layers import PLACE_FEATURES, Attention, Mlp, convolved, place_features
from closeint_core.eyes.meeting import MEETING_FEATURES, PART_FEATURES, Meeting, Meetings

SIZE, HAND_SIZE, STRIDE = 256, 96, 4
"""Pixels of the pair's square and of a hand's, and of the pair's square for each cell of heatmaps and masks."""
MASKS = 1 + 2 * len(PARTS)
"""Classes of a pixel: nobody of the two, part i of the person asked for (1 + i), of the other (31 + i)."""
MOST_FRAMES = 5
_WIDTH, _LOCAL, _HEADS = 192, 96, 6
_HAND_STAGES, _HAND_CELLS = 3, 6
_PROMPTS = 4
_ORDINARY = -4.0  # logit of a touch before anything is known: most parts do not touch


@dataclass(frozen=True)
class NetworkShape:
    """What differs between networks whose weights are read.

    Attributes:
        layers: of the pair's head. meetings: whether it is told where parts meet (``meeting``).
    """

    layers: int = 3
    meetings: bool = True

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


FIRST_SHAPE = NetworkShape(2, False)
"""Of weights that do not say."""


class FirstLook(NamedTuple):
    """Of N = 2 B rows.

    Attributes:
        heat: (N, 13, h, w) logits over the cells of each joint's heatmap. masks: (N, 61, h, w) logits.
        visible: (N, 13) logits. tokens: (N, 256, D), local: (N, 13, 96) features. places: (N, 13, 2) in 0..1 of the
            square, the means of the heatmaps; spread: (N, 13) theirs. meeting: where parts are and meet.
    """

    heat: Tensor
    masks: Tensor
    visible: Tensor
    tokens: Tensor
    local: Tensor
    places: Tensor
    spread: Tensor
    meeting: Meeting | None = None


class SecondLook(NamedTuple):
    """Logits of N = 2 B rows: ``touch`` (N, 30, 30), part i of the person asked for touches part j of the other;
    ``before`` (N, 30), the part is before the other's body; ``nearer`` (N,), the person is nearer to the camera."""

    touch: Tensor
    before: Tensor
    nearer: Tensor


class HandTower(nn.Module):
    """Tokens of a hand's picture: the first stages of the backbone, with weights of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Backbone(_HAND_STAGES)
        self.down = convolved(CHANNELS[8], 2 * CHANNELS[8], 2)
        self.out = nn.Conv2d(2 * CHANNELS[8], _WIDTH, 1)
        self.cell = nn.Parameter(0.02 * torch.randn(_HAND_CELLS * _HAND_CELLS, _WIDTH))
        self.whose = nn.Parameter(0.02 * torch.randn(4, _WIDTH))
        self.place = nn.Linear(PLACE_FEATURES + 1, _WIDTH)

    def forward(self, hands: Tensor, windows: Tensor) -> Tensor:
        """(B, 2, 2, 36, D) of hands (B, 2, 2, 3, H, H) and their squares (B, 2, 2, 3) in 0..1 of the pair's."""
        features = self.out(self.down(self.backbone(hands.flatten(0, 2))[8]))
        tokens = features.flatten(2).transpose(1, 2) + self.cell
        where = torch.cat([place_features(windows[..., :2]), windows[..., 2:]], -1)
        return tokens.unflatten(0, hands.shape[:3]) + self.place(where.to(tokens.dtype))[..., None, :]


class PairHead(nn.Module):
    """Both people's parts as queries that look at joints, pictures, hands, and at the same parts in other frames."""

    def __init__(self, shape: NetworkShape) -> None:
        super().__init__()
        dim, self.layers = _WIDTH, shape.layers
        self.part = nn.Parameter(0.02 * torch.randn(len(PARTS), dim))
        self.whose = nn.Parameter(0.02 * torch.randn(2, dim))
        self.joint = nn.Parameter(0.02 * torch.randn(len(JOINTS), dim))
        self.local, self.place = nn.Linear(_LOCAL, dim), nn.Linear(PLACE_FEATURES + 2, dim)
        self.hands = HandTower()
        self.among = nn.ModuleList(Attention(dim, _HEADS) for _ in range(shape.layers))
        self.seen = nn.ModuleList(Attention(dim, _HEADS) for _ in range(shape.layers))
        self.mix = nn.ModuleList(Mlp(dim) for _ in range(shape.layers))
        self.time = Attention(dim, _HEADS)
        self.when = nn.Parameter(0.02 * torch.randn(MOST_FRAMES, dim))
        self.mine, self.theirs = nn.Linear(dim, 128), nn.Linear(dim, 128)
        self.touch = nn.Sequential(nn.GELU(), nn.Linear(128, 64), nn.GELU(), nn.Linear(64, 1))
        self.usual = nn.Parameter(torch.full((len(PARTS), len(PARTS)), _ORDINARY))
        self.before, self.nearer = nn.Linear(dim, 1), nn.Linear(dim, 1)
        if shape.meetings:
            self.shown, self.where = nn.Linear(_LOCAL, dim), nn.Linear(PART_FEATURES, dim)
            self.beside = nn.Sequential(nn.Linear(MEETING_FEATURES, 128), nn.GELU(), nn.Linear(128, 128))

    def forward(self, first: FirstLook, hands: Tensor, windows: Tensor, frames: int) -> SecondLook:
        """See ``PairNetwork.compare``."""
        joints = self._joints(first)
        swap = torch.arange(len(joints), device=joints.device) ^ 1
        tokens = self.hands(hands, windows)
        both = torch.stack([tokens, tokens.flip(1)], 1).flatten(0, 1)  # each row's own hands first
        both = (both.flatten(1, 2) + self.hands.whose[:, None]).flatten(1, 2)
        keys = torch.cat([joints + self.whose[0], joints[swap] + self.whose[1], first.tokens, both], 1)
        queries = (self.whose[:, None] + self.part).flatten(0, 1).expand(len(joints), -1, -1).to(keys.dtype)
        if first.meeting is not None:
            told = self.shown(first.meeting.shown) + self.where(first.meeting.where.to(keys.dtype))
            queries = queries + torch.cat([told, told[swap]], 1)
        for number in range(self.layers):
            queries = self.among[number](queries)
            queries = self.seen[number](queries, keys)
            queries = self.mix[number](queries)
            if number == 0:
                queries = self._over_time(queries, frames)
        return self._answers(queries, swap, first.meeting)

    def _joints(self, first: FirstLook) -> Tensor:
        spread = first.spread[..., None]
        where = torch.cat([place_features(first.places), spread, spread.square()], -1)
        return self.local(first.local) + self.place(where.to(first.local.dtype)) + self.joint

    def _over_time(self, queries: Tensor, frames: int) -> Tensor:
        """Each part of each person looks at itself in the other frames of the same pair."""
        rows, count, dim = queries.shape
        by_pair = queries.view(-1, frames, 2, count, dim).permute(0, 2, 3, 1, 4).reshape(-1, frames, dim)
        start = (MOST_FRAMES - frames) // 2
        mixed = self.time(by_pair + self.when[start : start + frames].to(by_pair.dtype))
        return mixed.view(-1, 2, count, frames, dim).permute(0, 3, 1, 2, 4).reshape(rows, count, dim)

    def _answers(self, queries: Tensor, swap: Tensor, meeting: Meeting | None) -> SecondLook:
        own, other = queries[:, : len(PARTS)], queries[:, len(PARTS) :]
        pairs = self.mine(own)[:, :, None] + self.theirs(other)[:, None]
        if meeting is not None:
            pairs = pairs + self.beside(meeting.beside.to(pairs.dtype))
        touch = self.touch(pairs)[..., 0].float() + self.usual
        nearer = self.nearer(own.mean(1))[:, 0].float()
        return SecondLook(
            (touch + touch[swap].transpose(1, 2)) / 2, self.before(own)[..., 0].float(), nearer - nearer[swap]
        )


class PairNetwork(nn.Module):
    """Eyes for a pair; see the module."""

    def __init__(self, shape: NetworkShape | None = None) -> None:
        super().__init__()
        self.shape = shape or NetworkShape()
        self.backbone = Backbone()
        self.prompt = nn.Conv2d(_PROMPTS, 32, 5, stride=2, padding=2, bias=False)
        nn.init.normal_(self.prompt.weight, std=0.02)
        self.from32, self.from16 = nn.Conv2d(CHANNELS[32], _WIDTH, 1), nn.Conv2d(CHANNELS[16], _WIDTH, 1)
        self.prompt16 = nn.Conv2d(_PROMPTS, _WIDTH, 1)
        self.place = nn.Parameter(0.02 * torch.randn(1, _WIDTH, 16, 16))
        self.attention = nn.ModuleList(Attention(_WIDTH, _HEADS) for _ in range(3))
        self.mix = nn.ModuleList(Mlp(_WIDTH) for _ in range(3))
        self.from8, self.from4 = nn.Conv2d(CHANNELS[8], 128, 1), nn.Conv2d(CHANNELS[4], _LOCAL, 1)
        self.up16, self.up8 = convolved(_WIDTH, 128), convolved(128, _LOCAL)
        self.up4 = nn.Sequential(convolved(_LOCAL, _LOCAL), convolved(_LOCAL, _LOCAL))
        self.heat, self.masks = nn.Conv2d(_LOCAL, len(JOINTS), 1), nn.Conv2d(_LOCAL, MASKS, 1)
        self.visible = nn.Sequential(nn.Linear(_LOCAL + _WIDTH, 64), nn.ReLU(), nn.Linear(64, 1))
        self.joint = nn.Parameter(0.02 * torch.randn(len(JOINTS), _LOCAL + _WIDTH))
        self.pair = PairHead(self.shape)
        self.meetings = Meetings(_LOCAL) if self.shape.meetings else None

    def look(self, pictures: Tensor, prompts: Tensor) -> FirstLook:
        """Find the person asked for in each row.

        Args:
            pictures: (N, 3, S, S) in 0..1, S a multiple of 32, the rows in twos. prompts: (N, 4, S, S), see
                ``prompts.blobs``.
        """
        found = self.backbone(pictures, self.prompt(prompts))
        features = self.from16(found[16]) + _enlarged(self.from32(found[32]), found[16])
        features = features + self.prompt16(avg_pool2d(prompts, 16) * 4) + _enlarged(self.place, features)
        tokens = features.flatten(2).transpose(1, 2)
        for attention, mix in zip(self.attention, self.mix, strict=True):
            tokens = mix(attention(tokens))
        fine = self.up16(tokens.transpose(1, 2).view_as(features))
        fine = self.up8(_enlarged(fine, found[8]) + self.from8(found[8]))
        fine = self.up4(_enlarged(fine, found[4]) + self.from4(found[4]))
        heat = self.heat(fine).float()
        chance = heat.flatten(2).softmax(-1)
        local = torch.einsum("njp,ncp->njc", chance.to(fine.dtype), fine.flatten(2))
        whole = tokens.mean(1)[:, None].expand(-1, len(JOINTS), -1).to(local.dtype)
        visible = self.visible(torch.cat([local, whole], -1) + self.joint)[..., 0]
        places, spread = _mean_and_spread(chance.detach(), heat.shape[-1])
        masks = self.masks(fine).float()
        meeting = None if self.meetings is None else self.meetings(fine, masks)
        return FirstLook(heat, masks, visible.float(), tokens, local, places, spread, meeting)

    def compare(self, first: FirstLook, hands: Tensor, windows: Tensor, frames: int = 1) -> SecondLook:
        """What touches, and who is in front.

        Args:
            first: of N = 2 B rows, B pictures: the frames of a pair follow each other. hands: (B, 2, 2, 3, H, H) in
                0..1, left and right of both people. windows: (B, 2, 2, 3), middle and side of the hands' squares
                in 0..1 of the pair's. frames: of each pair.
        """
        second: SecondLook = self.pair(first, hands, windows, frames)
        return second

    def forward(
        self, pictures: Tensor, prompts: Tensor, hands: Tensor, windows: Tensor, frames: int = 1
    ) -> tuple[FirstLook, SecondLook]:
        """Both looks."""
        first = self.look(pictures, prompts)
        return first, self.compare(first, hands, windows, frames)


def _enlarged(features: Tensor, like: Tensor) -> Tensor:
    if features.shape[-2:] == like.shape[-2:]:
        return features
    return interpolate(features, like.shape[-2:], mode="bilinear", align_corners=False)


def _mean_and_spread(chance: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Mean (N, J, 2) in 0..1 and spread (N, J) of distributions (N, J, width * width) over square cells."""
    at = (torch.arange(width, device=chance.device) + 0.5) / width
    grid = torch.stack(torch.meshgrid(at, at, indexing="xy"), -1).flatten(0, 1)  # (cells, 2): x, y
    mean = chance @ grid
    square = chance @ grid.square().sum(-1, keepdim=True)
    spread = (square[..., 0] - mean.square().sum(-1)).clamp(min=1e-8).sqrt() * 4
    return mean, spread


def count_parameters(network: nn.Module) -> int:
    """Numbers in a network's parameters."""
    return sum(parameter.numel() for parameter in network.parameters())
