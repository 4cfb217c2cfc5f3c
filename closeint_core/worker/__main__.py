# SPDX-License-Identifier: Apache-2.0
"""``python -m closeint_core.worker``: serves requests on stdin and stdout; see ``protocol``."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main() -> int:
    """Serve until stdin closes."""
    from closeint_core.worker.environment import hold
    from closeint_core.worker.service import Service, guarded_streams

    held = hold(Path(sys.prefix))  # until this process ends: nobody deletes the environment under it
    # Before anything heavy is imported: libraries print while they load.
    with guarded_streams() as (source, sink):
        from closeint_core.worker.server import HANDLERS, hello

        status = Service(HANDLERS, source, sink).run(hello)
    del held
    return status


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    # Threads of native libraries may not end; nothing is left to save.
    os._exit(status)
