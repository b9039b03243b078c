# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Writes config/sros2/policy.xml from a live graph: ./dev run python docs/generate_policy.py.

The graph is profile ``sim`` with a recorder. For a robot of your own, start its graph, give the
names of the nodes, and redirect: ... docs/generate_policy.py wm_planner recorder > policy.xml.
"""

from __future__ import annotations

from pathlib import Path
import sys
import tempfile
import time

import rclpy

from wm_planner.ros.security_policy import NodeInterface, interface_of, policy_text
from wm_planner.tools.live_graph import GraphConfig, LiveGraph

NODES = ('wm_planner', 'sim_bridge', 'recorder')
TARGET = Path(__file__).resolve().parents[1] / 'config' / 'sros2' / 'policy.xml'
_HEADER = """\
<?xml version="1.0" encoding="UTF-8"?>
<!-- Copyright 2026 The wm_planner Authors -->
<!-- SPDX-License-Identifier: Apache-2.0 -->
<!-- Written by docs/generate_policy.py from the live graph; see docs/security.md. -->
"""
_QUIET_S = 5.0
_PATIENCE_S = 60.0


def interfaces_now(nodes: tuple[str, ...]) -> dict[str, NodeInterface]:
    """Return what the nodes talk on, once that has not changed for some seconds."""
    context = rclpy.Context()
    rclpy.init(context=context)
    observer = rclpy.create_node('policy_observer', context=context)
    try:
        found: dict[str, NodeInterface] = {}
        changed = begin = time.monotonic()
        while time.monotonic() < min(changed + _QUIET_S, begin + _PATIENCE_S):
            present = {name for name, _ in observer.get_node_names_and_namespaces()}
            now = {name: interface_of(observer, name) for name in nodes if name in present}
            if now != found:
                found, changed = now, time.monotonic()
            time.sleep(0.2)
    finally:
        observer.destroy_node()
        rclpy.try_shutdown(context=context)
    missing = [name for name in nodes if name not in found]
    if missing:
        sys.exit(f'not running: {", ".join(missing)}')
    return found


def main() -> None:
    """Write the shipped policy, or print that of the nodes named on the command line."""
    if len(sys.argv) > 1:
        sys.stdout.write(_HEADER + policy_text(interfaces_now(tuple(sys.argv[1:]))))
        return
    with tempfile.TemporaryDirectory() as bags:
        arguments = {'record': 'true', 'bag_dir': bags}
        with LiveGraph(GraphConfig(arguments=arguments)) as graph:
            graph.wait_until_ready()
            TARGET.parent.mkdir(parents=True, exist_ok=True)
            TARGET.write_text(_HEADER + policy_text(interfaces_now(NODES)))


if __name__ == '__main__':
    main()
