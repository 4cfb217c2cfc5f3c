# SPDX-License-Identifier: Apache-2.0
"""Configurations of the published CloseInt training, taken as they are: every key is used or answered."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from closeint_core.denoiser.checkpoint import load_denoiser
from closeint_core.errors import CloseintError
from closeint_core.foreign_files import said
from closeint_core.training.losses import LossWeights

_TELLING = frozenset(("batchsize", "frame_length", "trainset", "testset", "pretrain_dir", "train_loss", "use_sch"))
"""Keys by which a published configuration is known; ours has none of them."""
_LOSSES: dict[str, tuple[str, ...]] = {
    "SMPL_Loss": ("rotations", "betas"),
    # Where people stand is solved from the true keypoints, hence is what they say.
    "Keyp_Loss": ("keypoints", "camera"),
    "Mesh_Loss": ("vertices",),
    "Joint_Loss": ("joints",),
    "Vel_Loss": ("velocity",),
    "Pen_Loss": ("penetration",),
}
_MODELS = ("interhuman_diffusion", "interhuman_diffusion_phys")
_KINDS: dict[str, type | tuple[type, ...]] = {
    "lr": (float, int, str), "batchsize": int, "frame_length": int, "epoch": int, "use_sch": bool, "model_type": str,
    "data_folder": str, "trainset": str, "testset": str, "model": str, "mode": str, "pretrain": bool,
    "pretrain_dir": str, "train_loss": str, "test_loss": str, "gpu_index": (int, str), "worker": int, "note": str,
    "output": str, "viz": bool, "use_prior": bool, "task": str,
}  # fmt: skip


class Translated(NamedTuple):
    """values: as in our configurations. answers: sentences on the keys that are not used as they are."""

    values: dict[str, Any]
    answers: list[str]


def is_published(values: dict[str, Any]) -> bool:
    """Whether the mapping in a YAML file is such a configuration."""
    return not _TELLING.isdisjoint(values)


def translate(values: dict[str, Any], path: Path) -> Translated:
    """Ours for a published configuration.

    Args:
        path: of the file. Folders in it are relative to where the command runs or, if they are not there, to the
            repository in which the file lies (``cfg_files/config.yaml``).

    Raises:
        CloseintError: an unknown key, a wrong type, something that cannot be trained here, or missing weights.
    """
    _check_keys(values)
    _refuse_what_is_not_trained(values)
    sets = {key: values.get(key, values["trainset"]).split() for key in ("trainset", "testset")}
    for key, names in sets.items():
        if len(names) != 1:
            raise CloseintError(f"{key} is {said(values[key])}.", "Name one data set.")

    def folder(name: str) -> str:
        here, there = Path(name), path.resolve().parent.parent / name
        return str(there if not here.exists() and there.exists() else here)

    answers: list[str] = []
    ours: dict[str, Any] = {
        "what": "denoiser",
        "output": values.get("output", "output"),
        "batch": values.get("batchsize", 32),
        "precision": "float32",
        "optimizer": {
            "learning_rate": values.get("lr", 1e-4),
            "betas": [0.9, 0.999],
            "warmup": 0,
            "floor": 0.0 if values.get("use_sch", False) else 1.0,
        },
        "diffusion": {"emphasis": 0.0},
        "losses": _losses(values.get("train_loss", ""), answers),
        "data": {"frames": values.get("frame_length", 16)},
        "recorded": {
            "folder": folder(values.get("data_folder", "data/dataset")),
            "train": sets["trainset"][0],
            "test": sets["testset"][0],
            "epochs": values.get("epoch", 2000),
        },
        "denoiser": {"condition": "hmr2"},
    }
    if values.get("pretrain"):
        weights = folder(values.get("pretrain_dir", "data/checkpoint.pkl"))
        sizes = load_denoiser(weights).config
        ours["initial"] = weights
        ours["denoiser"] = {name: getattr(sizes, name) for name in sizes.__dataclass_fields__}
        penetration = sizes.penetration
    else:
        penetration = False
    if "viz" in values:
        ours["validation"] = {"pictures": 4 if values["viz"] else 0}
    return Translated(ours, answers + _answers(values, penetration))


def _check_keys(values: dict[str, Any]) -> None:
    """Raises CloseintError for a key that published configurations do not have, or a value that is none there."""
    for key, value in values.items():
        if key not in _KINDS:
            raise CloseintError(
                f"the key {said(key)} is unknown.", f"Published configurations have {', '.join(_KINDS)}."
            )
        kinds = _KINDS[key]
        if not isinstance(value, kinds) or (isinstance(value, bool) and kinds is not bool):
            raise CloseintError(
                f"{key} is {said(value)}, which published configurations do not have there.", "Correct it."
            )
    for key in ("epoch", "batchsize", "frame_length"):
        if values.get(key, 1) < 1:
            raise CloseintError(f"{key} is {said(values[key])}, which trains nothing.", f"Give {key}: 1 or more.")
    if "trainset" not in values:
        raise CloseintError("the key 'trainset' is missing.", "Add it, for instance trainset: Hi4D.")


def _answers(values: dict[str, Any], penetration: bool) -> list[str]:
    """Sentences on the keys that are not used as they are; ``penetration``: an input that the weights given have."""
    tested = "test_loss" in values
    physics = values.get("model") == "interhuman_diffusion_phys"
    sentences = {
        "use_sch: the rate falls as one cosine over the whole run, without restarts.": values.get("use_sch"),
        "model: interhuman_diffusion_phys is trained as published, its physics inputs switched off.": physics,
        "pretrain_dir: the penetration input of these weights stays switched off in training.": penetration,
        "pretrain_dir: not used, as pretrain is False.": not values.get("pretrain") and "pretrain_dir" in values,
        "gpu_index: not used; choose a GPU with CUDA_VISIBLE_DEVICES, several with torchrun.": "gpu_index" in values,
        "worker: not used; all windows are kept in memory.": "worker" in values,
        "test_loss: not used; validation always measures MPJPE, PA-MPJPE, interaction and others.": tested,
        "note: not used; the output folder is the name of the run.": values.get("note"),
    }
    return [sentence for sentence, holds in sentences.items() if holds]


def _refuse_what_is_not_trained(values: dict[str, Any]) -> None:
    mode = values.get("mode", "train")
    if mode != "train":
        raise CloseintError(f"mode is {said(mode)}, which does not train.", "Use mode: train, or closeint eval.")
    if values.get("use_prior"):
        raise CloseintError(
            "use_prior asks for the published prior, which was never released.", "Use use_prior: False."
        )
    task = values.get("task", "reconstruction")
    if task != "reconstruction":
        raise CloseintError(
            f"task is {said(task)}; only reconstruction is trained from these files.",
            "Use task: reconstruction; the prior is trained by closeint train --config prior.",
        )
    kind = values.get("model_type", "smpl")
    if kind != "smpl":
        raise CloseintError(f"model_type is {said(kind)}, and the body is SMPL's.", "Use model_type: smpl.")
    model = values.get("model", _MODELS[0])
    if model not in _MODELS:
        raise CloseintError(f"model is {said(model)}.", f"Use one of {', '.join(_MODELS)}.")


def _losses(names: str, answers: list[str]) -> dict[str, float]:
    """Weights of ``losses.LossWeights``: those named as they are by default, all others 0."""
    wanted = names.split() or [name for name in _LOSSES if name != "Pen_Loss"]
    for name in wanted:
        if name not in _LOSSES:
            raise CloseintError(f"train_loss has {said(name)}.", f"Known are {', '.join(_LOSSES)}.")
    kept = {term for name in wanted for term in _LOSSES[name]}
    answers.append(
        "train_loss: its terms are weighted in units of what is tolerable; see closeint_core.training.losses."
    )
    return {term: 0.0 for term in LossWeights.__dataclass_fields__ if term not in kept}
