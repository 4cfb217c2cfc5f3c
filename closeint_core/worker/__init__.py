# SPDX-License-Identifier: Apache-2.0
"""The worker: a child process that does the heavy work for a program that has no torch, such as Blender.

``python -m closeint_core.worker`` is the worker's side (``service``, ``server``), ``client`` the other one; they
speak JSON, one object a line (``protocol``). ``environment`` and ``install`` make the worker's Python. The client
and the installer need the standard library only.
"""
