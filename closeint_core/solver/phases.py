# SPDX-License-Identifier: Apache-2.0
"""Makes a finished clip physically plausible: nobody inside the other, contacts closed, feet planted.

All frames of a window and both people are solved at once. The unknowns are changes of joint rotations and
translations; shapes, one a person, are found before that from the whole clip if wanted (``shared_shape``). What pulls:
the observed keypoints, the motion as it came, smoothness, joint limits, the floor, balance, contacts, and springs on
the exact meshes that push every vertex out of the partner by the shortest way (their direction is agreed over
neighbouring vertices and frames, so a limb leaves whole instead of being squeezed through). What touches and what
penetrates is looked for again at the start of every round; within a round damped Gauss-Newton steps are taken
(``terms`` has the residuals, ``least_squares`` solves for all frames together).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import roma
import torch
from torch import Tensor
from torch.nn.functional import max_pool1d, normalize

from closeint_core.body.data import BodyData
from closeint_core.body.load import load_body
from closeint_core.body.spheres import BodySpheres, spheres_of
from closeint_core.body.torch_body import TorchBody
from closeint_core.clip import InteractionClip
from closeint_core.errors import CloseintError
from closeint_core.mesh.contact_probability import contact_probability
from closeint_core.progress import Progress
from closeint_core.sequences import dilated, frames_for, hysteresis, neighbours, steadied
from closeint_core.solver.calibration import SOLVER
from closeint_core.solver.collision_state import CollisionState
from closeint_core.solver.depth_watch import Depths, own_depth
from closeint_core.solver.descent import Descent, Task
from closeint_core.solver.pairs import Pairs, Weights
from closeint_core.solver.refinement_calibration import Phase
from closeint_core.solver.shared_shape import with_shared_shape
from closeint_core.solver.terms import PairTerms
from closeint_core.windows import blend_in, frames_of, window_spans

_AROUND = 10  # frames at 30 a second around those in trouble that give way, see ``sequences.frames_for``
_LONGEST_STUCK = 30  # the same, over which somebody stuck is led from what was before to what comes after
_STILL = 3  # frames beyond these that stand still and hold them, as many as the jerk reaches


def _calibrated(name: str) -> Any:
    """A field whose default is the calibration's."""
    return field(default_factory=lambda: getattr(SOLVER.now.refinement, name))


@dataclass(frozen=True)
class RefineOptions:
    """How a clip is refined.

    Attributes:
        rounds: most times that contacts and penetration are looked for; what happens in which of them is in the
            calibration and counted from the first, so fewer rounds are the first ones. iterations: steps in each.
        tolerance: metres of penetration left alone.
        keep: weight of the motion as it came. seen: weight of the observed keypoints.
        reach: metres from which on a contact that the evidence speaks of is not closed.
        acceptable: metres of penetration up to which a result is taken even if the clip had less; the same of a body in
            itself.
        itself: weight of what keeps a body out of itself.
        shape: how far off the clip's shape coefficients may well be (see ``shared_shape``); 0 leaves them alone.
    """

    rounds: int = 16
    iterations: int = 4
    tolerance: float = _calibrated("tolerance")
    keep: float = _calibrated("keep")
    seen: float = _calibrated("seen")
    reach: float = _calibrated("reach")
    acceptable: float = _calibrated("acceptable")
    shape: float = 0.0
    itself: float = _calibrated("itself")


def settled_options(**changed: Any) -> RefineOptions:
    """For a clip that has just been fitted to its keypoints, which have had their say, those of joints taken for the
    partner's among them: they count less.

    Measured on 9 films: MPJPE 69.7 mm before the refinement, 72.3 mm after it with keypoints as they count elsewhere,
    71.1 mm like this; 70.4 mm if the motion is held twice as firmly as well, but then a hand stayed 5 cm from the
    forearm that it touches in real footage.

    Args:
        changed: other options, see ``RefineOptions``.
    """
    return RefineOptions(**{"seen": SOLVER.now.refinement.settled_seen, **changed})


@dataclass
class RefineReport:
    """Energies, weighted, before and after, how many rounds were needed, and the greatest depth (metres) before and
    after; JSON types in ``as_dict``."""

    before: dict[str, float]
    after: dict[str, float]
    rounds: int
    depth: tuple[float, float]

    def as_dict(self) -> dict[str, Any]:
        """For the clip's metadata."""
        return {
            "before": {name: round(value, 4) for name, value in self.before.items()},
            "after": {name: round(value, 4) for name, value in self.after.items()},
            "rounds": self.rounds,
        }


def refine(
    clip: InteractionClip,
    options: RefineOptions | None = None,
    progress: Progress | None = None,
    data: str | Path | None = None,
    body: TorchBody | None = None,
    device: str | torch.device | None = None,
) -> InteractionClip:
    """A copy of ``clip`` made plausible; metadata gets ``refinement`` with every energy before and after.

    A clip of one person, or of people who never come near each other, keeps its pair as it is and only has its feet
    and smoothness looked after.

    Args:
        body: the clip's body, if it is loaded already; ``data`` is the folder to load it from otherwise.
        device: where to compute; None is where ``body`` is.

    Raises:
        CloseintError: the clip holds values that are not finite, or its body is missing.
        Cancelled: the progress object asked to stop.
    """
    options, progress = options or RefineOptions(), progress or Progress()
    for name in ("poses", "transl", "betas"):
        if not np.isfinite(getattr(clip, name)).all():
            raise CloseintError(f"The clip's {name} hold values that are not finite.", "Reconstruct it again.")
    body = body or TorchBody(load_body(clip.body, Path(data) if data else None))
    spheres = spheres_of(body) if body.template.device.type == "cpu" else _spheres(body.data)
    if device is not None and torch.device(device).type != body.template.device.type:
        body = TorchBody(body.data).to(device)
    shaped = with_shared_shape(clip, body, options.shape)
    result, report, touching = _refined(shaped, body, spheres, options, progress)
    depths = Depths(*report.depth, own_depth(clip, body), own_depth(result, body))
    if depths.worse(options.acceptable):  # a trade that gained more than it lost is said, and not paid for twice
        firm = replace(options, itself=SOLVER.now.refinement.firm * options.itself)
        again, said, touched = _refined(shaped, body, spheres, firm, progress)
        other = Depths(*said.depth, depths.own_before, own_depth(again, body))
        if max(other.after, other.own_after) < max(depths.after, depths.own_after):
            result, report, touching, depths = again, said, touched, other
    metadata = report.as_dict()
    metadata["max_self_penetration_mm"] = [round(1000 * depth, 2) for depth in (depths.own_before, depths.own_after)]
    if clip.people == 2:
        metadata["max_penetration_mm"] = [round(1000 * depth, 2) for depth in report.depth]
    if depths.worse(options.acceptable):
        progress.warn(f"The refinement was not taken, as it made things worse: {depths}. The clip is as it was.")
        result = clip.copy()
    else:
        if depths.traded(options.acceptable):
            progress.warn(f"The refinement took the two out of each other and one deeper into itself: {depths}.")
        if clip.people == 2:
            result.contacts = contact_probability(touching.numpy())
    kept = {key: value for key, value in clip.metadata.items() if key != "quality"}
    return result.copy(metadata={**kept, "refinement": metadata}).validate()


def _refined(
    clip: InteractionClip,
    body: TorchBody,
    spheres: BodySpheres,
    options: RefineOptions,
    progress: Progress,
) -> tuple[InteractionClip, RefineReport, Tensor]:
    """The clip refined window by window, what that did, and metres (P, T, 24) from each part to the partner."""
    quats = torch.zeros(*clip.poses.shape[:3], 4)
    transl = torch.as_tensor(clip.transl).clone()
    touching = torch.zeros(clip.contacts.shape)
    reports = []
    filled = 0
    windows = window_spans(clip.frames)
    for number, (start, stop) in enumerate(windows):
        part = slice(start, stop)
        window = Refinement(body, frames_of(clip, part), spheres, options)
        report = window.solve(progress, number, len(windows))
        for held in (True, False):
            if clip.people == 2 and report.depth[1] > SOLVER.now.refinement.again:
                window, report = _once_more(window, report, held, progress, number, len(windows))
        reports.append(report)
        new = roma.rotmat_to_unitquat(window.rotations).cpu()
        blend_in(quats, transl, new, window.transl.cpu(), start, filled)
        filled = stop
        touching[:, part] = window.distances.cpu()
    poses = roma.unitquat_to_rotvec(normalize(quats, dim=-1)).numpy()
    result = clip.copy(poses=poses.astype(np.float32), transl=transl.numpy().astype(np.float32))
    report = RefineReport(
        _mean([one.before for one in reports]),
        _mean([one.after for one in reports]),
        max(one.rounds for one in reports),
        (max(one.depth[0] for one in reports), max(one.depth[1] for one in reports)),
    )
    return result, report, touching


def _once_more(
    window: Refinement, report: RefineReport, held: bool, progress: Progress, number: int, windows: int
) -> tuple[Refinement, RefineReport]:
    """A window in which somebody is still deep, refined in those frames from where it came to, and what that did.

    Args:
        held: to the motion as it came; otherwise to what has been made of it, so that whoever is inside finds a shorter
            way out.
    """
    clip = window.clip
    if not held:
        poses = roma.rotmat_to_rotvec(window.rotations).cpu().numpy()
        clip = clip.copy(poses=poses, transl=window.transl.cpu().numpy())
    again = Refinement(window.body, clip, window.spheres, window.options)
    again.rotations, again.transl = window.rotations, window.transl
    after = again.solve(progress, number, windows, troubled_only=True, earlier=window)
    if after.depth[1] >= report.depth[1]:
        window._done = again._done
        return window, report
    depth = report.depth[0], after.depth[1]
    return again, RefineReport(report.before, after.after, report.rounds + after.rounds, depth)


@functools.lru_cache(maxsize=2)
def _spheres(data: BodyData) -> BodySpheres:
    """The spheres of a body that is on another device; they are found on the CPU."""
    return spheres_of(TorchBody(data))


def _mean(values: list[dict[str, float]]) -> dict[str, float]:
    names = {name: None for one in values for name in one}
    return {name: float(np.mean([one.get(name, 0.0) for one in values])) for name in names}


class Refinement:
    """The state of one window, and the rounds that change it.

    Attributes:
        rotations: (P, T, 24, 3, 3) local rotations and transl: (P, T, 3) as they stand.
        distances: (P, T, 24) metres from each body part to the partner, once solved.
    """

    def __init__(
        self,
        body: TorchBody,
        clip: InteractionClip,
        spheres: BodySpheres,
        options: RefineOptions,
    ) -> None:
        self.body, self.clip, self.spheres, self.options = body, clip, spheres, options
        with torch.no_grad():
            self.terms = PairTerms(body, clip, spheres)
        device = self.terms.device
        self.collisions = CollisionState(body, self.terms)
        self.rotations, self.transl = self.terms.old_rotations, self.terms.old_transl
        self.every = torch.arange(clip.frames, device=device)
        self.distances = torch.full(clip.contacts.shape, torch.inf, device=device)
        self.tuned = tuned = SOLVER.now.refinement
        likely = steadied(clip.contacts, tuned.steady * clip.fps)
        held = hysteresis(likely, *tuned.touches) if clip.people == 2 else np.zeros(clip.contacts.shape, bool)
        self.belief = torch.as_tensor(held * likely, dtype=torch.float32, device=device)
        self.unlikely: Tensor | None = None
        if clip.people == 2 and held.any():  # a clip that speaks of no contact does not say that there is none
            unlikely = np.clip((tuned.touches[1] - likely) / tuned.unsure, 0, 1) * ~held
            self.unlikely = torch.as_tensor(unlikely, dtype=torch.float32, device=device)
        if clip.people == 2:
            self.terms.holding_each_other = (self.belief > 0).any(2).any(0)
        self.weights = Weights(keep=options.keep, seen=options.seen, itself=options.itself)
        self.around = frames_for(_AROUND, clip.fps)
        self._done = 0
        self._descent = Descent(self.terms, self._tick)

    # -- solving -----------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def solve(
        self,
        progress: Progress,
        number: int = 0,
        windows: int = 1,
        troubled_only: bool = False,
        earlier: Refinement | None = None,
    ) -> RefineReport:
        """All rounds; stops early when nothing is deeper than the tolerance.

        Args:
            number, windows: which of how many windows this is. troubled_only: only frames around those in which
                somebody is inside the other, or a foot in the floor, change. earlier: what has worked on this window
                before, whose progress goes on.
        """
        options = self.options
        each = (options.rounds + 2) * options.iterations
        self._progress, self._total, self._last = progress, windows * each, (number + 1) * each
        self._done = number * each if earlier is None else earlier._done
        before, _ = self.terms.evaluate(self.rotations, self.transl, self.weights, [])
        rounds, depth = 0, (0.0, 0.0)
        if self.terms.people < 2:
            for _ in range(2):
                self._look(self.every)
                self._descend(self.every, None, options.iterations)
        else:
            rounds, depth = self._take_apart(troubled_only)
        if self.terms.people == 2:
            self.distances = self.collisions.distances(self.rotations, self.transl)
        after, _ = self.terms.evaluate(self.rotations, self.transl, replace(self.weights, push=1.0, spacing=1.0), [])
        count = self.terms.people * self.terms.frames
        names = dict.fromkeys((*before, *after))
        reports = [
            {name: float(one[name].sum()) / count if name in one else 0.0 for name in names} for one in (before, after)
        ]
        if not all(np.isfinite(value) for value in reports[1].values()):
            raise CloseintError("The refinement did not come to a finite result.", "Reconstruct the clip again.")
        return RefineReport(reports[0], reports[1], rounds, depth)

    def _take_apart(self, troubled_only: bool = False) -> tuple[int, tuple[float, float]]:
        """Rounds of looking and solving until nothing is deeper than the tolerance."""
        options, collisions, tuned = self.options, self.collisions, self.tuned
        first = float(collisions.depths(self.rotations, self.transl).max())
        # What touches and which way is out is only known once the evidence has said where the bodies are: what is
        # nearest before is often the wrong limb, or the wrong side of it.
        self.weights.spacing = 0.0
        if not troubled_only:
            self._descend(self.every, None, 2 * options.iterations)
        self._look(self.every)
        push, pull = torch.zeros_like(collisions.depth), torch.ones_like(collisions.depth)
        led, loosened = (torch.zeros_like(collisions.depth, dtype=torch.bool) for _ in range(2))
        least, best = np.inf, (self.rotations, self.transl)
        rounds = 0
        first_round = min(tuned.first_to_lead_out(), options.rounds) if troubled_only else 0
        for number in range(first_round, options.rounds):
            phase = tuned.phase(number)
            restless = led | (collisions.sunk > phase.sunk)
            depth = float(collisions.depth.max())
            if number > first_round + 1 and depth <= max(options.tolerance, phase.content) and not bool(restless.any()):
                break
            push = self._pushing(push)
            if phase.gives_way:
                stuck = dilated(collisions.depth > options.tolerance, 2)
                pull = torch.where(stuck, phase.stuck_pull, 1.0)
                loosened |= stuck
            moving = self._moving(phase, restless, troubled_only)
            if not bool(moving.any()):
                break  # nobody is near anybody
            self._round(phase, moving, push, pull)
            rounds += 1
            if self._left() <= least:
                least, best = self._left(), (self.rotations, self.transl)
            led = torch.zeros_like(led)
            if phase.leads_out and float(collisions.depth.max()) > phase.stuck:
                led = self._bridge(phase.stuck)
                self._look(led.nonzero()[:, 0])
        if self._left() > least:
            self.rotations, self.transl = best
            self._look(self.every)
        if bool(loosened.any()):
            self._close(loosened, push)
        return rounds, (first, float(collisions.depth.max()))

    def _pushing(self, push: Tensor) -> Tensor:
        """(T,) weights of springs in the next round, of those in the last.

        The deeper, the more the evidence has to say about which way is out; what stays inside is pushed harder, and its
        neighbours in time with it.
        """
        tuned = self.tuned
        near = max_pool1d(self.collisions.depth[None], 9, 1, 4)[0]
        deep = torch.where(near < tuned.tangled, tuned.push_deep, tuned.push_tangled)
        start = torch.where(near < tuned.deep, 1.0, deep)
        more = torch.where(near > self.options.tolerance, tuned.push_growth, 1.0)
        return torch.maximum(push * more, start).clamp(max=tuned.push_most)

    def _moving(self, phase: Phase, restless: Tensor, troubled_only: bool) -> Tensor:
        """(T,) bool, frames that move in a round."""
        if phase.moves == "all" and not troubled_only:
            return torch.ones_like(restless)  # the feet of people far from each other are to be looked after as well
        few = troubled_only or phase.moves == "trouble"
        trouble = self.collisions.depth > self.options.tolerance if few else self.collisions.near(self.tuned.near)
        return dilated(restless | trouble, self.around)

    def _left(self) -> float:
        """How much is still wrong: squared metres of vertices inside the partner and of feet under the floor."""
        excess = torch.stack((self.collisions.depth - self.options.tolerance, self.collisions.sunk - self.tuned.sunk))
        return float(excess.clamp(min=0).square().sum())

    def _round(self, phase: Phase, moving: Tensor, push: Tensor, pull: Tensor) -> None:
        """Solve for the frames that are to move (T,) and look at them again."""
        self.weights.contact = phase.contact
        self.collisions.unsure = self.tuned.late_tangled_range if phase.one_side else SOLVER.now.skins.tangled_range
        frames = dilated(moving, _STILL).nonzero()[:, 0]
        skeleton = self.terms.skeleton(self.rotations[:, frames], self.transl[:, frames])
        unlikely = self.unlikely if phase.unlikely else None
        pairs = self.collisions.pairs(frames, skeleton, push, pull, self.belief, unlikely, self.options.reach)
        self._descend(frames, moving, self.options.iterations, pairs)
        self._look(frames)

    def _close(self, loosened: Tensor, push: Tensor) -> None:
        """Where contacts had to give way they are drawn together once more, unless that puts somebody into the other or
        a foot into the floor."""
        phase = self.tuned.closing
        allowed = max(float(self.collisions.depth.max()), self.tuned.closing_cost * self.options.tolerance)
        sunk = max(float(self.collisions.sunk.max()), phase.sunk)
        state = self.rotations, self.transl
        for _ in range(phase.rounds):
            self._round(phase, dilated(loosened, self.around // 2), push, torch.ones_like(push))
            if float(self.collisions.depth.max()) <= allowed and float(self.collisions.sunk.max()) <= sunk:
                return
        self.rotations, self.transl = state
        self._look(dilated(loosened, self.around // 2 + _STILL).nonzero()[:, 0])

    def _look(self, frames: Tensor) -> None:
        if len(frames):
            self.collisions.look(self.rotations, self.transl, frames)

    def _bridge(self, stuck_from: float) -> Tensor:
        """Frames deeper than ``stuck_from`` are led from what was before to what comes after; says which were, (T,).

        A limb that is on the wrong side in a few frames has no small way out, but its neighbours in time show one:
        either their poses or how theirs were changed, whichever is less deep.
        """
        terms = self.terms
        bad = dilated(self.collisions.depth > stuck_from, 1)
        before, after, share = neighbours(bad.cpu().numpy(), frames_for(_LONGEST_STUCK, self.clip.fps))
        stuck = torch.as_tensor(np.flatnonzero(before >= 0), device=bad.device)
        led = torch.zeros_like(bad)
        if not len(stuck):
            return led
        ends = [torch.as_tensor(x[before >= 0], device=bad.device) for x in (before, after)]
        mix = torch.as_tensor(share[before >= 0], dtype=torch.float32, device=bad.device)[:, None]
        changed = terms.old_rotations.mT @ self.rotations
        tries = []
        for base, offset in ((None, self.rotations), (terms.old_rotations, changed)):
            quats = roma.rotmat_to_unitquat(offset)
            first, second = quats[:, ends[0]], quats[:, ends[1]]
            flip = torch.where((first * second).sum(-1, keepdim=True) < 0, -1.0, 1.0)
            mixed = roma.unitquat_to_rotmat(normalize(first + (second * flip - first) * mix[..., None], dim=-1))
            shift = self.transl if base is None else self.transl - terms.old_transl
            moved = shift[:, ends[0]] + (shift[:, ends[1]] - shift[:, ends[0]]) * mix
            rotations, transl = self.rotations.clone(), self.transl.clone()
            rotations[:, stuck] = mixed if base is None else base[:, stuck] @ mixed
            transl[:, stuck] = moved if base is None else terms.old_transl[:, stuck] + moved
            tries.append((self.collisions.depths(rotations[:, stuck], transl[:, stuck]), rotations, transl))
        which = torch.stack([self.collisions.depth[stuck], *(one[0] for one in tries)]).argmin(0)
        rotations, transl = self.rotations.clone(), self.transl.clone()
        for number, (_, turned, placed) in enumerate(tries):
            chosen = stuck[which == number + 1]
            rotations[:, chosen], transl[:, chosen] = turned[:, chosen], placed[:, chosen]
        self.rotations, self.transl = rotations, transl
        led[stuck] = which > 0
        return led

    def _descend(
        self, frames: Tensor, moving: Tensor | None, iterations: int, pairs: list[tuple[str, Pairs]] | None = None
    ) -> None:
        """Damped Gauss-Newton steps.

        Args:
            frames: (t,) to solve for. moving: (T,) bool, which frames may change; None is all. pairs: for ``frames``.
        """
        enough = 0.0 if pairs else SOLVER.now.descent.enough
        task = Task(self.weights, iterations, frames, moving, pairs or (), enough=enough)
        self.rotations, self.transl = self._descent.run(self.rotations, self.transl, task)

    def _tick(self) -> None:
        self._done += 1
        self._progress.update("refining", min(self._done, self._last), self._total)
