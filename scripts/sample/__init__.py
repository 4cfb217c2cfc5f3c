# SPDX-License-Identifier: Apache-2.0
"""Authors, renders and packs the sample clip: two people greet each other, and the truth is known."""
