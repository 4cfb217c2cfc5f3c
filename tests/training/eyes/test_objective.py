# SPDX-License-Identifier: Apache-2.0
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from closeint_core.body.parts import GROUPS, PART_INDEX
from closeint_core.eyes.network import PairNetwork
from closeint_core.training.eyes.config import EyesLossWeights
from closeint_core.training.eyes.objective import EyesObjective


def test_groups_are_asked_for_their_greatest_part():
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 30, 30, generator=random)
    wanted = torch.randint(-1, 2, (2, 30, 30), generator=random).float() * (
        torch.rand(2, 30, 30, generator=random) < 0.1
    )
    groups = [[PART_INDEX[name] for name in names] for names in GROUPS.values()]
    total = 0.0
    for row in range(2):
        for mine in groups:
            for theirs in groups:
                cells = [(i, j) for i in mine for j in theirs]
                true = [wanted[row, i, j].item() for i, j in cells]
                said = max(logits[row, i, j] for i, j in cells)
                if 1.0 in true or -1.0 not in true:
                    total += binary_cross_entropy_with_logits(said, torch.tensor(float(1.0 in true))).item()
    objective = EyesObjective(PairNetwork(), EyesLossWeights(), "float32")
    torch.testing.assert_close(objective._groups(logits, wanted), torch.tensor(total / 2), atol=1e-4, rtol=1e-4)
