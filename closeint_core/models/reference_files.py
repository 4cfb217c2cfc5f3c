# SPDX-License-Identifier: Apache-2.0
"""The files of the published CloseInt that a user may bring: what they are called, where they lie, who publishes them.

Names are those of the published repository's ``data`` folder, so that a copy of it works as it is. The standard
library only.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from closeint_core.errors import CloseintError
from closeint_core.models.store import find, search_paths

SMPL_OWNER = "https://smpl.is.tue.mpg.de"
CLOSEINT_OWNER = "https://github.com/boycehbz/HumanInteraction"
HMR2_OWNER = "https://github.com/shubham-goel/4D-Humans"


@dataclass(frozen=True)
class ReferenceFile:
    """A file that ``--model reference`` uses.

    Attributes:
        name: what it is. candidates: paths it may have in a model folder, best first. owner: who publishes it.
        needed: whether nothing works without it. use: what it is for.
    """

    name: str
    candidates: tuple[str, ...]
    owner: str
    needed: bool
    use: str


_HMR2_NAME = "epoch=35-step=1000000.ckpt"

REFERENCE_FILES: dict[str, ReferenceFile] = {
    "smpl": ReferenceFile(
        "SMPL neutral",
        ("smpl/SMPL_NEUTRAL.npz", "smpl/SMPL_NEUTRAL.pkl", "SMPL_NEUTRAL.npz", "SMPL_NEUTRAL.pkl"),
        SMPL_OWNER,
        True,
        "the body",
    ),
    "halpe": ReferenceFile(
        "Halpe regressor",
        ("smpl/J_regressor_halpe.npy",),
        CLOSEINT_OWNER,
        False,
        "keypoints of the body; SMPL's joints stand in for it",
    ),
    "lsp": ReferenceFile(
        "LSP regressor",
        ("smpl/J_regressor_lsp.npy",),
        CLOSEINT_OWNER,
        False,
        "joints of the evaluation; the Halpe keypoints stand in for it",
    ),
    "mean": ReferenceFile(
        "SMPL mean parameters",
        ("smpl/smpl_mean_params.npz", "smpl_mean_params.npz"),
        CLOSEINT_OWNER,
        False,
        "HMR2.0's mean pose, should its checkpoint lack it",
    ),
    "hmr2": ReferenceFile(
        "HMR2.0",
        (
            f"demo_models/Human4D_data/Human4D_checkpoints/{_HMR2_NAME}",
            f"logs/train/multiruns/hmr2/0/checkpoints/{_HMR2_NAME}",
            f"hmr2/{_HMR2_NAME}",
            _HMR2_NAME,
            "hmr2.ckpt",
        ),
        HMR2_OWNER,
        True,
        "image features and the initial pose",
    ),
    "closeint": ReferenceFile(
        "CloseInt",
        ("checkpoint.pkl", "checkpoint_non_phys.pkl"),
        CLOSEINT_OWNER,
        True,
        "the denoiser",
    ),
}


def find_reference(key: str, data: Path | None = None) -> Path | None:
    """Path of one of ``REFERENCE_FILES``, or None. ``data`` is searched before the usual places."""
    return find(REFERENCE_FILES[key].candidates, data)


def require_reference_files(data: Path | None = None) -> dict[str, Path]:
    """Paths of the reference files that are there, by their key in ``REFERENCE_FILES``.

    Raises:
        CloseintError: needed ones are missing (exit code 3); says which, where they are looked for, whose they are.
    """
    found = {key: path for key in REFERENCE_FILES if (path := find_reference(key, data)) is not None}
    missing = [file for key, file in REFERENCE_FILES.items() if file.needed and key not in found]
    if missing:
        names = "; ".join(f"{file.name} ({file.candidates[0]}, published at {file.owner})" for file in missing)
        places = ", ".join(str(folder) for folder in search_paths(data))
        raise CloseintError(
            f"--model reference lacks {names}; looked in: {places}.",
            "Get them from their owners and name the folder with --data, or leave --model out.",
            exit_code=3,
        )
    return found
