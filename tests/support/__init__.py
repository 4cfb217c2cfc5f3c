# SPDX-License-Identifier: Apache-2.0
"""What several tests share: clips, bodies, files of other programs, and stand-ins for the worker."""
