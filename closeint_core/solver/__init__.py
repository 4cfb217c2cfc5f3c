# SPDX-License-Identifier: Apache-2.0
"""Two people solved together: state, evidence, terms, phases."""
