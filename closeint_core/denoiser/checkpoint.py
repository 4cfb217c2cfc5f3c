# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of the denoiser: the published ones, and our own (safetensors with a JSON configuration).

Nothing in a file is ever executed: published files are read with ``weights_only=True``.
"""

from __future__ import annotations

import json
import pickle
import re
import struct
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from closeint_core.denoiser.layers import sinusoid_table
from closeint_core.denoiser.network import KEYPOINT_INPUTS, LARGEST_SIZE, MAX_POSITIONS, Denoiser, DenoiserConfig
from closeint_core.errors import CloseintError
from closeint_core.files import atomic_path
from closeint_core.foreign_files import parse_json, said

FORMAT = "closeint-denoiser/1"
_LARGE = 1 << 30
_CONFIG_KEY = "closeint"
_PUBLISHED = "Get the file again from where its owners publish it."
_SINUSOIDS = ("sequence_pos_encoder.pe", "embed_timestep.sequence_pos_encoder.pe")
_UNUSED = ("out.linear.weight", "out.linear.bias")
# Found beside the weights in Lightning files, and not needed: what is read in their place is inert.
_CONFIGURATIONS = ("yacs.", "omegaconf.", "pytorch_lightning.", "lightning.", "lightning_fabric.")
_VALUES = ("pathlib.", "numpy.", "typing.")


def read_torch_file(path: Path) -> dict[str, Any]:
    """The dictionary in a file of ``torch.save``, tensors on the CPU; no code in it is run.

    Raises:
        CloseintError: missing (exit code 3), damaged, not a dictionary, or asking for anything but tensors.
    """
    if not path.is_file():
        raise CloseintError(f"There is no checkpoint at {path}.", "Check the path.", exit_code=3)
    _check_archive(path)
    try:
        with torch.serialization.safe_globals(_stand_ins(path)), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd pickle protocols: what cannot be read is refused
            # HMR2.0's file holds its optimiser too, twice the network: mapped, only what is wanted is read.
            mapped = path.stat().st_size > _LARGE and zipfile.is_zipfile(path)
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        name = re.search(r"GLOBAL ([\w.]+)", str(error))
        what = f"it asks for {name.group(1)}, which weights do not need" if name else "it holds more than weights"
        raise CloseintError(f"The checkpoint {path} is refused: {what}; nothing of it was run.", _PUBLISHED) from None
    except Exception as error:
        # A malformed file makes the reader raise nearly anything (AttributeError, IndexError, AssertionError, ...).
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CloseintError(f"The checkpoint {path} is damaged or no checkpoint ({first}).", _PUBLISHED) from None
    if not isinstance(content, dict):
        raise CloseintError(f"The checkpoint {path} holds a {type(content).__name__}, not a dictionary.", _PUBLISHED)
    return content


def _check_archive(path: Path) -> None:
    """Refuse what would unpack to more than it is: ``torch.save`` stores its parts as they are."""
    try:
        if not zipfile.is_zipfile(path):
            return
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
    except (OSError, ValueError, RuntimeError, NotImplementedError, zipfile.BadZipFile, struct.error) as error:
        raise CloseintError(f"The checkpoint {path} is damaged ({error}).", _PUBLISHED) from None
    packed = any(part.compress_type != zipfile.ZIP_STORED for part in parts)
    if packed or sum(part.file_size for part in parts) > path.stat().st_size:
        raise CloseintError(
            f"The checkpoint {path} is refused: its parts are packed, or claim to be larger than the file.", _PUBLISHED
        )


class _Mapping:
    """Takes the place of a configuration: asked for one, it gives an empty dictionary, which alone may be filled in."""

    def __new__(cls, *_: object) -> Any:
        return OrderedDict()


class _Value:
    """Takes the place of a path or a number of another library; keeps nothing."""

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


def _stand_ins(path: Path) -> list[Any]:
    """Classes named as the configuration objects that a file mentions."""
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception:  # whatever is wrong with the file, reading it says so in a sentence
        return []
    made: list[Any] = []
    for name in names:
        module, _, short = name.rpartition(".")
        for kind, prefixes in ((_Mapping, _CONFIGURATIONS), (_Value, _VALUES)):
            if name.startswith(prefixes):
                made.append(type(short, (kind,), {"__module__": module}))
    return made


def state_dict_in(content: Mapping[str, Any], key: str, path: Path) -> dict[str, Tensor]:
    """The tensors under ``key``, a ``module.`` before every name taken away.

    Raises:
        CloseintError: there are none.
    """
    weights = content.get(key)
    if not isinstance(weights, Mapping) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise CloseintError(
            f"The checkpoint {path} has no weights under {key!r} (it has: {_some(content)}).", _PUBLISHED
        )
    for name, value in weights.items():
        # A tensor may repeat its numbers by a stride of 0 and so be a million times as large as what the file holds.
        held = (
            value.layout == torch.strided and value.numel() * value.element_size() <= value.untyped_storage().nbytes()
        )
        if not held or value.is_complex() or value.is_quantized:
            raise CloseintError(f"In the checkpoint {path}, {str(name)[:80]} is no plain tensor.", _PUBLISHED)
    return {str(name).removeprefix("module."): value for name, value in weights.items()}


def check_weights(
    found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], path: Path, is_own: Callable[[str], bool]
) -> dict[str, Tensor]:
    """Copies of the wanted tensors, float32, from those found.

    Args:
        is_own: whether a found name that is not wanted belongs to the network, so that it may not be ignored.

    Raises:
        CloseintError: naming the keys that are missing, unknown, misshapen or not finite.
    """
    missing = [name for name in wanted if name not in found]
    if missing:
        raise CloseintError(f"The checkpoint {path} lacks {_some(missing)}.", _PUBLISHED)
    strange = [name for name in found if name not in wanted and is_own(name)]
    if strange:
        raise CloseintError(f"The checkpoint {path} has unknown weights: {_some(strange)}.", _PUBLISHED)
    for name, tensor in wanted.items():
        if found[name].shape != tensor.shape:
            raise CloseintError(
                f"In the checkpoint {path}, {name} is {tuple(found[name].shape)}, not {tuple(tensor.shape)}.",
                _PUBLISHED,
            )
        if not torch.isfinite(found[name]).all():
            raise CloseintError(f"In the checkpoint {path}, {name} is not finite.", _PUBLISHED)
    return {name: found[name].to(torch.float32, copy=True) for name in wanted}


def check_shapes(make: Callable[[], torch.nn.Module], depth: int, found: Mapping[str, Tensor], path: Path) -> None:
    """Refuse a network that a file asks for and whose weights it does not hold, before memory is taken for it.

    Args:
        make: makes the network. depth: its number of layers.

    Raises:
        CloseintError: naming a key that is missing or misshapen.
    """
    if depth > len(found):
        raise CloseintError(f"The checkpoint {path} has {len(found)} weights for {depth} layers.", _PUBLISHED)
    with torch.device("meta"):
        wanted = {name: tensor.shape for name, tensor in make().state_dict().items()}
    for name, shape in wanted.items():
        if name in found and found[name].shape != shape:
            raise CloseintError(
                f"In the checkpoint {path}, {name} is {tuple(found[name].shape)}, not {tuple(shape)}.", _PUBLISHED
            )
    missing = [name for name in wanted if name not in found]
    if missing:
        raise CloseintError(f"The checkpoint {path} lacks {_some(missing)}.", _PUBLISHED)


def _some(names: Iterable[str], most: int = 5) -> str:
    names = [str(name) for name in names]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def load_denoiser(path: str | Path) -> Denoiser:
    """Read a denoiser: ``.safetensors`` files are our own, all others are published ones.

    Returns:
        In evaluation mode, on the CPU, float32.

    Raises:
        CloseintError: see ``read_torch_file`` and ``check_weights``; the message names file and key.
    """
    path = Path(path)
    if path.suffix == ".safetensors":
        return _load_own(path)
    return denoiser_from_state_dict(state_dict_in(read_torch_file(path), "model", path), path)


def denoiser_from_state_dict(weights: Mapping[str, Tensor], path: Path) -> Denoiser:
    """A denoiser of the published layout; ``path`` is for messages.

    The flavour follows from the width of ``feature_embed.weight``, the other sizes from the other weights.
    """
    config = _published_config(weights, path)
    _check_sinusoids(weights, config.dim, path)
    check_shapes(lambda: Denoiser(config), config.depth, weights, path)
    model = Denoiser(config)
    # Top-level names of the network: what else a file holds (the body model's buffers) is not its concern.
    own = {name.split(".")[0] for name in model.state_dict()}
    checked = check_weights(
        weights, model.state_dict(), path, lambda name: name.split(".")[0] in own and name not in _SINUSOIDS
    )
    model.load_state_dict(checked)
    return model.eval()


def _published_config(weights: Mapping[str, Tensor], path: Path) -> DenoiserConfig:
    def size(name: str, axis: int) -> int:
        if name not in weights:
            raise CloseintError(f"The checkpoint {path} lacks {name}.", _PUBLISHED)
        if weights[name].ndim <= axis or not 1 <= weights[name].shape[axis] <= LARGEST_SIZE:
            raise CloseintError(f"In the checkpoint {path}, {name} is {tuple(weights[name].shape)}.", _PUBLISHED)
        return int(weights[name].shape[axis])

    dim = size("motion_embed.weight", 0)
    width = size("feature_embed.weight", 1)
    flavours = {dim: (False, False), dim + 1: (True, False), dim + KEYPOINT_INPUTS: (False, True)}
    flavours[dim + KEYPOINT_INPUTS + 1] = (True, True)
    if width not in flavours:
        known = ", ".join(str(w) for w in flavours)
        raise CloseintError(
            f"In the checkpoint {path}, feature_embed.weight has {width} columns; known are {known}.", _PUBLISHED
        )
    penetration, keypoints = flavours[width]
    layers = {int(found.group(1)) for name in weights if (found := re.match(r"blocks\.(\d{1,4})\.", name))}
    if dim % 8 or not layers or max(layers) >= len(weights):
        raise CloseintError(f"The checkpoint {path} is of another network.", _PUBLISHED)
    return DenoiserConfig(
        "hmr2",
        penetration,
        keypoints,
        dim=dim,
        depth=max(layers) + 1,
        heads=8,
        hidden=size("blocks.0.ffn.linear1.weight", 0),
        feature=size("project.0.weight", 0) - 3,
    )


def _check_sinusoids(weights: Mapping[str, Tensor], dim: int, path: Path) -> None:
    """The tables of sinusoids are constants; a file with other ones is of another network."""
    for name in _SINUSOIDS:
        if name in weights:
            table = weights[name].float()
            if table.numel() == 0 or table.numel() % dim or table.numel() > MAX_POSITIONS * dim:
                raise CloseintError(f"In the checkpoint {path}, {name} is {tuple(table.shape)}.", _PUBLISHED)
            table = table.reshape(-1, dim)
            # Sines of arguments in the thousands differ by 1e-3 between libraries in single precision.
            if (table - sinusoid_table(len(table), dim)).abs().max() > 1e-2:
                raise CloseintError(f"In the checkpoint {path}, {name} is no table of sinusoids.", _PUBLISHED)


def save_denoiser(model: Denoiser, path: str | Path, dtype: torch.dtype = torch.float32) -> None:
    """Write a denoiser as safetensors, its configuration as JSON in the header. float16 halves the file."""
    from dataclasses import asdict

    save_weights(path, FORMAT, asdict(model.config), model.state_dict(), dtype)


def _load_own(path: Path) -> Denoiser:
    values, weights = load_weights(path, FORMAT)
    config = DenoiserConfig.from_dict(values)
    check_shapes(lambda: Denoiser(config), max(config.depth, config.encoder_depth), weights, path)
    model = Denoiser(config)
    model.load_state_dict(check_weights(weights, model.state_dict(), path, lambda name: True))
    return model.eval()


def save_weights(
    path: str | Path, kind: str, config: dict[str, Any], weights: Mapping[str, Tensor], dtype: torch.dtype
) -> None:
    """A safetensors file whose header says what it is (``kind``) and how the network is made (``config``)."""
    from safetensors.torch import save_file

    def pack(tensor: Tensor) -> Tensor:
        tensor = tensor.detach().cpu().contiguous()
        return tensor.to(dtype) if tensor.is_floating_point() else tensor

    header = {_CONFIG_KEY: json.dumps({"format": kind, "config": config})}
    with atomic_path(path) as temporary:
        save_file({name: pack(tensor) for name, tensor in weights.items()}, temporary, metadata=header)


def load_weights(path: Path, kind: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Configuration and tensors of a file of ``save_weights``.

    Raises:
        CloseintError: missing (exit code 3), damaged, or of another kind.
    """
    if not path.is_file():
        raise CloseintError(f"There is no checkpoint at {path}.", "Check the path.", exit_code=3)
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            header = parse_json((file.metadata() or {}).get(_CONFIG_KEY, "{}"))
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError, ValueError, RuntimeError, TypeError, struct.error) as error:
        raise CloseintError(f"The checkpoint {path} is damaged ({error}).", "Make or get it again.") from None
    found = header.get("format") if isinstance(header, dict) else None
    if found != kind or not isinstance(header.get("config"), dict):
        what = f"is a {said(found)} file" if found else "does not say what it is"
        raise CloseintError(f"{path} {what}; needed is {kind!r}.", "Choose another file.")
    return header["config"], weights
