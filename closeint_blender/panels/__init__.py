# SPDX-License-Identifier: GPL-3.0-or-later
"""The sidebar's panels, one module a panel; all of one category."""
