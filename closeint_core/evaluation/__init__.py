# SPDX-License-Identifier: Apache-2.0
"""Benchmarks and reports: how good a reconstruction is, on which material."""
