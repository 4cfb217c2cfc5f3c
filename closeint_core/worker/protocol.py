# SPDX-License-Identifier: Apache-2.0
"""What goes over the pipe: one JSON object a line, in UTF-8.

Requests, on the worker's stdin: ``{"id": 1, "command": "reconstruct", ...}``; ``cancel`` with the id of the request
to cancel (without an id: the running one); ``shutdown``. Messages, on its stdout, carry the request's ``id`` and

=============  ====================================================================================================
``type``       with
=============  ====================================================================================================
``hello``      ``protocol``, ``version``, ``device``: once, when the worker is ready; no ``id``
``progress``   ``stage``, ``done``, ``total`` (0: unknown), ``eta_s`` (null: unknown), ``fraction`` of the request
``warning``    ``message``
``result``     ``path`` and what else the command gives
``error``      ``message``, ``fix``, ``detail``, ``exit_code``
``cancelled``
=============  ====================================================================================================

Each request is ended by exactly one of the last three. Requests wait for each other; a waiting one can be cancelled.
"""

from __future__ import annotations

import json
from typing import Any

PROTOCOL = 1
ENDINGS = frozenset({"result", "error", "cancelled"})
MESSAGES = frozenset({"hello", "progress", "warning"}) | ENDINGS


def encode(message: dict[str, Any]) -> bytes:
    """One line. ASCII only, so that no console encoding can break it."""
    return json.dumps(message, ensure_ascii=True, allow_nan=False).encode("ascii") + b"\n"


def decode(line: bytes) -> dict[str, Any] | None:
    """The object of a line, or None if the line is something else (what a library printed, say)."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):  # UnicodeDecodeError is one too
        return None
    return message if isinstance(message, dict) else None
