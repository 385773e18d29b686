# SPDX-License-Identifier: Apache-2.0
"""The training loop: steps, learning rate, checkpoints, curves.

A batch is a function of the step alone, so a run that is stopped anywhere goes on as if it had not
been.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from groundmore_ros.training.precision import cpu_autocast

__all__ = ["Schedule", "StepResult", "fit", "mean_weights"]


class StepResult(NamedTuple):
    """Losses, which are summed, and metrics, which are only shown."""

    losses: dict[str, Tensor]
    metrics: dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long and how fast to train.

    Attributes:
        steps: in all.
        batch: samples a step.
        learning_rate: the highest, after the warm-up; then a half cosine down to a hundredth.
        warmup: steps.
        weight_decay: of AdamW.
        clip: largest norm of the gradient.
        checkpoint_every, evaluate_every, log_every: steps.
    """

    steps: int
    batch: int
    learning_rate: float
    warmup: int = 100
    weight_decay: float = 0.02
    clip: float = 1.0
    checkpoint_every: int = 500
    evaluate_every: int = 1000
    log_every: int = 50

    def rate(self, step: int) -> float:
        """Learning rate of a step."""
        rise = min(1.0, (step + 1) / max(1, self.warmup))
        fall = 0.5 * (1 + math.cos(math.pi * step / self.steps))
        return self.learning_rate * rise * (0.01 + 0.99 * fall)


def fit(
    module: nn.Module,
    batch_at: Callable[[int], tuple[Any, ...]],
    schedule: Schedule,
    checkpoint: Path,
    *,
    log: Any = None,
    evaluate: Callable[[], dict[str, float]] | None = None,
    on_step: Callable[[int, dict[str, float]], None] = lambda step, shown: None,
    stop: Callable[[], bool] = lambda: False,
) -> bool:
    """Train a module from its last checkpoint, if there is one, to the end.

    Args:
        module: called with a batch's parts, gives a :class:`StepResult`.
        batch_at: the batch of a step, in parts.
        schedule: how long and how fast.
        checkpoint: file that is read at the start and written along the way, never half.
        log: a TensorBoard ``SummaryWriter``.
        evaluate: figures on validation data.
        on_step: told the step and running means every ``log_every`` steps.
        stop: asked each step; true ends the run early, with a checkpoint.

    Returns:
        whether the end was reached.
    """
    trained = [p for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        trained,
        lr=schedule.learning_rate,
        weight_decay=schedule.weight_decay,
    )
    start = _resume(module, optimizer, checkpoint)
    means: dict[str, float] = {}
    for step in range(start, schedule.steps):
        if stop():
            _save(module, optimizer, checkpoint, step)
            return False
        torch.manual_seed(step)
        for group in optimizer.param_groups:
            group["lr"] = schedule.rate(step)
        # The fused attention's backward pass takes longer on CPUs than the plain one's.
        with cpu_autocast(), sdpa_kernel(SDPBackend.MATH):
            result: StepResult = module(*batch_at(step))
        total = torch.stack(list(result.losses.values())).sum()
        optimizer.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(trained, schedule.clip)
        optimizer.step()
        _average(means, result, total)
        done = step + 1
        if done % schedule.log_every == 0:
            on_step(done, dict(means))
            _write(log, "train", means, done)
        if done % schedule.checkpoint_every == 0 or done == schedule.steps:
            _save(module, optimizer, checkpoint, done)
        if evaluate and (done % schedule.evaluate_every == 0 or done == schedule.steps):
            figures = evaluate()
            on_step(done, figures)
            _write(log, "validation", figures, done)
    return True


def mean_weights(checkpoints: Sequence[Path]) -> dict[str, Tensor]:
    """A module's state between those of checkpoints that :func:`fit` wrote.

    The mean of what one module was at the ends of several rounds often generalises better than any
    of these (stochastic weight averaging, Izmailov et al. 2018, https://arxiv.org/abs/1803.05407).
    What is not floating point is the last one's.

    Args:
        checkpoints: files, at least one; all of one module.
    """
    states = [torch.load(file, weights_only=True)["module"] for file in checkpoints]
    return {
        name: sum(state[name] for state in states) / len(states)
        if last.is_floating_point()
        else last
        for name, last in states[-1].items()
    }


def _average(means: dict[str, float], result: StepResult, total: Tensor) -> None:
    for name, value in ({"total": total} | result.losses | result.metrics).items():
        means[name] = 0.98 * means.get(name, value.item()) + 0.02 * value.item()


def _write(log: Any, section: str, figures: dict[str, float], step: int) -> None:
    if log is not None:
        for name, value in figures.items():
            log.add_scalar(f"{section}/{name}", value, step)


def _resume(module: nn.Module, optimizer: torch.optim.Optimizer, checkpoint: Path) -> int:
    if not checkpoint.exists():
        return 0
    state = torch.load(checkpoint, weights_only=True)
    module.load_state_dict(state["module"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])


def _save(module: nn.Module, optimizer: torch.optim.Optimizer, checkpoint: Path, step: int) -> None:
    state = {"module": module.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
    temporary = checkpoint.with_suffix(".part")
    torch.save(state, temporary)
    temporary.rename(checkpoint)
