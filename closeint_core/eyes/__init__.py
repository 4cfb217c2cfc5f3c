# SPDX-License-Identifier: Apache-2.0
"""Eyes for pairs: one network that is told where two people roughly are and says whose joints are where, how sure it is
of each, which part of whom every pixel shows, who is in front, and which parts of the two touch.
"""
