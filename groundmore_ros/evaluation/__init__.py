# SPDX-License-Identifier: Apache-2.0
"""Metrics and the exam on simulated episodes."""
