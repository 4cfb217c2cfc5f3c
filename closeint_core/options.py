# SPDX-License-Identifier: Apache-2.0
"""The options of a reconstruction, in one table.

``closeint reconstruct``, ``blender --command closeint reconstruct``, the worker and the panel take what they offer,
what they say of it and what they accept from here. Standard library only: Blender imports it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from closeint_core.settings import DEVICES, MODELS, QUALITIES, PeopleAt, Settings, check_settings, refusal


@dataclass(frozen=True)
class Choice:
    """A value of an option, what the panel calls it, its tooltip, and its number in saved .blend files."""

    value: str
    title: str
    tip: str
    number: int


@dataclass(frozen=True)
class Option:
    """An option of a reconstruction.

    Attributes:
        name: the field of ``Settings``. flag: on the command line; of a switch, the one that turns it off.
        help: one sentence. metavar: what stands for the value; empty for a switch.
        default: its text, None where it has none. read: makes the field's value of a text.
        choices: what the panel offers.
        blender_flag: where Blender's own command has that name for something else.
    """

    name: str
    flag: str
    help: str
    metavar: str = ""
    default: str | None = None
    read: Callable[[str], Any] = str
    choices: tuple[Choice, ...] = ()
    blender_flag: str = ""

    def flags(self, in_blender: bool = False) -> tuple[str, ...]:
        """Names on a command line; closeint's own command knows Blender's as well."""
        if in_blender:
            return (self.blender_flag or self.flag,)
        return (self.flag, *filter(None, [self.blender_flag]))


def read_people(text: str) -> tuple[int, ...] | None:
    """One or two numbers, None for ``auto``."""
    if text == "auto":
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise refusal("people", text) from None


def read_frames(text: str) -> tuple[int | None, int | None]:
    """First and last (exclusive) frame of ``A:B``."""
    first, colon, last = text.partition(":")
    try:
        if not colon:
            raise ValueError
        return (int(first) if first else None, int(last) if last else None)
    except ValueError:
        raise refusal("frames", text) from None


def _number(name: str) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            return float(text)
        except ValueError:
            raise refusal(name, text) from None

    return read


BODIES = (
    Choice("default", "Default", "The bundled body; needs no registration", 0),
    Choice("smpl-neutral", "SMPL Neutral", "Licensed; SMPL_NEUTRAL.pkl must be in the models folder", 1),
    Choice("smpl-male", "SMPL Male", "Licensed; SMPL_MALE.pkl must be in the models folder", 2),
    Choice("smpl-female", "SMPL Female", "Licensed; SMPL_FEMALE.pkl must be in the models folder", 3),
)
OPTIONS = (
    Option("people", "--people", "auto, or the numbers of the two people, by first appearance: 0,1.", "I,J", "auto",
           read_people),
    Option("focal", "--focal", "Focal length in pixels, if known.", "PX",
           read=_number("focal")),
    Option("model", "--model", "default: the learned network; fit: the pair's fit alone; reference: the published "
           "networks.", "NAME", "default", choices=(
               Choice("default", "Default", "The bundled network, trained on pairs of people who touch, corrects both "
                      "together; needs no registration", 0),
               Choice("fit", "Fit", "The bundled pose networks and a fit of both people, all frames and one floor; "
                      "needs no registration", 2),
               Choice("reference", "Published Networks", "The published CloseInt and HMR2.0; needs their licensed "
                      "files", 1),
           )),
    Option("body", "--body", "default, smpl-neutral, smpl-male, smpl-female, or a file.", "NAME", "default",
           choices=BODIES),
    Option("quality", "--quality", "draft, standard or high: how long the solve runs.", "NAME", "standard", choices=(
        Choice("draft", "Draft", "A quick look: a third of the solve's steps; less exact", 0),
        Choice("standard", "Standard", "The measured default", 1),
        Choice("high", "High", "Twice the solve's steps", 2),
    )),
    Option("refine", "--no-refine", "Do not take the bodies out of each other at the end."),
    Option("device", "--device", "auto, cpu or cuda: where the networks and the solve run.", "NAME", "auto", choices=(
        Choice("auto", "Automatic", "A GPU where there is one that can be used", 0),
        Choice("cpu", "CPU", "The processor", 1),
        Choice("cuda", "CUDA", "An NVIDIA GPU", 2),
    )),
    Option("frames", "--frames", "Only frames A to B (without B), counted from 0.", "A:B", read=read_frames),
    Option("fps", "--fps", "True frames per second, of a folder of images (else 30) or of slow motion.", "RATE",
           read=_number("fps"), blender_flag="--source-fps"),
    Option("data", "--data", "Folder of licensed models, searched first; then $CLOSEINT_DATA and the places that "
           "doctor names.", "DIR"),
)  # fmt: skip
"""Every option, in the order in which commands list them."""
BY_NAME = {option.name: option for option in OPTIONS}

assert {name: tuple(c.value for c in BY_NAME[name].choices) for name in ("model", "quality", "device")} == {
    "model": MODELS, "quality": tuple(QUALITIES), "device": DEVICES,
}  # fmt: skip


def settings_of(texts: Mapping[str, Any]) -> Settings:
    """Settings from what was typed: texts by the names of options, booleans for switches; None is the default.

    Raises:
        CloseintError: a text does not say what its option takes.
    """
    values: dict[str, Any] = {}
    for option in OPTIONS:
        text = texts.get(option.name)
        if text is not None:
            values[option.name] = bool(text) if not option.metavar else option.read(str(text))
    settings = Settings(**values)
    check_settings(settings)
    return settings


def request_of(settings: Settings) -> dict[str, Any]:
    """Settings as fields of a request to the worker, JSON types; ``settings_of_request`` reads them."""
    values = {option.name: getattr(settings, option.name) for option in OPTIONS}
    if isinstance(settings.people, PeopleAt):
        values["people"] = {"frame": settings.people.frame, "boxes": [list(box) for box in settings.people.boxes]}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def settings_of_request(request: Mapping[str, Any]) -> Settings:
    """Settings from a request's fields; those that are missing or null have their defaults.

    Raises:
        CloseintError: a value does not exist, is out of its range, or is of the wrong kind.
    """
    names = (field.name for field in fields(Settings))
    values = {name: _of_json(name, request[name]) for name in names if request.get(name) is not None}
    settings = Settings(**values)
    check_settings(settings)
    return settings


def _of_json(name: str, value: Any) -> Any:
    """A field's value of a request's; what is of another kind stays as it is, for ``check_settings`` to refuse."""
    if isinstance(value, str) and name in BY_NAME and BY_NAME[name].metavar:
        return BY_NAME[name].read(value)
    if isinstance(value, list):
        return tuple(value)
    if isinstance(value, int) and not isinstance(value, bool) and name in ("focal", "fps"):
        with contextlib.suppress(OverflowError):
            return float(value)
    if isinstance(value, dict) and name == "people":
        try:
            boxes = tuple(tuple(float(edge) for edge in box) for box in value["boxes"])
            return PeopleAt(value["frame"], boxes)  # type: ignore[arg-type]
        except (KeyError, TypeError, ValueError, OverflowError):
            raise refusal(name, value) from None
    return value
