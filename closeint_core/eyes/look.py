# SPDX-License-Identifier: Apache-2.0
"""The eyes at work: frames and rough places in, evidence about both people out.

eyes = PairEyes.load()
evidence = eyes.look(frames, prompts_of_keypoints(keypoints))
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from closeint_core.body.parts import HAND_SHARE, JOINTS_IN_HALPE, PARTS, hand_centres
from closeint_core.errors import CloseintError
from closeint_core.eyes.calibration import Calibration
from closeint_core.eyes.decoding import WITHIN, decode
from closeint_core.eyes.inference import ready_for_cpu
from closeint_core.eyes.meeting import Meeting
from closeint_core.eyes.network import HAND_SIZE, SIZE, STRIDE, FirstLook, PairNetwork, SecondLook
from closeint_core.eyes.prompts import blobs, for_each_person, prompt_points, trunk_lengths
from closeint_core.eyes.weights import find_eyes, load_eyes
from closeint_core.eyes.windows import cut_squares

_AT_ONCE = {"cpu": 3, "cuda": 16}
"""Frames looked at together; on a CPU so few that somebody who cancels waits for less than a second."""
_AROUND = 1.4
"""Side of the pair's square relative to what its joints take up, the middle of what was trained with."""
_FOUND = 0.3  # probability of a joint that says how far a person reaches
_SMALLEST = 48.0  # pixels of a square
SHORTEST = 1 / 13
"""Of a square's side: no trunk counts as shorter."""
_NEIGHBOURS = 3
_NEAR = 8  # frames over which anything of one frame is told to another
_LIKELY = 0.5  # probability from which on what was found tells the next look where to look


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
    def nothing(cls, frames: int, masks: bool = True) -> PairEvidence:
        """Of frames in which nobody told of a pair; without ``masks`` there are none of any frame."""
        cells, masked = SIZE // STRIDE, frames if masks else 0

        def unknown(*shape: int) -> np.ndarray:
            return np.full((frames, *shape), np.nan, np.float32)

        count, parts = len(JOINTS_IN_HALPE), len(PARTS)
        return cls(
            unknown(2, count, 2), unknown(2, count), unknown(2, count), unknown(3),
            np.zeros((masked, cells, cells), np.uint8), unknown(cells, cells)[:masked], unknown(2, parts), unknown(),
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
        network: in float32. device: where it runs; on a GPU in bfloat16, on a CPU see ``inference``.
    """

    def __init__(self, network: PairNetwork, calibration: Calibration, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        on_cpu = self.device.type == "cpu"
        self.network = ready_for_cpu(network) if on_cpu else network.to(self.device).eval().requires_grad_(False)
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

        ``EyesStream`` does the same for frames that come one at a time.

        Raises:
            CloseintError: frames and prompts do not fit each other.
        """
        prompts = np.asarray(prompts, np.float32)
        if prompts.shape != (len(frames), 2, 2, 2):
            raise CloseintError(
                f"{len(frames)} frames have prompts of the shape {prompts.shape}, not ({len(frames)}, 2, 2, 2).",
                "Give shoulders and hips of both people for each frame.",
            )
        stream = EyesStream(self, len(frames), looks=looks, neighbours=neighbours)
        for index, (frame, told) in enumerate(zip(frames, prompts, strict=True)):
            stream.add(index, frame, told)
        return stream.finish()

    # -- the first look --------------------------------------------------------------------------------------------

    def _first(self, frames: Sequence[np.ndarray], prompts: np.ndarray, squares: np.ndarray, looks: int) -> _Seen:
        """The first look at frames with prompts (T, 2, 2, 2) and squares (T, 3), NaN where the prompts say them."""
        pictures = [torch.from_numpy(np.ascontiguousarray(frame)).to(self.device) for frame in frames]
        given = torch.from_numpy(np.isfinite(prompts).all(-1)).to(self.device)
        points = torch.from_numpy(np.nan_to_num(prompts)).to(self.device)
        trunks = trunk_lengths(points, given, 0.0)
        told = torch.from_numpy(squares).to(self.device)
        guessed = squares_of_prompts(points, given, trunks, pictures[0].shape[:2])
        around = torch.where(told.isfinite().all(-1, keepdim=True), told, guessed)
        for number in range(max(1, looks)):
            look, found, sure = self._look(pictures, points, given, around)
            if number + 1 < looks:
                around = squares_around(found, sure, around)
        hands, windows = _hands(pictures, found, around)
        masks = _merged_masks(look.masks)
        # What the second look needs, in little memory.
        return _Seen(
            found, sure, look.visible.unflatten(0, (-1, 2)).sigmoid(), around, masks[0], masks[1],
            look.tokens.float(), look.local.float(), look.places, look.spread, hands, windows,
            *(() if look.meeting is None else (part.float() for part in look.meeting[2:])),
        )  # fmt: skip

    def _look(
        self, pictures: list[Tensor], points: Tensor, given: Tensor, squares: Tensor
    ) -> tuple[FirstLook, Tensor, Tensor]:
        """The first look into squares (T, 3): itself, joints (T, 2, 13, 2) in pixels of the frames, how sure."""
        cut = _cut(pictures, squares[:, None, :2], squares[:, None, 2], SIZE)[:, 0]
        scale = SIZE / squares[:, None, None, 2:]
        inside = (points - squares[:, None, None, :2]) * scale + SIZE / 2
        shown = blobs(for_each_person(inside), for_each_person(given).float(), SIZE)
        layout = torch.channels_last
        with torch.inference_mode(), self._narrow():
            look = self.network.look(
                cut.repeat_interleave(2, 0).contiguous(memory_format=layout), shown.contiguous(memory_format=layout)
            )
        trunks = trunk_lengths(inside, given, SHORTEST * SIZE)
        found, sure = decode(look.heat, WITHIN * trunks.flatten() / STRIDE)
        found = found.unflatten(0, (-1, 2)) * STRIDE
        return look, (found - SIZE / 2) / scale + squares[:, None, None, :2], sure.unflatten(0, (-1, 2))

    def _narrow(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda")

    # -- the second look -------------------------------------------------------------------------------------------

    def _compare(self, seen: _Seen, at: np.ndarray, middle: Tensor, neighbours: bool) -> SecondLook:
        """Logits of 2 N rows, of the frames ``middle`` (N,) among those seen, whose numbers are ``at``; each with those
        before and after it where ``neighbours``."""
        frames = _NEIGHBOURS if neighbours and len(at) > 1 else 1
        index = middle[:, None] + torch.arange(frames) - frames // 2
        index = _near_in_time(index, middle, at).flatten().to(self.device)
        rows = (2 * index[:, None] + torch.arange(2, device=self.device)).flatten()
        look = FirstLook(
            seen.tokens, seen.tokens, seen.tokens, seen.tokens[rows], seen.local[rows], seen.places[rows],
            seen.spread[rows], seen.meeting(rows),
        )  # fmt: skip
        with torch.inference_mode(), self._narrow():
            second = self.network.compare(look, seen.hands[index], seen.windows[index], frames)
        own = (frames * torch.arange(len(middle)) + frames // 2)[:, None] * 2 + torch.arange(2)
        return SecondLook(*(part[own.flatten()] for part in second))

    def _write(self, evidence: PairEvidence, known: np.ndarray, seen: _Seen, second: SecondLook) -> None:
        lines = self.calibration
        visible = seen.visible.cpu().numpy()
        sure = seen.sure.cpu().numpy()
        evidence.keypoints[known] = seen.found.cpu().numpy()
        evidence.probability[known] = np.where(visible > 0.5, lines.seen_joints(sure), lines.hidden_joints(sure))
        evidence.visible[known] = lines.visible(visible)
        evidence.squares[known] = seen.squares.cpu().numpy()
        if len(evidence.parts):
            evidence.parts[known] = seen.parts.cpu().numpy()
            evidence.part_probability[known] = seen.part_probability.cpu().numpy()
        evidence.before[known] = lines.before(second.before.unflatten(0, (-1, 2)).sigmoid().cpu().numpy())
        evidence.nearer[known] = lines.nearer(second.nearer[::2].sigmoid().cpu().numpy())
        evidence.touch[known] = lines.touch(second.touch[::2].sigmoid().cpu().numpy())


class EyesStream:
    """Looks at frames that come one at a time; beside the evidence, memory does not grow with them.

    Args:
        frames: of which evidence is wanted; those that are not added have none. looks, neighbours: see
            ``PairEyes.look``.
        masks: keep part masks as well; else ``parts`` and ``part_probability`` of the evidence are empty (0, 64, 64).
        again: look again at frames in which a prompt is missing, told by what was found in them or near in time.
    """

    def __init__(
        self,
        eyes: PairEyes,
        frames: int,
        *,
        looks: int = 2,
        neighbours: bool = True,
        masks: bool = True,
        again: bool = False,
    ) -> None:
        self._eyes, self._looks, self._neighbours, self._again = eyes, looks, neighbours, again
        self._at_once = _AT_ONCE.get(eyes.device.type, 8)
        self._evidence = PairEvidence.nothing(frames, masks)
        self._waiting: list[tuple[int, np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
        self._seen: _Seen | None = None
        self._at = np.zeros(0, np.int64)  # numbers of the frames in ``_seen``
        self._compared = 0  # of them

    def add(self, index: int, picture: np.ndarray, prompts: np.ndarray, square: np.ndarray | None = None) -> None:
        """A frame; its number is higher than of those before.

        Args:
            picture: (H, W, 3) uint8 RGB. prompts: (2, 2, 2), see ``PairEyes.look``; nobody is looked for where all are
                NaN. square: (3,) where both people are roughly, pixels; from the prompts if not given.
        """
        prompts = np.asarray(prompts, np.float32)
        if not np.isfinite(prompts).all(-1).any():
            return
        told, corner = np.full(3, np.nan, np.float32), np.zeros(2, np.float32)
        if square is not None:
            told = np.asarray(square, np.float32)
            if self._looks <= 1:
                picture, corner = _around(picture, told)
                told = told - np.append(corner, np.float32(0))
        self._waiting.append((index, picture, prompts - corner, told, corner))
        if len(self._waiting) >= self._at_once:
            self._look(last=False)

    def finish(self) -> PairEvidence:
        """The evidence of all frames."""
        self._look(last=True)
        return self._evidence

    def _look(self, *, last: bool) -> None:
        if self._waiting:
            indices, pictures, prompts, squares, corners = zip(*self._waiting, strict=True)
            told, around = np.stack(prompts), np.stack(squares)
            found = self._eyes._first(pictures, told, around, self._looks)
            if self._again:
                shift = np.stack(corners)[:, None, None]  # (T, 1, 1, 2)
                places = found.found.cpu() + torch.from_numpy(shift)
                filled = filled_prompts(told + shift, places, found.sure.cpu(), np.asarray(indices)) - shift
                missing = np.flatnonzero((np.isfinite(filled) & ~np.isfinite(told)).any((1, 2, 3)))
                if len(missing):
                    again = [pictures[row] for row in missing]
                    more = self._eyes._first(again, filled[missing], around[missing], self._looks)
                    found = found.replaced(missing, more)
            found = found.moved(torch.from_numpy(np.stack(corners)))
            self._seen = found if self._seen is None else self._seen.followed_by(found)
            self._at = np.concatenate([self._at, indices])
            self._waiting = []
        if self._seen is None:
            return
        # The newest frame waits for the one after it.
        ready = len(self._at) if last else len(self._at) - 1
        if ready > self._compared:
            middle = torch.arange(self._compared, ready)
            second = self._eyes._compare(self._seen, self._at, middle, self._neighbours)
            rows = slice(self._compared, ready)
            self._eyes._write(self._evidence, self._at[rows], self._seen[rows], second)
        kept = slice(max(0, ready - 1), None)  # one compared frame is the neighbour of the next
        self._compared = ready - kept.start
        self._seen, self._at = self._seen[kept], self._at[kept]


@dataclass(frozen=True)
class _Seen:
    """What the first look leaves of T frames, from ``tokens`` on for the second look; ``shown``, ``where`` and
    ``beside`` are of ``meeting.Meeting``, None of a network that does not tell."""

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
    shown: Tensor | None = None
    where: Tensor | None = None
    beside: Tensor | None = None

    def meeting(self, rows: Tensor) -> Meeting | None:
        """Of some rows, without its maps, of which the second look makes no use."""
        if self.shown is None or self.where is None or self.beside is None:
            return None
        return Meeting(self.shown, self.shown, self.shown[rows], self.where[rows], self.beside[rows])

    def __getitem__(self, frames: slice) -> _Seen:
        return self._each(lambda name, values: values[_rows(name, frames)])

    def replaced(self, rows: np.ndarray, other: _Seen) -> _Seen:
        """With other answers for some frames."""

        def of(name: str, values: Tensor) -> Tensor:
            at = torch.as_tensor(rows, device=values.device)
            if name in _BY_PERSON:
                at = (2 * at[:, None] + torch.arange(2, device=values.device)).flatten()
            changed = values.clone()
            changed[at] = getattr(other, name)
            return changed

        return self._each(of)

    def moved(self, corners: Tensor) -> _Seen:
        """In pixels of the frames, from those of parts of them with their upper left ``corners`` (T, 2) there."""
        corners = corners.to(self.found.device)
        squares = torch.cat([self.squares[:, :2] + corners, self.squares[:, 2:]], 1)
        return replace(self, found=self.found + corners[:, None, None], squares=squares)

    def followed_by(self, other: _Seen) -> _Seen:
        """These frames and then those."""
        return self._each(lambda name, values: torch.cat([values, getattr(other, name)]))

    def _each(self, change: Callable[[str, Tensor], Tensor]) -> _Seen:
        """With every array changed; what a network does not have stays None."""
        had = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{name: change(name, values) for name, values in had.items() if values is not None})


_BY_PERSON = ("tokens", "local", "places", "spread", "shown", "where", "beside")


def _rows(name: str, frames: slice) -> slice:
    """Of an array of ``_Seen``: some have a row for each person, those of a frame one after the other."""
    if name not in _BY_PERSON:
        return frames
    return slice(*(None if end is None else 2 * end for end in (frames.start, frames.stop)))


def _around(picture: np.ndarray, square: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The part of a picture that holds a square (3,) and the hands at its edge, and its upper left corner (2,)."""
    reach = (0.5 + HAND_SHARE) * square[2]
    end = np.array(picture.shape[1::-1])
    low = np.clip(np.floor(square[:2] - reach), 0, end - 1).astype(int)
    high = np.clip(np.ceil(square[:2] + reach), low + 1, end).astype(int)
    return picture[low[1] : high[1], low[0] : high[0]].copy(), low.astype(np.float32)


def filled_prompts(prompts: np.ndarray, found: Tensor, sure: Tensor, at: np.ndarray) -> np.ndarray:
    """Prompts (T, 2, 2, 2) in which a missing point of a person of whom the other is known is what was found: in that
    frame, or in the nearest one at most ``_NEAR`` frames away.

    Args:
        found: (T, 2, 13, 2) joints in pixels. sure: (T, 2, 13). at: (T,) numbers of the frames.
    """
    own, likely = prompt_points(found, sure > _LIKELY)
    points, known = own.numpy(), likely.numpy()
    given = np.isfinite(prompts).all(-1)
    filled = prompts.copy()
    away = np.abs(at[:, None] - at)
    for row, person, end in zip(*np.nonzero(~given & given[:, :, ::-1]), strict=True):
        near = np.where(known[:, person, end] & (away[row] <= _NEAR), away[row], _NEAR + 1)
        best = int(near.argmin())
        if near[best] <= _NEAR:
            filled[row, person, end] = points[best, person, end]
    return filled


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


def _cut(pictures: list[Tensor], centres: Tensor, sides: Tensor, size: int) -> Tensor:
    """Squares (T, K, 3, size, size) of pictures (H, W, 3) uint8, one after the other: in little memory."""
    return torch.cat(
        [
            cut_squares(picture.permute(2, 0, 1)[None].float() / 255, centre[None], side[None], size)
            for picture, centre, side in zip(pictures, centres, sides, strict=True)
        ]
    )


def _hands(pictures: list[Tensor], found: Tensor, squares: Tensor) -> tuple[Tensor, Tensor]:
    """Hands (T, 2, 2, 3, H, H) cut out of the frames, and their squares (T, 2, 2, 3) in 0..1 of the pair's."""
    centres = hand_centres(found)
    side = HAND_SHARE * squares[:, 2]
    cut = _cut(pictures, centres.flatten(1, 2), side[:, None].expand(-1, 4), HAND_SIZE)
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
    far = (at[inside] - at[middle][:, None]).abs() > _NEAR
    return torch.where((index != inside) | far, middle[:, None].expand_as(index), inside)
