# SPDX-License-Identifier: Apache-2.0
"""Touches that the eyes for pairs saw are held: the bodies are solved again around them, as around marks of a user."""

from __future__ import annotations

from closeint_core.body.data import BodyData
from closeint_core.clip import InteractionClip
from closeint_core.corrections import ContactMark, Corrections, RefineSettings
from closeint_core.errors import CloseintError
from closeint_core.mesh.contact_probability import clip_contacts
from closeint_core.perception.observations import PairSeen
from closeint_core.perception.touches import seen_touches
from closeint_core.progress import Progress
from closeint_core.solver.solve import refine_around


def hold_seen_touches(
    clip: InteractionClip, pair: PairSeen, data: BodyData, progress: Progress, folder: str | None = None
) -> InteractionClip:
    """The clip of two people with the touches that were seen closed; as it is where none were, or none can be.

    Args:
        pair: of the clip's frames. data: the clip's body. folder: of licensed models, besides the usual places.

    Raises:
        Cancelled: the progress object asked to stop.
    """
    marks = [
        ContactMark(touch.first, min(touch.last, clip.frames - 1), 0, touch.part, touch.other_part)
        for touch in seen_touches(pair, clip.fps)
        if touch.first < clip.frames
    ]
    if not marks:
        return clip
    try:
        solved = refine_around(clip, Corrections(contacts=marks), RefineSettings(data=folder), _Quiet(progress))
    except CloseintError as error:  # what was seen may contradict itself: the rest of the result is worth keeping
        progress.warn(f"Touches that were seen are not closed: {error.message}")
        return clip
    # Marks count as certain; what was seen is not, so what is said of contact is measured.
    return solved.copy(contacts=clip_contacts(solved, data), metadata=clip.metadata)


class _Quiet(Progress):
    """Hands on how far it is, and no warning about marks that no user made."""

    def __init__(self, to: Progress) -> None:
        super().__init__()
        self._to = to

    def update(self, stage: str, done: int, total: int) -> None:
        """As the other does, which may cancel."""
        self._to.update(stage, done, total)

    def warn(self, message: str) -> None:
        """Nothing."""
