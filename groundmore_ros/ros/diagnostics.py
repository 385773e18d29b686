# SPDX-License-Identifier: Apache-2.0
"""What ``/diagnostics`` says of the node."""

import resource
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from groundmore_ros.ros.clip_buffer import ClipBuffer
from groundmore_ros.ros.engine import AnswerEngine

__all__ = ["diagnostics", "resident_bytes"]

ALARM = 10.0  # s that a failure keeps the status at ERROR; the count of failures stays


def diagnostics(
    name: str,
    stamp: Any,
    engine: AnswerEngine,
    buffers: list[ClipBuffer],
    answers: Counter[str],
    last_error: str,
    callback_times: list[float],
) -> DiagnosticArray:
    """One status for the engine and one for each camera."""
    message = DiagnosticArray()
    message.header.stamp = stamp
    message.status = [_engine_status(name, engine, answers, last_error, callback_times)]
    message.status += [_camera_status(name, buffer) for buffer in buffers]
    return message


def _engine_status(
    name: str,
    engine: AnswerEngine,
    answers: Counter[str],
    last_error: str,
    callback_times: list[float],
) -> DiagnosticStatus:
    timing = engine.last_latencies
    half, most = np.percentile(callback_times or [0.0], [50, 99]) * 1000
    values = {
        "model": engine.mora.name,
        "device": str(engine.mora.model.device),
        "questions waiting": engine.queue_length,
        "last latency queue (s)": f"{timing.queue:.3f}",
        "last latency encode (s)": f"{timing.encode:.3f}",
        "last latency reason (s)": f"{timing.reason:.3f}",
        "last latency decode (s)": f"{timing.decode:.3f}",
        "image callback p50 (ms)": f"{half:.3f}",
        "image callback p99 (ms)": f"{most:.3f}",
        "failures": engine.failures,
        "last error": last_error,
        "resident memory (MB)": f"{resident_bytes() / 1e6:.0f}",
        **{f"answers {status}": count for status, count in sorted(answers.items())},
    }
    failed = time.monotonic() - engine.failed_at < ALARM
    return _status(
        f"{name}: answers",
        DiagnosticStatus.ERROR if failed else DiagnosticStatus.OK,
        last_error if failed else "answering",
        values,
    )


def _camera_status(name: str, buffer: ClipBuffer) -> DiagnosticStatus:
    frames, encoded, held = buffer.fill()
    values: dict[str, Any] = {
        "frames held": frames,
        "frames encoded": encoded,
        "held (MB)": f"{held.host / 1e6:.1f}",
        "held on the GPU (MB)": f"{held.device / 1e6:.1f}",
        **{f"frames {what}": count for what, count in sorted(buffer.counts.items())},
    }
    level = DiagnosticStatus.OK if frames else DiagnosticStatus.WARN
    return _status(
        f"{name}: {buffer.camera}", level, "receiving" if frames else "no frames yet", values
    )


def _status(name: str, level: bytes, text: str, values: dict[str, Any]) -> DiagnosticStatus:
    status = DiagnosticStatus(level=level, name=name, message=text, hardware_id="")
    status.values = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
    return status


def resident_bytes() -> int:
    """Memory of this process that is in use."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:  # not Linux: the highest so far
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return pages * resource.getpagesize()
