# SPDX-License-Identifier: Apache-2.0
"""The one exception a user is meant to see."""

from __future__ import annotations


class CloseintError(Exception):
    """A problem the user can act on.

    Args:
        message: one sentence: what is wrong, and where.
        fix: what to do about it, if there is something to do.
        exit_code: the command's exit status (2 bad input, 3 a needed model is missing).

    Anything else that is raised is a bug and keeps its traceback.
    """

    def __init__(self, message: str, fix: str | None = None, *, exit_code: int = 2) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        self.exit_code = exit_code

    def __str__(self) -> str:
        return self.message if not self.fix else f"{self.message} {self.fix}"


class Cancelled(Exception):
    """The user stopped the work; nothing was written, unless the message says what was."""
