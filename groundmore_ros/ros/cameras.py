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
        # A user's wish for this topic stands; rclpy has no public way to ask for it.
        self._wish = f"qos_overrides.{self.topic}.subscription.reliability"
        self._overridden = self._wish in node._parameter_overrides
        steady = Clock(clock_type=ClockType.STEADY_TIME)  # simulated time may stand still
        self._timer = node.create_timer(LOOK_EVERY, self._look, clock=steady)

    def _look(self) -> None:
        publishers = self._node.get_publishers_info_by_topic(self.topic)
        if not publishers or (self._overridden and self._subscription is not None):
            return
        offered = {p.qos_profile.reliability for p in publishers}
        wanted = ReliabilityPolicy.BEST_EFFORT
        if offered == {ReliabilityPolicy.RELIABLE} and not self._refused:
            wanted = ReliabilityPolicy.RELIABLE
        elif offered != {ReliabilityPolicy.RELIABLE}:
            self._refused = False  # the publisher that refused us is known by now
        if wanted is not self._reliability:
            self._subscribe(wanted)

    def _subscribe(self, reliability: ReliabilityPolicy) -> None:
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
        # The override parameters are declared once, with the values of that time, which later
        # subscriptions must not take for a wish.
        declare = self._overridden or not self._node.has_parameter(self._wish)
        self._subscription = self._node.create_subscription(
            self._kind,
            self.topic,
            self._on_frame,
            QoSProfile(
                depth=BURST,
                history=HistoryPolicy.KEEP_LAST,
                reliability=reliability,
                durability=DurabilityPolicy.VOLATILE,
            ),
            raw=True,
            event_callbacks=SubscriptionEventCallbacks(
                incompatible_qos=self._on_incompatible, message_lost=self._on_message_lost
            ),
            qos_overriding_options=QoSOverridingOptions.with_default_policies()
            if declare
            else None,
        )
        self._reliability = reliability

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
