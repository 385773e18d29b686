# SPDX-License-Identifier: Apache-2.0
"""What the node publishes: masks, events, answers, pictures."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from sensor_msgs.msg import Image

from groundmore.msg import EventSpan, MotionAnswer, MotionMask
from groundmore_ros.bags.records import (
    LiveMasks,
    Result,
    answer_fields,
    event_fields,
    live_fields,
    mask_fields,
)
from groundmore_ros.bags.writer import overlay
from groundmore_ros.ros.clip_buffer import BufferedFrame
from groundmore_ros.ros.conversions import fill, image_message

__all__ = ["Outputs"]

ANSWERS_KEPT = 1000  # as many as may be asked at once; each must reach slow listeners
MASKS_KEPT = 1024  # more than a clip's: the longest clip is 256 frames


class Outputs:
    """The publishers.

    Results with masks come from one thread, so that the masks of two never mingle; refusals and
    live masks may come from others meanwhile.
    """

    def __init__(self, node: Any) -> None:
        """Create lifecycle publishers under the node's name."""

        def publisher(kind: Any, name: str, qos: QoSProfile) -> Any:
            return node.create_lifecycle_publisher(kind, f"~/{name}", qos)

        reliable = ReliabilityPolicy.RELIABLE
        self._masks = publisher(
            MotionMask, "masks", QoSProfile(depth=MASKS_KEPT, reliability=reliable)
        )
        self._events = publisher(
            EventSpan, "events", QoSProfile(depth=MASKS_KEPT, reliability=reliable)
        )
        self._answers = publisher(
            MotionAnswer,
            "answers",
            QoSProfile(
                depth=ANSWERS_KEPT,
                reliability=reliable,
                durability=DurabilityPolicy.TRANSIENT_LOCAL,
            ),
        )
        self._mask_image = publisher(Image, "mask_image", qos_profile_sensor_data)
        self._overlay = publisher(Image, "overlay", qos_profile_sensor_data)
        self._node = node

    def publish(self, result: Result, frames: list[BufferedFrame]) -> None:
        """Publish a result: masks in stamp order, then events, then the answer."""
        for mask in mask_fields(result):
            self._masks.publish(fill(MotionMask(), mask))
        for event in event_fields(result):
            self._events.publish(fill(EventSpan(), event))
        try:
            self._publish_pictures(result, frames)
        except Exception as error:  # noqa: BLE001 - pictures for people never cost an answer
            self._node.get_logger().warning(f"no picture of this answer: {error!r}")
        self._answers.publish(fill(MotionAnswer(), answer_fields(result)))

    def publish_live(self, masks: LiveMasks, frame: BufferedFrame | None) -> None:
        """Publish the masks of a frame that came after the answer, and its pictures."""
        for mask in live_fields(masks):
            self._masks.publish(fill(MotionMask(), mask))
        if frame is None:
            return
        union = np.logical_or.reduce([logits > 0 for logits in masks.mask_logits])
        try:
            self._publish_picture(frame, union, union, active=True)
        except Exception as error:  # noqa: BLE001 - pictures for people never end a stream
            self._node.get_logger().warning(f"no picture of this frame: {error!r}")

    def _publish_pictures(self, result: Result, frames: list[BufferedFrame]) -> None:
        answer = result.answer
        if answer is None:
            return
        gated = answer.masks
        for t, frame in enumerate(frames):
            active = bool(gated[t].any())
            shown = gated[t] if active else answer.mask_logits[t] > 0
            self._publish_picture(frame, gated[t], shown, active=active)

    def _publish_picture(
        self,
        frame: BufferedFrame,
        mask: NDArray[np.bool_],
        shown: NDArray[np.bool_],
        *,
        active: bool,
    ) -> None:
        """A frame's mask and overlay, each made only while somebody looks."""
        header = {
            "stamp": {"sec": frame.stamp // 10**9, "nanosec": frame.stamp % 10**9},
            "frame_id": frame.frame_id,
        }
        if self._mask_image.get_subscription_count() > 0:
            self._mask_image.publish(image_message(header, mask.astype(np.uint8) * 255))
        if self._overlay.get_subscription_count() > 0:
            self._overlay.publish(image_message(header, overlay(frame.decode(), shown, active)))

    def close(self) -> None:
        """Destroy the publishers."""
        for publisher in (
            self._masks,
            self._events,
            self._answers,
            self._mask_image,
            self._overlay,
        ):
            self._node.destroy_lifecycle_publisher(publisher)
