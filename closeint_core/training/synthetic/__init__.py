# SPDX-License-Identifier: Apache-2.0
"""Interactions of two people, made on the fly: no data set to download, none to store."""

from closeint_core.training.synthetic.generate import Generator, Interactions, generate
from closeint_core.training.synthetic.kinds import KINDS

__all__ = ["KINDS", "Generator", "Interactions", "generate"]
