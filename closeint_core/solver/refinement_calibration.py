# SPDX-License-Identifier: Apache-2.0
"""The tuned numbers of the refinement: phases, weights, thresholds. ``SOLVER.now.refinement`` are those in force."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Phase:
    """Rounds of the refinement that are alike. In every round what touches, what is inside the partner and which way is
    out is looked for again, and some steps are taken."""

    name: str
    """1: for the reader. Origin: a name."""
    rounds: int = 1
    """rounds: that it lasts. Origin: chosen by hand."""
    moves: str = "trouble"
    """1: which frames move: ``all``; ``near``, in which the two are near each other; ``trouble``, in which somebody is
    inside the partner. Those around them move as well. Origin: chosen by hand."""
    contact: float = 4.0
    """1: weight of contacts. Origin: chosen by hand; at first it is not known well what touches, at last getting out is
    what matters."""
    unlikely: bool = True
    """1: parts that are unlikely to touch are kept apart. Origin: a choice."""
    gives_way: bool = False
    """1: contacts give way where somebody is still inside, and are closed after all phases. Origin: a choice."""
    stuck_pull: float = 1.0
    """1: share of contacts' weight that is left there. Origin: chosen by hand."""
    content: float = 0.0
    """m: of depth with which it is content, where that is more than the tolerance. Origin: chosen by hand."""
    sunk: float = 0.0035
    """m: under the floor from which on a foot is looked after once more. Origin: chosen by hand."""
    one_side: bool = False
    """1: limbs leave by one side at all costs. Origin: a choice."""
    leads_out: bool = False
    """1: after each of its rounds, frames that are stuck are led from what was before to what comes after. Origin: a
    choice."""
    stuck: float = 0.010
    """m: of depth from which on a frame is stuck. Origin: chosen by hand."""


@dataclass(frozen=True)
class RefinementCalibration:
    """A refinement: its phases, weights, and metres that count as deep or touching."""

    phases: tuple[Phase, ...] = (
        Phase("parting", moves="all", contact=1.0, unlikely=False),
        Phase("meeting", rounds=2, moves="near"),
        Phase("leaving"),
        Phase("leaving", leads_out=True),
        Phase("leaving"),
        Phase("leaving", leads_out=True),
        Phase("choosing a side", one_side=True),
        Phase("giving way", 4, contact=1.0, gives_way=True, content=0.004, stuck=0.004, sunk=0.0045, one_side=True,
              leads_out=True),
        Phase("letting go", 4, contact=1.0, gives_way=True, stuck_pull=0.0, content=0.004, stuck=0.004, sunk=0.0045,
              one_side=True),
    )  # fmt: skip
    """1: in their order; beyond their rounds the last goes on. Origin: chosen by hand."""
    closing: Phase = Phase("closing", 2, sunk=0.0045)
    """1: after all: contacts that gave way are drawn together once more, unless that costs too much. Origin: chosen by
    hand."""
    tolerance: float = 0.003
    """m: of penetration left alone. Origin: chosen by hand."""
    keep: float = 6.0
    """1: weight of the motion as it came. Origin: chosen by hand."""
    seen: float = 0.7
    """1: weight of the observed keypoints. Origin: chosen by hand."""
    settled_seen: float = 0.2
    """1: the same for a clip that has just been fitted to them. Origin: measured on 9 films, MPJPE 71.1 mm instead of
    72.3 mm (``phases.settled_options``)."""
    reach: float = 0.15
    """m: from which on a contact that the evidence speaks of is not closed. Origin: chosen by hand."""
    acceptable: float = 0.010
    """m: of penetration up to which a result is taken even if the clip had less. Origin: chosen by hand."""
    itself: float = 0.5
    """1: weight of what keeps a body out of itself. Origin: chosen by hand."""
    firm: float = 8.0
    """1: times as firmly a body is kept out of itself where a first result had it deeper in itself. Origin: chosen by
    hand."""
    deep: float = 0.015
    """m: from which on an overlap is deep. Origin: chosen by hand."""
    tangled: float = 0.035
    """m: from which on the nearest way out may be the wrong one. Origin: chosen by hand."""
    again: float = 0.005
    """m: of depth from which on a window is refined once more, from where it came to. Origin: chosen by hand."""
    sunk: float = 0.0035
    """m: from which on a foot under the floor counts when the best round is chosen. Origin: chosen by hand."""
    steady: float = 0.05
    """s: over which the evidence of contacts is averaged. Origin: chosen by hand."""
    touches: tuple[float, float] = (0.65, 0.45)
    """probability: from which on a part is taken to touch, and until below which it does. Origin: chosen by hand."""
    unsure: float = 0.25
    """probability: below the latter over which it becomes sure that a part does not touch. Origin: chosen by hand."""
    near: float = 0.05
    """m: between boxes around people who are near each other. Origin: chosen by hand."""
    push_deep: float = 0.4
    """1: first weight of springs where the overlap is deep. Origin: chosen by hand."""
    push_tangled: float = 0.12
    """1: first weight of springs where the way out may be the wrong one. Origin: chosen by hand."""
    push_growth: float = 2.5
    """1: times as hard in the next round where somebody is still inside. Origin: chosen by hand."""
    push_most: float = 8.0
    """1: greatest weight of springs. Origin: chosen by hand."""
    late_tangled_range: float = 0.003
    """m: ``skins.tangled_range`` where a limb is to leave by one side at all costs. Origin: chosen by hand."""
    closing_cost: float = 1.5
    """1: times the tolerance that contacts drawn together at the end may cost. Origin: chosen by hand."""

    def phase(self, number: int) -> Phase:
        """The phase that a round, counted from 0, belongs to."""
        for phase in self.phases:
            if number < phase.rounds:
                return phase
            number -= phase.rounds
        return self.phases[-1]

    def first_to_lead_out(self) -> int:
        """The first round after which frames are led out: what comes from rounds before starts there."""
        each = [phase for phase in self.phases for _ in range(phase.rounds)]
        return next((number for number, phase in enumerate(each) if phase.leads_out), 0)
