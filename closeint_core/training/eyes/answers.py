# SPDX-License-Identifier: Apache-2.0
"""What a network answers about rendered pictures, beside what is true: gathered once, measured in many ways."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from closeint_core.eyes.decoding import WITHIN, decode
from closeint_core.eyes.network import MASKS, STRIDE, PairNetwork
from closeint_core.eyes.prompts import prompt_points, trunk_lengths
from closeint_core.rendering.renderer import RenderedPairs
from closeint_core.training.eyes.pictures import EyesBatch

_SHORTEST_TRUNK = 20 / 256  # of the square's side, for the length by which errors are measured


@dataclass(frozen=True)
class Answers:
    """Of B pictures, numpy arrays, probabilities not calibrated.

    Attributes:
        error: (B, 2, 13) distance from the truth in trunks. sure: (B, 2, 13) probability of being within a quarter.
        inside, seen: (B, 2, 13) bool. said_seen: (B, 2, 13) probability.
        touch, touched: (B, 30, 30) probability and truth (1, 0, -1 not counted). gap: (B,) metres between the two.
        before, was_before: (B, 2, 30). nearer, was_nearer: (B,).
        overlap, union: (61,) pixels of each class of masks.
    """

    error: np.ndarray
    sure: np.ndarray
    inside: np.ndarray
    seen: np.ndarray
    said_seen: np.ndarray
    touch: np.ndarray
    touched: np.ndarray
    gap: np.ndarray
    before: np.ndarray
    was_before: np.ndarray
    nearer: np.ndarray
    was_nearer: np.ndarray
    overlap: np.ndarray
    union: np.ndarray

    @classmethod
    def join(cls, parts: list[Answers]) -> Answers:
        """All of several batches."""

        def joined(name: str) -> np.ndarray:
            values = [getattr(part, name) for part in parts]
            return np.sum(values, 0) if name in ("overlap", "union") else np.concatenate(values)

        return cls(**{f.name: joined(f.name) for f in fields(cls)})


@torch.no_grad()
def answers_of(
    network: PairNetwork, shown: Iterable[tuple[RenderedPairs, EyesBatch]], frames: int = 1, narrow: bool = False
) -> Answers:
    """Ask a network.

    Args:
        shown: renders and what is made of them. frames: of each pair (the network is told of all at once).
        narrow: in bfloat16.
    """
    return Answers.join([_answered(network, rendered, batch, frames, narrow) for rendered, batch in shown])


def _answered(network: PairNetwork, rendered: RenderedPairs, batch: EyesBatch, frames: int, narrow: bool) -> Answers:
    with torch.autocast(batch.pictures.device.type, torch.bfloat16, enabled=narrow):
        first, second = network(batch.pictures, batch.prompts, batch.hands, batch.windows, frames)
    size = rendered.image.shape[-1]
    trunks = trunk_lengths(*prompt_points(rendered.joints), _SHORTEST_TRUNK * size)  # (B, 2)
    radius = WITHIN * trunks.flatten() / STRIDE
    found, sure = decode(first.heat, radius)
    error = (found - batch.joints).norm(dim=-1) * WITHIN / radius[:, None]

    def people(values: Tensor) -> np.ndarray:
        result: np.ndarray = values.unflatten(0, (-1, 2)).float().cpu().numpy()
        return result

    # One answer for both ways in which a picture was asked about: the same by construction.
    said = first.masks.argmax(1)
    hit = torch.bincount(said[said == batch.masks], minlength=MASKS)
    both = torch.bincount(said.flatten(), minlength=MASKS) + torch.bincount(batch.masks.flatten(), minlength=MASKS)
    return Answers(
        people(error), people(sure), people(batch.inside) > 0, people(batch.seen) > 0, people(first.visible.sigmoid()),
        second.touch[::2].sigmoid().cpu().numpy(), batch.touch[::2].cpu().numpy(), rendered.gap.cpu().numpy(),
        people(second.before.sigmoid()), people(batch.before),
        second.nearer[::2].sigmoid().cpu().numpy(), batch.nearer[::2].cpu().numpy(),
        hit.cpu().numpy(), (both - hit).cpu().numpy(),
    )  # fmt: skip
