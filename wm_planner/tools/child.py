# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Run a node module's ``main`` as a child that does not outlive its parent.

Usage: ``python -m wm_planner.tools.child PARENT_PID MODULE [ARGUMENTS...]``; see ProcessGroup.

A parent that is killed with SIGKILL cannot stop its children, so the child watches for it: when
its parent's process id changes, the parent is gone. (Linux's PR_SET_PDEATHSIG would be quicker,
but it fires when the *thread* that forked ends, and setting it between fork and exec is unsafe in
a program with threads.)
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
import time

_POLL_S = 0.25
_GRACE_S = 5.0


def main() -> int:
    """Run the module named on the command line and return its exit status."""
    parent, module, *arguments = sys.argv[1:]
    # A shell that starts a job in the background has it, and all below it, ignore SIGINT.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    watch = threading.Thread(
        target=_end_with, args=(int(parent),), name='parent_watch', daemon=True
    )
    watch.start()
    sys.argv = [module, *arguments]
    try:
        status = importlib.import_module(module).main()
    except KeyboardInterrupt:  # before the node had put its own handlers in place
        return 128 + signal.SIGINT
    return status if isinstance(status, int) else 0


def _end_with(parent: int) -> None:
    """Wait until the parent is gone, ask this process to stop, and end it if it does not."""
    while os.getppid() == parent:
        time.sleep(_POLL_S)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_S)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == '__main__':
    sys.exit(main())
