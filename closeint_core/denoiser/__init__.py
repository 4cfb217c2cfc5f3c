# SPDX-License-Identifier: Apache-2.0
"""The CloseInt network: two people's motion, denoised together."""
