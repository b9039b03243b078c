# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The command line: one module a command, each imported only when its command is asked for."""
