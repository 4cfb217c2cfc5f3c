# SPDX-License-Identifier: Apache-2.0
"""Makes a finished clip physically plausible: nobody inside the other, contacts closed, feet planted.

All frames of a window and both people are solved at once. The unknowns are changes of joint rotations and
translations; the shapes stay. What pulls: the observed keypoints, the motion as it came, smoothness, joint limits,
the floor, balance, contacts, and springs on the exact meshes that push every vertex out of the partner by the
shortest way (their direction is agreed over neighbouring vertices and frames, so a limb leaves whole instead of being
squeezed through). What touches and what penetrates is looked for again at the start of every round; within a round
damped Gauss-Newton steps are taken (``pair_terms`` has the residuals, ``system`` solves for all frames together).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import roma
import torch
from torch import Tensor
from torch.nn.functional import max_pool1d, normalize

from closeint_core.body.data import load_body
from closeint_core.body.torch_body import TorchBody
from closeint_core.clip import InteractionClip
from closeint_core.errors import CloseintError
from closeint_core.physics.contact import contact_probability
from closeint_core.physics.inside import Inside, find_inside
from closeint_core.physics.pair_rows import (
    Found,
    Place,
    contacts,
    kept_apart,
    representatives,
    side_by_side,
    springs,
    watch,
)
from closeint_core.physics.pair_terms import Pairs, PairTerms, Weights
from closeint_core.physics.proximity import NearParts, near_parts, skin_samples, vertex_rings
from closeint_core.physics.riders import Riders
from closeint_core.physics.spheres import BodySpheres, spheres_of
from closeint_core.physics.windows import blend_in, window_spans
from closeint_core.progress import Progress

_DEEP = 0.015  # metres from which on an overlap is deep
_TANGLED = 0.035  # metres from which on the nearest way out may be the wrong one
_STUCK = 0.010  # metres of depth from which on a frame is stuck, and the rounds after which it is led out
_BRIDGED = (4, 6, 7)
_LEAN = 1.5  # how much the way out leans towards the side on which the limb is
_TURN, _MOVE = 0.3, 0.15  # radians and metres, the longest step


@dataclass(frozen=True)
class RefineOptions:
    """How a clip is refined.

    Attributes:
        rounds: times that contacts and penetration are looked for. iterations: steps in each.
        tolerance: metres of penetration left alone.
        keep: weight of the motion as it came. seen: weight of the observed keypoints.
        reach: metres from which on a contact that the evidence speaks of is not closed.
        acceptable: metres of penetration up to which a result is taken even if the clip had less.
    """

    rounds: int = 10
    iterations: int = 4
    tolerance: float = 0.003
    keep: float = 6.0
    seen: float = 0.7
    reach: float = 0.15
    acceptable: float = 0.005


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
    spheres = spheres_of(body) if body.template.device.type == "cpu" else spheres_of(TorchBody(body.data))
    if device is not None and torch.device(device).type != body.template.device.type:
        body = TorchBody(body.data).to(device)
    quats = torch.zeros(*clip.poses.shape[:3], 4)
    transl = torch.as_tensor(clip.transl).clone()
    touching = torch.zeros(clip.contacts.shape)
    reports = []
    filled = 0
    windows = window_spans(clip.frames)
    for number, (start, stop) in enumerate(windows):
        part = slice(start, stop)
        window = Refinement(body, _cut(clip, part), spheres, options)
        reports.append(window.solve(progress, number, len(windows)))
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
    metadata = report.as_dict()
    if clip.people == 2:
        metadata["max_penetration_mm"] = [round(1000 * depth, 2) for depth in report.depth]
        if report.depth[1] > max(report.depth[0], options.acceptable):
            progress.warn("The refinement would have made the penetration worse, so the clip was left as it was.")
            result = clip.copy()
        else:
            result.contacts = contact_probability(touching.numpy())
    kept = {key: value for key, value in clip.metadata.items() if key != "quality"}
    return result.copy(metadata={**kept, "refinement": metadata}).validate()


def _cut(clip: InteractionClip, part: slice) -> InteractionClip:
    moving = len(clip.camera_K) > 1
    return clip.copy(
        poses=clip.poses[:, part],
        transl=clip.transl[:, part],
        keypoints2d=clip.keypoints2d[:, part],
        visible=clip.visible[:, part],
        contacts=clip.contacts[:, part],
        foot_contacts=clip.foot_contacts[:, part],
        camera_K=clip.camera_K[part] if moving else clip.camera_K,
        camera_R=clip.camera_R[part] if moving else clip.camera_R,
        camera_t=clip.camera_t[part] if moving else clip.camera_t,
    )


def _mean(values: list[dict[str, float]]) -> dict[str, float]:
    names = {name: None for one in values for name in one}
    return {name: float(np.mean([one.get(name, 0.0) for one in values])) for name in names}


class Refinement:
    """The state of one window, and the rounds that change it.

    Attributes:
        rotations: (P, T, 24, 3, 3) local rotations and transl: (P, T, 3) as they stand.
        distances: (P, T, 24) metres from each body part to the partner, once solved.
    """

    def __init__(self, body: TorchBody, clip: InteractionClip, spheres: BodySpheres, options: RefineOptions) -> None:
        self.body, self.clip, self.options = body, clip, options
        with torch.no_grad():
            self.terms = PairTerms(body, clip, spheres)
        device = self.terms.device
        self.rotations, self.transl = self.terms.old_rotations, self.terms.old_transl
        self.parts = torch.as_tensor(body.data.parts, dtype=torch.long, device=device)
        self.feet = [
            torch.as_tensor(np.flatnonzero(np.isin(body.data.parts, foot)), device=device)
            for foot in ((7, 10), (8, 11))
        ]
        self.samples = skin_samples(body.data).to(device)
        self.ring = vertex_rings(body.data).to(device)
        self.watched: Found | None = None
        self.depth = torch.zeros(clip.frames, device=device)
        self.distances = torch.full(clip.contacts.shape, torch.inf, device=device)
        held = hysteresis(clip.contacts) if clip.people == 2 else np.zeros(clip.contacts.shape, bool)
        self.evidence = torch.as_tensor(held, device=device)
        self.belief = torch.as_tensor(held * clip.contacts, dtype=torch.float32, device=device)
        self.doubt: Tensor | None = None
        self.unlikely: Tensor | None = None
        if clip.people == 2 and held.any():  # a clip that speaks of no contact does not say that there is none
            self.unlikely = torch.as_tensor(np.clip(1 - clip.contacts / 0.4, 0, 1) * ~held, dtype=torch.float32).to(
                device
            )
        if clip.people == 2:
            self.terms.leaning = self.evidence.any(2).any(0)
        self.weights = Weights(keep=options.keep, seen=options.seen)

    # -- what there is to be seen ------------------------------------------------------------------------------------

    def vertices(self, frames: Tensor | None = None) -> Tensor:
        """(P, t, V, 3) skins of all or of chosen frames, as they stand."""
        chosen = slice(None) if frames is None else frames
        terms = self.terms
        return self.body(self.rotations[:, chosen], terms.betas[:, None], self.transl[:, chosen]).vertices

    def look(self, among: Tensor | None = None) -> tuple[Found, list[tuple[str, Pairs]]]:
        """What is inside the partner, and pairs of points that should touch or should not, as the bodies stand now.

        Args:
            among: frames to look for penetration in; None is all of them.
        """
        terms = self.terms
        vertices = self.vertices()
        self._lowest(vertices)
        chosen = torch.arange(terms.frames, device=terms.device) if among is None else among
        inside = find_inside(vertices[:, chosen], self.body.faces)
        inside.frame = chosen[inside.frame]
        skeleton = terms.skeleton(self.rotations, self.transl)
        found = self._way_out(inside, vertices, skeleton)
        self.depth = self.depths(found)
        # What came out stays watched, so that it does not slide back in.
        if self.watched is not None and len(self.watched):
            again = torch.isin(self._key(self.watched), self._key(found), invert=True)
            earlier = self.watched.take(again)
            found = Found.join([found, watch(earlier, vertices, self.samples, self.ring)])
        self.watched = found
        wanted = self.evidence if self.doubt is None else self.evidence | (self.doubt > 0)
        near = near_parts(vertices, self.samples, 3, wanted, liked=self.evidence)
        place = Place(terms.map, self._places(skeleton), self.parts, skeleton, near, self._normals(vertices, near))
        drawn = [("contact", contacts(place, self.belief, self.options.reach))]
        if self.doubt is not None:
            drawn.append(("apart", kept_apart(place, self.doubt)))
        return found, [(name, pairs) for name, pairs in drawn if pairs is not None]

    def _lowest(self, vertices: Tensor, count: int = 8) -> None:
        """The lowest vertices of each foot are kept over the floor like the samples of the soles."""
        people, frames = vertices.shape[:2]
        found = []
        for foot in self.feet:
            index = vertices[:, :, foot, 2].topk(count, -1, largest=False).indices
            found.append(foot[index])
        chosen = torch.cat(found, -1)  # (P, T, 2 * count)
        who = torch.arange(people, device=chosen.device)[:, None, None].expand_as(chosen)
        one = self.terms.map.vertices(chosen.flatten(), self.terms.rest[who.flatten(), chosen.flatten()])
        shape = (people, frames, 2 * count)
        self.terms.watch_feet(Riders(one.moments.unflatten(0, shape), one.masses.unflatten(0, shape)))

    def _normals(self, vertices: Tensor, near: NearParts) -> Tensor:
        """(2, T, 24, C, 3) unit normals between two nearest places, outwards from the partner's skin."""
        frame = torch.arange(self.terms.frames, device=self.terms.device)[:, None, None, None]
        out = []
        for person in (0, 1):
            both = []
            for who, vertex in ((1 - person, near.other[person]), (person, near.own[person])):
                ring = self.ring[vertex]  # (T, 24, C, 6, 3) faces' corners
                corners = vertices[who, frame[..., None], ring]
                a, b, c = corners.unbind(-2)
                both.append(normalize(torch.linalg.cross(b - a, c - a).sum(-2), dim=-1))
            out.append(normalize(both[0] - both[1] + 1e-3 * both[0], dim=-1))
        return torch.stack(out)

    def _places(self, skeleton: Any) -> Tensor:
        """Rest vertices (P, V, 3), or (P, T, V, 3) where the pose changes them."""
        posedirs = self.body.posedirs
        if posedirs is None or skeleton.pose_feature is None:
            return self.terms.rest
        flat = skeleton.pose_feature @ posedirs.reshape(-1, posedirs.shape[-1]).T
        return self.terms.rest[:, None] + flat.unflatten(-1, (-1, 3))

    def _way_out(self, inside: Inside, vertices: Tensor, skeleton: Any) -> Found:
        index = representatives(inside, self.parts)
        person, frame, vertex = inside.person[index], inside.frame[index], inside.vertex[index]
        points = vertices[person, frame, vertex]
        corner = self.body.faces[inside.face[index]]
        corners = vertices[(1 - person)[:, None], frame[:, None], corner]
        normal = normalize(torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), dim=-1)
        middles = self.terms.sphere_centres(skeleton)
        aside = side_by_side(inside, index, self.parts, middles, points, self.terms.frames)
        # Where a limb sticks right through another, its vertices are nearest to opposite sides and their pushes
        # cancel: leaning every push away from the other limb's middle makes the whole limb leave by one side.
        lean = self._entangled(inside)[person, self.parts[vertex], frame]
        direction = normalize(normal + _LEAN * lean[:, None] * aside, dim=-1)
        return Found(frame, person, vertex, corner, inside.barycentric[index], inside.depth[index].detach(), direction)

    def _key(self, found: Found) -> Tensor:
        return (found.frame * 2 + found.person) * self.body.template.shape[0] + found.vertex

    def _entangled(self, inside: Inside) -> Tensor:
        """(2, 24, T) 0..1, how deep each part is in the partner around each frame: whether its nearest surface may be
        on the wrong side."""
        frames = self.terms.frames
        key = (inside.person * 24 + self.parts[inside.vertex]) * frames + inside.frame
        deepest = torch.zeros(48 * frames, device=self.terms.device).scatter_reduce(
            0, key, inside.depth.detach(), "amax"
        )
        deepest = max_pool1d(deepest.reshape(48, frames), 17, 1, 8).reshape(2, 24, frames)
        return ((deepest - 0.005) / _DEEP).clamp(0, 1)

    def depths(self, found: Found) -> Tensor:
        """(T,) depth of the deepest found vertex of every frame."""
        zero = torch.zeros(self.terms.frames, device=self.terms.device)
        return zero.scatter_reduce(0, found.frame, found.depth, "amax").clamp(min=0)

    # -- solving -----------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def solve(self, progress: Progress, number: int = 0, windows: int = 1) -> RefineReport:
        """All rounds; stops early when nothing is deeper than the tolerance."""
        options = self.options
        self._progress, self._done = progress, number * (options.rounds + 2) * options.iterations
        self._total = windows * (options.rounds + 2) * options.iterations
        before, _ = self.terms.evaluate(self.rotations, self.transl, self.weights, [])
        rounds, depth = 0, (0.0, 0.0)
        if self.terms.people < 2:
            for _ in range(2):
                self._lowest(self.vertices())
                self._descend([], options.iterations)
        else:
            rounds, depth = self._take_apart()
        if self.terms.people == 2:
            self.distances = near_parts(self.vertices(), self.samples).distance[..., 0]
        after, _ = self.terms.evaluate(self.rotations, self.transl, replace(self.weights, push=1.0, spacing=1.0), [])
        count = self.terms.people * self.terms.frames
        names = dict.fromkeys((*before, *after))
        reports = [
            {name: float(one[name].sum()) / count if name in one else 0.0 for name in names} for one in (before, after)
        ]
        if not all(np.isfinite(value) for value in reports[1].values()):
            raise CloseintError("The refinement did not come to a finite result.", "Reconstruct the clip again.")
        return RefineReport(reports[0], reports[1], rounds, depth)

    def _take_apart(self) -> tuple[int, tuple[float, float]]:
        """Rounds of looking and solving until nothing is deeper than the tolerance."""
        options, terms = self.options, self.terms
        inside = find_inside(self.vertices(), self.body.faces)
        first = float(inside.depth.max()) if len(inside) else 0.0
        # What touches and which way is out is only known once the evidence has said where the bodies are: what is
        # nearest before is often the wrong limb, or the wrong side of it.
        self.weights.spacing = 0.0
        self._descend([], 2 * options.iterations)
        found, drawn = self.look()
        push = torch.zeros(terms.frames, device=terms.device)
        led = False
        least, best, final = np.inf, (self.rotations, self.transl), first
        for number in range(options.rounds):
            worst = float(self.depth.max())
            if number > 1 and worst <= options.tolerance and not led:
                return number, (first, worst)
            if number == 1 and not len(found) and not drawn:
                return 1, (first, worst)  # nobody is near anybody
            # The deeper, the more the evidence has to say about which way is out; what stays inside is pushed harder,
            # and its neighbours in time with it.
            near = max_pool1d(self.depth[None], 9, 1, 4)[0]
            start = torch.where(near < _DEEP, 1.0, torch.where(near < _TANGLED, 0.4, 0.12))
            more = torch.where(near > options.tolerance, 2.5, 1.0)
            push = torch.maximum(push * more, start).clamp(max=8.0)
            self.weights.contact = 1.0 if number < 1 else 4.0
            skeleton = terms.skeleton(self.rotations, self.transl)
            pushing = springs(found, push, terms.map, self._places(skeleton), self.parts, skeleton)
            self._descend([*drawn, ("separation", pushing)], options.iterations)
            self.doubt = self.unlikely if number else None
            found, drawn = self.look()
            trouble = float((self.depth - options.tolerance).clamp(min=0).square().sum())
            if trouble < least:
                least, best, final = trouble, (self.rotations, self.transl), float(self.depth.max())
            led = number in _BRIDGED and float(self.depth.max()) > _STUCK and self._bridge()
            if led:
                found, drawn = self.look()
        self.rotations, self.transl = best
        return options.rounds, (first, final)

    def _bridge(self, longest: int = 30) -> bool:
        """Frames that are stuck inside are led from what was before to what comes after; says whether any was.

        A limb that is on the wrong side in a few frames has no small way out, but its neighbours in time show one:
        either their poses or how theirs were changed, whichever is less deep.
        """
        terms = self.terms
        bad = max_pool1d((self.depth > _STUCK).float()[None], 3, 1, 1)[0] > 0
        before, after, share = neighbours(bad.cpu().numpy(), longest)
        stuck = torch.as_tensor(np.flatnonzero(before >= 0), device=bad.device)
        if not len(stuck):
            return False
        ends = [torch.as_tensor(x[before >= 0], device=bad.device) for x in (before, after)]
        mix = torch.as_tensor(share[before >= 0], dtype=torch.float32, device=bad.device)[:, None]
        kept = self.rotations, self.transl
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
            self.rotations, self.transl = rotations, transl
            inside = find_inside(self.vertices(stuck), self.body.faces)
            depth = torch.zeros(len(stuck), device=bad.device)
            depth = depth.scatter_reduce(0, inside.frame, inside.depth, "amax")
            tries.append((depth, rotations, transl))
        which = torch.stack([self.depth[stuck], *(one[0] for one in tries)]).argmin(0)
        rotations, transl = kept[0].clone(), kept[1].clone()
        for number, (_, turned, placed) in enumerate(tries):
            chosen = stuck[which == number + 1]
            rotations[:, chosen], transl[:, chosen] = turned[:, chosen], placed[:, chosen]
        self.rotations, self.transl = rotations, transl
        return bool((which > 0).any())

    def _descend(self, pairs: list[tuple[str, Pairs | None]], iterations: int) -> None:
        """Damped Gauss-Newton steps; a step that raises the energy is not taken."""
        terms = self.terms
        given = [(name, one) for name, one in pairs if one is not None]
        hold = torch.cat(
            (1 / terms.reach.repeat_interleave(3) ** 2, torch.full((3,), 1 / 0.05**2, device=terms.device))
        )
        damping = torch.full((terms.frames,), 0.2, device=terms.device)
        values, system = terms.evaluate(self.rotations, self.transl, self.weights, given)
        energy = torch.stack(list(values.values())).sum(0)  # (T,)
        for _ in range(iterations):
            self._done += 1
            self._progress.update("refining", min(self._done, self._total), self._total)
            step = system.solve(damping[:, None] * hold)  # (T, P, 75)
            turn = step[..., :72].unflatten(-1, (24, 3)).transpose(0, 1)
            move = step[..., 72:].transpose(0, 1)
            # Too long a step is shortened for the whole frame and, less and less, for those around it.
            longest = torch.maximum(turn.norm(dim=-1).amax((0, 2)) / _TURN, move.norm(dim=-1).amax(0) / _MOVE)
            share = _around(1 / longest.clamp(min=1.0))
            turn, move = turn * share[:, None, None], move * share[:, None]
            rotations, transl = self.rotations @ roma.rotvec_to_rotmat(turn), self.transl + move
            values, tried = terms.evaluate(rotations, transl, self.weights, given)
            new = torch.stack(list(values.values())).sum(0)
            fell = bool(new.sum() < energy.sum())
            # Where it rose, steps are to be shorter, whatever the others do.
            rose = max_pool1d((new > energy + 1e-3).float()[None], 3, 1, 1)[0]
            damping = torch.where(rose > 0, damping * (3.0 if fell else 6.0), (damping / 3).clamp(min=0.02))
            if fell:
                self.rotations, self.transl, system, energy = rotations, transl, tried, new


def _around(share: Tensor, reach: int = 3) -> Tensor:
    """The least of shares (T,) nearby, smoothed."""
    kernel = 2 * reach + 1
    least = -max_pool1d(-share[None], kernel, 1, reach)
    padded = torch.nn.functional.pad(least[None], (reach, reach), mode="replicate")[0]
    return torch.nn.functional.avg_pool1d(padded, kernel, 1)[0]


def neighbours(bad: np.ndarray, longest: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each bad frame (T,) the good ones before and after it and how far it is between them.

    Returns:
        (T,) before and after, -1 for frames that are good or in a bad run longer than ``longest`` or with no good frame
        around; the same twice at the clip's ends. (T,) 0..1.
    """
    frames = len(bad)
    before, after, share = np.full(frames, -1), np.full(frames, -1), np.zeros(frames)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], bad, [False]]).astype(int)))
    for start, stop in edges.reshape(-1, 2):
        if stop - start > longest or (start == 0 and stop == frames):
            continue
        a, b = start - 1, stop
        a, b = (b, b) if a < 0 else (a, a) if b == frames else (a, b)
        before[start:stop], after[start:stop] = a, b
        share[start:stop] = (np.arange(start, stop) - a) / (b - a) if b > a else 0.0
    return before, after, share


def hysteresis(probability: np.ndarray, on: float = 0.6, off: float = 0.4, axis: int = 1) -> np.ndarray:
    """Contacts that do not flicker: they begin above ``on`` and last until below ``off``, looked at from both ends.

    Args:
        probability: any shape, time along ``axis``.

    Returns:
        bool, the same shape: runs above ``off`` that somewhere reach ``on``.
    """
    moved = np.moveaxis(probability, axis, 0)
    held = moved >= off
    start = held & ~np.concatenate([np.zeros_like(held[:1]), held[:-1]])
    run = np.cumsum(start, 0)  # number of the run in its own column
    columns = np.arange(held[0].size).reshape(held.shape[1:])
    key = np.where(held, run * held[0].size + columns, -1)
    sure = np.unique(key[held & (moved >= on)])
    return np.moveaxis(held & np.isin(key, sure), 0, axis)
