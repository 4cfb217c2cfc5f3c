# SPDX-License-Identifier: GPL-3.0-or-later
"""The sidebar's panels, one module a panel; all of one category."""

CATEGORY = "closeint"
"""Tab of the 3D view's sidebar; ``bl_category`` of every panel."""
