# SPDX-License-Identifier: Apache-2.0
"""Clips from bags, videos and folders; answers into bags and pictures."""
