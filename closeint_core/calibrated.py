# SPDX-License-Identifier: Apache-2.0
"""Tuned numbers in force: every package that has some keeps them in one frozen dataclass in its ``calibration.py``, and
asks the ``Calibrated`` there for the values of this run.

A run with other numbers is one line, and its clip says which they were::

    reconstruct(video, calibration=[replace(SOLVER.default, skins=replace(SOLVER.default.skins, lean=2.0))])

The values in force belong to the thread (a context variable), so they need not be handed through every function, and
two runs in two threads may differ. The standard library only.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import fields, is_dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Calibrated(Generic[T]):
    """The tuned numbers of one package.

    Args:
        name: of the package. default: its numbers, a frozen dataclass of numbers, tuples of them and more such classes.
    """

    def __init__(self, name: str, default: T) -> None:
        self.name, self.default = name, default
        self._value: ContextVar[T] = ContextVar(name, default=default)

    @property
    def now(self) -> T:
        """The numbers in force."""
        return self._value.get()

    @contextmanager
    def using(self, value: T) -> Iterator[None]:
        """Other numbers, as long as the context lasts."""
        token = self._value.set(value)
        try:
            yield
        finally:
            self._value.reset(token)


@contextmanager
def using(packages: Sequence[Calibrated[Any]], calibration: Sequence[Any]) -> Iterator[None]:
    """Other numbers of some of these packages, as long as the context lasts.

    Args:
        calibration: changed copies of packages' numbers (``dataclasses.replace``), at most one of a package.

    Raises:
        TypeError: one is no package's numbers.
    """
    known = {type(package.default): package for package in packages}
    with ExitStack() as stack:
        for value in calibration:
            if type(value) not in known:
                names = ", ".join(kind.__name__ for kind in known)
                raise TypeError(f"{type(value).__name__} is not the calibration of a package; these are: {names}.")
            stack.enter_context(known[type(value)].using(value))
        yield


def described(packages: Sequence[Calibrated[Any]]) -> dict[str, Any]:
    """The numbers in force, for a clip's metadata: ``sha256`` of all, 16 digits, and ``changed``, those that are not
    the version's own, by their path (``solver.skins.lean``)."""
    values: dict[str, Any] = {}
    changed: dict[str, Any] = {}
    for package in packages:
        now, default = (dict(_leaves(value, package.name)) for value in (package.now, package.default))
        values.update(now)
        changed.update({path: value for path, value in now.items() if value != default.get(path)})
    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
    return {"sha256": digest[:16], "changed": changed}


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if is_dataclass(value):
        for field in fields(value):
            yield from _leaves(getattr(value, field.name), f"{path}.{field.name}")
    elif isinstance(value, tuple) and any(is_dataclass(one) for one in value):
        for number, one in enumerate(value):
            yield from _leaves(one, f"{path}.{number}")
    else:
        yield path, value
