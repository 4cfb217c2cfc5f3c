# SPDX-License-Identifier: Apache-2.0
"""Exact geometry of skins: distances, insides, shared volumes. Nothing here fits anything."""
