# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the people touch, as a colour attribute of the skin.

An import colours every part by the most that it touches in the whole clip; the contact overlay makes the colours follow
the current frame and puts these back at its end.
"""

from __future__ import annotations

from typing import Any

import numpy as np

ATTRIBUTE = "contact"

PLAIN, TOUCH, DEEP = (np.array(c, np.float32) for c in ((0.30, 0.32, 0.35), (1.0, 0.45, 0.05), (0.75, 0.0, 0.35)))
"""Linear RGB of skin that nothing is known of, skin that touches, skin inside the other body."""


def touch_colours(weights: np.ndarray, contacts: np.ndarray) -> np.ndarray:
    """(V, 4) colours of skin with weights (V, J) on body parts that touch with probability (J,)."""
    colours = np.ones((len(weights), 4), np.float32)
    touch = np.clip(weights @ np.nan_to_num(contacts), 0, 1)[:, None]
    colours[:, :3] = PLAIN + touch * (TOUCH - PLAIN)
    return colours


def set_colours(mesh: Any, colours: np.ndarray, make: bool = False) -> bool:
    """Write (V, 4) colours into the mesh's attribute; False if it has none that fits.

    Args:
        mesh: mesh data. colours: one a vertex. make: add the attribute if it is missing.
    """
    attribute = mesh.color_attributes.get(ATTRIBUTE)
    if attribute is None and make:
        attribute = mesh.color_attributes.new(ATTRIBUTE, "FLOAT_COLOR", "POINT")
    if attribute is None or attribute.domain != "POINT" or len(attribute.data) != len(colours):
        return False
    attribute.data.foreach_set("color", np.ascontiguousarray(colours, np.float32).reshape(-1))
    mesh.update_tag()
    return True
