# SPDX-License-Identifier: Apache-2.0
"""Losses, recipes and the trainer."""
