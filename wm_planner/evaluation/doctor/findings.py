# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Finding: what one check says, and what a whole examination comes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import enum
from typing import Any


class Severity(str, enum.Enum):
    """How bad a finding is."""

    OK = 'ok'
    SKIPPED = 'skipped'  # not looked at; the sentence says what it would take
    WARNING = 'warning'  # works, but worse than it could
    ERROR = 'error'  # the planner will not work like this


class Check(enum.Enum):
    """The checks, by the number and the name that reports carry."""

    TOPICS = (1, 'topics')
    STAMPS = (2, 'stamps')
    ENCODING = (3, 'encoding')
    CAMERA = (4, 'camera')
    UNITS = (5, 'units')
    FRAMES = (6, 'frames')
    GRIPPER = (7, 'gripper')
    CROP = (8, 'crop')
    GOAL = (9, 'goal')
    CHECKPOINT = (10, 'checkpoint')
    PLAN_TIME = (11, 'plan_time')
    DRIVER = (12, 'driver')
    ORIENTATION = (13, 'orientation')

    @property
    def number(self) -> int:
        """Return the number in reports and documents."""
        return self.value[0]

    @property
    def title(self) -> str:
        """Return the name in reports and JSON."""
        return self.value[1]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One verdict: what was seen, and what to do about it ('' where nothing)."""

    check: Check
    severity: Severity
    sentence: str
    advice: str = ''

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            'number': self.check.number,
            'check': self.check.title,
            'severity': self.severity.value,
            'sentence': self.sentence,
            'advice': self.advice,
        }


def fine(check: Check, sentence: str) -> Finding:
    """Return the finding that all is well."""
    return Finding(check=check, severity=Severity.OK, sentence=sentence)


def skipped(check: Check, sentence: str) -> Finding:
    """Return the finding that nothing was looked at, and why."""
    return Finding(check=check, severity=Severity.SKIPPED, sentence=sentence)


def warning(check: Check, sentence: str, advice: str) -> Finding:
    """Return a finding that does not stop anybody."""
    return Finding(check=check, severity=Severity.WARNING, sentence=sentence, advice=advice)


def error(check: Check, sentence: str, advice: str) -> Finding:
    """Return a finding that has to be dealt with first."""
    return Finding(check=check, severity=Severity.ERROR, sentence=sentence, advice=advice)


def exit_code(findings: Sequence[Finding]) -> int:
    """Return 0 where all is well, 1 with a warning, 2 with an error."""
    severities = {finding.severity for finding in findings}
    if Severity.ERROR in severities:
        return 2
    return int(Severity.WARNING in severities)
