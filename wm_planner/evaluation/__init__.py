# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Episodes, what is measured in them, and the runner that scores a planner on a suite."""
