# SPDX-License-Identifier: Apache-2.0
"""Tuned numbers in force, and what a clip says of them."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, replace

import pytest

from closeint_core.calibrated import Calibrated, described, using
from closeint_core.perception.calibration import PERCEPTION
from closeint_core.reconstruction.calibration import PACKAGES
from closeint_core.solver.calibration import SOLVER
from closeint_core.solver.pairs import Weights
from closeint_core.solver.phases import RefineOptions, settled_options


@dataclass(frozen=True)
class Inner:
    far: float = 0.5
    both: tuple[float, float] = (1.0, 2.0)


@dataclass(frozen=True)
class Outer:
    inner: Inner = Inner()
    near: float = 0.1


def test_numbers_hold_as_long_as_their_context_even_where_it_fails() -> None:
    holder = Calibrated("some", Outer())
    changed, seen = Outer(near=0.2), []

    def fail() -> None:
        with using([holder], [changed]):
            seen.append(holder.now)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert seen == [changed]
    assert holder.now is holder.default


def test_numbers_of_one_thread_are_not_those_of_another() -> None:
    holder, seen = Calibrated("some", Outer()), []
    with holder.using(Outer(near=0.2)):
        thread = threading.Thread(target=lambda: seen.append(holder.now.near))
        thread.start()
        thread.join()
        assert (holder.now.near, seen) == (0.2, [0.1])


def test_what_is_no_packages_numbers_is_refused() -> None:
    with pytest.raises(TypeError, match="Inner is not the calibration of a package"), using(PACKAGES, [Inner()]):
        pass


def test_a_clip_says_what_differs_and_a_hash_of_all() -> None:
    holder = Calibrated("some", Outer())
    usual = described([holder])
    assert usual["changed"] == {}
    with holder.using(Outer(Inner(both=(1.0, 3.0)))):
        other = described([holder])
    assert other["changed"] == {"some.inner.both": (1.0, 3.0)}
    assert other["sha256"] != usual["sha256"]
    assert described([holder]) == usual
    assert json.loads(json.dumps(described(PACKAGES)))["changed"] == {}


def test_a_sweep_is_one_line() -> None:
    solver = replace(SOLVER.default, refinement=replace(SOLVER.default.refinement, keep=3.0, settled_seen=0.1))
    seen = replace(PERCEPTION.default, seen=replace(PERCEPTION.default.seen, sure=0.4))
    with using(PACKAGES, [solver, seen]):
        assert (RefineOptions().keep, settled_options().seen, settled_options(rounds=5).rounds) == (3.0, 0.1, 5)
        assert PERCEPTION.now.seen.sure == 0.4
        assert Weights().keep == SOLVER.default.weights.keep
        assert described(PACKAGES)["changed"] == {
            "perception.seen.sure": 0.4, "solver.refinement.keep": 3.0, "solver.refinement.settled_seen": 0.1
        }  # fmt: skip
    assert RefineOptions().keep == SOLVER.default.refinement.keep
