# SPDX-License-Identifier: Apache-2.0
"""What no training ever draws: every kind of interaction that is held out for tests, old and new, in one place.

The registry refuses to be made if the kinds themselves say otherwise.
"""

from __future__ import annotations

HELD_OUT: dict[str, tuple[str, ...]] = {
    "first collection: bench, films": (
        "fist bump", "whispering", "hug from behind", "back to back", "two-hand dance", "kick landing",
        "kick missing",
    ),
    "embrace front": ("one-armed hug",),
    "embrace side": ("side hug with the head on the shoulder",),
    "embrace behind": ("walking embraced from behind",),
    "lift and carry": ("carried with the legs round the waist",),
    "dance holds and turns": ("turn with crossed hands",),
    "clinches": ("one arm over and one under",),
    "holds on the floor": ("held from behind on the floor",),
    "sitting together": ("hand in hand on the floor",),
    "leaning": ("forehead to forehead",),
    "high kicks and dodges": ("high kick caught",),
    "adult and child": ("hand on a child's head",),
    "hand in hand": ("palms together overhead",),
}  # fmt: skip
"""Names of the held-out kinds by family."""
