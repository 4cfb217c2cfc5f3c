# SPDX-License-Identifier: Apache-2.0
"""Pickles of arrays that every numpy reads.

numpy 2 writes the name of its module ``numpy._core`` into a pickle, which numpy before 1.26 does not have; the older
name ``numpy.core`` is understood by all of them.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from typing import Any


def pickled(value: Any) -> bytes:
    """Protocol 2, with the module names of numpy 1."""
    data = pickle.dumps(value, protocol=2)
    out, done = io.BytesIO(), 0
    for opcode, argument, position in pickletools.genops(data):
        # The names are in text opcodes of their own in protocol 2, so that only these are rewritten, never numbers.
        if position is not None and opcode.name == "GLOBAL" and str(argument).startswith("numpy._core."):
            module, _, name = str(argument).partition(" ")
            old = f"c{module}\n{name}\n".encode()
            out.write(data[done:position] + old.replace(b"numpy._core.", b"numpy.core.", 1))
            done = position + len(old)
    out.write(data[done:])
    return out.getvalue()
