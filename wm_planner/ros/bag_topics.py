# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The topics of a recording: subscriptions that fit every publisher, read in bursts.

An executor that is woken for each message spends about a millisecond of processor time a message,
nearly all of it on preparing the next wait, and a recorder does not mind waiting: a message keeps
the time at which the middleware received it. So these subscriptions stay out of the executor's
wait set, and ``take`` empties all of them a few times a second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from rclpy.callback_groups import CallbackGroup
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from rclpy.topic_endpoint_info import TopicEndpointInfo

from wm_planner.core.errors import RecorderError
from wm_planner.ros.bag import offered_qos
from wm_planner.ros.interfaces import message_class


class Destination(Protocol):
    """Where topics and messages go: a BagThread."""

    def add_topic(self, name: str, type_name: str, qos: Sequence[Mapping[str, Any]]) -> None:
        """Announce a topic."""

    def push(
        self, name: str, data: bytes, *, log_time_ns: int, publish_time_ns: int, sequence: int
    ) -> bool:
        """Take one serialized message."""


class _NeverReady(CallbackGroup):
    """Keeps its members out of every executor's wait set."""

    def can_execute(self, entity: Any) -> bool:
        return False

    def beginning_execution(self, entity: Any) -> bool:
        return False

    def ending_execution(self, entity: Any) -> None:
        pass


@dataclass
class _Topic:
    type_name: str
    reliability: ReliabilityPolicy
    durability: DurabilityPolicy
    subscription: Subscription[Any]


class BagTopics:
    """Subscribes to topics as their publishers appear, and hands over what they send.

    ``on_trouble(topic, sentence)`` is told what cannot be recorded. One thread: the executor's.
    """

    def __init__(
        self,
        node: Node,
        names: Sequence[str],
        destination: Destination,
        *,
        queue_depth: int,
        on_trouble: Callable[[str, str], None],
    ) -> None:
        self._node = node
        self._names = tuple(names)
        self._destination = destination
        self._queue_depth = queue_depth
        self._on_trouble = on_trouble
        self._group = _NeverReady()
        self._topics: dict[str, _Topic] = {}

    @property
    def without_publisher(self) -> tuple[str, ...]:
        """Return the names that nobody has published yet."""
        return tuple(name for name in self._names if name not in self._topics)

    def discover(self) -> None:
        """Subscribe to topics that have got a publisher, and again where a weaker one joined."""
        for name in self._names:
            publishers = self._node.get_publishers_info_by_topic(name)
            if publishers:
                try:
                    self._follow(name, publishers)
                except RecorderError as error:
                    self._on_trouble(name, error.message)

    def take(self) -> None:
        """Hand over everything that has arrived; at most a full queue of each topic."""
        for name, topic in self._topics.items():
            subscription = topic.subscription
            with subscription.handle:
                for _ in range(self._queue_depth):
                    taken = subscription.handle.take_message(subscription.msg_type, True)
                    if taken is None:
                        break
                    data, info = taken
                    self._destination.push(
                        name,
                        data,
                        log_time_ns=info['received_timestamp'],
                        publish_time_ns=info['source_timestamp'],
                        sequence=info.get('publication_sequence_number') or 0,
                    )

    def close(self) -> None:
        """Take what is left and unsubscribe."""
        self.take()
        for topic in self._topics.values():
            self._node.destroy_subscription(topic.subscription)
        self._topics.clear()

    def _follow(self, name: str, publishers: Sequence[TopicEndpointInfo]) -> None:
        """Subscribe so that every publisher matches, as rosbag2 does: the weakest offer counts."""
        known = self._topics.get(name)
        type_name = known.type_name if known else publishers[0].topic_type
        kind = message_class(type_name)
        offers = [p.qos_profile for p in publishers if p.topic_type == type_name]
        if len(offers) < len(publishers):
            others = ', '.join(sorted({p.topic_type for p in publishers} - {type_name}))
            self._on_trouble(name, f'also published as {others}; only {type_name} is recorded.')
        if not offers:
            return  # only publishers of the other type are left
        are_reliable = all(o.reliability == ReliabilityPolicy.RELIABLE for o in offers)
        are_latched = all(o.durability == DurabilityPolicy.TRANSIENT_LOCAL for o in offers)
        if known is not None:
            lost_reliability = known.reliability == ReliabilityPolicy.RELIABLE and not are_reliable
            lost_latching = known.durability == DurabilityPolicy.TRANSIENT_LOCAL and not are_latched
            if not lost_reliability and not lost_latching:
                return  # never stronger: subscribing again to a latched topic would record it twice
            self._node.destroy_subscription(known.subscription)
        else:
            self._destination.add_topic(name, type_name, [offered_qos(o) for o in offers])
        profile = QoSProfile(
            history=HistoryPolicy.KEEP_LAST,
            depth=self._queue_depth,
            reliability=(
                ReliabilityPolicy.RELIABLE if are_reliable else ReliabilityPolicy.BEST_EFFORT
            ),
            durability=(
                DurabilityPolicy.TRANSIENT_LOCAL if are_latched else DurabilityPolicy.VOLATILE
            ),
        )
        subscription = self._node.create_subscription(
            kind,
            name,
            _never_called,
            profile,
            callback_group=self._group,
            event_callbacks=SubscriptionEventCallbacks(use_default_callbacks=False),
            raw=True,
        )
        self._topics[name] = _Topic(
            type_name, profile.reliability, profile.durability, subscription
        )


def _never_called(data: bytes) -> None:
    raise AssertionError('the recorder reads its subscriptions itself')
