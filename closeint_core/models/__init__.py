# SPDX-License-Identifier: Apache-2.0
"""Where model files are looked for, and which files the published networks need."""
