# SPDX-License-Identifier: Apache-2.0
"""The node's parameters: one table, from which they are declared and documented."""

from dataclasses import dataclass
from typing import Any

__all__ = ["PARAMETERS", "Parameter"]


@dataclass(frozen=True)
class Parameter:
    """One parameter.

    Attributes:
        name: as in ``config/mora.yaml``.
        default: its value, which also tells its type.
        description: with the unit.
        low, high: bounds of a number, both included.
        choices: allowed texts.
    """

    name: str
    default: Any
    description: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()


# All are read when the node is configured; a change takes effect with the next configure.
PARAMETERS: tuple[Parameter, ...] = (
    Parameter("model", "mora-nano", "Model: a folder, a shipped model's name, or a cached hub id."),
    Parameter("device", "auto", "Where the model runs: auto, cpu, cuda or cuda:N."),
    Parameter(
        "dtype",
        "auto",
        "Floating-point precision of inference.",
        choices=("auto", "float32", "bfloat16", "float16"),
    ),
    Parameter(
        "encoder", "torch", "SAM's image encoder runs by torch, onnx[:FILE] or tensorrt[:FILE]."
    ),
    Parameter("decoder", "torch", "SAM's mask decoder, likewise."),
    Parameter(
        "engines", "", "Folder of exported files; empty: the model's in ~/.cache/groundmore."
    ),
    Parameter(
        "provider",
        "auto",
        "ONNX Runtime's execution provider; auto follows the device.",
        choices=("auto", "cpu", "cuda", "tensorrt"),
    ),
    Parameter("target", "discrete", "Machine that engines were built for: a name or a file."),
    Parameter(
        "reasoning",
        "generate",
        "generate: the answer is generated; prefill: it is the template, read in one pass "
        "(not mora-nano).",
        choices=("generate", "prefill"),
    ),
    Parameter(
        "feature_dtype",
        "auto",
        "Precision of cached frame features; float16 halves their memory.",
        choices=("auto", "float32", "bfloat16", "float16"),
    ),
    Parameter("vision_tower", "", "CLIP tower of a model in LISA's layout, where not beside it."),
    Parameter("conversation", "", "Prompt template, where the model does not name one."),
    Parameter(
        "quantization",
        "",
        "Quantization of the language model's layers.",
        choices=("", "4bit", "8bit"),
    ),
    Parameter("strict", True, "Refuse weights that the model has no place for."),
    Parameter("image_topics", ["image"], "Image topics, a camera each; the first is the default."),
    Parameter(
        "image_transport",
        "raw",
        "raw: sensor_msgs/Image on the topic; compressed: CompressedImage on <topic>/compressed.",
        choices=("raw", "compressed"),
    ),
    Parameter("clip_rate", 5.0, "Frames a second that are kept (Hz).", 0.1, 100.0),
    Parameter("window", 3.0, "Length of a clip, where the question names none (s).", 0.1, 600.0),
    Parameter("clip_frames", 16, "Most frames of a clip; of more, some are left out.", 1, 256),
    Parameter("buffer_seconds", 10.0, "How long frames are kept (s).", 0.1, 3600.0),
    Parameter(
        "buffer_bytes",
        512 * 1024 * 1024,
        "Most memory for one camera's frames and features, on host and GPU each (bytes).",
        1024 * 1024,
        2**40,
    ),
    Parameter("queue_size", 16, "Most questions that wait; more are OVERLOADED.", 1, 10000),
    Parameter("deadline", 30.0, "Questions that wait longer are EXPIRED (s).", 0.0, 3600.0),
    Parameter("frame_wait", 2.0, "How long a question waits for its frames (s).", 0.0, 600.0),
    Parameter(
        "follow_streams", 16, "Most answers followed at once; one more ends the oldest.", 1, 1000
    ),
    Parameter(
        "encode_ahead",
        "auto",
        "Which frames are encoded before a question asks: all, those of the newest window, or "
        "none; auto measures what this machine can do.",
        choices=("auto", "always", "recent", "on_question"),
    ),
    Parameter("autostart", True, "Configure and activate at start."),
)
