# SPDX-License-Identifier: Apache-2.0
"""The vocabulary in which a kind of interaction is written down, and the wall between training and test.

Times are seconds of the kind's own timeline, lengths metres for people of average build (they scale with
the bodies), angles degrees. Keyed curves are rows ``(time, value, ...)``, eased from one row to the next and
held before the first and after the last.
"""

from __future__ import annotations

from collections.abc import Collection as Collection_
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from closeint_core.errors import CloseintError

Split = Literal["train", "test"]
Collection = Literal["first", "wide"]
"""``first``: the kinds on which the bench, its films and the physics suite rest, and which the bundled weights have
learned from; they never change. ``wide``: those and all that came later."""
Keys = tuple[tuple[float, ...], ...]

RELAXED_ARM: Keys = ((0.0, 74.0, 0.0, 0.0, 20.0, 0.0, 0.0),)


@dataclass(frozen=True)
class Role:
    """What one of the two people does.

    Attributes:
        place: (t, x, y, yaw): where the middle of the feet stands in the pair's frame and which way it faces, 0 being
            +x. Where the place changes, steps are taken from one to the next.
        steps: number of steps for each change of place; None takes as many as the distance needs.
        stance: width between the ankles and how far the left foot stands ahead of the right.
        pelvis: (t, forward, left, up) added to the path that follows from the feet.
        torso: (t, lean forward, lean left, turn left), shared by pelvis and spine.
        head: (t, nod, tilt left, turn left) relative to the chest.
        left_arm, right_arm: (t, lowering, swing, twist, elbow, pronation, wrist): lowering takes the arm from
            sideways (0) to hanging (90), swing then takes it forward, twist turns the upper arm so that the forearm
            points inwards, elbow bends, pronation turns the forearm, wrist bends the hand towards its palm.
        left_foot, right_foot: (t, weight, forward, left, up, pitch): a foot off the floor, held relative to the point
            below the pelvis (``up``: above the floor), in place of its footstep as far as the weight says.
        tilt: (t, pitch forward, roll left, turn left) of the whole body about the pelvis, on top of ``torso``: -90 lies
            on the back, 90 on the belly. Feet that stand stay; those of somebody who lies are given by ``left_foot``
            and ``right_foot``.
        gaze: (t, weight) of looking at the other's face.
        curl: degrees by which the fingers are bent.
        toe_out: degrees by which the feet point outwards, and the knees of feet in the air with them.
        rests: places (``surface.PLACES``) that rest on the floor: of somebody who sits, kneels or lies there.
        carried: the heights of pelvis and free feet are counted from where the other's pelvis stands, not the own.
        stature: shortest and tallest (metres) where the role is for people of some size, an adult or a child; None
            for the statures of adults.
        motion: names of recorded motions (``motions.SIDES``), one of which takes the place of the above for most people
            where recordings are at hand; ``place`` is then where the person is in the middle.
    """

    place: Keys = ((0.0, 0.0, 0.0, 0.0),)
    steps: tuple[int, ...] | None = None
    stance: tuple[float, float] = (0.2, 0.0)
    pelvis: Keys = ((0.0, 0.0, 0.0, -0.01),)
    torso: Keys = ((0.0, 2.0, 0.0, 0.0),)
    head: Keys = ((0.0, 0.0, 0.0, 0.0),)
    left_arm: Keys = RELAXED_ARM
    right_arm: Keys = RELAXED_ARM
    left_foot: Keys = ()
    right_foot: Keys = ()
    gaze: Keys = ((0.0, 1.0),)
    curl: float = 14.0
    tilt: Keys = ()
    toe_out: float = 9.0
    rests: tuple[str, ...] = ()
    carried: bool = False
    stature: tuple[float, float] | None = None
    motion: tuple[str, ...] = ()


@dataclass(frozen=True)
class Touch:
    """A place of one person's surface held against a place of the other's.

    Attributes:
        who: 0 or 1, whose ``point``.
        point: name of the place (``surface.PLACES``).
        on: names of the other's places, one of which is drawn for each pair.
        start, end: seconds; both people are there from start to end.
        facing: weight of the two surfaces lying flat against each other, relative to the distance.
        gap: metres between the surfaces. ramp: seconds over which the touch closes and opens.
        held: the two places do not slide along each other while they touch.
        slack: metres by which the touch may be missed: a body drawn near rather than a touch.
        own: the place touched is the person's own (a hand on the own knee).
    """

    who: int
    point: str
    on: tuple[str, ...]
    start: float
    end: float
    facing: float = 1.0
    gap: float = 0.0
    ramp: float = 0.35
    held: bool = False
    slack: float = 0.0
    own: bool = False


@dataclass(frozen=True)
class Kind:
    """A kind of interaction.

    Attributes:
        name: unique. split: the only side of the wall on which it is ever generated.
        base: the movement it is built on; a base movement belongs to one side of the wall as well.
        seconds: length of the timeline. focus: the part that a window should show.
        roles: who does what. touches: who touches whom where and when.
        apart: extra metres by which the two may be moved towards or away from each other to make the touches fit.
        pace: slowest and fastest speed relative to the timeline.
        family: what belongs together in tables and in the list of what is held out; empty in the first collection.
    """

    name: str
    split: Split
    base: str
    seconds: float
    focus: tuple[float, float]
    roles: tuple[Role, Role]
    touches: Sequence[Touch] = field(default_factory=tuple)
    apart: float = 0.12
    pace: tuple[float, float] = (0.8, 1.25)
    family: str = ""


class Registry:
    """All kinds, each on one side of the wall.

    A kind carries its own side, a base movement may serve one side only, and kinds are handed out for one side at a
    time: what is generated for training cannot contain what is held out.

    Args:
        kinds: of the first collection. later: those that only the wide one has. held_out: if given, names of exactly
            the kinds that are for test.
    """

    def __init__(
        self, kinds: Iterable[Kind], later: Iterable[Kind] = (), held_out: Collection_[str] | None = None
    ) -> None:
        """Raises ValueError if a name is used twice, a base movement on both sides, or ``held_out`` is not what is
        held out."""
        self._kinds: dict[str, Kind] = {}
        sides: dict[str, Split] = {}
        first = tuple(kinds)
        self._first = frozenset(kind.name for kind in first)
        for kind in (*first, *later):
            if kind.name in self._kinds:
                raise ValueError(f"two kinds are named {kind.name}")
            if sides.setdefault(kind.base, kind.split) != kind.split:
                raise ValueError(f"the base movement {kind.base} would serve training and test")
            self._kinds[kind.name] = kind
        test = {kind.name for kind in self._kinds.values() if kind.split == "test"}
        if held_out is not None and test != set(held_out):
            raise ValueError(f"the list of what is held out is wrong about {', '.join(test ^ set(held_out))}")

    def names(self, split: Split, collection: Collection = "first") -> tuple[str, ...]:
        """Names of the kinds of one side, in order."""
        wide = self._is_wide(collection)
        return tuple(k.name for k in self._kinds.values() if k.split == split and (wide or k.name in self._first))

    def all_names(self, collection: Collection = "wide") -> tuple[str, ...]:
        """Names of every kind, those of the first collection first; a kind's number is its position here."""
        wide = self._is_wide(collection)
        return tuple(name for name in self._kinds if wide or name in self._first)

    def families(self) -> dict[str, tuple[str, ...]]:
        """Names by family, of both sides; the first collection has none."""
        found: dict[str, tuple[str, ...]] = {}
        for kind in self._kinds.values():
            if kind.family:
                found[kind.family] = (*found.get(kind.family, ()), kind.name)
        return found

    def _is_wide(self, collection: Collection) -> bool:
        if collection not in ("first", "wide"):
            raise CloseintError(f"There is no collection {collection!r} of interactions.", "Choose 'first' or 'wide'.")
        return collection == "wide"

    def get(self, name: str) -> Kind:
        """The kind of that name.

        Raises:
            CloseintError: there is none.
        """
        if name not in self._kinds:
            raise CloseintError(f"There is no kind of interaction {name!r}.", f"Choose from {', '.join(self._kinds)}.")
        return self._kinds[name]

    def choose(
        self, names: Sequence[str] | None, split: Split | None, collection: Collection = "first"
    ) -> tuple[Kind, ...]:
        """The kinds to generate.

        Args:
            names: of any collection; None for every kind of ``split`` in ``collection``. split: None only with names,
                which then must be of one side.

        Raises:
            CloseintError: an unknown name, or kinds from the other side of the wall.
        """
        if names is None:
            if split is None:
                raise CloseintError("Neither kinds nor a split were named.", "Pass split='train' or split='test'.")
            return tuple(self.get(name) for name in self.names(split, collection))
        kinds = tuple(self.get(name) for name in names)
        if not kinds:
            raise CloseintError("No kind of interaction was named.", "Name one or more, or pass None for all.")
        sides = {kind.split for kind in kinds} | ({split} if split else set())
        if len(sides) > 1:
            raise CloseintError(
                "Kinds for training and kinds held out for test cannot be generated together.",
                f"Training: {', '.join(self.names('train', 'wide'))}. Test: {', '.join(self.names('test', 'wide'))}.",
            )
        return kinds
