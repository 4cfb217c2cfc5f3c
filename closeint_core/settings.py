# SPDX-License-Identifier: Apache-2.0
"""What a user can choose, and whether it makes sense. Standard library only: Blender imports it."""

from __future__ import annotations

from dataclasses import dataclass

from closeint_core.errors import CloseintError

MODELS = ("default", "fit", "reference")
"""How people are solved, the default first: the learned network, the pair's fit alone, the published networks."""


DEVICES = ("auto", "cpu", "cuda")
"""Where networks run and the solve computes."""


@dataclass(frozen=True)
class PeopleAt:
    """One or two people pointed at in a frame of the video.

    Attributes:
        frame: index in the whole source.
        boxes: xyxy of each, pixels.
    """

    frame: int
    boxes: tuple[tuple[float, float, float, float], ...]


EYES = False
"""Whether the eyes for pairs (``closeint_core.eyes``) look unless somebody chooses: once their weights are bundled."""
SEEN_TOUCHES = False
"""Whether touches that the eyes for pairs saw are held (``reconstruction.seen_contacts``), where they looked."""
QUALITIES = {"draft": 0.35, "standard": 1.0, "high": 2.0}
"""Factor on the fit's iterations."""


@dataclass(frozen=True)
class Settings:
    """What a user can choose.

    Attributes:
        people: which two people, as numbered by the perception or as pointed at in a frame; None chooses.
        focal: focal length in pixels; None assumes an ordinary lens.
        body: ``default``, ``smpl-neutral``, ``smpl-male``, ``smpl-female`` or the path of a body file.
        frames: first and last (exclusive) frame of the source; None is open.
        fps: true frame rate of the source, where it says another (slow motion) or none (images); None: as it says.
        device: ``auto``, ``cpu`` or ``cuda``: where the networks run and the refinement computes.
        data: folder of licensed models, besides the usual places.
        quality: ``draft``, ``standard`` or ``high``: how long the fit runs.
        refine: at the end, take the bodies out of each other on their exact meshes, close contacts, plant feet.
        model: ``default`` (the learned network, see ``learned``), ``fit`` (the pair's fit alone), or ``reference`` for
            the published networks (see ``reference``).
        eyes: the eyes for pairs look too (``perception.pair_look``): better joints at contact, with probabilities, and
            what touches what.
    """

    people: tuple[int, ...] | PeopleAt | None = None
    focal: float | None = None
    body: str = "default"
    frames: tuple[int | None, int | None] | None = None
    fps: float | None = None
    device: str = "auto"
    data: str | None = None
    quality: str = "standard"
    refine: bool = True
    model: str = "default"
    eyes: bool = EYES


def check_settings(settings: Settings) -> None:
    """Raises CloseintError for a model, a quality or a device that does not exist."""
    if settings.model not in MODELS:
        raise CloseintError(f"There is no model {settings.model!r}.", f"Choose {' or '.join(MODELS)}.")
    if settings.model != "reference" and settings.quality not in QUALITIES:
        raise CloseintError(f"There is no quality {settings.quality!r}.", f"Choose {', '.join(QUALITIES)}.")
    if settings.device not in DEVICES:
        raise CloseintError(f"There is no device {settings.device!r}.", f"Choose {', '.join(DEVICES)}.")
