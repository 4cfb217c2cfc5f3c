# SPDX-License-Identifier: Apache-2.0
"""Part of pytest here: the last line of a run counts the tests that were not run because something is missing."""

from __future__ import annotations

import collections
import re

import pytest

CATEGORY = "not run for want of material"
_LACKING = re.compile(
    r"no Blender|could not import|is not built|is not there|are not at|is not at|there are no|no .* in \.\./shared|"
    r"needs a CUDA device|has no torch|downloads a gigabyte|no fixture "
)
"""Reasons of tests that a fuller machine would run; what is slow, or of another platform, is left out on purpose."""


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """Count the tests that lack something by themselves, so that the last line of a run says how many there are."""
    if not report.skipped or hasattr(report, "wasxfail") or not isinstance(report.longrepr, tuple):
        return None
    if not _LACKING.search(report.longrepr[2]):
        return None
    return CATEGORY, "w", "WITHOUT MATERIAL"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What they lack, each thing once with its number of tests."""
    lacking = terminalreporter.stats.get(CATEGORY, [])
    reasons = collections.Counter(report.longrepr[2].removeprefix("Skipped: ") for report in lacking)
    if reasons:
        terminalreporter.section("for want of material")
    for reason, count in reasons.most_common():
        terminalreporter.line(f"{count:5}  {reason}")
