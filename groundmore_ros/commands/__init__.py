# SPDX-License-Identifier: Apache-2.0
"""Subcommands of ``groundmore``, one a file; each has ``register(app)``."""
