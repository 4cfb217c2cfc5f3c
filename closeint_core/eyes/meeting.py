# SPDX-License-Identifier: Apache-2.0
"""Where the parts of both people are in the picture, and what the picture shows where two of them meet.

For each person asked for a map of every part is made as if nobody stood before them; what touches lies where the maps
of a part of the one and a part of the other are beside each other. All is worked out at the resolution of heatmaps,
so that the second look need not keep features of pictures.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from closeint_core.body.parts import PARTS
from closeint_core.eyes.layers import PLACE_FEATURES, place_features

_REACHES = (1.2, 3.5)
"""Spreads (cells) within which two parts are beside each other: about 4 and 12 cm."""
_KINDS = 12  # of features where two parts meet; the first is how likely something touches there
_RARE = -4.0
"""Logit of a touch in a cell before anything is learned: about 2 %, since most cells show none."""
_LEAST = 0.02  # cells of overlap that are nothing
MEETING_FEATURES = len(_REACHES) + 1 + _KINDS
PART_FEATURES = PLACE_FEATURES + 2 + 3
"""Numbers that tell where a part is, beside the picture's features there."""


class Meeting(NamedTuple):
    """Of N rows, two for each picture.

    Attributes:
        whole: (N, 31, h, w) logits of the part of the person asked for that lies in each cell, 0 none, as if nobody
            stood before them. contact: (N, h, w) logits of something touching there.
        shown: (N, 30, C) features of the picture where each part is. where: (N, 30, ``PART_FEATURES``).
        beside: (N, 30, 30, ``MEETING_FEATURES``), of part i of the person asked for and part j of the other.
    """

    whole: Tensor
    contact: Tensor
    shown: Tensor
    where: Tensor
    beside: Tensor


class Meetings(nn.Module):
    """Makes a ``Meeting`` of the fine features (N, C, h, w) of both rows of each picture."""

    blur: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.whole = nn.Conv2d(channels, 1 + len(PARTS), 1)
        self.kinds = nn.Conv2d(channels, _KINDS, 1)
        nn.init.constant_(self.kinds.bias[:1], _RARE)  # type: ignore[index]
        reach = math.ceil(2.5 * max(_REACHES))
        at = torch.arange(-reach, reach + 1)
        lines = torch.stack([torch.exp(-(at**2) / (2 * spread**2)) for spread in _REACHES])
        self.register_buffer("blur", lines / lines.sum(1, keepdim=True), persistent=False)

    def forward(self, fine: Tensor, masks: Tensor) -> Meeting:
        """``masks``: (N, 61, h, w) logits of what is seen."""
        whole, kinds = self.whole(fine).float(), self.kinds(fine).float()
        swap = torch.arange(len(whole), device=fine.device) ^ 1
        maps = whole.softmax(1)[:, 1:]
        mass = maps.sum((2, 3)).clamp(min=_LEAST)
        flat = maps.flatten(2)
        shown = torch.einsum("nip,ncp->nic", flat.to(fine.dtype), fine.flatten(2)) / mass[..., None]
        near = [self._blurred(maps, number).flatten(2) for number in range(len(_REACHES))]
        overlaps = [torch.bmm(own, flat[swap].mT) for own in near]
        contact = kinds[:, 0]
        features = torch.cat([((contact + contact[swap]) / 2).sigmoid()[:, None], kinds[:, 1:].tanh()], 1).flatten(2)
        meets = (features[:, :, None] * near[0][swap][:, None]).flatten(1, 2)  # (N, kinds * 30, cells)
        beside = torch.bmm(near[0], meets.mT).float().unflatten(2, (_KINDS, -1)).movedim(2, 3)
        close = torch.bmm(near[0], near[0][swap].mT).float()
        logs = [_log(overlap.float()) for overlap in overlaps] + [_log(beside[..., 0])]
        mean = beside / (close[..., None] + _LEAST)
        where = self._where(maps, mass, masks, swap)
        return Meeting(whole, contact, shown, where, torch.cat([torch.stack(logs, -1), mean], -1))

    def _blurred(self, maps: Tensor, number: int) -> Tensor:
        line = self.blur[number].to(maps.dtype)
        reach = len(line) // 2
        flat = maps.flatten(0, 1)[:, None]
        wide = conv2d(flat, line.view(1, 1, 1, -1), padding=(0, reach))
        return conv2d(wide, line.view(1, 1, -1, 1), padding=(reach, 0)).view_as(maps)

    def _where(self, maps: Tensor, mass: Tensor, masks: Tensor, swap: Tensor) -> Tensor:
        """Place and spread of each part, how much of it there is, and how much of it, where it lies over or under the
        other, shows as its own body's or as the other's."""
        height, width = maps.shape[-2:]
        y = (torch.arange(height, device=maps.device) + 0.5) / height
        x = (torch.arange(width, device=maps.device) + 0.5) / width
        share = maps / mass[..., None, None]
        across, down = share.sum(2), share.sum(3)  # (N, 30, w), (N, 30, h)
        place = torch.stack([across @ x, down @ y], -1)
        square = across @ x.square() + down @ y.square()
        spread = (square - place.square().sum(-1)).clamp(min=1e-8).sqrt()[..., None] * 4
        chance = masks.softmax(1)
        own, theirs = chance[:, 1 : 1 + len(PARTS)].sum(1), chance[:, 1 + len(PARTS) :].sum(1)
        other = maps[swap].sum(1)
        both = maps.flatten(2)
        over = torch.einsum("nip,np->ni", both, (other * own).flatten(1))
        under = torch.einsum("nip,np->ni", both, (other * theirs).flatten(1))
        logs = torch.stack([_log(mass), _log(over), _log(under)], -1)
        return torch.cat([place_features(place.float()), spread, spread.square(), logs.float()], -1)


def _log(cells: Tensor) -> Tensor:
    """Logarithm of cells, about 0 for one cell and -1 for nothing."""
    return (cells.clamp(min=0) + _LEAST).log() / -math.log(_LEAST)
