# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The only room that knows ROS: conversions, parameters, sinks, nodes and their client.

Importing this package closes the first trap of rclpy: unless ROS_PYTHON_CHECK_FIELDS is 1 *before
any message module is imported*, message fields are not checked and a number of the wrong type
becomes garbage on the wire (``Bool.data = numpy.True_`` is sent as False). The release-built
converter reads memory as if the type were right. Because Python imports a package before its
modules, every message import inside this room comes later than this line.

The other traps are closed where they bite: our own signal handlers, so that a last hold command
still goes out, and callbacks whose exceptions stay out of spin() are in ``spinning``; explicit
float(), int() and bool() at the boundary are in ``conversions``; the loopback Fast DDS profile is
set by ``wm_planner.bringup``, because it must be in the environment before rclpy is loaded.
"""

import os

os.environ.setdefault('ROS_PYTHON_CHECK_FIELDS', '1')
