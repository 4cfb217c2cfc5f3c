# SPDX-License-Identifier: Apache-2.0
"""Options and shared fixtures of the tests."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

# A busy machine makes any single example slow; tests never judge a time.
hypothesis.settings.register_profile("closeint", deadline=None)
hypothesis.settings.load_profile("closeint")

ROOT = Path(__file__).resolve().parents[1]

pytest_plugins = ["support.material"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests that take minutes")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--slow"):
        return
    skip = pytest.mark.skip(reason="slow; run with --slow")
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of footage and fixtures that some tests compare with; skips where it is missing."""
    folder = Path(os.environ.get("CLOSEINT_SHARED", ROOT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"the shared test material is not at {folder}")
    return folder
