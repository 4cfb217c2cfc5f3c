# SPDX-License-Identifier: Apache-2.0
"""Every kind of interaction that can be generated, on its side of the wall between training and test."""

from closeint_core.training.synthetic.kinds.apart import APART
from closeint_core.training.synthetic.kinds.combat import COMBAT
from closeint_core.training.synthetic.kinds.dance import DANCE
from closeint_core.training.synthetic.kinds.embrace import EMBRACE
from closeint_core.training.synthetic.kinds.greeting import GREETING
from closeint_core.training.synthetic.kinds.help import HELP
from closeint_core.training.synthetic.kinds.together import TOGETHER
from closeint_core.training.synthetic.spec import Registry

KINDS = Registry((*GREETING, *EMBRACE, *TOGETHER, *DANCE, *COMBAT, *HELP, *APART))

__all__ = ["KINDS"]
