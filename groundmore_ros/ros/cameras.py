# SPDX-License-Identifier: Apache-2.0
"""Image subscriptions that frames really arrive on.

A subscription is made when a publisher is discovered, with the reliability that it offers; it is
made anew, best effort, where a publisher turns out not to fit. Durability is always volatile.
"""

from collections.abc import Callable
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CompressedImage, Image

__all__ = ["CameraSubscription"]

BURST = 30  # frames that may arrive while the executor is busy
LOOK_EVERY = 0.1  # s, until a publisher is there


class CameraSubscription:
    """One camera's subscription; the callback gets serialized messages."""

    def __init__(
        self,
        node: Any,
        topic: str,
        *,
        compressed: bool,
        on_frame: Callable[[bytes], None],
        on_lost: Callable[[int], None],
    ) -> None:
        """Look for publishers of a resolved topic from now on."""
        self.topic = (
            f"{topic}/compressed" if compressed and not topic.endswith("/compressed") else topic
        )
        self._node = node
        self._kind = CompressedImage if compressed else Image
        self._on_frame = on_frame
        self._on_lost = on_lost
        self._subscription: Any = None
        self._reliability: ReliabilityPolicy | None = None
        self._refused = False
        self._overridden = False
        steady = Clock(clock_type=ClockType.STEADY_TIME)  # simulated time may stand still
        self._timer = node.create_timer(LOOK_EVERY, self._look, clock=steady)

    def _look(self) -> None:
        publishers = self._node.get_publishers_info_by_topic(self.topic)
        if not publishers or self._overridden:
            return
        offered = {p.qos_profile.reliability for p in publishers}
        if self._subscription is None:
            reliable = offered == {ReliabilityPolicy.RELIABLE}
            self._subscribe(
                ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
            )
        elif self._refused and self._reliability is not ReliabilityPolicy.BEST_EFFORT:
            self._subscribe(ReliabilityPolicy.BEST_EFFORT)

    def _subscribe(self, reliability: ReliabilityPolicy) -> None:
        first = self._subscription is None
        if not first:
            self._node.destroy_subscription(self._subscription)
        profile = QoSProfile(
            depth=BURST,
            history=HistoryPolicy.KEEP_LAST,
            reliability=reliability,
            durability=DurabilityPolicy.VOLATILE,
        )
        self._subscription = self._node.create_subscription(
            self._kind,
            self.topic,
            self._on_frame,
            profile,
            raw=True,
            event_callbacks=SubscriptionEventCallbacks(
                incompatible_qos=self._on_incompatible, message_lost=self._on_message_lost
            ),
            # Parameters qos_overrides.<topic>.subscription.*; they are declared with the first
            # subscription's values, which later ones must not take for the user's wish.
            qos_overriding_options=QoSOverridingOptions.with_default_policies() if first else None,
        )
        self._reliability = profile.reliability
        self._overridden = profile.reliability != reliability

    def _on_incompatible(self, event: Any) -> None:
        del event
        self._node.get_logger().warning(
            f"{self.topic}: a publisher offers another quality of service; subscribing best effort"
        )
        self._refused = True

    def _on_message_lost(self, event: Any) -> None:
        self._on_lost(int(event.total_count_change))

    def close(self) -> None:
        """Stop looking and listening."""
        self._node.destroy_timer(self._timer)
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None
