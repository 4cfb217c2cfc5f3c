# SPDX-License-Identifier: Apache-2.0
"""What a user can choose, for programs without torch. Standard library only."""

from __future__ import annotations

MODELS = ("default", "fit", "reference")
"""How people are solved, the default first: the learned network, the pair's fit alone, the published networks."""
