# SPDX-License-Identifier: Apache-2.0
"""The laws of bodies: joint limits, ground, balance, energies."""
