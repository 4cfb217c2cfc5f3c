# SPDX-License-Identifier: Apache-2.0
"""Clips to and from the files of other tools."""
