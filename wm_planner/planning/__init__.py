# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Optimizers, objectives and the planner that joins them to a world model.

This room knows energies, not pictures: what a latent means is the world model's business.
"""
