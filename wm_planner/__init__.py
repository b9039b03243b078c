# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Drive a robot arm to a goal image by planning in a latent world model."""

__version__ = '0.1.0'
