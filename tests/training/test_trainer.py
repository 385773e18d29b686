# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from groundmore_ros.training.trainer import Schedule, StepResult, fit, mean_weights


class _Line(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(3, 1)

    def forward(self, x: Tensor) -> StepResult:
        loss = (self.layer(x).float() - x.sum(1, keepdim=True)).square().mean()
        return StepResult({"square": loss}, {"size": loss.detach()})


def _batch(step: int) -> tuple[Tensor]:
    return (torch.randn(8, 3, generator=torch.Generator().manual_seed(step)),)


SCHEDULE = Schedule(
    steps=40, batch=8, learning_rate=0.2, warmup=5, log_every=10, checkpoint_every=1000
)


def _train(checkpoint: Path, stop_after: int | None = None) -> _Line:
    module = _Line()
    calls = iter(range(1000))
    fit(
        module,
        _batch,
        SCHEDULE,
        checkpoint,
        stop=lambda: stop_after is not None and next(calls) >= stop_after,
    )
    return module


def test_a_run_that_was_stopped_ends_like_one_that_was_not(tmp_path: Path) -> None:
    whole = _train(tmp_path / "whole.pt")
    for after in (7, 5, 11):
        _train(tmp_path / "pieces.pt", after)
    pieces = _train(tmp_path / "pieces.pt")
    assert torch.equal(whole.layer.weight, pieces.layer.weight)


def test_it_learns_and_tells(tmp_path: Path) -> None:
    told: list[tuple[int, dict[str, float]]] = []
    module = _Line()
    done = fit(module, _batch, SCHEDULE, tmp_path / "a.pt", on_step=lambda *said: told.append(said))
    assert done
    assert [step for step, _ in told] == [10, 20, 30, 40]
    assert told[-1][1]["square"] < told[0][1]["square"]
    assert torch.allclose(module.layer.weight, torch.ones(1, 3), atol=0.3)


def test_the_rate_rises_then_falls_to_a_hundredth() -> None:
    rates = [SCHEDULE.rate(step) for step in range(SCHEDULE.steps)]
    assert rates.index(max(rates)) == SCHEDULE.warmup - 1
    assert rates[-1] == pytest.approx(0.2 / 100, rel=0.2)


def test_weights_between_those_of_checkpoints(tmp_path: Path) -> None:
    for name, weight in (("a", 1.0), ("b", 4.0)):
        state = {"weight": torch.full((2,), weight), "count": torch.tensor(int(weight))}
        torch.save({"module": state, "step": 1}, tmp_path / f"{name}.pt")
    mean = mean_weights([tmp_path / "a.pt", tmp_path / "b.pt"])
    assert mean["weight"].tolist() == [2.5, 2.5]
    assert mean["count"].item() == 4
