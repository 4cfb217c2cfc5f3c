# SPDX-License-Identifier: Apache-2.0
"""The road from a video to a clip; the only place that knows the order of the stages."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from closeint_core.body.data import BodyData
from closeint_core.body.load import load_body
from closeint_core.body.torch_body import TorchBody
from closeint_core.calibrated import using
from closeint_core.camera import intrinsics
from closeint_core.clip import InteractionClip
from closeint_core.denoiser.network import Denoiser
from closeint_core.errors import CloseintError
from closeint_core.inputs import input_name
from closeint_core.perception.observations import Observations
from closeint_core.perception.touches import touch_spans
from closeint_core.progress import Progress
from closeint_core.reconstruction.calibration import PACKAGES
from closeint_core.reconstruction.learned import LearnedOptions, default_denoiser, solve_learned
from closeint_core.reconstruction.plan import plan_of
from closeint_core.reconstruction.reference import torch_device
from closeint_core.reconstruction.result import build_clip, with_metadata
from closeint_core.reconstruction.seen_contacts import hold_seen_touches
from closeint_core.settings import QUALITIES, SEEN_TOUCHES, Settings, check_settings
from closeint_core.solver.phases import refine, settled_options
from closeint_core.solver.solve import solve


def reconstruct(
    source: str | Path,
    settings: Settings | None = None,
    progress: Progress | None = None,
    *,
    calibration: Sequence[Any] = (),
) -> InteractionClip:
    """Reconstruct the people of a video or image folder.

    Args:
        calibration: other tuned numbers, changed copies of what packages have in their ``calibration``; the clip's
            metadata say which were used.

    Returns:
        A valid clip of two people, or of one if only one was found (with a warning).

    Raises:
        CloseintError: the input cannot be used; the message says why and what to do.
        Cancelled: the progress object asked to stop.
    """
    settings, progress = settings or Settings(), progress or Progress()
    check_settings(settings)
    with using(PACKAGES, calibration):
        return _reconstruct(source, settings, progress)


def _reconstruct(source: str | Path, settings: Settings, progress: Progress) -> InteractionClip:
    started = time.monotonic()
    progress.expect(plan_of(settings))
    if settings.model == "reference":
        from closeint_core.reconstruction.reference import reconstruct_reference

        return reconstruct_reference(source, settings, progress)
    # Decoding and the pose networks are not needed where observations are at hand.
    from closeint_core.perception.pipeline import perceive
    from closeint_core.video.source import open_source

    # Before minutes of work, not after: a missing model or a senseless focal length is refused here.
    _prepare(settings)
    frames = open_source(source, settings.frames, fps=settings.fps)
    intrinsics(frames.image_size, settings.focal)
    observations = perceive(
        frames, people=settings.people or "auto", device=settings.device, eyes=settings.eyes, progress=progress
    )
    clip = reconstruct_observed(observations, settings, progress, video=input_name(source), started=started)
    clip.metadata["footage"] = frames.described()
    return clip


def _prepare(settings: Settings) -> tuple[BodyData, Denoiser | None]:
    """The body and the network that settings ask for; the network is read once, files are looked for at once."""
    denoiser = default_denoiser() if settings.model == "default" else None
    return load_body(settings.body, Path(settings.data) if settings.data else None), denoiser


def reconstruct_observed(
    observations: Observations,
    settings: Settings | None = None,
    progress: Progress | None = None,
    *,
    video: str = "",
    started: float | None = None,
    calibration: Sequence[Any] = (),
) -> InteractionClip:
    """The same from what was seen of the people; needs neither a video nor the pose networks.

    Args:
        settings: of ``people``, ``frames``, ``fps`` nothing is left to choose; ``model`` is ``default`` or ``fit``.
        video: where the observations came from, for the clip. started: ``time.monotonic`` of the beginning.
        calibration: as for ``reconstruct``.

    Raises:
        CloseintError: as ``reconstruct``.
        Cancelled: the progress object asked to stop.
    """
    settings, progress = settings or Settings(), progress or Progress()
    check_settings(settings)
    if started is None:
        started = time.monotonic()
        progress.expect(plan_of(settings, seen=True))
    if settings.model == "reference":
        raise CloseintError("The published networks look at the pictures themselves.", "Use reconstruct.")
    with using(PACKAGES, calibration):
        return _solved(observations, settings, progress, video, started)


def _solved(
    observations: Observations, settings: Settings, progress: Progress, video: str, started: float
) -> InteractionClip:
    data, denoiser = _prepare(settings)
    camera = torch.as_tensor(intrinsics(observations.image_size, settings.focal))
    body = TorchBody(data)
    effort = QUALITIES[settings.quality]
    device = torch_device(settings.device)
    if denoiser is None:
        solution = solve(body, observations, camera, progress, effort=effort, device=device)
    else:
        chosen = LearnedOptions(effort=effort, device=device, model=denoiser)
        solution = solve_learned(body, observations, camera, progress, chosen)
    clip = build_clip(solution, observations, data, video)
    made: dict[str, Any] = {}
    if settings.refine and clip.people == 2:
        options = settled_options()
        options = replace(options, rounds=max(4, round(options.rounds * min(effort, 1.0))))
        clip = refine(clip, options, progress, body=body, device=device)
        made["refinement"] = clip.metadata["refinement"]
        if SEEN_TOUCHES and observations.pair is not None:
            clip = hold_seen_touches(clip, observations.pair, data, progress, settings.data)
    if observations.pair is not None:
        made["seen_touches"] = touch_spans(observations.pair, clip.fps)
    clip.metadata = made
    return with_metadata(clip, data, settings, float(camera[0, 0]), started, progress)
