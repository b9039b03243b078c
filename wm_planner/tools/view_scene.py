# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""ViewScene: what ROS messages look like in a rerun recording. Needs no node and no context.

Live messages and those of a bag go the same way. The only timeline is when a message was received:
it never jumps back, as simulated stamps do at a reset.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
import math
from typing import Any

import cv2
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Path as PathMessage
import numpy as np
from sensor_msgs.msg import CompressedImage
from sensor_msgs.msg import Image as ImageMessage
from visualization_msgs.msg import MarkerArray

from wm_planner.core.errors import InvalidImageError
from wm_planner.core.profile import Topics
from wm_planner.ros.diagnostics import DIAGNOSTICS_TOPIC
from wm_planner.ros.images import image_from_message
from wm_planner_msgs.msg import EpisodeStatus, PlanDiagnostics, PlannerStatus

TIMELINE = 'received'
PICTURE_PERIOD_S = 0.2
_POSE_PERIOD_S = 0.1
_TEXT_PERIOD_S = 0.5
_TRAIL_POINTS = 200
_TRAIL_STEP_M = 0.002
_MAX_WIDTH = 1280  # px
_JPEG_QUALITY = 80
_LEVELS = {b'\x00': 'INFO', b'\x01': 'WARN', b'\x02': 'ERROR', b'\x03': 'WARN'}
_PURSUING = (PlannerStatus.WAITING_FOR_DATA, PlannerStatus.PLANNING, PlannerStatus.EXECUTING)
_LATCHED_STATES = (PlannerStatus.FAULT, PlannerStatus.EMERGENCY_STOP)
_STATES = {
    getattr(PlannerStatus, name): name
    for name in (
        *('INACTIVE', 'DISABLED', 'IDLE', 'WAITING_FOR_DATA', 'PLANNING', 'EXECUTING'),
        *('HOLDING', 'REACHED', 'FAULT', 'EMERGENCY_STOP'),
    )
}


@dataclass(frozen=True, kw_only=True)
class Source:
    """A topic that is shown; ``is_latched`` where the newest value waits for late readers."""

    topic: str
    kind: type
    show: Callable[[Any], None]
    is_latched: bool = False


class ViewScene:
    """Turns messages into entities of ``recording`` (a rerun.RecordingStream). One thread."""

    def __init__(
        self,
        recording: Any,
        topics: Topics,
        node: str = '/wm_planner',
        *,
        shows_imagined: bool = True,
    ) -> None:
        import rerun

        self._rr, self._recording = rerun, recording
        self._now_ns = 0
        self._shown_ns: dict[str, int] = {}
        self._edges: dict[str, object] = {}
        self._trail: deque[tuple[float, float, float]] = deque(maxlen=_TRAIL_POINTS)
        self._status: PlannerStatus | None = None
        self._plan: PlanDiagnostics | None = None
        self._episode: EpisodeStatus | None = None
        self._safety: dict[str, tuple[str, str]] = {}
        compressed = topics.image.endswith('/compressed')
        self.sources = (
            Source(
                topic=topics.image,
                kind=CompressedImage if compressed else ImageMessage,
                show=self._compressed if compressed else lambda m: self._picture('camera', m),
            ),
            Source(
                topic=f'{node}/goal_image',
                kind=ImageMessage,
                show=lambda m: self._picture('goal', m),
                is_latched=True,
            ),
            *(
                Source(topic=f'{node}/{name}', kind=kind, show=show)
                for name, kind, show in (
                    ('imagined', ImageMessage, lambda m: self._picture('imagined', m)),
                    ('imagined_outcome', ImageMessage, lambda m: self._picture('outcome', m)),
                    ('imagined_path', PathMessage, self._path),
                    ('imagined_markers', MarkerArray, self._markers),
                    ('status', PlannerStatus, self._on_status),
                    ('plan_diagnostics', PlanDiagnostics, self._on_plan),
                )
            ),
            Source(topic=topics.tool_pose, kind=PoseStamped, show=self._tool),
            Source(topic='/episode_status', kind=EpisodeStatus, show=self._on_episode),
            Source(topic=DIAGNOSTICS_TOPIC, kind=DiagnosticArray, show=self._diagnostics),
        )
        if not shows_imagined:  # the planner draws for whoever subscribes to any of these
            drawn = f'{node}/imagined'
            self.sources = tuple(s for s in self.sources if not s.topic.startswith(drawn))
        self._by_topic = {source.topic: source for source in self.sources}

    def show(self, topic: str, message: Any, received_ns: int) -> None:
        """Show a message of one of ``sources``, received at ``received_ns`` (any epoch) [ns].

        A picture that cannot be read becomes a line in the log; nothing is raised for it.
        """
        self._now_ns = received_ns
        self._recording.set_time(TIMELINE, timestamp=np.datetime64(received_ns, 'ns'))
        try:
            self._by_topic[topic].show(message)
        except InvalidImageError as error:
            self._edge(f'bad {topic}', str(error), f'{topic}: {error}', 'WARN')

    # -- pictures --------------------------------------------------------------------------------

    def _picture(self, entity: str, message: ImageMessage) -> None:
        # A goal that is set twice in a row must not be left out: it comes once.
        if entity != 'goal' and not self._is_due(entity, PICTURE_PERIOD_S):
            return
        image = image_from_message(message)
        height, width = image.shape[:2]
        if width > _MAX_WIDTH:
            size = (_MAX_WIDTH, max(1, round(height * _MAX_WIDTH / width)))
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        _, data = cv2.imencode('.jpg', bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
        self._log(entity, self._rr.EncodedImage(contents=data.tobytes(), media_type='image/jpeg'))

    def _compressed(self, message: CompressedImage) -> None:
        if self._is_due('camera', PICTURE_PERIOD_S):
            kind = 'image/png' if 'png' in message.format else 'image/jpeg'
            data = bytes(message.data)
            self._log('camera', self._rr.EncodedImage(contents=data, media_type=kind))

    # -- in space --------------------------------------------------------------------------------

    def _tool(self, message: PoseStamped) -> None:
        if not self._is_due('tool', _POSE_PERIOD_S):
            return
        p = message.pose.position
        here = (float(p.x), float(p.y), float(p.z))
        if not all(map(math.isfinite, here)):
            return
        self._log('world/tool', self._rr.Points3D([here], radii=0.008, colors=[255, 255, 255]))
        if not self._trail or math.dist(self._trail[-1], here) >= _TRAIL_STEP_M:
            self._trail.append(here)
        if self._is_due('trail', _TEXT_PERIOD_S) and len(self._trail) > 1:
            line = self._rr.LineStrips3D([list(self._trail)], radii=0.001, colors=[120, 120, 120])
            self._log('world/trail', line)

    def _path(self, message: PathMessage) -> None:
        points = [
            (pose.pose.position.x, pose.pose.position.y, pose.pose.position.z)
            for pose in message.poses
        ]
        if len(points) > 1:
            self._log(
                'world/imagined',
                self._rr.LineStrips3D([points], radii=0.002, colors=[90, 160, 255]),
            )

    def _markers(self, message: MarkerArray) -> None:
        for marker in message.markers:
            if marker.type == marker.SPHERE_LIST and marker.points:
                points = [(p.x, p.y, p.z) for p in marker.points]
                colors = [(c.r, c.g, c.b, c.a) for c in marker.colors] or None
                cloud = self._rr.Points3D(points, colors=colors, radii=marker.scale.x / 2)
                self._log('world/steps', cloud)

    # -- numbers and words -----------------------------------------------------------------------

    def _on_plan(self, message: PlanDiagnostics) -> None:
        self._plan = message
        stages = dict(zip(message.stage_names, message.stage_milliseconds, strict=False))
        elites = message.elite_energies
        self._scalars(
            {
                'energy/frame': message.goal_energy,
                'energy/plan': message.energy,
                'spread/elites': elites[-1] - elites[0] if len(elites) else math.nan,
                'spread/first_step': max(message.std, default=math.nan),
                'timing/plan_ms': stages.get('total', math.nan),
                'surprise/surprise': message.surprise,
            }
        )
        if self._status is not None and self._status.goal_tolerance >= 0.0:  # below: never reached
            self._scalars({'energy/tolerance': self._status.goal_tolerance})
        self._edge('plan', message.stop_reason, f'plans end: {message.stop_reason}', 'DEBUG')
        self._words()

    def _on_status(self, message: PlannerStatus) -> None:
        self._status = message
        state = _STATES.get(message.state, str(message.state))
        if message.state in _PURSUING and not message.error_code:
            state = 'pursuing'  # it goes round these states several times a second
        what = (state, message.error_code, message.goal_id)
        if self._edges.get('status') != what:
            told = f' [{message.error_code}] {message.message}' if message.error_code else ''
            goal = f' (goal {message.goal_id})' if message.goal_id else ''
            level = 'WARN' if message.error_code else 'INFO'
            level = 'ERROR' if message.state in _LATCHED_STATES else level
            self._edge('status', what, f'{state}{goal}{told}', level)
            self._shown_ns.pop('state', None)
        for name in ('commands_clamped', 'commands_refused', 'plans_dropped'):
            count = int(getattr(message, name))
            if count > int(str(self._edges.get(name, 0))) and self._is_due(name, 1.0):
                self._edge(name, count, f'{name.replace("_", " ")}: {count}', 'WARN')
        self._words()

    def _on_episode(self, message: EpisodeStatus) -> None:
        before, self._episode = self._episode, message
        if before is not None and before.time_s > message.time_s:
            self._trail.clear()  # the arm was put to the start of another episode, it did not move
        what = (message.suite, message.episode, message.seed, message.success, message.failed)
        ending = 'success' if message.success else 'failed' if message.failed else 'running'
        text = f'episode {message.suite}/{message.seed}/{message.episode}: {ending}'
        self._edge('episode', what, text, 'INFO')
        if self._is_due('distance', PICTURE_PERIOD_S):
            self._scalars({'distance/goal_m': message.distance_m})

    def _diagnostics(self, message: DiagnosticArray) -> None:
        for entry in message.status:
            level = _LEVELS.get(entry.level, 'WARN')
            self._safety[entry.name] = (level, entry.message)
            # Only levels count as an edge: the sentences hold numbers that change every second.
            self._edge(f'health {entry.name}', level, f'{entry.name}: {entry.message}', level)
        self._words()

    def _words(self) -> None:
        """Show state and safety as a page of text."""
        if not self._is_due('state', _TEXT_PERIOD_S):
            return
        text = state_page(self._status, self._plan, self._episode, self._safety)
        self._log('state', self._rr.TextDocument(text, media_type='text/markdown'))

    def _scalars(self, values: dict[str, float]) -> None:
        for entity, value in values.items():
            if math.isfinite(value):
                self._log(entity, self._rr.Scalars([value]))

    def _edge(self, what: str, value: object, text: str, level: str) -> None:
        """Write a line to the log if ``value`` is another than the last under ``what``."""
        if self._edges.get(what) != value:
            self._edges[what] = value
            self._log('log', self._rr.TextLog(text, level=level))

    def _is_due(self, what: str, period_s: float) -> bool:
        """Return whether ``what`` has not been shown for ``period_s``, and note that it now is."""
        last = self._shown_ns.get(what)
        if last is not None and 0 <= self._now_ns - last < period_s * 1e9:
            return False
        self._shown_ns[what] = self._now_ns
        return True

    def _log(self, entity: str, what: Any) -> None:
        self._recording.log(entity, what)


def state_page(
    status: PlannerStatus | None,
    plan: PlanDiagnostics | None,
    episode: EpisodeStatus | None,
    safety: dict[str, tuple[str, str]],
) -> str:
    """Return state, safety and episode as Markdown; what has not come is left out."""
    lines = []
    if status is not None:
        lines.append(f'# {_STATES.get(status.state, status.state)}')
        if status.error_code:
            lines.append(f'**[{status.error_code}] {status.message}**')
        if status.goal_id:
            place = f'{status.goal_index + 1} of {status.goal_count}'
            lines.append(f'goal `{status.goal_id}` ({place})')
        lines.append(f'energy {status.goal_energy:.4g}, tolerance {status.goal_tolerance:.4g}')
        lines.append(
            f'{status.steps_executed} steps, {status.plans} plans, {status.plans_dropped} dropped; '
            f'commands clamped {status.commands_clamped}, refused {status.commands_refused}'
        )
    if plan is not None:
        lines.append(f'last plan: {plan.stop_reason}, {plan.latency_ms:.0f} ms after its frame')
    if episode is not None and episode.suite:
        lines.append(
            f'episode {episode.suite}/{episode.seed}/{episode.episode}, {episode.time_s:.1f} s, '
            f'{100 * episode.distance_m:.1f} cm to go'
        )
    lines += [f'- {level} {name}: {text}' for name, (level, text) in sorted(safety.items())]
    return '\n\n'.join(lines)


def blueprint(*, is_live: bool) -> Any:
    """Return the layout: pictures above, space and curves below, words at the side."""
    import rerun.blueprint as rrb

    pictures = rrb.Horizontal(
        rrb.Spatial2DView(origin='camera', name='camera'),
        rrb.Spatial2DView(origin='goal', name='goal'),
        rrb.Spatial3DView(origin='world', name='tool and imagined path'),
    )
    strips = rrb.Horizontal(
        rrb.Spatial2DView(origin='imagined', name='imagined'),
        rrb.Spatial2DView(origin='outcome', name='imagined, came'),
        column_shares=[3, 2],
    )
    curves = rrb.Horizontal(
        rrb.TimeSeriesView(origin='energy', name='energy'),
        rrb.TimeSeriesView(origin='spread', name='spread'),
        rrb.TimeSeriesView(origin='timing', name='plan time [ms]'),
        rrb.TimeSeriesView(origin='surprise', name='surprise'),
    )
    words = rrb.Vertical(
        rrb.TextDocumentView(origin='state', name='state and safety'),
        rrb.TextLogView(origin='log', name='log'),
    )
    return rrb.Blueprint(
        rrb.Horizontal(
            rrb.Vertical(pictures, strips, curves, row_shares=[4, 2, 3]),
            words,
            column_shares=[7, 3],
        ),
        rrb.TimePanel(
            state='collapsed', timeline=TIMELINE, play_state='following' if is_live else 'paused'
        ),
        rrb.BlueprintPanel(state='hidden'),
        rrb.SelectionPanel(state='hidden'),
    )
