# SPDX-License-Identifier: GPL-3.0-or-later
"""Past results, newest first, kept in a file so that neither undo nor another .blend loses them. No bpy here."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from closeint_core.files import atomic_path

LONGEST = 50


@dataclass(frozen=True)
class Entry:
    """One finished reconstruction.

    Attributes:
        clip: path of the clip file. video: path of the footage.
        made: local time, "2025-03-01 14:05". seconds: how long it took.
        people, frames: what is in it. note: such as "refined".
    """

    clip: str
    video: str
    made: str
    seconds: float
    people: int
    frames: int
    note: str = ""


class History:
    """The list in one file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._entries: list[Entry] | None = None

    @property
    def entries(self) -> list[Entry]:
        """Newest first. An unreadable file counts as empty."""
        if self._entries is None:
            try:
                rows = json.loads(self.path.read_text(encoding="utf-8"))
                self._entries = [Entry(**row) for row in rows]
            except (OSError, ValueError, TypeError, RecursionError):
                self._entries = []
        return self._entries

    def add(self, entry: Entry) -> None:
        """Put a result in front; one of the same clip is replaced."""
        self._save([entry, *(old for old in self.entries if old.clip != entry.clip)])

    def remove(self, clip: str) -> None:
        """Forget a result; its file stays."""
        self._save([old for old in self.entries if old.clip != clip])

    def _save(self, entries: list[Entry]) -> None:
        self._entries = entries[:LONGEST]
        text = json.dumps([asdict(entry) for entry in self._entries], indent=1)
        with atomic_path(self.path) as temporary:
            temporary.write_text(text, encoding="utf-8")
