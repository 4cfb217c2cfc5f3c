# SPDX-License-Identifier: Apache-2.0
"""Pictures of pairs of people made from interactions, with labels, in torch: on a GPU by the thousand a second.

``renderer.PairRenderer`` is the way in; ``rasterizer`` finds the nearest triangle of each pixel, all else is shading.
"""
