# SPDX-License-Identifier: Apache-2.0
"""How cameras and detectors would see known people: keypoints and landmarks with the errors of real perception.

Errors come in bursts, not frame by frame: a detector that is wrong stays wrong for a while. Where people touch, the
wrong joint is often the partner's, with high confidence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from statistics import NormalDist
from typing import NamedTuple

import roma
import torch
from torch import Tensor

from closeint_core.body.torch_body import TorchBody
from closeint_core.halpe import HALPE_FLIP, HALPE_INDEX
from closeint_core.training.cameras import Cameras, draw_cameras
from closeint_core.training.occlusion import box_overlap, occluded
from closeint_core.training.synthetic.generate import Interactions, default_tools
from closeint_core.training.synthetic.plan import Draw
from closeint_core.training.synthetic.solve import Tools

_K = HALPE_INDEX
_ARMS = tuple(_K[f"{s}_{n}"] for s in ("left", "right") for n in ("elbow", "wrist"))
_LEGS = tuple(_K[f"{s}_{n}"] for s in ("left", "right") for n in ("knee", "ankle", "big_toe", "small_toe", "heel"))
_HIPS = (_K["left_hip"], _K["right_hip"])
# Metres of noise of each keypoint that is seen (standard deviation along either image axis), from what this project's
# perception makes of the bundled sample, whose truth is known; the check is in tests/training/test_observation.py.
_NOISE = {
    "nose": 0.006, "eye": 0.008, "ear": 0.012, "shoulder": 0.024, "elbow": 0.026, "wrist": 0.018, "hip": 0.022,
    "knee": 0.019, "ankle": 0.014, "head_top": 0.050, "neck": 0.025, "pelvis": 0.021, "big_toe": 0.021,
    "small_toe": 0.038, "heel": 0.022,
}  # fmt: skip


# What a seen keypoint's confidence is above or below that of others as far off, and a seen landmark's confidence.
_SURER = {
    "shoulder": 0.1,
    "hip": 0.12,
    "wrist": -0.12,
    "ear": -0.05,
    "nose": -0.05,
    "small_toe": -0.25,
    "head_top": -0.05,
}
_LANDMARK_CONFIDENCE = {
    "nose": 0.80, "eye": 0.80, "ear": 0.77, "shoulder": 0.80, "elbow": 0.58, "wrist": 0.60, "hip": 0.82, "knee": 0.66,
    "ankle": 0.68, "head_top": 0.45, "neck": 0.70, "pelvis": 0.72, "big_toe": 0.62, "small_toe": 0.28, "heel": 0.62,
}  # fmt: skip
# Landmarks go wrong limb by limb: joint, the joint it hangs on, metres of noise relative to it across and along the
# view. Hips go round the pelvis together.
_LANDMARK_NOISE = {
    "hip": ("pelvis", 0.016, 0.012), "neck": ("pelvis", 0.040, 0.030), "head_top": ("neck", 0.025, 0.035),
    "nose": ("neck", 0.030, 0.035), "eye": ("nose", 0.006, 0.010), "ear": ("nose", 0.012, 0.015),
    "shoulder": ("neck", 0.018, 0.018), "elbow": ("shoulder", 0.045, 0.055), "wrist": ("elbow", 0.060, 0.070),
    "knee": ("hip", 0.025, 0.035), "ankle": ("knee", 0.035, 0.040), "heel": ("ankle", 0.035, 0.035),
    "big_toe": ("ankle", 0.045, 0.055), "small_toe": ("big_toe", 0.010, 0.010),
}  # fmt: skip


# Where somebody's landmarks are astray: factor on the noise of keypoints, what these lose in confidence, and the part
# of the chance that each person bears alone.
_ASTRAY_NOISE, _ASTRAY_DOUBT, _BOTH_ASTRAY = 1.6, 0.25, 0.25


def _plain(name: str) -> str:
    return name.removeprefix("left_").removeprefix("right_")


def _keypoint_noise() -> Tensor:
    return torch.tensor([_NOISE[_plain(name)] for name in _K])


def _landmark_tree() -> tuple[Tensor, Tensor]:
    """(26, 26) which joints' noise moves which joint, rows the joints moved; (26, 3) the noise of each."""
    moves, spread = torch.zeros(26, 26), torch.zeros(26, 3)
    for name, row in _K.items():
        if _plain(name) in _LANDMARK_NOISE:
            _, aside, along = _LANDMARK_NOISE[_plain(name)]
            spread[row] = torch.tensor([aside, aside, along])
        at, side = name, name.removesuffix(_plain(name))
        while _plain(at) in _LANDMARK_NOISE:
            if at == "right_hip":
                moves[row, _K["left_hip"]] = -1.0
            else:
                moves[row, _K[at]] = 1.0
            above = _LANDMARK_NOISE[_plain(at)][0]
            at = above if above in _K else side + above
    return moves, spread


@dataclass(frozen=True)
class DetectorErrors:
    """Errors of a detector, and how often they occur. Lengths in metres at the person's distance.

    Attributes:
        noise: (26,) or (N, 1, 1, 26) standard deviation of a seen keypoint. hidden: factor for a hidden one. heavy:
            spread (log) of the noise itself, from spell to spell.
        memory: frames after which what goes wrong has changed.
        blur: seconds of exposure over which a moving joint is smeared.
        partner: chance that a limb's keypoint that the partner hides or nearly touches sits on the partner instead.
        touch: metres in the image within which the partner's joint is confusing.
        sides: chance that arms or legs are exchanged, left for right. other_side: that a hidden joint of a limb, or of
            the face, is taken for the one on the other side.
        swap: chance that two people who overlap are exchanged. lost: that the one behind is not found at all.
        double: that the one behind gets the keypoints of the one in front.
        dropped: chance that a single keypoint is missing.
        astray: chance that the landmarks of somebody who overlaps with the partner are of no use at all: turned
            anywhere, at times the partner's, and known to be unsure. turned: radians by which other landmarks are
            turned about the vertical as a whole.
        depth_noise: factor on the noise of landmarks along the view. depth_scale: how much of the true depth
            landmarks show, lowest and highest. landmark_noise: factor on the noise across the view. Either
            factor may be (N, 1, 1, 1, 1).
    """

    noise: Tensor = field(default_factory=_keypoint_noise)
    hidden: float = 2.0
    heavy: float = 0.5
    memory: float = 12.0
    blur: float = 0.006
    partner: float = 0.75
    touch: float = 0.25
    sides: float = 0.02
    other_side: float = 0.25
    swap: float = 0.04
    lost: float = 0.06
    double: float = 0.04
    dropped: float = 0.0005
    astray: float = 0.42
    turned: float = 0.2
    depth_noise: float | Tensor = 1.0
    depth_scale: tuple[float, float] = (0.42, 1.0)
    landmark_noise: float | Tensor = 1.0


@dataclass
class SimulatedObservations:
    """What perception would report of N pairs over T frames; fields as in ``perception.observations.Observations``.

    Attributes:
        keypoints2d: (N, 2, T, 26, 3) pixels and confidence, NaN where unseen.
        landmarks3d: (N, 2, T, 26, 3) metres, origin between the hips, camera axes, NaN where the person is unseen.
        landmarks3d_confidence: (N, 2, T, 26). visible: (N, 2, T) bool.
        cameras: the cameras. true_keypoints2d: (N, 2, T, 26, 2) pixels.
        hidden: (N, 2, T, 26) bool, something is in front of the point or it is outside the image.
        mistaken: (N, 2, T, 26) bool, the keypoint sits on the partner or on the other side of the body.
    """

    keypoints2d: Tensor
    landmarks3d: Tensor
    landmarks3d_confidence: Tensor
    visible: Tensor
    cameras: Cameras
    true_keypoints2d: Tensor
    hidden: Tensor
    mistaken: Tensor


class _Tables(NamedTuple):
    """Constant tables, copied to a device once: a copy waits for all kernels that were started before it."""

    flip: Tensor
    limbs: Tensor
    arms: Tensor
    legs: Tensor
    hips: Tensor
    hidden: Tensor
    surer: Tensor
    landmark_confidence: Tensor
    landmark_moves: Tensor
    landmark_spread: Tensor


@lru_cache(maxsize=16)
def _tables(device: torch.device) -> _Tables:
    def chosen(joints: tuple[int, ...]) -> Tensor:
        mask = torch.zeros(26, dtype=torch.bool)
        mask[list(joints)] = True
        return mask.to(device)

    moves, spread = _landmark_tree()
    # What is on the far side of a head is guessed, not seen.
    hidden = torch.tensor([2.5 if _plain(name) in ("nose", "eye", "ear") else 1.0 for name in _K])
    surer = torch.tensor([_SURER.get(_plain(name), 0.0) for name in _K])
    sure = torch.tensor([_LANDMARK_CONFIDENCE[_plain(name)] for name in _K])
    return _Tables(
        torch.as_tensor(HALPE_FLIP.copy(), device=device), chosen(_ARMS + _LEGS),
        chosen(_ARMS), chosen(_LEGS), torch.tensor(_HIPS, device=device),
        hidden.to(device), surer.to(device), sure.to(device), moves.to(device), spread.to(device),
    )  # fmt: skip


def observe(
    made: Interactions,
    body: TorchBody,
    seed: int,
    errors: DetectorErrors | None = None,
    cameras: Cameras | None = None,
    tools: Tools | None = None,
) -> SimulatedObservations:
    """Simulated perception of N pairs, the same for the same arguments on the same kind of device.

    Random numbers are drawn on the device: drawing and copying those of a large batch on the CPU would take longer
    than everything else.

    Args:
        made: the pairs. body: theirs, on the same device. errors: None for those of the project's own perception.
        cameras: None draws one for each pair. tools: of ``body``, if it is not the default body on the CPU.
    """
    errors = errors or DetectorErrors()
    draw = Draw(seed, made.poses.device)
    scene = _scene(made, body, errors, draw, cameras, tools or default_tools())
    chance = _Chance(errors, draw, _Bursts(draw, scene.true.shape[2], errors.memory, draw.device))
    seen, mistaken = _misplaced(scene, chance)
    seen = seen + _noise(scene, made.fps, chance)
    people = _exchanged(scene, chance)
    for both in (people.doubled, people.swapped):
        seen = torch.where(both[..., None, None], seen.flip(1), seen)
        mistaken = mistaken | both[..., None]
    visible = people.visible
    confidence = _confidence(seen, scene, chance)
    missing = chance.spells.active(mistaken.shape, errors.dropped) | scene.outside
    missing = missing | ~visible[..., None]
    keypoints = torch.cat((seen, confidence[..., None]), -1)
    keypoints = torch.where(missing[..., None], torch.full_like(keypoints, math.nan), keypoints)

    hidden = scene.covered | scene.outside
    landmarks, landmark_confidence = _landmarks(scene.view, hidden, people.doubled, scene.astray, chance)
    landmarks = torch.where(visible[..., None, None], landmarks, torch.full_like(landmarks, math.nan))
    landmark_confidence = landmark_confidence * visible[..., None]
    return SimulatedObservations(
        keypoints, landmarks, landmark_confidence, visible, scene.cameras, scene.true, hidden, mistaken
    )


@dataclass(frozen=True)
class _Scene:
    """N pairs over T frames as their cameras would see them.

    Attributes:
        view: (N, 2, T, 26, 3) keypoints in camera axes. true: (N, 2, T, 26, 2) pixels. pixels: (N, 2, T, 26) a metre.
        covered: (N, 2, T, 26) bool, something is before the point. outside: the same, of the picture.
        behind: (N, 2, T) bool, the person who is further away. overlap: (N, T) of both people in the picture, 0..1.
        astray: (N, 2, T) bool, whose landmarks are of no use.
    """

    cameras: Cameras
    view: Tensor
    true: Tensor
    pixels: Tensor
    covered: Tensor
    outside: Tensor
    behind: Tensor
    overlap: Tensor
    astray: Tensor


@dataclass(frozen=True)
class _Chance:
    """How often what goes wrong, random numbers that are new in each frame, and those that last for a spell."""

    errors: DetectorErrors
    draw: Draw
    spells: _Bursts


def _scene(
    made: Interactions, body: TorchBody, errors: DetectorErrors, draw: Draw, cameras: Cameras | None, tools: Tools
) -> _Scene:
    betas = made.betas[:, :, None]
    skeleton = body.skeleton(roma.rotvec_to_rotmat(made.poses), betas, made.transl)
    world = tools.halpe(skeleton, betas)
    cameras = cameras or draw_cameras(world, draw)
    view = cameras.view(world)
    true = cameras.project(view)
    pixels = cameras.K[:, 0, 0, None, None, None] / view[..., 2].clamp(min=0.3)
    spheres = cameras.view(tools.sphere_centres(skeleton, betas))
    covered = occluded(view, spheres, tools.sphere_radii(made.betas))
    outside = ((true < 0) | (true >= cameras.size[:, None, None, None])).any(-1)
    behind = spheres[..., 2].mean(-1)
    overlap = box_overlap(true)
    astray = _astray(overlap, errors, draw, draw.device)
    return _Scene(cameras, view, true, pixels, covered, outside, behind > behind.flip(1), overlap, astray)


def _misplaced(scene: _Scene, chance: _Chance) -> tuple[Tensor, Tensor]:
    """Keypoints (N, 2, T, 26, 2) on the partner or on the other side of the body at times, and which (N, 2, T, 26)."""
    true, errors, spells, table = scene.true, chance.errors, chance.spells, _tables(scene.true.device)
    shape, single = true.shape[:-1], (*true.shape[:3], 1)
    partner_near = ((true - true.flip(1)).norm(dim=-1) / scene.pixels) < errors.touch
    confusing = table.limbs & (partner_near | scene.covered)
    led_on = torch.where(scene.astray[..., None], _threshold(0.9), _threshold(errors.partner))
    mistaken = (spells.normal(shape) > led_on) & confusing & (scene.overlap > 0.02)[:, None, :, None]
    crossed = spells.active(single, 0.3)  # on which of the partner's joints
    theirs = torch.where(crossed[..., None], true.flip(1)[..., table.flip, :], true.flip(1))
    seen = torch.where(mistaken[..., None], theirs, true)
    other_side = spells.active(shape, errors.other_side) & scene.covered & ~mistaken
    seen = torch.where(other_side[..., None], seen[..., table.flip, :], seen)
    mistaken = mistaken | (other_side & table.limbs)
    for chosen in (table.arms, table.legs):
        exchanged = spells.active(single, errors.sides) & chosen
        seen = torch.where(exchanged[..., None], seen[..., table.flip, :], seen)
        mistaken = mistaken | exchanged
    return seen, mistaken


def _noise(scene: _Scene, fps: Tensor, chance: _Chance) -> Tensor:
    """(N, 2, T, 26, 2) pixels by which keypoints are off: noise, and blur of what moves."""
    true, errors, spells, table = scene.true, chance.errors, chance.spells, _tables(scene.true.device)
    shape = true.shape[:-1]
    scale = torch.exp(errors.heavy * spells.normal(shape) - 0.1 * errors.heavy)
    sigma = (
        errors.noise.to(true.device, non_blocking=True)
        * torch.where(scene.covered, errors.hidden * table.hidden, 1.0)
        * torch.where(scene.astray[..., None], _ASTRAY_NOISE, 1.0)
        * scale
        * scene.pixels
    )
    offset = spells.normal((*shape, 2)) * sigma[..., None]
    velocity = torch.diff(true, dim=2, prepend=true[:, :, :1]) * fps[:, None, None, None, None]
    return offset + velocity * errors.blur * chance.draw.normal(*shape, 1)


class _Exchanged(NamedTuple):
    """(N, 2, T) bool: who gets the keypoints of the one in front; who are exchanged (N, 1, T); who is found at all."""

    doubled: Tensor
    swapped: Tensor
    visible: Tensor


def _exchanged(scene: _Scene, chance: _Chance) -> _Exchanged:
    errors, spells = chance.errors, chance.spells
    pairs, frames = scene.overlap.shape
    close = (scene.overlap > 0.3)[:, None]
    doubled = spells.active((pairs, 1, frames), errors.double) & close & scene.behind
    swapped = spells.active((pairs, 1, frames), errors.swap) & close
    lost = spells.active((pairs, 1, frames), errors.lost) & (scene.overlap > 0.5)[:, None] & scene.behind
    return _Exchanged(doubled, swapped, ~lost & ((~scene.outside).sum(-1) >= 6))


def _confidence(seen: Tensor, scene: _Scene, chance: _Chance) -> Tensor:
    """(N, 2, T, 26). It falls with the logarithm of the error; of a confident mistake it says little."""
    shape, table = seen.shape[:-1], _tables(seen.device)
    wrong = ((seen - scene.true).norm(dim=-1) / scene.pixels).clamp(0.004, 0.15)
    doubt = 0.12 * chance.spells.normal(shape) + 0.06 * chance.draw.normal(*shape)
    confidence = 0.79 + table.surer - 0.2 * (wrong / 0.02).log() - 0.18 * scene.covered.float() + doubt
    confidence = confidence - _ASTRAY_DOUBT * scene.astray[..., None].float()
    clamped: Tensor = confidence.clamp(0.02, 0.97)
    return clamped


def _astray(overlap: Tensor, errors: DetectorErrors, draw: Draw, device: torch.device) -> Tensor:
    """(N, 2, T) bool, of whom the landmarks are of no use: mostly one of two who overlap (N, T), for a long while."""
    pairs, frames = overlap.shape
    spells = _Bursts(draw, frames, 4 * errors.memory, device)
    # One number for both, so that mostly one is taken for the other; a rarer one of each person's own.
    between = spells.normal((pairs, 1, frames))
    between = torch.cat((between, -between), 1)
    own = spells.normal((pairs, 2, frames))
    chance = errors.astray * ((overlap - 0.02) / 0.33).clamp(0, 1)[:, None]
    limit = [_quantile(1 - share * chance) for share in (1 - _BOTH_ASTRAY, _BOTH_ASTRAY)]
    return (between > limit[0]) | (own > limit[1])


def _landmarks(view: Tensor, hidden: Tensor, doubled: Tensor, astray: Tensor, chance: _Chance) -> tuple[Tensor, Tensor]:
    """Landmarks (N, 2, T, 26, 3) and confidence of a single-image network: depth is guessed, and flattened."""
    errors, draw, noise = chance.errors, chance.draw, chance.spells
    hips = view[..., _tables(view.device).hips, :].mean(-2, keepdim=True)
    local = view - hips
    local = torch.where(doubled[..., None, None], local.flip(1), local)
    pairs, count = len(local), local.shape[3]
    # Who is astray has the partner's body or the own, turned by whatever angle.
    people = astray.shape[:2]
    partners = (draw.uniform(0, 1, *people) < 0.5)[..., None] & astray
    local = torch.where(partners[..., None, None], local.flip(1), local)
    anywhere = draw.uniform(-math.pi, math.pi, *people)[..., None] + 0.3 * noise.normal(astray.shape)
    angle = torch.where(astray & ~partners, anywhere, errors.turned * noise.normal(astray.shape))
    cosine, sine = torch.cos(angle)[..., None], torch.sin(angle)[..., None]
    x, y, z = local.unbind(-1)
    local = torch.stack((cosine * x + sine * z, y, cosine * z - sine * x), -1)
    table = _tables(view.device)
    scale = draw.uniform(*errors.depth_scale, pairs, 2, 1, 1)
    size = draw.uniform(0.94, 1.06, pairs, 2, 1, 1, 1)  # nobody knows how tall they are
    flattened = torch.cat((local[..., :2], local[..., 2:] * scale[..., None]), -1) * size
    worse = torch.where(hidden, 0.75 * errors.hidden, 1.0) * torch.exp(errors.heavy * noise.normal(hidden.shape))
    offset = noise.normal((*local.shape[:3], count, 3)) * table.landmark_spread * worse[..., None]
    offset = table.landmark_moves @ offset
    offset = torch.cat((offset[..., :2] * errors.landmark_noise, offset[..., 2:] * errors.depth_noise), -1)
    doubt = 0.08 * noise.normal(hidden.shape) + 0.04 * draw.normal(*hidden.shape)
    confidence = table.landmark_confidence - 0.25 * hidden.float() + doubt
    confidence = confidence * torch.where(astray, 0.25, 1.0)[..., None]
    return flattened + offset, confidence.clamp(0, 1)


def _quantile(share: Tensor) -> Tensor:
    """The number below which a standard normal one is with probability ``share``."""
    return math.sqrt(2) * torch.erfinv((2 * share - 1).clamp(-1 + 1e-6, 1 - 1e-6))


def _threshold(chance: float) -> float:
    """What a standard normal number exceeds with this chance."""
    return NormalDist().inv_cdf(1 - min(max(chance, 1e-6), 1 - 1e-6))


class _Bursts:
    """Random numbers that change slowly over time."""

    def __init__(self, draw: Draw, frames: int, memory: float, device: torch.device) -> None:
        self._draw = draw
        reach = torch.arange(frames, dtype=torch.float32, device=device)
        beyond = math.ceil(2 * memory)
        source = torch.arange(-beyond, frames + beyond, dtype=torch.float32, device=device)
        apart = reach[:, None] - source
        # Most of it drifts, some is quicker, a little flickers; the shares are those of perception's errors.
        kernel = torch.exp(-(apart**2) / memory**2) + 0.5 * torch.exp(-(apart**2) / (0.25 * memory) ** 2)
        kernel = kernel + 0.7 * (apart == 0)
        self._kernel = kernel / kernel.norm(dim=1, keepdim=True)

    def normal(self, shape: tuple[int, ...]) -> Tensor:
        """Standard normal numbers (N, P, T, ...), correlated along T."""
        source = self._draw.randn(shape[0], shape[1], self._kernel.shape[1], math.prod(shape[3:]))
        result: Tensor = (self._kernel @ source).reshape(shape)
        return result

    def active(self, shape: tuple[int, ...], chance: float) -> Tensor:
        """Bool (N, P, T, ...), true in spells that make up a share ``chance`` of the time."""
        return self.normal(shape) > _threshold(chance)


@dataclass
class ErrorStatistics:
    """How far keypoints are off, in metres at the person's distance.

    Attributes:
        median: (26,) of every keypoint. large: (26,) share of those found that are off by more than 10 cm.
        missing: share of the keypoints not found. partner: share of the wrists near the partner's wrist or arm whose
            keypoint is nearer to the partner's wrist than to the own.
        unseen: share of person-frames without anybody.
    """

    median: Tensor
    large: Tensor
    missing: float
    partner: float
    unseen: float


def measure_errors(observed: Tensor, true: Tensor, pixels: Tensor) -> ErrorStatistics:
    """Statistics of detections against the truth.

    Args:
        observed: (N, 2, T, 26, 3), NaN where missing. true: (N, 2, T, 26, 2). pixels: (N, 2, T) of one metre.
    """
    off = (observed[..., :2] - true).norm(dim=-1) / pixels[..., None]
    found = torch.isfinite(off)
    per_joint = off.reshape(-1, 26)
    median = per_joint.nanmedian(0).values
    large = ((off > 0.1) & found).reshape(-1, 26).float().sum(0) / found.reshape(-1, 26).float().sum(0).clamp(min=1)
    wrists = [_K["left_wrist"], _K["right_wrist"]]
    mine = observed[..., wrists, None, :2]
    to_own = (mine[..., 0, :] - true[..., wrists, :]).norm(dim=-1)
    partner = true.flip(1)[..., None, wrists, :]
    to_other = (mine - partner).norm(dim=-1).amin(-1)
    near = ((true[..., wrists, None, :] - partner).norm(dim=-1).amin(-1) / pixels[..., None]) < 0.4
    near &= torch.isfinite(to_own)
    confused = near & (to_other < to_own) & (to_own / pixels[..., None] > 0.06)
    unseen = (~found.any(-1)).float().mean()
    return ErrorStatistics(
        median, large, float((~found).float().mean()),
        float(confused.sum() / near.sum().clamp(min=1)), float(unseen),
    )  # fmt: skip
