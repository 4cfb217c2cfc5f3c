# SPDX-License-Identifier: Apache-2.0
"""Examines an installation: libraries, device, bundled and licensed models."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from pathlib import Path
from typing import Any

from closeint_core import __version__
from closeint_core.body.load import load_body
from closeint_core.errors import CloseintError
from closeint_core.models.reference_files import REFERENCE_FILES, find_reference
from closeint_core.models.store import find, search_paths
from closeint_core.settings import EYES

LIBRARIES = (
    "numpy",
    "torch",
    "roma",
    "safetensors",
    "onnxruntime",
    "opencv-python-headless",
    "av",
    "libigl",
    "scipy",
    "typer",
    "rich",
)
NETWORKS = ("movenet_multipose", "blazepose_full")
LICENSED = {
    "SMPL neutral": (("smpl/SMPL_NEUTRAL.pkl", "smpl/SMPL_NEUTRAL.npz"), "smpl.is.tue.mpg.de"),
    "SMPL male": (("smpl/SMPL_MALE.pkl", "smpl/SMPL_MALE.npz"), "smpl.is.tue.mpg.de"),
    "SMPL female": (("smpl/SMPL_FEMALE.pkl", "smpl/SMPL_FEMALE.npz"), "smpl.is.tue.mpg.de"),
}


def examine(data: Path | None = None) -> dict[str, Any]:
    """What is there and what is missing.

    Returns:
        ``ok``, ``problem`` and ``fix`` (sentences, empty when ok) and ``sections``: lists of
        ``{name, ok, needed, detail}``.
    """
    sections = {
        "Program": _program(),
        "Bundled models": _bundled(),
        "Licensed models (optional)": _licensed(data),
        "Published networks (optional, --model reference)": _reference(data),
    }
    missing = [row for rows in sections.values() for row in rows if row["needed"] and not row["ok"]]
    return {
        "closeint": __version__,
        "ok": not missing,
        "problem": "" if not missing else f"Missing: {', '.join(row['name'] for row in missing)}.",
        "fix": "" if not missing else "Install closeint-core[inference] again.",
        "sections": sections,
    }


def _row(name: str, ok: bool, detail: str, *, needed: bool = True) -> dict[str, Any]:
    return {"name": name, "ok": ok, "needed": needed, "detail": detail}


def _program() -> list[dict[str, Any]]:
    rows = [_row("Python", sys.version_info >= (3, 10), f"{platform.python_version()} ({sys.executable})")]
    for library in LIBRARIES:
        try:
            rows.append(_row(library, True, importlib.metadata.version(library)))
        except importlib.metadata.PackageNotFoundError:
            rows.append(_row(library, False, "not installed"))
    try:
        import torch

        cuda = torch.cuda.is_available()
        rows.append(
            _row("device", True, torch.cuda.get_device_name() if cuda else f"CPU, {torch.get_num_threads()} threads")
        )
    except ImportError as error:
        rows.append(_row("device", False, f"torch does not load: {error}"))
    return rows


def _bundled() -> list[dict[str, Any]]:
    rows = []
    try:
        body = load_body("default")
        rows.append(_row("default body", True, f"{body.name}, {len(body.template)} vertices"))
    except CloseintError as error:
        rows.append(_row("default body", False, str(error)))
    for name in NETWORKS:
        try:
            from closeint_core.perception.runtime import open_session

            session = open_session(name, "cpu")
            rows.append(
                _row(name, True, f"loads, runs on {session.get_providers()[0].removesuffix('ExecutionProvider')}")
            )
        except CloseintError as error:
            rows.append(_row(name, False, str(error)))
    return [*rows, *_eyes()]


def _eyes() -> list[dict[str, Any]]:
    """The eyes for pairs, where they are there or needed."""
    try:
        from closeint_core.eyes.weights import find_eyes, load_eyes

        path = find_eyes()
        load_eyes(path)
        return [_row("pair_eyes", True, f"loads: {path}", needed=EYES)]
    except (CloseintError, ImportError) as error:
        return [_row("pair_eyes", False, str(error))] if EYES else []


def _licensed(data: Path | None) -> list[dict[str, Any]]:
    places = ", ".join(str(path) for path in search_paths(data))
    rows = []
    for name, (candidates, owner) in LICENSED.items():
        path = find(candidates, data)
        detail = str(path) if path else f"{candidates[0]} not found in {places}; published at {owner}"
        rows.append(_row(name, path is not None, detail, needed=False))
    return rows


def _reference(data: Path | None) -> list[dict[str, Any]]:
    places = ", ".join(str(path) for path in search_paths(data))
    rows = []
    for key, file in REFERENCE_FILES.items():
        path = find_reference(key, data)
        need = "" if file.needed else "not strictly needed; "
        missing = f"{' or '.join(file.candidates)} not found in {places}; {need}published at {file.owner}"
        rows.append(_row(file.name, path is not None, f"{path or missing} ({file.use})", needed=False))
    return rows
