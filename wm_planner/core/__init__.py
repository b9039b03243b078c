# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""What every other room shares: types, contracts, geometry; numpy and standard library only."""
