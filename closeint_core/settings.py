# SPDX-License-Identifier: Apache-2.0
"""What a user can choose, and whether it makes sense. Standard library only: Blender imports it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real

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
    """See that a reconstruction can be made so, whoever asks for it: a command, the worker, or Python.

    Raises:
        CloseintError: a value does not exist, is out of its range, or is of the wrong kind.
    """
    if settings.model not in MODELS:
        raise CloseintError(f"There is no model {settings.model!r}.", f"Choose {' or '.join(MODELS)}.")
    if settings.model != "reference" and settings.quality not in tuple(QUALITIES):
        raise CloseintError(f"There is no quality {settings.quality!r}.", f"Choose {', '.join(QUALITIES)}.")
    check_device(settings.device)
    for name, possible in _POSSIBLE.items():
        value = getattr(settings, name)
        if not possible(value):
            raise refusal(name, value)


def check_device(name: str) -> None:
    """Raises CloseintError for a device that does not exist."""
    if name not in DEVICES:
        raise CloseintError(f"There is no device {name!r}.", f"Choose {', '.join(DEVICES)}.")


def refusal(name: str, value: object) -> CloseintError:
    """The sentence about a value that a field of ``Settings`` cannot have, a text or of any other kind."""
    what, fix = _TAKES[name]
    return CloseintError(f"The {what.format(_as_typed(name, value))}.", fix)


_TAKES = {
    "people": ("choice of people {} is neither auto nor one or two different numbers from 0", "Give for instance 0,2."),
    "focal": ("focal length {} is not a number of pixels above 0", "Give for instance 1200."),
    "frames": ("frame range {} is not A:B with A before B, from 0", "Give for instance 100:250, :250 or 100:."),
    "fps": ("frame rate {} is not a number above 0", "Give for instance 25."),
    "body": ("body {} is not a name or a file", "Give for instance default."),
    "data": ("folder of licensed models {} is not a path", "Give the path of a folder."),
    "refine": ("refinement cannot be {}", "Give true or false."),
    "eyes": ("eyes for pairs cannot be {}", "Give true or false."),
}
"""Of each field: what is wrong with a value, and what to give instead."""


_MOST_SAID = 80
"""Characters of a value that a sentence repeats."""


def _as_typed(name: str, value: object) -> str:
    """A value in quotation marks, as it is typed on a command line."""
    if isinstance(value, tuple | list):
        between = ":" if name == "frames" else ","
        return repr(between.join("" if part is None else str(part) for part in value))
    return repr((f"{value:g}" if isinstance(value, float) else str(value))[:_MOST_SAID])


def _is_whole(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 0


def _is_switch(value: object) -> bool:
    return isinstance(value, bool)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_positive(value: object) -> bool:
    """A finite number above 0, or None."""
    if value is None:
        return True
    if not isinstance(value, Real) or isinstance(value, bool):
        return False
    try:
        number = float(value)
    except OverflowError:  # a whole number beyond all floats
        return False
    return math.isfinite(number) and number > 0


def _are_frames(value: object) -> bool:
    if value is None:
        return True
    if not (isinstance(value, tuple | list) and len(value) == 2):
        return False
    first, end = value
    numbers = [edge for edge in value if edge is not None]
    return all(map(_is_whole, numbers)) and (end is None or (first or 0) < end)


def _are_people(value: object) -> bool:
    if value is None:
        return True
    if isinstance(value, PeopleAt):
        return _is_whole(value.frame) and 1 <= len(value.boxes) <= 2 and all(map(_is_box, value.boxes))
    if not (isinstance(value, tuple | list) and 1 <= len(value) <= 2 and all(map(_is_whole, value))):
        return False
    return len(set(value)) == len(value)


def _is_box(box: tuple[float, ...]) -> bool:
    return len(box) == 4 and all(map(math.isfinite, box)) and box[0] <= box[2] and box[1] <= box[3]


_POSSIBLE: dict[str, Callable[[object], bool]] = {
    "people": _are_people,
    "focal": _is_positive,
    "frames": _are_frames,
    "fps": _is_positive,
    "body": _is_text,
    "data": lambda value: value is None or isinstance(value, str),
    "refine": _is_switch,
    "eyes": _is_switch,
}
"""Whether a value of a field makes sense."""
