# SPDX-License-Identifier: Apache-2.0
"""Every kind of interaction that can be generated, on its side of the wall between training and test.

There are two collections (``spec.Collection``). ``first`` is what bench, films and physics suite draw from; it stays as
it is, name by name and number by number. ``wide`` has the families that came later as well. To train on all of them::

    Generator(split="train", collection="wide")          # or, in a configuration, data: {collection: wide}
    Generator(["embrace over the shoulders from behind"])  # any kind can be named, whatever its collection
    KINDS.names("train", "wide"), KINDS.families()        # names; names by family

What is held out is listed in ``held_out.HELD_OUT``.
"""

from closeint_core.training.synthetic.kinds.apart import APART
from closeint_core.training.synthetic.kinds.ballroom import BALLROOM
from closeint_core.training.synthetic.kinds.carry import CARRY
from closeint_core.training.synthetic.kinds.child import CHILD_KINDS
from closeint_core.training.synthetic.kinds.combat import COMBAT
from closeint_core.training.synthetic.kinds.dance import DANCE
from closeint_core.training.synthetic.kinds.embrace import EMBRACE
from closeint_core.training.synthetic.kinds.embrace_more import EMBRACE_MORE
from closeint_core.training.synthetic.kinds.grapple import GRAPPLE
from closeint_core.training.synthetic.kinds.greeting import GREETING
from closeint_core.training.synthetic.kinds.hands import HANDS
from closeint_core.training.synthetic.kinds.held_out import HELD_OUT
from closeint_core.training.synthetic.kinds.help import HELP
from closeint_core.training.synthetic.kinds.kicks import KICKS
from closeint_core.training.synthetic.kinds.seated import SEATED
from closeint_core.training.synthetic.kinds.together import TOGETHER
from closeint_core.training.synthetic.spec import Registry

KINDS = Registry(
    (*GREETING, *EMBRACE, *TOGETHER, *DANCE, *COMBAT, *HELP, *APART),
    (*EMBRACE_MORE, *CARRY, *BALLROOM, *GRAPPLE, *SEATED, *KICKS, *CHILD_KINDS, *HANDS),
    held_out=[name for names in HELD_OUT.values() for name in names],
)

__all__ = ["HELD_OUT", "KINDS"]
