# SPDX-License-Identifier: Apache-2.0
"""The table of the refinement's phases, read round by round."""

from __future__ import annotations

from dataclasses import replace

from closeint_core.solver.phases import RefineOptions
from closeint_core.solver.refinement_calibration import Phase, RefinementCalibration


def test_rounds_go_through_the_phases_in_their_order() -> None:
    tuned = replace(RefinementCalibration(), phases=(Phase("a"), Phase("b", 3), Phase("c", 2, leads_out=True)))
    assert "".join(tuned.phase(number).name for number in range(8)) == "abbbcccc"
    assert tuned.first_to_lead_out() == 4
    assert replace(tuned, phases=tuned.phases[:2]).first_to_lead_out() == 0


def test_the_table_fills_the_usual_rounds_and_ends_with_getting_out() -> None:
    tuned = RefinementCalibration()
    assert sum(phase.rounds for phase in tuned.phases) == RefineOptions().rounds
    rounds = [tuned.phase(number) for number in range(RefineOptions().rounds)]
    assert [phase.moves for phase in rounds[:4]] == ["all", "near", "near", "trouble"]
    assert {phase.moves for phase in tuned.phases} == {"all", "near", "trouble"}
    gives_way = [phase.gives_way for phase in rounds]
    assert gives_way == sorted(gives_way)  # never again firm once they gave way
    assert rounds[-1].stuck_pull == 0
