# SPDX-License-Identifier: Apache-2.0
"""What a training run is: a YAML file, read into frozen dataclasses.

A key that is not known is refused, and so is a value of another type: a misspelt weight must not train for a day.
"""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from closeint_core.denoiser.network import DenoiserConfig, check_sizes
from closeint_core.denoiser.prior import PriorConfig
from closeint_core.errors import CloseintError
from closeint_core.foreign_files import read_text, said
from closeint_core.settings import DEVICES
from closeint_core.training.eyes.config import EyesConfig
from closeint_core.training.logs import Say
from closeint_core.training.losses import LossWeights
from closeint_core.training.published import is_published, translate
from closeint_core.training.recorded_source import RecordedConfig
from closeint_core.training.synthetic_source import DataConfig

PRECISIONS = ("float32", "bf16")
NETWORKS = ("denoiser", "prior", "eyes")
_MOST_BYTES = 1_000_000  # of a configuration; ours have 2 kB
_DEEPEST = 20  # levels of nesting; ours have 3
_LARGEST_INTEGER = 1 << 53
_LARGEST = 20_000  # parts of a configuration, aliases written out
T = TypeVar("T")


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW whose rate rises over ``warmup`` steps and then falls as a cosine to ``floor`` of ``learning_rate``.

    Attributes:
        weight_decay: of matrices; biases, norms and single vectors have none.
        clip: largest norm of the gradient.
    """

    learning_rate: float = 3e-4
    weight_decay: float = 0.01
    betas: tuple[float, ...] = (0.9, 0.98)
    warmup: int = 500
    floor: float = 0.02
    clip: float = 1.0

    def __post_init__(self) -> None:
        _require(self.learning_rate > 0, "optimizer.learning_rate must be above 0")
        _require(self.weight_decay >= 0, "optimizer.weight_decay must not be negative")
        _require(
            len(self.betas) == 2 and all(0 <= b < 1 for b in self.betas), "optimizer.betas are two numbers in 0..1"
        )
        _require(self.warmup >= 0, "optimizer.warmup must not be negative")
        _require(0 <= self.floor <= 1, "optimizer.floor must lie in 0..1")
        _require(self.clip > 0, "optimizer.clip must be above 0")


@dataclass(frozen=True)
class DiffusionConfig:
    """At which timesteps the denoiser learns.

    Attributes:
        emphasis: share of windows at the timesteps that sampling visits (0, 20, 40, 60, 80 of 100 for 5 steps); the
            others are uniform over all. sampled_steps: steps of sampling.
        own: share of windows that hold no noise but what the network itself made of nothing, at the timesteps that
            sampling visits: so it is used where the mean is wanted instead of a draw (the sampler given zeros).
    """

    emphasis: float = 0.5
    sampled_steps: int = 5
    own: float = 0.0

    def __post_init__(self) -> None:
        _require(0 <= self.emphasis <= 1, "diffusion.emphasis must lie in 0..1")
        _require(self.sampled_steps > 0, "diffusion.sampled_steps must be above 0")
        _require(0 <= self.own <= 1, "diffusion.own must lie in 0..1")


@dataclass(frozen=True)
class PriorLossWeights:
    """Of ``denoiser.prior.prior_losses``, which see there."""

    numbers: float = 0.5
    joints: float = 5.0
    velocity: float = 5.0
    commitment: float = 0.1

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):
            _require(getattr(self, f.name) >= 0, f"prior_losses.{f.name} must not be negative")


@dataclass(frozen=True)
class CodesConfig:
    """The model of the prior's codes (``prior.CodeModel``), trained after the prior for ``steps``; 0 for none.

    It works on windows of whole tokens of four frames, and its ``precision`` is its own.
    """

    steps: int = 5000
    learning_rate: float = 5e-4
    dim: int = 160
    heads: int = 5
    depth: int = 4
    precision: str = "float32"

    def __post_init__(self) -> None:
        check_sizes("codes", {"dim": self.dim, "heads": self.heads, "depth": self.depth})
        _require(self.steps >= 0, "codes.steps must not be negative")
        _require(self.learning_rate > 0, "codes.learning_rate must be above 0")
        _require(
            self.precision in PRECISIONS, f"codes.precision is {said(self.precision)}, not {' or '.join(PRECISIONS)}"
        )


@dataclass(frozen=True)
class ValidationConfig:
    """On the held-out side: every how many steps (0 never), on how many windows, and how many of them are drawn."""

    every: int = 2000
    windows: int = 256
    pictures: int = 4

    def __post_init__(self) -> None:
        _require(self.every >= 0, "validation.every must not be negative")
        _require(self.windows > 0, "validation.windows must be above 0")
        _require(0 <= self.pictures <= self.windows, "validation.pictures must lie in 0..validation.windows")


@dataclass(frozen=True)
class TrainingConfig:
    """A run.

    Attributes:
        what: ``denoiser``, ``prior`` (and the model of its codes), or ``eyes``.
        recorded: interactions to learn from in place of synthetic ones, of which ``data`` then says the length alone.
        steps: of the optimiser. batch: windows a step, all processes together; their length is ``data.frames``. Of the
            eyes, pictures.
        ema: decay of the moving average of the weights, which is what is validated and saved; 0 for none.
        precision: of the network, ``float32`` or ``bf16`` (autocast). The body and the losses are float32 always.
        compile: by ``torch.compile``.
        graphs: on a GPU, record a step that allows it as a CUDA graph and replay it.
        initial: weights to start from, ours (.safetensors) or published ones; empty for random ones.
        log_every, checkpoint_every: steps. time_budget: seconds after which the run stops with a checkpoint; 0 for
            no limit. The same command goes on from there.
        output: folder of checkpoint, logs, pictures and weights. device: ``auto``, ``cpu`` or ``cuda``.
    """

    what: str
    output: str
    seed: int = 0
    steps: int = 100_000
    batch: int = 256
    denoiser: DenoiserConfig = field(default_factory=lambda: DenoiserConfig(condition="keypoints"))
    prior: PriorConfig = field(default_factory=PriorConfig)
    codes: CodesConfig = field(default_factory=CodesConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    losses: LossWeights = field(default_factory=LossWeights)
    prior_losses: PriorLossWeights = field(default_factory=PriorLossWeights)
    data: DataConfig = field(default_factory=DataConfig)
    recorded: RecordedConfig = field(default_factory=RecordedConfig)
    eyes: EyesConfig = field(default_factory=EyesConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    ema: float = 0.999
    precision: str = "float32"
    compile: bool = False
    graphs: bool = True
    initial: str = ""
    log_every: int = 100
    checkpoint_every: int = 2000
    time_budget: float = 0.0
    device: str = "auto"

    def __post_init__(self) -> None:
        _require(self.what in NETWORKS, f"what is {said(self.what)}, not one of {', '.join(NETWORKS)}")
        _require(bool(self.output), "output names no folder")
        _require(
            self.what == "denoiser" or not self.recorded.folder,
            f"the {self.what} learns from synthetic interactions alone, and recorded.folder names recorded ones",
        )
        _require(self.recorded.epochs == 0 or bool(self.recorded.folder), "recorded.epochs counts without a folder")
        _require(
            bool(self.recorded.folder) or self.data.longest_window <= self.data.clip,
            f"data.clip is {self.data.clip}, but windows of data.frames and data.strides need "
            f"{self.data.longest_window} frames",
        )
        _require(self.seed >= 0, "seed must not be negative")
        _require(self.steps > 0, "steps must be above 0")
        _require(self.batch > 0, "batch must be above 0")
        _require(0 <= self.ema < 1, "ema must lie in 0..1, 1 excluded")
        _require(
            self.precision in PRECISIONS, f"precision is {said(self.precision)}, not one of {', '.join(PRECISIONS)}"
        )
        _require(self.log_every > 0, "log_every must be above 0")
        _require(self.checkpoint_every > 0, "checkpoint_every must be above 0")
        _require(self.time_budget >= 0, "time_budget must not be negative")
        _require(self.device in DEVICES, f"device is {said(self.device)}, not one of {', '.join(DEVICES)}")


SAME_ON_RESUMING = frozenset(
    ("what", "seed", "steps", "batch", "denoiser", "prior", "codes", "optimizer", "diffusion", "losses")
    + ("prior_losses", "data", "recorded", "eyes", "ema", "precision", "initial")
)
"""Parts of a configuration with which a run must go on as it began; the others may change on the way."""


def read_config(path: str | Path, say: Say | None = None, **changes: Any) -> TrainingConfig:
    """Read a YAML file, ours or a published one (see ``published``).

    Args:
        say: is told, in sentences, of published keys that are not used as they are.
        changes: top-level values that take the place of the file's.

    Raises:
        CloseintError: missing, not YAML, an unknown or repeated key, a wrong type or value; the key is named.
    """
    path = Path(path)
    values = read_yaml(path)
    try:
        if is_published(values):
            values, answers = translate(values, path)
            if say is not None:
                for answer in answers:
                    say(answer)
        recorded = values.get("recorded")
        if isinstance(recorded, dict) and recorded.get("epochs") == 0 and "steps" not in values:
            raise CloseintError("recorded.epochs is 0 and no steps are given.", "Give epochs above 0, or steps.")
        return build(TrainingConfig, values | changes)
    except CloseintError as error:
        message = error.message[:1].lower() + error.message[1:]
        raise CloseintError(f"In the configuration {path}, {message}", error.fix, exit_code=error.exit_code) from None


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; no key twice.

    Raises:
        CloseintError: missing, unreadable, or no mapping.
    """
    try:
        import yaml
    except ImportError:
        raise CloseintError(
            "Training needs PyYAML, which is not installed.", "Install closeint-core[training].", exit_code=3
        ) from None

    class Loader(yaml.SafeLoader):
        """Refuses repeated keys, of which YAML would silently take the last, and what grows beyond a configuration:
        deep nesting, and aliases that multiply."""

        def __init__(self, stream: str) -> None:
            super().__init__(stream)
            self.level = 0
            self.sizes: dict[int, int] = {}  # parts of each node, aliases written out

        def compose_node(self, parent: Any, index: Any) -> Any:
            self.level += 1
            if self.level > _DEEPEST:
                raise yaml.YAMLError("it is nested too deeply")
            alias = self.check_event(yaml.AliasEvent)
            node = super().compose_node(parent, index)
            self.level -= 1
            if not alias:
                parts = node.value if isinstance(node, yaml.CollectionNode) else ()
                flat = [part for entry in parts for part in (entry if isinstance(entry, tuple) else (entry,))]
                self.sizes[id(node)] = 1 + sum(self.sizes.get(id(part), _LARGEST) for part in flat)
            # What is not there yet is an alias to what it lies in.
            if self.sizes.get(id(node), _LARGEST) >= _LARGEST:
                raise yaml.YAMLError("its aliases multiply or refer to themselves, or it is too long")
            return node

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            seen = set()
            for key in (self.construct_object(key, deep=True) for key, _ in node.value):
                if key in seen:
                    raise yaml.YAMLError(f"the key {said(key)} is there twice")
                seen.add(key)
            return super().construct_mapping(node, deep)

    text = read_text(path, "the configuration", _MOST_BYTES)
    try:
        values = yaml.load(text, Loader)
    except (yaml.YAMLError, TypeError, ValueError, RecursionError) as error:
        first = " ".join(str(error).split())[:300]
        raise CloseintError(f"The configuration {path} is no YAML ({first}).", "Correct the file.") from None
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise CloseintError(f"The configuration {path} is not a list of keys and values.", "Write lines 'key: value'.")
    return values


def build(kind: type[T], values: dict[str, Any], where: str = "") -> T:
    """A dataclass from a mapping, and so on inwards.

    Args:
        where: path of keys to here, for messages.

    Raises:
        CloseintError: unknown key (the nearest known one is named), missing one, wrong type or value.
    """
    known = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(kind)
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, 1, 0.0)[0]
            raise CloseintError(
                f"the key {said(where + str(key), 120)} is unknown.", f"The nearest known one is {where + near!r}."
            )
    missing = [
        name
        for name, f in known.items()
        if name not in values and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise CloseintError(f"the key {where + missing[0]!r} is missing.", "Add it.")
    chosen = {}
    for key, value in values.items():
        chosen[key] = _convert(hints[key], value, where + key, known[key])
    try:
        return kind(**chosen)
    except CloseintError as error:
        raise CloseintError(error.message[:1].lower() + error.message[1:], error.fix) from None


def to_dict(config: TrainingConfig) -> dict[str, Any]:
    """Nested dictionaries and lists, as YAML and JSON have them."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(part) for key, part in value.items()}
        return [plain(part) for part in value] if isinstance(value, list | tuple) else value

    result: dict[str, Any] = plain(dataclasses.asdict(config))
    return result


def _convert(hint: Any, value: Any, where: str, known: dataclasses.Field[Any] | None = None) -> Any:
    """The value as the type says, or a refusal."""
    origin = typing.get_origin(hint)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, dict):
            raise CloseintError(f"{where} is {said(value)}, not a group of keys.", "Indent its keys below it.")
        if known is not None and known.default_factory is not dataclasses.MISSING:
            # What the run leaves out of a group is as the run's default has it, not as the group alone would.
            default = known.default_factory()
            own = {f.name: getattr(default, f.name) for f in dataclasses.fields(hint)}
            plain = {name: part for name, part in own.items() if not dataclasses.is_dataclass(part)}
            value = {**plain, **value}
        return build(hint, value, where + ".")
    if origin in (typing.Union, types.UnionType):
        options = typing.get_args(hint)
        if value is None and type(None) in options:
            return None
        return _convert(next(option for option in options if option is not type(None)), value, where)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise CloseintError(f"{where} is {said(value)}, not a list.", "Write for instance [1, 2].")
        part = typing.get_args(hint)[0]
        return tuple(_convert(part, item, f"{where}[{index}]") for index, item in enumerate(value))
    if origin is typing.Literal:
        options = typing.get_args(hint)
        if value not in options:
            raise CloseintError(f"{where} is {said(value)}.", f"Use one of {', '.join(map(str, options))}.")
        return value
    if hint is float:
        number = _number(value)
        if number is None:
            raise CloseintError(f"{where} is {said(value)}, not a number.", "Write for instance 0.5.")
        return number
    if type(value) is int and abs(value) >= _LARGEST_INTEGER:
        raise CloseintError(f"{where} is {said(value)}, which is too large.", "Correct it.")
    names = {int: "a whole number", bool: "true or false", str: "a text"}
    if type(value) is not hint:
        raise CloseintError(f"{where} is {said(value)}, not {names[hint]}.", "Correct it.")
    return value


def _number(value: Any) -> float | None:
    """A finite float of a YAML value; YAML 1.1 takes 1e-4, which has no point, for a text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if abs(number) < float("inf") else None


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise CloseintError(f"{what}.", "Correct it.")
