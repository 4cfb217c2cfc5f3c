# SPDX-License-Identifier: Apache-2.0
"""The eyes at work: frames and rough places in, evidence about both people out.

eyes = PairEyes.load()
evidence = eyes.look(frames, prompts_of_keypoints(keypoints))
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from closeint_core.body.parts import HAND_SHARE, JOINTS_IN_HALPE, PARTS, hand_centres
from closeint_core.errors import CloseintError
from closeint_core.eyes.calibration import Calibration
from closeint_core.eyes.decoding import WITHIN, decode
from closeint_core.eyes.network import HAND_SIZE, SIZE, STRIDE, FirstLook, PairNetwork, SecondLook
from closeint_core.eyes.prompts import blobs, for_each_person, prompt_points, trunk_lengths
from closeint_core.eyes.weights import find_eyes, load_eyes
from closeint_core.eyes.windows import cut_squares

_AT_ONCE = 8  # frames in memory
_AROUND = 1.4
"""Side of the pair's square relative to what its joints take up, the middle of what was trained with."""
_FOUND = 0.3  # probability of a joint that says how far a person reaches
_SMALLEST = 48.0  # pixels of a square
_NEIGHBOURS = 3


@dataclass(frozen=True)
class PairEvidence:
    """What is seen of two people in T frames; pixels of the frames, centres of pixels at +0.5. Where nobody told of a
    pair, everything is NaN (and ``parts`` 0).

    Attributes:
        keypoints: (T, 2, 13, 2) of ``body.parts.JOINTS``. probability: (T, 2, 13) of being within a quarter of the
            trunk's length. visible: (T, 2, 13) probability of being seen and not hidden.
        squares: (T, 3) middle and side of the square that was looked at.
        parts: (T, 64, 64) uint8 over that square: 0 nobody of the two, 1 + i part i of the first person, 31 + i of the
            second. part_probability: (T, 64, 64) of that class.
        before: (T, 2, 30) probability that the part is before the other's body, where they overlap.
        nearer: (T,) probability that the first person's trunk is nearer to the camera.
        touch: (T, 30, 30) probability that part i of the first person touches part j of the second.
    """

    keypoints: np.ndarray
    probability: np.ndarray
    visible: np.ndarray
    squares: np.ndarray
    parts: np.ndarray
    part_probability: np.ndarray
    before: np.ndarray
    nearer: np.ndarray
    touch: np.ndarray

    def __len__(self) -> int:
        return len(self.keypoints)

    @classmethod
    def nothing(cls, frames: int) -> PairEvidence:
        """Of frames in which nobody told of a pair."""
        cells = SIZE // STRIDE

        def unknown(*shape: int) -> np.ndarray:
            return np.full((frames, *shape), np.nan, np.float32)

        count, parts = len(JOINTS_IN_HALPE), len(PARTS)
        return cls(
            unknown(2, count, 2), unknown(2, count), unknown(2, count), unknown(3),
            np.zeros((frames, cells, cells), np.uint8), unknown(cells, cells), unknown(2, parts), unknown(),
            unknown(parts, parts),
        )  # fmt: skip


def prompts_of_keypoints(keypoints: np.ndarray, least: float = 0.1) -> np.ndarray:
    """Prompts (T, 2, 2, 2) from detected Halpe-26 keypoints (T, 2, 26, 3; pixels, confidence): the middles of shoulders
    and of hips, NaN where none of both sides has a confidence of ``least``."""
    joints = np.asarray(keypoints, np.float32)[..., list(JOINTS_IN_HALPE), :]
    known = (joints[..., 2] >= least) & np.isfinite(joints[..., :2]).all(-1)
    filled = torch.from_numpy(np.where(known[..., None], joints[..., :2], 0.0))
    points, given = prompt_points(filled, torch.from_numpy(known))
    return torch.where(given[..., None], points, float("nan")).numpy()


class PairEyes:
    """Looks at frames.

    Args:
        network: in float32. device: where it runs; on a GPU in bfloat16.
    """

    def __init__(self, network: PairNetwork, calibration: Calibration, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self.network = network.to(self.device).eval().requires_grad_(False)
        self.calibration = calibration

    @classmethod
    def load(cls, path: Path | None = None, device: torch.device | str = "cpu") -> PairEyes:
        """With the weights that are found (``weights.find_eyes``) or named.

        Raises:
            CloseintError: missing, damaged or altered (exit code 3).
        """
        network, calibration, _ = load_eyes(path or find_eyes())
        return cls(network, calibration, device)

    def look(
        self, frames: Sequence[np.ndarray], prompts: np.ndarray, *, looks: int = 2, neighbours: bool = True
    ) -> PairEvidence:
        """Evidence of frames that follow each other.

        Args:
            frames: T pictures (H, W, 3) uint8 RGB of one size. prompts: (T, 2, 2, 2) pixels of the middles of shoulders
                and hips of both people, NaN where not known; see ``prompts_of_keypoints``.
            looks: the square of the first look is a guess from the prompts; from the second on it is drawn around what
                was found. neighbours: touch from the frames before and after as well.

        Raises:
            CloseintError: frames and prompts do not fit each other.
        """
        prompts = np.asarray(prompts, np.float32)
        if prompts.shape != (len(frames), 2, 2, 2):
            raise CloseintError(
                f"{len(frames)} frames have prompts of the shape {prompts.shape}, not ({len(frames)}, 2, 2, 2).",
                "Give shoulders and hips of both people for each frame.",
            )
        known = np.flatnonzero(np.isfinite(prompts).all(-1).any((1, 2)))
        evidence = PairEvidence.nothing(len(frames))
        if len(known) == 0:
            return evidence
        parts = [
            self._first(frames, prompts, known[begin : begin + _AT_ONCE], looks)
            for begin in range(0, len(known), _AT_ONCE)
        ]
        seen = _Seen(*(torch.cat([getattr(part, f.name) for part in parts]) for f in fields(_Seen)))
        second = self._compare(seen, known, neighbours)
        self._write(evidence, known, seen, second)
        return evidence

    # -- the first look --------------------------------------------------------------------------------------------

    def _first(self, frames: Sequence[np.ndarray], prompts: np.ndarray, rows: np.ndarray, looks: int) -> _Seen:
        stacked = np.stack([np.asarray(frames[row]) for row in rows])
        pictures = torch.from_numpy(stacked).to(self.device).permute(0, 3, 1, 2).float() / 255
        given = torch.from_numpy(np.isfinite(prompts[rows]).all(-1)).to(self.device)
        points = torch.from_numpy(np.nan_to_num(prompts[rows])).to(self.device)
        trunks = trunk_lengths(points, given, 0.0)
        squares = squares_of_prompts(points, given, trunks, pictures.shape[-2:])
        for number in range(max(1, looks)):
            look, found, sure = self._look(pictures, points, given, squares)
            if number + 1 < looks:
                squares = squares_around(found, sure, squares)
        hands, windows = _hands(pictures, found, squares)
        masks = _merged_masks(look.masks)
        # What the second look needs, in little memory.
        return _Seen(
            found, sure, look.visible.unflatten(0, (-1, 2)).sigmoid(), squares, masks[0], masks[1],
            look.tokens.float(), look.local.float(), look.places, look.spread, hands, windows,
        )  # fmt: skip

    def _look(
        self, pictures: Tensor, points: Tensor, given: Tensor, squares: Tensor
    ) -> tuple[FirstLook, Tensor, Tensor]:
        """The first look into squares (T, 3): itself, joints (T, 2, 13, 2) in pixels of the frames, how sure."""
        cut = cut_squares(pictures, squares[:, None, :2], squares[:, None, 2], SIZE)[:, 0]
        scale = SIZE / squares[:, None, None, 2:]
        inside = (points - squares[:, None, None, :2]) * scale + SIZE / 2
        shown = blobs(for_each_person(inside), for_each_person(given).float(), SIZE)
        with torch.inference_mode(), self._narrow():
            look = self.network.look(cut.repeat_interleave(2, 0), shown)
        trunks = trunk_lengths(inside, given, SIZE / 13)
        found, sure = decode(look.heat, WITHIN * trunks.flatten() / STRIDE)
        found = found.unflatten(0, (-1, 2)) * STRIDE
        return look, (found - SIZE / 2) / scale + squares[:, None, None, :2], sure.unflatten(0, (-1, 2))

    def _narrow(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda")

    # -- the second look -------------------------------------------------------------------------------------------

    def _compare(self, seen: _Seen, known: np.ndarray, neighbours: bool) -> SecondLook:
        """Logits of 2 T rows; each frame with those before and after it where ``neighbours``."""
        count = len(known)
        frames = _NEIGHBOURS if neighbours and count > 1 else 1
        answers = []
        for begin in range(0, count, _AT_ONCE):
            middle = torch.arange(begin, min(begin + _AT_ONCE, count))
            index = middle[:, None] + torch.arange(frames) - frames // 2
            index = _near_in_time(index, middle, known).flatten().to(self.device)
            rows = (2 * index[:, None] + torch.arange(2, device=self.device)).flatten()
            look = FirstLook(
                seen.tokens, seen.tokens, seen.tokens, seen.tokens[rows], seen.local[rows], seen.places[rows],
                seen.spread[rows],
            )  # fmt: skip
            with torch.inference_mode(), self._narrow():
                second = self.network.compare(look, seen.hands[index], seen.windows[index], frames)
            own = (frames * torch.arange(len(middle)) + frames // 2)[:, None] * 2 + torch.arange(2)
            answers.append([part[own.flatten()] for part in second])
        return SecondLook(*(torch.cat(parts) for parts in zip(*answers, strict=True)))

    def _write(self, evidence: PairEvidence, known: np.ndarray, seen: _Seen, second: SecondLook) -> None:
        lines = self.calibration
        visible = seen.visible.cpu().numpy()
        sure = seen.sure.cpu().numpy()
        evidence.keypoints[known] = seen.found.cpu().numpy()
        evidence.probability[known] = np.where(visible > 0.5, lines.seen_joints(sure), lines.hidden_joints(sure))
        evidence.visible[known] = lines.visible(visible)
        evidence.squares[known] = seen.squares.cpu().numpy()
        evidence.parts[known] = seen.parts.cpu().numpy()
        evidence.part_probability[known] = seen.part_probability.cpu().numpy()
        evidence.before[known] = lines.before(second.before.unflatten(0, (-1, 2)).sigmoid().cpu().numpy())
        evidence.nearer[known] = lines.nearer(second.nearer[::2].sigmoid().cpu().numpy())
        evidence.touch[known] = lines.touch(second.touch[::2].sigmoid().cpu().numpy())


@dataclass(frozen=True)
class _Seen:
    """What the first look leaves of T frames; the last six are for the second look."""

    found: Tensor
    sure: Tensor
    visible: Tensor
    squares: Tensor
    parts: Tensor
    part_probability: Tensor
    tokens: Tensor
    local: Tensor
    places: Tensor
    spread: Tensor
    hands: Tensor
    windows: Tensor


def squares_of_prompts(points: Tensor, given: Tensor, trunks: Tensor, size: Sequence[int]) -> Tensor:
    """Squares (T, 3) that should hold both people, from prompts (T, 2, 2, 2), which of them are given (T, 2, 2), and
    lengths of trunks (T, 2): heads and arms a trunk around the shoulders, feet 1.75 trunks below the hips. The whole
    picture, whose height and width is ``size``, where no trunk is known."""
    shoulders, hips = points.unbind(2)
    reach = trunks[..., None]
    down = torch.where(given.all(-1)[..., None], hips - shoulders, torch.stack([torch.zeros_like(trunks), trunks], -1))
    corners = []
    for place, told, around in (
        (shoulders, given[:, :, 0], 1.0), (hips, given[:, :, 1], 0.7),
        (hips + 1.75 * down, given[:, :, 1], 0.4), (shoulders + 2.75 * down, given[:, :, 0], 0.4),
    ):  # fmt: skip
        for sign in (-1.0, 1.0):
            corners.append(torch.where(told[..., None], place + sign * around * reach, float("nan")))
    box = torch.stack(corners, 2).flatten(1, 2)
    low = torch.where(box.isnan(), float("inf"), box).amin(1)
    high = torch.where(box.isnan(), -float("inf"), box).amax(1)
    side = (high - low).amax(-1).clamp(min=_SMALLEST)
    square = torch.cat([(low + high) / 2, 1.1 * side[:, None]], -1)
    whole = square.new_tensor([size[1] / 2, size[0] / 2, float(max(size))])
    return torch.where((trunks > 0).any(-1, keepdim=True), square, whole)


def squares_around(found: Tensor, sure: Tensor, before: Tensor) -> Tensor:
    """Squares (T, 3) around the joints (T, 2, 13, 2) that are likely enough; as ``before`` (T, 3) where fewer than four
    are."""
    likely = (sure > _FOUND).flatten(1)[..., None]
    points = found.flatten(1, 2)
    low = torch.where(likely, points, float("inf")).amin(1)
    high = torch.where(likely, points, -float("inf")).amax(1)
    side = (_AROUND * (high - low).amax(-1)).clamp(min=_SMALLEST)
    square = torch.cat([(low + high) / 2, side[:, None]], -1)
    return torch.where((likely.sum((1, 2)) >= 4)[:, None], square, before)


def _hands(pictures: Tensor, found: Tensor, squares: Tensor) -> tuple[Tensor, Tensor]:
    """Hands (T, 2, 2, 3, H, H) cut out of the frames, and their squares (T, 2, 2, 3) in 0..1 of the pair's."""
    centres = hand_centres(found)
    side = HAND_SHARE * squares[:, 2]
    cut = cut_squares(pictures, centres.flatten(1, 2), side[:, None].expand(-1, 4), HAND_SIZE)
    corner = squares[:, :2] - squares[:, 2:] / 2
    places = (centres - corner[:, None, None]) / squares[:, None, None, 2:]
    share = torch.full_like(places[..., :1], HAND_SHARE)
    return cut.unflatten(1, (2, 2)), torch.cat([places, share], -1)


def _merged_masks(masks: Tensor) -> tuple[Tensor, Tensor]:
    """One answer (T, h, w), its class uint8 and probability, of what both looks (2 T, 61, h, w) say."""
    chance = masks.softmax(1)
    mine, theirs = chance[::2], chance[1::2]
    parts = len(PARTS)
    turned = torch.cat([theirs[:, :1], theirs[:, 1 + parts :], theirs[:, 1 : 1 + parts]], 1)
    best = ((mine + turned) / 2).max(1)
    return best.indices.to(torch.uint8), best.values


def _near_in_time(index: Tensor, middle: Tensor, known: np.ndarray) -> Tensor:
    """Neighbours (N, F) among the known frames, replaced by the frame itself (N,) where there is none or it is more
    than a few frames away."""
    inside = index.clamp(0, len(known) - 1)
    at = torch.from_numpy(known)
    far = (at[inside] - at[middle][:, None]).abs() > 8
    return torch.where((index != inside) | far, middle[:, None].expand_as(index), inside)
