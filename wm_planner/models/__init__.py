# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""World models: one module or folder each, found by name in ``registry``."""
