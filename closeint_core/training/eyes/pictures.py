# SPDX-License-Identifier: Apache-2.0
"""Pictures of interactions for each step: which moments, rendered, degraded, and with prompts that err."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path

import torch
from torch import Tensor

from closeint_core.body.parts import PARTS
from closeint_core.body.torch_body import TorchBody
from closeint_core.eyes.network import STRIDE
from closeint_core.eyes.prompts import PromptErrors, blobs, for_each_person, prompt_points, trunk_lengths, with_errors
from closeint_core.rendering.degradation import degrade, draw_grade
from closeint_core.rendering.draws import Draws
from closeint_core.rendering.renderer import PairRenderer, RenderedPairs
from closeint_core.rendering.surroundings import read_panoramas
from closeint_core.training.augmentation import loosened, repaired
from closeint_core.training.batches import Share
from closeint_core.training.eyes.config import EyesConfig
from closeint_core.training.eyes.interactions import load_interactions, save_interactions
from closeint_core.training.schedule import seed_everything
from closeint_core.training.synthetic.generate import Interactions
from closeint_core.training.synthetic_source import DataConfig, SyntheticSource

_HANDS = (20, 21, 22, 23)
_PULLED_APART = (0.03, 0.16)  # metres
_LONGEST_STRIDE = 4  # frames between those of a clip
_TOUCH_SPREAD = 1.0  # cells of a touch's blob
_SHORTEST_TRUNK = 12 / 256  # of the square's side


@dataclass(frozen=True)
class EyesBatch:
    """Inputs and targets of B pictures, N = 2 B rows (see ``eyes.network``).

    Attributes:
        pictures: (N, 3, S, S). prompts: (N, 4, S, S). hands: (B, 2, 2, 3, H, H). windows: (B, 2, 2, 3) in 0..1.
        joints: (N, 13, 2) in cells. inside: (N, 13) bool, in the picture. seen: (N, 13) bool.
        masks: (N, h, w) int64. whole: (N, h, w) int64, 0 or 1 + the part of the person asked for, as if alone.
        contact: (N, h, w) in 0..1, where something touches.
        touch: (N, 30, 30), before: (N, 30), nearer: (N,): 1, 0, or -1 not counted.
    """

    pictures: Tensor
    prompts: Tensor
    hands: Tensor
    windows: Tensor
    joints: Tensor
    inside: Tensor
    seen: Tensor
    masks: Tensor
    whole: Tensor
    contact: Tensor
    touch: Tensor
    before: Tensor
    nearer: Tensor


class PairPictures:
    """Pictures of one side of the wall between training and test: functions of the step.

    Args:
        data: how interactions are made. body: on the device that renders. share: which pictures.
        notice: told how many parts of the interactions are made, of how many.
    """

    def __init__(
        self,
        config: EyesConfig,
        data: DataConfig,
        body: TorchBody,
        share: Share,
        notice: Callable[[int, int], None] | None = None,
    ) -> None:
        self.config, self.body, self.count = config, body, share.count
        self.seed, self.rank, self.split = share.seed, share.rank, share.split
        self.draws = Draws(body.template.device)
        panoramas = read_panoramas(Path(config.panoramas)) if config.panoramas else None
        self.renderer = PairRenderer(body, config.size, config.hand_size, config.finer, panoramas)
        self._pool: Interactions | None = None
        self._source: SyntheticSource | None = None
        self._moments: tuple[Tensor, Tensor] | None = None
        self._rendered: tuple[int, RenderedPairs] | None = None
        stored = self._stored_at(Path(config.interactions)) if config.interactions else None
        if stored is not None and stored.exists():
            self._pool = load_interactions(stored, self.draws.device)
            return
        data = replace(data, renew=0) if stored is not None else data
        self._source = SyntheticSource(data, body, share, notice)
        if stored is not None:
            self._pool = self._source.prepare(0)
            self._source = None
            if share.rank == 0:
                save_interactions(self._pool, stored)

    def _stored_at(self, path: Path) -> Path:
        return path if self.split == "train" else path.with_name(f"{path.stem}_test{path.suffix}")

    def keep_every_second(self, first: int) -> None:
        """Of interactions read from a file, only those with the number ``first``, ``first + 2`` and so on."""
        pool = self.pool(0)
        self._pool, self._moments = pool[slice(first, None, 2)], None
        self._source = None

    # -- moments -----------------------------------------------------------------------------------------------------

    def pool(self, step: int) -> Interactions:
        """Interactions to cut moments out of, as they are at a step."""
        if self._source is not None:
            pool = self._source.prepare(step)
            if self._pool is not pool or self._source.config.renew:
                self._pool, self._moments = pool, None
        assert self._pool is not None
        return self._pool

    def _touching(self, pool: Interactions) -> tuple[Tensor, Tensor]:
        """(N, T) bool, frames in which somebody touches, and in which a hand touches a hand."""
        if self._moments is None:
            hands = pool.contacts[:, :, _HANDS][..., _HANDS]
            self._moments = pool.contacts.any(3).any(2), hands.any(3).any(2)
        return self._moments

    def moments(self, step: int, count: int, frames: int) -> Interactions:
        """``count`` windows of ``frames`` frames: with touches, nearly with them, and any."""
        pool, config, draws = self.pool(step), self.config, self.draws
        touching, hand_in_hand = self._touching(pool)
        pick = draws.uniform(count)
        close = pick < config.touching + config.near
        rows, at = _drawn_moments(torch.ones_like(touching), count, draws)
        for wanted, chosen in (
            (touching, close), (hand_in_hand, close & draws.chance(config.hand_in_hand, count)),
        ):  # fmt: skip
            if bool(wanted.any()):
                other_rows, other_at = _drawn_moments(wanted, count, draws)
                rows, at = torch.where(chosen, other_rows, rows), torch.where(chosen, other_at, at)
        stride = 1 + draws.integers(_LONGEST_STRIDE, count)
        offset = torch.arange(frames, device=draws.device) - frames // 2
        index = (at[:, None] + stride[:, None] * offset).clamp(0, touching.shape[1] - 1)
        made = _cut(pool[rows], index)
        made = _where(draws.chance(0.5, count), made.mirrored(), made)
        made = _where(draws.chance(0.5, count), made.swapped(), made)
        near = (pick >= config.touching) & close
        return self._varied(_pulled_apart(made, self.body, draws, near), near)

    def _varied(self, made: Interactions, near: Tensor) -> Interactions:
        """Poses and pairs that no kind has, on the training side alone."""
        if self.split == "test":
            return made
        draw = torch.Generator().manual_seed(int(torch.randint(1 << 40, ())))
        loose, again = torch.rand(2, len(made), generator=draw)
        made = repaired(made, self.body, draw, again < self.config.repaired)
        return loosened(made, draw, (loose < self.config.loosened) & ~near.cpu(), 0.7)

    # -- steps -------------------------------------------------------------------------------------------------------

    def frames_of(self, step: int) -> int:
        """Frames of each pair in a step: clips in every so many renders."""
        config = self.config
        number = step // config.reuse
        return config.frames if config.clips and number % config.clips == config.clips - 1 else 1

    def rendered(self, step: int) -> RenderedPairs:
        """The render that a step uses; torch's random state is set by it."""
        first = step - step % self.config.reuse
        if self._rendered is None or self._rendered[0] != first:
            self._rendered = None  # its memory serves the next
            seed_everything(self.seed, self.rank, first, f"render {self.split}")
            frames = self.frames_of(first)
            made = self.moments(first, max(1, self.count // frames), frames)
            self._rendered = first, self.renderer(made)
        return self._rendered[1]

    def batch(self, step: int) -> tuple[EyesBatch, int]:
        """A step's inputs and targets, and the frames of each pair."""
        rendered = self.rendered(step)
        seed_everything(self.seed, self.rank, step, f"degrade {self.split}")
        return make_batch(rendered, self.draws, PromptErrors()), self.frames_of(step)


def make_batch(rendered: RenderedPairs, draws: Draws, errors: PromptErrors | None, clean: bool = False) -> EyesBatch:
    """Renders as the network is shown them.

    Args:
        errors: of the prompts; none if not given. clean: leave the pictures as a perfect camera sees them.
    """
    count, size = len(rendered), rendered.image.shape[-1]
    pictures, hands = rendered.image.repeat_interleave(2, 0), rendered.hands
    if not clean:
        pictures, hands = _degraded(pictures, hands, draws)
    points, given = prompt_points(rendered.joints)
    if errors is not None:
        trunks = trunk_lengths(points, given, _SHORTEST_TRUNK * size)
        points, given = with_errors(points, trunks, draws, errors)
    prompts = blobs(for_each_person(points), for_each_person(given).float(), size)
    joints = rendered.joints.flatten(0, 1)
    inside = ((joints > 0) & (joints < size)).all(-1)
    half = STRIDE // 2
    mine = rendered.parts[:, half::STRIDE, half::STRIDE]
    parts = len(PARTS)
    theirs = torch.where(mine == 0, 0, torch.where(mine <= parts, mine + parts, mine - parts))
    touch = torch.stack([rendered.touch, rendered.touch.mT], 1).flatten(0, 1)
    cells = mine.shape[-1]
    coarse = rendered.whole.shape[-1] // cells
    whole = rendered.whole[..., coarse // 2 :: coarse, coarse // 2 :: coarse].flatten(0, 1).long()
    contact = touch_map(rendered.touch, rendered.touch_places / STRIDE, cells).repeat_interleave(2, 0)
    flipped = torch.where(rendered.nearer < 0, rendered.nearer, 1 - rendered.nearer)
    return EyesBatch(
        pictures.contiguous(memory_format=torch.channels_last), prompts, hands, rendered.hand_windows / size,
        joints / STRIDE, inside, rendered.seen.flatten(0, 1) & inside,
        torch.stack([mine, theirs], 1).flatten(0, 1), whole, contact, touch, rendered.before.flatten(0, 1),
        torch.stack([rendered.nearer, flipped], 1).reshape(2 * count),
    )  # fmt: skip


def touch_map(touch: Tensor, places: Tensor, cells: int) -> Tensor:
    """Where something touches, (B, cells, cells) in 0..1: a blob at the place (B, 30, 30, 2; cells) of each touch."""
    at = torch.arange(cells, device=places.device) + 0.5
    x = torch.exp(-((at - places[..., :1]) ** 2) / (2 * _TOUCH_SPREAD**2)) * (touch > 0.5)[..., None]
    y = torch.exp(-((at - places[..., 1:]) ** 2) / (2 * _TOUCH_SPREAD**2))
    return torch.einsum("bijy,bijx->byx", y, x).clamp(max=1)


def _degraded(pictures: Tensor, hands: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
    """Pictures (2 B, ...) of both looks and hands (B, 2, 2, ...), in the colours of one camera each."""
    grade = draw_grade(draws, len(pictures))
    pictures = degrade(pictures, draws, grade)
    first = torch.arange(0, len(pictures), 2, device=pictures.device).repeat_interleave(4)
    flat = degrade(hands.flatten(0, 2), draws, grade[first], borders=False)
    return pictures, flat.view_as(hands)


def _drawn_moments(wanted: Tensor, count: int, draws: Draws) -> tuple[Tensor, Tensor]:
    """Rows and frames (count,) of wanted (N, T) bool: each row that has any as often as another."""
    rows = torch.multinomial(wanted.any(1).float(), count, replacement=True)
    return rows, torch.multinomial(wanted[rows].float() + 1e-9, 1)[:, 0]


def _cut(pool: Interactions, index: Tensor) -> Interactions:
    """Frames ``index`` (N, F) of each of N interactions."""

    def people(values: Tensor) -> Tensor:
        wide = index.reshape(len(index), 1, -1, *[1] * (values.ndim - 3))
        return values.gather(2, wide.expand(-1, 2, -1, *values.shape[3:]))

    rows = torch.arange(len(index), device=index.device)[:, None]
    return replace(
        pool, poses=people(pool.poses), transl=people(pool.transl), planted=people(pool.planted),
        contacts=pool.contacts[rows, index],
    )  # fmt: skip


def _where(chosen: Tensor, one: Interactions, two: Interactions) -> Interactions:
    def pick(a: Tensor, b: Tensor) -> Tensor:
        return torch.where(chosen.reshape(-1, *[1] * (a.ndim - 1)), a, b)

    return Interactions(**{f.name: pick(getattr(one, f.name), getattr(two, f.name)) for f in fields(one)})


def _pulled_apart(made: Interactions, body: TorchBody, draws: Draws, chosen: Tensor) -> Interactions:
    """Where chosen, the second person a few centimetres further away, give or take 40 degrees."""
    count = len(made)
    pelvis = body.rest_joints(made.betas)[:, :, 0] + made.transl[:, :, made.transl.shape[2] // 2]
    away = (pelvis[:, 1] - pelvis[:, 0])[:, :2]
    bearing = torch.atan2(away[:, 1], away[:, 0]) + 0.7 * draws.uniform(count, low=-1, high=1)
    distance = draws.uniform(count, low=_PULLED_APART[0], high=_PULLED_APART[1]) * chosen
    offset = torch.stack([distance * bearing.cos(), distance * bearing.sin(), torch.zeros_like(distance)], -1)
    moved = made.transl.clone()
    moved[:, 1] += offset[:, None]
    return replace(made, transl=moved, contacts=made.contacts & ~chosen[:, None, None, None])
