# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user can do, one module an operator; each has ``register`` and ``unregister``."""
