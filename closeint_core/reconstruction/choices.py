# SPDX-License-Identifier: Apache-2.0
"""What a user can choose, for programs without torch. Standard library only."""

from __future__ import annotations

import ast
from pathlib import Path


def model_names() -> tuple[str, ...]:
    """The models that ``pipeline.reconstruct`` takes, its default first: ``pipeline.MODELS``.

    Read from the module's source, because importing it needs torch, and a second list would not follow.
    """
    source = (Path(__file__).parent / "pipeline.py").read_text(encoding="utf-8")
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "MODELS" for t in node.targets):
            return tuple(ast.literal_eval(node.value))
    raise AssertionError("pipeline.py has no list MODELS")
