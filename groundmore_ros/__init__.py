# SPDX-License-Identifier: Apache-2.0
"""groundmore: motion questions answered with pixels, in ROS 2 and offline."""

__version__ = "0.1.0"
