# SPDX-License-Identifier: Apache-2.0
"""What came of solving a clip again around corrections: what was reached, and what changed beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from closeint_core.body.data import BodyData
from closeint_core.body.skinning import lbs
from closeint_core.clip import InteractionClip
from closeint_core.corrections import ContactMark, Corrections, RefineSettings
from closeint_core.mesh.contact_probability import contact_probability, part_distances
from closeint_core.mesh.penetration import measure_penetration
from closeint_core.progress import Progress
from closeint_core.solver.contact_pairs import VertexPairs, signed_gap

_FRAMES_AT_ONCE = 4


def marked_vertices(mark: ContactMark, parts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The vertices of person 0 and of person 1 that a mark is about."""
    mine = np.flatnonzero(parts == mark.part)
    theirs = np.arange(len(parts)) if mark.other_part is None else np.flatnonzero(parts == mark.other_part)
    return (mine, theirs) if mark.person == 0 else (theirs, mine)


@dataclass(frozen=True)
class OfSpan:
    """What was wanted of a span of frames.

    Attributes:
        frames: of the clip. marks: of contacts in them. held: pairs that were to stay as far apart as they were, frames
            counted from the span's first.
    """

    frames: slice
    marks: Sequence[ContactMark]
    held: VertexPairs


def measure_span(
    before: InteractionClip,
    after: InteractionClip,
    data: BodyData,
    corrections: Corrections,
    span: OfSpan,
    check: Callable[[], None],
) -> dict[str, Any]:
    """What came of a span of frames, metres; the clip's contacts are measured anew on the way.

    Args:
        check: called now and then.
    """
    own, held = span.frames, span.held
    vertices, joints = lbs(data, after.poses[:, own], after.betas[:, None], after.transl[:, own])
    misses = [
        float(np.linalg.norm(joints[pin.person, pin.frame - own.start, pin.joint] - pin.position))
        for pin in corrections.positions
        if own.start <= pin.frame < own.stop
    ]
    report: dict[str, Any] = {"frames": [own.start, own.stop - 1], "misses": misses, "gaps": [], "clearances": []}
    if after.people != 2:
        return report
    after.contacts[:, own] = contact_probability(part_distances(vertices, data.parts))
    for mark in span.marks:
        a, b = marked_vertices(mark, data.parts)
        for frame in range(max(mark.frame, own.start), min(mark.last + 1, own.stop)):
            gap = signed_gap(vertices, data.faces, frame - own.start, a, b)
            report["gaps" if mark.touch else "clearances"].append(gap)
        first, stop = max(mark.frame, own.start), min(mark.last + 1, own.stop)
        # What the animator says is more certain than what is measured.
        after.contacts[mark.person, first:stop, mark.part] = 1.0 if mark.touch else 0.0
        if mark.touch and mark.other_part is not None:
            after.contacts[1 - mark.person, first:stop, mark.other_part] = 1.0
    old, _ = lbs(data, before.poses[:, own], before.betas[:, None], before.transl[:, own])
    report["penetration"] = [_deepest(x, data.faces, check) for x in (old, vertices)]
    distances = [np.linalg.norm(x[0, held.frame, held.a] - x[1, held.frame, held.b], axis=-1) for x in (old, vertices)]
    report["held"] = np.abs(distances[1] - distances[0]).tolist()
    return report


def _deepest(vertices: np.ndarray, faces: np.ndarray, check: Callable[[], None]) -> float:
    """Metres; ``check`` is called every few frames."""
    deepest = 0.0
    for first in range(0, vertices.shape[1], _FRAMES_AT_ONCE):
        check()
        some = vertices[:, first : first + _FRAMES_AT_ONCE]
        deepest = max(deepest, float(measure_penetration(some, faces).max_depth.max()))
    return deepest


def join_reports(
    reports: list[dict[str, Any]], corrections: Corrections, settings: RefineSettings, progress: Progress
) -> dict[str, Any]:
    """All spans' reports as one for the clip's metadata; says what could not be reached."""

    def gathered(name: str) -> list[float]:
        return [value for report in reports for value in report.get(name, [])]

    def millimetres(values: list[float], pick: Any) -> float | None:
        return round(1000 * float(pick(values)), 1) if values else None

    misses, gaps, clearances = gathered("misses"), gathered("gaps"), gathered("clearances")
    missed = sum(value > settings.position_tolerance for value in misses)
    if missed:
        worst = 1000 * max(misses)
        progress.warn(f"{missed} pinned positions could not be reached; the worst is {worst:.0f} mm off.")
    open_gaps = sum(value > settings.contact_tolerance for value in gaps)
    if open_gaps:
        progress.warn(f"In {open_gaps} frames a marked contact stays open, by up to {1000 * max(gaps):.0f} mm.")
    touching = sum(value < 0.5 * settings.apart for value in clearances)
    if touching:
        progress.warn(f"In {touching} frames parts marked as apart stay within {500 * settings.apart:.0f} mm.")
    depths = [report["penetration"] for report in reports if "penetration" in report]
    return {
        "corrections": len(corrections),
        "frames": [report["frames"] for report in reports],
        "position_error_mm": millimetres(misses, max),
        "contact_gap_mm": millimetres(gaps, max),
        "clearance_mm": millimetres(clearances, min),
        "contact_change_mm": millimetres(gathered("held"), np.mean),
        "max_penetration_mm": [round(1000 * max(d[i] for d in depths), 1) for i in (0, 1)] if depths else None,
        "settings": {"blend_seconds": settings.blend_seconds, "rounds": settings.rounds},
    }
