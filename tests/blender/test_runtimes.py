# SPDX-License-Identifier: Apache-2.0
"""Which of a machine's Blenders the tests run in."""

from __future__ import annotations

from pathlib import Path

import pytest
from blender_runtimes import BlenderRuntime, chosen

FOUND = [BlenderRuntime(Path("python"), True, version, Path()) for version in ("4.2.23 LTS", "4.5.15 LTS", "5.2.3 LTS")]


@pytest.mark.parametrize(
    ("wanted", "versions"),
    [
        ("", ["4.2.23", "4.5.15", "5.2.3"]),
        ("5.2", ["5.2.3"]),
        ("5.2.3", ["5.2.3"]),
        ("5.2.4", []),
        ("5", ["5.2.3"]),
        ("4.2.23,5.2", ["4.2.23", "5.2.3"]),
        ("!5.2.3", ["4.2.23", "4.5.15"]),
        ("!4.2,5.2", ["4.5.15"]),
    ],
)
def test_chosen(wanted: str, versions: list[str]) -> None:
    assert [runtime.version.split()[0] for runtime in chosen(FOUND, wanted)] == versions
