# SPDX-License-Identifier: Apache-2.0
"""``python -m groundmore_ros`` is the ``groundmore`` command."""

from groundmore_ros.cli import main

main()
