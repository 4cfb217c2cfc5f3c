# SPDX-License-Identifier: GPL-3.0-or-later
"""The tab in which the panels are."""

from __future__ import annotations

CATEGORY = "closeint"
"""Tab of the 3D view's sidebar; ``bl_category`` of every panel."""
