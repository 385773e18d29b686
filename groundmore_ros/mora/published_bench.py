# SPDX-License-Identifier: Apache-2.0
"""A published model at its full size, with random weights: what a machine makes of it."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from groundmore_ros.errors import ModelError
from groundmore_ros.measuring import in_turns
from groundmore_ros.mora.assistant import Mora
from groundmore_ros.mora.bench import QUESTION, settled
from groundmore_ros.mora.checkpoint import build_empty, compute_buffers
from groundmore_ros.mora.configuration import MoraConfig
from groundmore_ros.mora.conversation import build_prompt
from groundmore_ros.mora.loading import LoadOptions
from groundmore_ros.mora.modeling import MoraForCausalLM
from groundmore_ros.mora.processing import FrameProcessor
from groundmore_ros.mora.tokenization import BpeTokenizer

__all__ = ["bench_published", "random_model"]

BATCHES = (1, 2, 4, 8)
SPREAD = 0.02  # standard deviation of the weights


def random_model(config: MoraConfig, options: LoadOptions) -> MoraForCausalLM:
    """A model with random weights.

    Args:
        config: whose sizes are taken.
        options: device and precision; ``auto`` is float32.

    Raises:
        ModelError: the device is not there, or has too little memory.
    """
    for part in (config.text_config, config.vision_config):
        part._attn_implementation = options.attention
    model = build_empty(config)
    for name, weight in model.state_dict(keep_vars=True).items():
        weight.data = weight.data.to(options.dtype_of(name, weight.dtype))
    torch.manual_seed(0)
    try:
        model.to_empty(device=options.place)
        if config.tie_word_embeddings:  # which that has undone
            model.tie_weights()
        for weight in model.state_dict().values():
            if weight.ndim > 1:
                weight.normal_(0, SPREAD)
            else:  # scales of normalisations above all; without them the numbers would vanish
                weight.fill_(1)
        compute_buffers(model, options.place)
    except (RuntimeError, AssertionError) as error:  # what torch raises for want of either
        raise ModelError(f"the model cannot be put on {options.place}: {error}") from error
    return model.eval().requires_grad_(False)


def random_mora(config: MoraConfig, options: LoadOptions) -> Mora:
    """A model of :func:`random_model` with a vocabulary that knows its prompt."""
    parts = build_prompt(config.conversation, QUESTION + config.question_suffix)
    text = [*(p for p in parts if isinstance(p, str)), config.answer_template]
    vocabulary = min(1000, config.text_config.vocab_size)
    return Mora(random_model(config, options), BpeTokenizer.train(text * 3, vocabulary))


def bench_published(
    config: MoraConfig,
    options: LoadOptions,
    clip: Sequence[NDArray[np.uint8]],
    repeats: int,
) -> dict[str, list[dict[str, Any]]]:
    """Tables of the encoders by frames at once, of the mask decoder, and of a question.

    Args:
        config: whose sizes are taken.
        options: device and precision.
        clip: T frames (H, W, 3).
        repeats: of each way.

    Returns:
        rows by table; a way that there is no memory for has no figures.

    Raises:
        ModelError: the device is not there, or has too little memory for the model.
    """
    mora = random_mora(config, options)
    fine = str(mora.model.segmenter.dtype).removeprefix("torch.")
    with torch.inference_mode():
        return {
            "encoders (SAM and CLIP)": _encoders(mora, clip, repeats),
            f"mask decoder (in {fine})": _decoder(mora, clip, repeats),
            "a question": _questions(mora, clip, repeats),
        }


def _encoders(mora: Mora, clip: Sequence[NDArray[np.uint8]], repeats: int) -> list[dict[str, Any]]:
    """Whether it pays to encode several frames at once."""
    pictures = [FrameProcessor(mora.config)(f) for f in clip[: max(BATCHES)]]
    device = mora.model.device
    sam = torch.stack([p.sam for p in pictures]).to(device)
    clips = torch.stack([p.clip for p in pictures]).to(device)

    def ahead(count: int) -> Callable[[], Any]:
        return lambda: mora.model.encode_frames(sam[:count], clips[:count])

    ways = {f"{n} at once": ahead(n) for n in BATCHES if n <= len(pictures)}
    rows = _measured(mora, ways, repeats)
    for row in rows:
        count, seconds = int(row["way"].split()[0]), row["seconds"]
        row["frames/s"] = count / seconds if seconds else None
        row["ratio"] = row["frames/s"] / rows[0]["frames/s"] if seconds else None
    return rows


def _decoder(mora: Mora, clip: Sequence[NDArray[np.uint8]], repeats: int) -> list[dict[str, Any]]:
    segmenter, count = mora.model.segmenter, len(clip)
    place: dict[str, Any] = {"device": mora.model.device, "dtype": segmenter.dtype}
    cells = torch.randn(count, segmenter.channels, segmenter.side, segmenter.side, **place)
    prompts = torch.randn(count, mora.model.prompt_tokens, segmenter.channels, **place)

    def one_by_one() -> Any:
        for cell, prompt in zip(cells, prompts, strict=True):
            segmenter.decode(cell[None], prompt[None])

    ways = {"one by one": one_by_one, "in one batch": lambda: segmenter.decode(cells, prompts)}
    return _measured(mora, ways, repeats)


def _questions(mora: Mora, clip: Sequence[NDArray[np.uint8]], repeats: int) -> list[dict[str, Any]]:
    """Words alone: random weights say no [SEG], and end no sentence before it must end."""
    chooses_words = "{" in mora.config.answer_template
    told = mora if chooses_words else Mora(mora.model, mora.tokenizer, reasoning="prefill")
    stamps = [t / 6 for t in range(len(clip))]
    kept = [mora.encode(f) for f in clip]
    ways: dict[str, Callable[[], Any]] = {
        "nothing kept": lambda: told.answer(clip, stamps, QUESTION),
        "features kept": lambda: told.answer_features(kept, stamps, QUESTION),
    }
    if not chooses_words:
        name = f"features kept, {mora.config.max_new_tokens} words generated"
        ways[name] = lambda: mora.answer_features(kept, stamps, QUESTION)
    return _measured(mora, ways, repeats)


def _measured(mora: Mora, ways: dict[str, Callable[[], Any]], repeats: int) -> list[dict[str, Any]]:
    """Rows in turns, each with the most memory that its way took on a GPU (weights included)."""
    device, on_gpu = mora.model.device, mora.model.device.type == "cuda"
    peaks: dict[str, float] = dict.fromkeys(ways, 0.0)

    def watched(name: str, way: Callable[[], Any]) -> Callable[[], None]:
        def run() -> None:
            if on_gpu:
                torch.cuda.reset_peak_memory_stats(device)
            way()
            settled(device)
            if on_gpu:
                peaks[name] = torch.cuda.max_memory_allocated(device) / 2**30

        return run

    fitting = {n: w for n, way in ways.items() if _fits(w := watched(n, way))}
    if not fitting:
        raise ModelError(f"{device} has too little memory for {', '.join(ways)}")
    rows, _ = in_turns(fitting, repeats, warm_up=0)  # each has run once, to see whether it fits
    rows += [dict.fromkeys(rows[0]) | {"way": name} for name in ways if name not in fitting]
    return [row | ({"peak (GiB)": peaks[row["way"]] or None} if on_gpu else {}) for row in rows]


def _fits(way: Callable[[], Any]) -> bool:
    try:
        way()
    except torch.OutOfMemoryError:
        return False
    return True
