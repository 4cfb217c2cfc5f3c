# SPDX-License-Identifier: Apache-2.0
"""What the server of ``toy_run.Runs`` has ready before it forks."""

from closeint_core.training.synthetic.generate import default_tools
from support import toy_run

assert toy_run.TINY
default_tools()
