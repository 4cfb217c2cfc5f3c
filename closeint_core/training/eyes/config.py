# SPDX-License-Identifier: Apache-2.0
"""What the eyes are trained on."""

from __future__ import annotations

from dataclasses import dataclass, field

from closeint_core.errors import CloseintError


@dataclass(frozen=True)
class EyesLossWeights:
    """Of the terms of ``objective.EyesObjective``. ``touch`` is of a sum over 900 pairs of parts, ``groups`` of one
    over 169 pairs of groups of parts, others of means."""

    heat: float = 1.0
    masks: float = 0.7
    visible: float = 0.3
    touch: float = 0.2
    groups: float = 0.3
    whole: float = 0.7
    contact: float = 5.0
    before: float = 0.3
    nearer: float = 0.1


@dataclass(frozen=True)
class EyesConfig:
    """Pictures to learn from; ``batch`` of the run counts them.

    Attributes:
        size, hand_size: pixels of the pair's square and of a hand's. finer: pixels rendered for each, along a side.
        reuse: steps that use a render, degraded and prompted anew. frames: of a clip of one pair. clips: every how
            many renders clips take the place of single pictures; 0 never.
        touching: share of pictures in which somebody touches; hand_in_hand: of these, with a hand that touches a hand.
        near: share in which a touch was pulled apart by a few centimetres.
        loosened, repaired: see ``training.variation``.
        interactions: file of interactions, read if it is there, else made (``data``) and written; empty to renew
            them while training.
        panoramas: file of panoramas for backgrounds; empty for made up ones alone.
        imagenet: weights of EfficientNet-Lite2 to start from; empty for those of the installed package, if any.
        backbone_rate: learning rate of the backbone relative to the rest.
        labelled: folder with ``clips`` and ``labels`` of real footage to judge by; empty for none.
    """

    size: int = 256
    hand_size: int = 96
    finer: int = 2
    reuse: int = 2
    frames: int = 3
    clips: int = 3
    touching: float = 0.5
    hand_in_hand: float = 0.3
    near: float = 0.2
    loosened: float = 0.25
    repaired: float = 0.1
    interactions: str = ""
    panoramas: str = ""
    imagenet: str = ""
    backbone_rate: float = 0.4
    labelled: str = ""
    losses: EyesLossWeights = field(default_factory=EyesLossWeights)

    def __post_init__(self) -> None:
        for holds, what in (
            (self.size > 0 and self.size % 32 == 0, "eyes.size must be a multiple of 32"),
            (self.hand_size == 96, "eyes.hand_size must be 96, for which the network is made"),
            (self.finer in (1, 2), "eyes.finer must be 1 or 2"),
            (self.reuse > 0, "eyes.reuse must be above 0"),
            (self.frames in (1, 3, 5), "eyes.frames must be 1, 3 or 5"),
            (self.clips >= 0, "eyes.clips must not be negative"),
            (self.touching >= 0 and self.near >= 0 and self.touching + self.near <= 1,
             "eyes.touching and eyes.near are shares of one whole"),
            (0 <= self.hand_in_hand <= 1, "eyes.hand_in_hand must lie in 0..1"),
            (0 < self.backbone_rate <= 1, "eyes.backbone_rate must lie in 0..1, 0 excluded"),
        ):  # fmt: skip
            if not holds:
                raise CloseintError(f"{what}.", "Correct it.")
