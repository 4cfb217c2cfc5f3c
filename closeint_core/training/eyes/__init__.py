# SPDX-License-Identifier: Apache-2.0
"""Training the eyes for pairs (``closeint train --task eyes``): renders to learn from, losses, how they are judged."""
