# SPDX-License-Identifier: Apache-2.0
"""How good a motion is: against the truth, against the footage, and by itself."""
