# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The faults, one row each: what is done, what must be seen, how the arm comes back.

``docs/faults.md`` lists the same rows with what was measured; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass
import enum
import math
from typing import Any

from geometry_msgs.msg import PoseStamped
import numpy as np

from faults.graph import (
    HEARTBEAT_S,
    IMAGE_AGE_S,
    PLANNER_TIMEOUT_S,
    STATE_AGE_S,
    WRENCH_S,
    FaultGraph,
)
from wm_planner.core.errors import WmPlannerError
from wm_planner.ros import qos
from wm_planner.ros.stamps import stamp_from_ns, stamp_to_ns
from wm_planner_msgs.msg import PlannerStatus

SLACK_S = 0.5  # for a machine with two cores that are both busy


class Outcome(enum.Enum):
    """What a fault leads to."""

    HOLDS = 'holds'  # until the fault is over, then goes on by itself
    ENDS = 'holds, goals given up'  # new goals may be set at once
    LATCHES = 'fault latched'  # until ~/reset
    STOPS = 'emergency stop latched'
    GOES_ON = 'goes on'  # as it should: the fault does no harm


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One row. ``inject`` begins it; ``FaultGraph.clear`` ends it unless ``undo`` does more.

    ``within_s`` is how long it may take until ~/status has ``code`` [ROS time]; for what goes on it
    is for how long it must. ``codes`` are all that may be seen first.
    """

    name: str
    what: str
    inject: Callable[[FaultGraph], Any]
    outcome: Outcome
    codes: tuple[int, ...] = ()
    within_s: float = SLACK_S
    undo: Callable[[FaultGraph], Any] | None = None

    @property
    def recovery(self) -> str:
        """Return how the arm comes back."""
        return {
            Outcome.HOLDS: 'by itself',
            Outcome.ENDS: 'new goals',
            Outcome.LATCHES: '~/reset',
            Outcome.STOPS: '~/reset',
            Outcome.GOES_ON: '-',
        }[self.outcome]


# What becomes of messages ------------------------------------------------------------------------


def change(stream: str, of: Callable[[Any], Any]) -> Callable[[FaultGraph], None]:
    """Return an injection that passes each message of a stream through ``of``, None = lost."""

    def take(message: Any) -> Iterable[Any]:
        changed = of(message)
        return [] if changed is None else [changed]

    return lambda graph: graph.injector.change.update({stream: take})


def _painted(value: int) -> Callable[[Any], Any]:
    def paint(message: Any) -> Any:
        message.data = np.full(len(message.data), value, np.uint8).tobytes()
        return message

    return paint


def _noise(message: Any) -> Any:
    rng = np.random.default_rng(stamp_to_ns(message.header.stamp))
    message.data = rng.integers(0, 256, len(message.data), np.uint8).tobytes()
    return message


def _sensor_noise(message: Any) -> Any:
    rng = np.random.default_rng(stamp_to_ns(message.header.stamp))
    pixels = np.frombuffer(message.data, np.uint8).astype(np.float32)
    noisy = pixels + rng.normal(0.0, 4.0, pixels.shape)
    message.data = noisy.clip(0, 255).astype(np.uint8).tobytes()
    return message


def _frozen(graph: FaultGraph) -> None:
    kept: list[Any] = []

    def repeat(message: Any) -> Iterable[Any]:
        kept.append(message.data)
        message.data = kept[0]
        return [message]

    graph.injector.change['image'] = repeat


def _late(graph: FaultGraph) -> None:
    waiting: list[Any] = []

    def delay(message: Any) -> Iterable[Any]:
        waiting.append(message)
        return [waiting.pop(0)] if len(waiting) > 7 else []  # 0.7 s at 10 Hz

    graph.injector.change['image'] = delay


def _reordered(graph: FaultGraph) -> None:
    waiting: list[Any] = []

    def swap(message: Any) -> Iterable[Any]:
        waiting.append(message)
        if len(waiting) < 2:
            return []
        first, second = waiting
        waiting.clear()
        return [second, first]

    graph.injector.change['image'] = swap


def _duplicate(graph: FaultGraph) -> None:
    graph.injector.change['image'] = lambda message: [message, message, message]


def _every_second(graph: FaultGraph) -> None:
    count = iter(range(10**9))
    graph.injector.change['image'] = lambda message: [message] if next(count) % 2 else []


def _bad_encoding(message: Any) -> Any:
    message.encoding = 'rgb9'
    return message


def _nan_joint(message: Any) -> Any:
    message.position[2] = math.nan
    return message


def _nan_pose(message: Any) -> Any:
    message.pose.position.y = math.nan
    return message


def _degrees(message: Any) -> Any:
    arm = 7
    message.position = [
        math.degrees(value) if index < arm else value
        for index, value in enumerate(message.position)
    ]
    return message


def _millimetres(message: Any) -> Any:
    point = message.pose.position
    point.x, point.y, point.z = 1e3 * point.x, 1e3 * point.y, 1e3 * point.z
    return message


def _other_frame(message: Any) -> Any:
    message.header.frame_id = 'world'
    return message


def _jumping(graph: FaultGraph) -> None:
    count = iter(range(10**9))

    def jump(message: Any) -> Any:
        if next(count) % 2:
            message.pose.position.y += 0.3
        return message

    change('pose', jump)(graph)


def _jumping_joints(graph: FaultGraph) -> None:
    count = iter(range(10**9))

    def jump(message: Any) -> Any:
        message.position[1] += 1.0 * (-1.0) ** next(count)
        return message

    change('joints', jump)(graph)


def _runaway(graph: FaultGraph) -> None:
    """Let the tool be seen to go at 2 m/s, each step of which an arm might make."""
    begin: list[int] = []

    def run(message: Any) -> Any:
        stamp_ns = stamp_to_ns(message.header.stamp)
        begin.append(stamp_ns)
        message.pose.position.z += 2.0 * min((stamp_ns - begin[0]) * 1e-9, 0.3)
        return message

    change('pose', run)(graph)


def _pose_is_believed_again(graph: FaultGraph) -> None:
    """Wait until the pose is the true one; enabled before, an arm out of its box is refused."""
    graph.clear()
    statuses = graph.injector.statuses
    seen = len(statuses)
    graph.wait(lambda: len(statuses) > seen + 50, 'the pose to be believed')


# Time --------------------------------------------------------------------------------------------


def _shift(seconds: float) -> Callable[[FaultGraph], None]:
    def shift(graph: FaultGraph) -> None:
        graph.injector.shift_ns += round(seconds * 1e9)

    return shift


def _stop_clock(graph: FaultGraph) -> None:
    for stream in ('clock', 'image', 'joints', 'pose'):
        graph.injector.change[stream] = lambda message: []


# The planner -------------------------------------------------------------------------------------


def planner(fault: str) -> Callable[[FaultGraph], None]:
    """Return an injection that has the planner's next plan go wrong."""

    def write(graph: FaultGraph) -> None:
        new = graph.fault_file.with_suffix('.new')
        new.write_text(fault)
        new.replace(graph.fault_file)

    return write


# Others ------------------------------------------------------------------------------------------


def _second_publisher(graph: FaultGraph) -> None:
    graph.other = graph.client.node.create_publisher(  # type: ignore[attr-defined]
        PoseStamped, graph.robot.topics.target_pose, qos.COMMAND
    )


def _publisher_gone(graph: FaultGraph) -> None:
    graph.client.node.destroy_publisher(graph.other)  # type: ignore[attr-defined]


def _button(is_pressed: bool | None) -> Callable[[FaultGraph], None]:
    def press(graph: FaultGraph) -> None:
        graph.injector.is_pressed = is_pressed

    return press


def _feels(force: float | None, torque: float = 0.0) -> Callable[[FaultGraph], None]:
    def feel(graph: FaultGraph) -> None:
        graph.injector.wrench = None if force is None else (force, torque)

    return feel


def _corrupt_goal(graph: FaultGraph) -> None:
    """Ask for pictures that no camera takes; each must be refused by number."""
    goal = graph.goals[0].image
    for broken in (np.zeros_like(goal), goal[:, : goal.shape[1] // 3].copy(), goal[:8, :8].copy()):
        try:
            graph.client.set_goal_image(broken)
        except WmPlannerError as error:
            assert 100 <= error.code < 200, error
        else:
            raise AssertionError('a corrupt goal was accepted')


def _bad_parameters(graph: FaultGraph) -> None:
    """Set parameters out of their bounds; each must be refused by number."""
    from rcl_interfaces.srv import SetParameters
    from rclpy.parameter import Parameter

    client = graph.client.node.create_client(SetParameters, '/wm_planner/set_parameters')
    graph.wait(client.service_is_ready, 'the parameter service')
    for name, value in (
        ('safety.limit_scale', 1e9),
        ('safety.refuse_factor', math.nan),
        ('cem.num_samples', -1),
        ('buffer.max_image_age_s', math.inf),
        ('no.such.parameter', 1.0),
    ):
        request = SetParameters.Request(
            parameters=[Parameter(name, value=value).to_parameter_msg()]
        )
        future = client.call_async(request)
        graph.wait(future.done, 'the answer')
        (result,) = future.result().results
        assert not result.successful and '[104]' in result.reason, (name, result)
    graph.client.node.destroy_client(client)


def _replayed(graph: FaultGraph) -> None:
    """Send the last second's poses again, beside the new ones, as a second sender of state does."""
    kept: list[Any] = []

    def replay(message: Any) -> Iterable[Any]:
        kept.append(message)
        return [kept.pop(0), message] if len(kept) > 25 else [message]

    graph.injector.change['pose'] = replay


def _replayed_joints(graph: FaultGraph) -> None:
    """Send joints of another posture with old stamps among the new, as a bag that is played."""

    def replay(message: Any) -> Iterable[Any]:
        old = deepcopy(message)
        old.header.stamp = stamp_from_ns(stamp_to_ns(message.header.stamp) - 400_000_000)
        old.position = [p + 0.3 * (i < 7) for i, p in enumerate(message.position)]
        return [message, old]

    graph.injector.change['joints'] = replay


def _from_the_future(message: Any) -> Any:
    message.header.stamp = stamp_from_ns(stamp_to_ns(message.header.stamp) + 5_000_000_000)
    return message


H, E, L, S, G = Outcome.HOLDS, Outcome.ENDS, Outcome.LATCHES, Outcome.STOPS, Outcome.GOES_ON
STALE_IMAGE_S, STALE_STATE_S = IMAGE_AGE_S + SLACK_S, STATE_AGE_S + SLACK_S
PLAN_S = 1.5  # until the next plan is made


def _fault(name: str, what: str, inject: Any, outcome: Outcome, *codes: int, **more: Any) -> Fault:
    return Fault(name=name, what=what, inject=inject, outcome=outcome, codes=codes, **more)


FAULTS = (
    # frames
    _fault('frozen camera', 'one picture again and again, with new stamps', _frozen, H, 206,
           within_s=3.0),
    _fault('black frames', 'all pixels 0', change('image', _painted(0)), H, 207),
    _fault('saturated frames', 'all pixels 255', change('image', _painted(255)), H, 207),
    _fault('noise for frames', 'random pixels', change('image', _noise), H, 207),
    _fault('noisy frames', 'noise of a camera, sigma 4 of 255', change('image', _sensor_noise), G,
           within_s=1.5),
    _fault('late frames', 'each 0.7 s late', _late, H, 202, within_s=STALE_IMAGE_S),
    _fault('reordered frames', 'each pair swapped', _reordered, G, within_s=1.5),
    _fault('duplicate frames', 'each sent three times', _duplicate, G, within_s=1.5),
    _fault('missing frames', 'every second one lost', _every_second, G, within_s=1.5),
    _fault('no frames', 'the camera stops', change('image', lambda m: None), H, 202,
           within_s=STALE_IMAGE_S),
    _fault('unknown encoding', 'encoding rgb9', change('image', _bad_encoding), H, 101, 202,
           within_s=STALE_IMAGE_S),
    _fault('frames from the future', 'stamped 5 s ahead', change('image', _from_the_future), H,
           203, 202, within_s=STALE_IMAGE_S),
    # states
    _fault('NaN joint', 'one joint NaN', change('joints', _nan_joint), H, 106),
    _fault('NaN pose', 'tool position NaN', change('pose', _nan_pose), H, 106),
    _fault('stale joints', 'joint states stop', change('joints', lambda m: None), H, 202,
           within_s=STALE_STATE_S),
    _fault('stale pose', 'tool pose stops', change('pose', lambda m: None), H, 202,
           within_s=STALE_STATE_S),
    _fault('jumping pose', 'every second one 0.3 m aside', _jumping, H, 208),
    _fault('jumping joints', 'one joint back and forth by 1 rad', _jumping_joints, H, 208),
    _fault('joints in degrees', 'arm joints in degrees', change('joints', _degrees), H, 209),
    _fault('pose in millimetres', 'positions times 1000', change('pose', _millimetres), H, 208),
    _fault('pose in another frame', 'frame_id world', change('pose', _other_frame), H, 105, 202,
           within_s=STALE_STATE_S),
    _fault('replayed poses', 'old poses among the new', _replayed, G, within_s=1.5),
    _fault('old joints among the new', 'another posture, stamped 0.4 s before', _replayed_joints, G,
           within_s=1.5),
    _fault('runaway arm', 'the tool is seen to go at 2 m/s', _runaway, L, 414,
           undo=_pose_is_believed_again),
    # time
    _fault('clock back', 'clock and stamps 3 s back', _shift(-3.0), H, 204),
    _fault('clock forward', 'clock and stamps 10 s on', _shift(10.0), H, 204),
    _fault('clock stops', 'no clock and no data', _stop_clock, H, 202, within_s=0.5),
    # planner
    _fault('planner thread dies', 'SystemExit in the thread', planner('die'), L, 304,
           within_s=PLAN_S),
    _fault('planner hangs', 'a plan that does not end', planner('hang'), L, 305,
           within_s=PLAN_S + PLANNER_TIMEOUT_S),
    _fault('planner raises', 'RuntimeError', planner('raise'), E, 304, within_s=PLAN_S),
    _fault('NaN actions', 'a plan of NaN', planner('nan'), E, 402, within_s=PLAN_S),
    _fault('infinite actions', 'a plan of infinities', planner('infinite'), E, 402,
           within_s=PLAN_S),
    _fault('huge actions', 'a plan of a million metres', planner('huge'), E, 403, 404,
           within_s=PLAN_S),
    _fault('actions of the wrong shape', '[2, 2] actions', planner('shape'), E, 107,
           within_s=PLAN_S),
    _fault('no plan', 'a dict in place of a plan', planner('nothing'), E, 304, within_s=PLAN_S),
    _fault('out of memory', 'MemoryError', planner('memory'), E, 306, within_s=PLAN_S),
    _fault('device out of memory', 'torch.OutOfMemoryError', planner('device_memory'), E, 306,
           within_s=PLAN_S),
    # stops
    _fault('emergency stop service', '~/estop', lambda graph: graph.client.emergency_stop(), S,
           406),
    _fault('emergency stop topic', 'true on the topic', _button(True), S, 406),
    _fault('emergency stop silent', 'its heartbeat stops', _button(None), S, 413,
           within_s=HEARTBEAT_S + SLACK_S),
    _fault('contact', '35 N where 30 N are allowed', _feels(35.0), L, 411),
    _fault('hard contact', '100 N at once', _feels(100.0), L, 411),
    _fault('wrench NaN', 'force NaN', _feels(math.nan), L, 412),
    _fault('wrench silent', 'the wrench stops', _feels(None), L, 412,
           within_s=WRENCH_S + SLACK_S),
    _fault('second publisher', 'another node on /target_pose', _second_publisher, L, 410,
           within_s=1.5, undo=_publisher_gone),
    # requests
    _fault('corrupt goals', 'black, cropped and tiny pictures', _corrupt_goal, G, within_s=0.5),
    _fault('parameters out of bounds', 'five, over the service', _bad_parameters, G,
           within_s=0.5),
)  # fmt: skip

KILLS = (
    ('recorder killed', 'kill -9 of the recorder', 'goes on; the bag is readable'),
    ('disk full', 'the disk of a second recorder is full', 'goes on; error 503, bag readable'),
    ('simulator killed', 'kill -9 of the bridge', 'holds with 202; goes on when it is back'),
    ('planner killed', 'kill -9 of the planner', 'arm stops; goes on when it is back'),
)

SHIFTS_NS = {'clock back': -3_000_000_000, 'clock forward': 10_000_000_000}
STILL_FOR_NOW = (PlannerStatus.WAITING_FOR_DATA, PlannerStatus.HOLDING)
STILL = (*STILL_FOR_NOW, PlannerStatus.FAULT, PlannerStatus.EMERGENCY_STOP)
STATES = {
    Outcome.LATCHES: PlannerStatus.FAULT,
    Outcome.STOPS: PlannerStatus.EMERGENCY_STOP,
}
