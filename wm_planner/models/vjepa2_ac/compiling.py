# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The two halves of a predictor block through torch.compile, with a way back.

A compiled half fuses the norms, the rotation, GELU and the residuals into few kernels. All blocks
share one compiled form, since their weights are inputs of it. Attention stays outside: its length
grows with every step, and it is one fused kernel already.

Compiling needs a C++ compiler or Triton, and any of its parts can fail on a new machine. A planner
that runs slower is better than one that does not run, so a failure is logged once, told in
``state``, and everything goes on uncompiled.
"""

from __future__ import annotations

from collections.abc import Callable
import logging
from typing import Any

import torch
from torch import Tensor

from wm_planner.models.vjepa2_ac.network import Block
from wm_planner.models.vjepa2_ac.rope import Rotary

_SMALL_BATCH = 8  # the final mean alone, or the shared past: not worth a compilation of its own

_logger = logging.getLogger(__name__)


class BlockHalves:
    """``project`` and ``finish`` of a block: compiled where that is wanted and works.

    ``state`` is 'off', 'pending' until the first large batch, 'compiled', or 'failed: ' and why.
    Belongs to the planning thread: what was compiled in another thread does not run here.
    """

    def __init__(
        self, *, is_wanted: bool, compiler: Callable[..., Callable[..., Any]] = torch.compile
    ) -> None:
        self.state = 'off'
        self._project: Callable[..., Any] = Block.project
        self._finish: Callable[..., Any] = Block.finish
        if is_wanted:
            self.state = 'pending'
            self._project = compiler(Block.project)
            self._finish = compiler(Block.finish)

    def project(self, block: Block, x: Tensor, rotary: Rotary) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values; see Block.project."""
        found: tuple[Tensor, Tensor, Tensor] = self._run('project', block, x, rotary)
        return found

    def finish(self, block: Block, x: Tensor, attended: Tensor) -> Tensor:
        """Return what leaves the block; see Block.finish."""
        found: Tensor = self._run('finish', block, x, attended)
        return found

    def _run(self, half: str, block: Block, x: Tensor, other: Any) -> Any:
        plain = getattr(Block, half)
        is_plain = self.state == 'off' or self.state.startswith('failed')
        if is_plain or x.shape[0] < _SMALL_BATCH:
            return plain(block, x, other)
        try:
            found = getattr(self, f'_{half}')(block, x, other)
        except torch.OutOfMemoryError:  # no fault of the compiler; the caller takes fewer samples
            raise
        except Exception as error:  # compilers raise what they like
            reason = (str(error).strip().splitlines() or [''])[0]
            self.state = f'failed: {type(error).__name__}: {reason}'
            _logger.warning(
                'torch.compile does not work here, planning goes on without it: %s. Valid: a C++ '
                'compiler (CPU) or Triton (GPU), or world_model.compile: off.',
                self.state.removeprefix('failed: '),
            )
            return plain(block, x, other)
        self.state = 'compiled'
        return found
