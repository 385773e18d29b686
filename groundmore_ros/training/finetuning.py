# SPDX-License-Identifier: Apache-2.0
"""Fine-tuning of whole models over one or many processes, through Accelerate.

A step's samples are numbered, so any number of processes sees the same ones, and a run that was
killed goes on from its last checkpoint as if it had not been.
"""

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator, DistributedDataParallelKwargs, DistributedType
from safetensors.torch import load_file, save_file
from torch import Tensor

from groundmore_ros.errors import GroundmoreError
from groundmore_ros.mora.loading import LoadOptions, load
from groundmore_ros.mora.modeling import MoraForCausalLM
from groundmore_ros.mora.tokenization import MoraTokenizer
from groundmore_ros.mora.zoo import resolve_model
from groundmore_ros.training.adapters import adapt, extended, merged, trained_weights
from groundmore_ros.training.clips import ClipSample, Mixture
from groundmore_ros.training.grounding import Grounding

__all__ = ["FinetuneSettings", "Finetuning"]

KEPT = 2  # checkpoints


@dataclass(frozen=True, kw_only=True)
class FinetuneSettings:
    """How to fine-tune. The defaults are those published for MoRA.

    Attributes:
        steps: of the optimizer.
        batch: clips a step, over all processes.
        clip_frames: frames of a clip.
        learning_rate: the highest, after the warm-up; then linearly down to zero.
        warmup: steps.
        betas: of AdamW.
        weight_decay: of AdamW.
        clip: largest norm of the gradient.
        precision: ``no``, ``bf16`` or ``fp16``.
        lora: adapters of the language model; None: none.
        trained: parts that are trained whole, by what their names hold.
        gradient_checkpointing: compute twice, hold less.
        checkpoint_every: steps.
        log_every: steps.
        picture_every: steps between pictures in the log; 0: none.
        seed: of samples and dropout.
    """

    steps: int = 10_000
    batch: int = 20
    clip_frames: int = 5
    learning_rate: float = 3e-4
    warmup: int = 100
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 0.0
    clip: float = 1.0
    precision: str = "bf16"
    lora: dict[str, Any] | None = None
    trained: tuple[str, ...] = (
        "lm_head",
        "embed_tokens",
        "mask_decoder",
        "text_hidden_fcs",
    )
    gradient_checkpointing: bool = True
    checkpoint_every: int = 500
    log_every: int = 10
    picture_every: int = 500
    seed: int = 0

    @classmethod
    def of(cls, recipe: dict[str, Any]) -> "FinetuneSettings":
        """From a recipe's ``training``.

        Raises:
            GroundmoreError: a setting that there is not.
        """
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(recipe) - known)
        if unknown:
            raise GroundmoreError(
                f"no setting {', '.join(unknown)}; there are: {', '.join(sorted(known))}"
            )
        values: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in recipe.items()
        }
        return cls(**values)

    def rate(self, step: int) -> float:
        """Learning rate of a step."""
        rise = min(1.0, (step + 1) / max(1, self.warmup))
        fall = (self.steps - step) / max(1, self.steps - self.warmup)
        return self.learning_rate * min(rise, fall, 1.0)


def start_from(
    name: str, changes: dict[str, Any], precision: str
) -> tuple[MoraForCausalLM, MoraTokenizer]:
    """A model that is on this machine, under a recipe's configuration.

    Args:
        name: a folder, a shipped model, or a hub id in the local cache.
        changes: of its configuration.
        precision: of the training; what is not trained is held in it.

    Raises:
        ModelError: it is not there.
        GroundmoreError: the changes do not fit it.
    """
    dtype = {"bf16": "bfloat16", "fp16": "float16"}.get(precision, "float32")
    model, tokenizer = load(resolve_model(name), LoadOptions(dtype=dtype))
    torch.manual_seed(0)  # what starts anew starts alike, in every process and after a stop
    return extended(model, tokenizer, changes), tokenizer


def describe_run(out: Path, model: str, recipe: dict[str, Any]) -> None:
    """Note what a run starts from, so that its checkpoints can be merged later."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "run.json").write_text(json.dumps({"model": model, "recipe": recipe}, indent=1) + "\n")


def merge_run(run: Path, out: Path) -> int:
    """Write the model of a run's last checkpoint; gives its step.

    Raises:
        GroundmoreError: the folder is no fine-tuning, or has no checkpoint yet.
    """
    checkpoints = _checkpoints(run)
    if not (run / "run.json").is_file() or not checkpoints:
        raise GroundmoreError(f"{run} holds no checkpoint of a fine-tuning")
    note = json.loads((run / "run.json").read_text())
    settings = FinetuneSettings.of(note["recipe"].get("training", {}))
    model, tokenizer = start_from(note["model"], note["recipe"].get("config", {}), "no")
    adapt(model, settings.lora, list(settings.trained))
    step = _restore(Grounding(model, tokenizer), checkpoints[-1])
    _write_model(model, tokenizer, out)
    return step


def _checkpoints(out: Path) -> list[Path]:
    found = (out / "checkpoints").glob("step-????????")
    return sorted(p for p in found if (p / "state.json").is_file())


def _restore(module: Grounding, checkpoint: Path) -> int:
    """Put a checkpoint's trained weights into their places; gives its step."""
    wanted = dict(module.named_parameters())
    with torch.no_grad():
        for name, value in load_file(checkpoint / "trained.safetensors").items():
            wanted[name].copy_(value)
    return _step_of(checkpoint)


def _step_of(checkpoint: Path) -> int:
    return int(json.loads((checkpoint / "state.json").read_text())["step"])


def _write_model(model: MoraForCausalLM, tokenizer: MoraTokenizer, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    merged(model).save_pretrained(folder)
    tokenizer.save(folder)


class Finetuning:
    """A run in a folder."""

    def __init__(
        self,
        model: MoraForCausalLM,
        tokenizer: MoraTokenizer,
        mixture: Mixture,
        settings: FinetuneSettings,
        out: Path,
    ) -> None:
        """Prepare a run; in every process alike.

        Raises:
            GroundmoreError: the batch cannot be shared out evenly.
        """
        self.settings, self.mixture, self.out = settings, mixture, out
        torch.manual_seed(settings.seed)
        adapt(model, settings.lora, list(settings.trained))
        if settings.gradient_checkpointing:
            model.language_model.gradient_checkpointing_enable(
                gradient_checkpointing_kwargs={"use_reentrant": False}
            )
        self.accelerator = Accelerator(
            mixed_precision=settings.precision,
            kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
        )
        world = self.accelerator.num_processes
        if settings.batch % world:
            raise GroundmoreError(
                f"a batch of {settings.batch} cannot be shared evenly by {world} processes"
            )
        self.shares = settings.batch // world  # clips of each process a step
        self.accelerator.gradient_accumulation_steps = self.shares
        grounding = Grounding(model, tokenizer)
        optimizer = torch.optim.AdamW(
            [p for p in grounding.parameters() if p.requires_grad],
            lr=settings.learning_rate,
            betas=settings.betas,
            weight_decay=settings.weight_decay,
        )
        self.module, self.optimizer = self.accelerator.prepare(grounding, optimizer)

    @property
    def bare(self) -> Grounding:
        """The module without what distribution wraps around it."""
        module: Grounding = self.accelerator.unwrap_model(self.module)
        return module

    def run(
        self,
        on_step: Callable[[int, dict[str, float]], None] = lambda done, figures: None,
        stop: Callable[[], bool] = lambda: False,
        log: Any = None,
    ) -> bool:
        """Train from the last checkpoint to the end; false where it was asked to stop.

        Args:
            on_step: told steps done and mean losses, in the main process.
            stop: asked each step.
            log: a TensorBoard ``SummaryWriter``.
        """
        settings = self.settings
        start = self._resume()
        self.module.train()
        for step in range(start, settings.steps):
            if stop():
                self._save(step)
                return False
            began = time.perf_counter()
            figures = self._step(step)
            done = step + 1
            if self.accelerator.is_main_process:
                figures["clips a second"] = settings.batch / (time.perf_counter() - began)
                self._note(done, figures)
                on_step(done, figures)
                if log is not None and done % settings.log_every == 0:
                    for name, value in figures.items():
                        log.add_scalar(f"train/{name}", value, done)
                if (
                    log is not None
                    and settings.picture_every
                    and done % settings.picture_every == 0
                ):
                    log.add_image("frames, truth, prediction", self.picture(step), done)
            if done % settings.checkpoint_every == 0 or done == settings.steps:
                self._save(done)
        return True

    def _note(self, done: int, figures: dict[str, float]) -> None:
        with self._history.open("a") as file:
            file.write(json.dumps({"step": done} | figures) + "\n")

    @property
    def _history(self) -> Path:
        """One line of JSON for each step; steps that are done again after a kill stand once."""
        return self.out / "history.jsonl"

    def _step(self, step: int) -> dict[str, float]:
        accelerator, world = self.accelerator, self.accelerator.num_processes
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.rate(step)
        sums: dict[str, float] = {}
        for share in range(self.shares):
            number = step * self.settings.batch + share * world + accelerator.process_index
            sample = self.mixture.sample(number)
            torch.manual_seed(number + 1)  # dropout is the sample's, whoever computes it
            with accelerator.accumulate(self.module):
                result = self.module(sample)
                total = torch.stack(list(result.losses.values())).sum()
                accelerator.backward(total)
                if accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(self.module.parameters(), self.settings.clip)
                self.optimizer.step()
                self.optimizer.zero_grad()
            for name, value in ({"total": total} | result.losses | result.metrics).items():
                sums[name] = sums.get(name, 0.0) + float(value.detach())
        return self._averaged(sums)

    def _averaged(self, sums: dict[str, float]) -> dict[str, float]:
        """Means over all clips of the step; a loss that a clip lacks counts as zero."""
        names = ("total", "words", "pixels", "dice", "time", "iou")
        mine = torch.tensor([sums.get(n, 0.0) / self.shares for n in names])
        every = self.accelerator.reduce(mine.to(self.accelerator.device), "mean").tolist()
        return {n: v for n, v in zip(names, every, strict=True) if n in sums}

    def save_model(self, folder: Path) -> None:
        """The whole model, adapters merged, in our layout; call it when training is over."""
        _write_model(self.bare.model, self.bare.tokenizer, folder)

    # --- checkpoints
    # -------------------------------------------------------------------------------

    def _save(self, step: int) -> None:
        """Trained weights and the optimizer's state, whole or not at all."""
        accelerator = self.accelerator
        whole = self.out / "checkpoints" / f"step-{step:08d}"
        part = whole.with_suffix(".part")
        weights = self._trained()
        if accelerator.is_main_process:
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
        accelerator.wait_for_everyone()
        if self._sharded:
            accelerator.save_state(str(part / "sharded"))
        if accelerator.is_main_process:
            save_file(weights, part / "trained.safetensors")
            if not self._sharded:
                torch.save(self.optimizer.state_dict(), part / "optimizer.pt")
            (part / "state.json").write_text(json.dumps({"step": step}))
            shutil.rmtree(whole, ignore_errors=True)
            part.rename(whole)
            for old in _checkpoints(self.out)[:-KEPT]:
                shutil.rmtree(old)
        accelerator.wait_for_everyone()

    @property
    def _sharded(self) -> bool:
        """Whether processes hold parts of the optimizer's state, which they save themselves."""
        kinds = (DistributedType.DEEPSPEED, DistributedType.FSDP)
        return self.accelerator.distributed_type in kinds

    def _trained(self) -> dict[str, Tensor]:
        """Copies of the trained weights; of sharded ones in the main process only."""
        state: dict[str, Tensor] = trained_weights(self.bare)
        if self._sharded:
            every = self.accelerator.get_state_dict(self.module)
            state = {k: every[k] for k in state if k in every}
        return {k: v.cpu().contiguous().clone() for k, v in state.items()}

    def _resume(self) -> int:
        found = _checkpoints(self.out)
        step = 0
        if found and self._sharded:
            self.accelerator.load_state(str(found[-1] / "sharded"))
            step = _step_of(found[-1])
        elif found:
            step = _restore(self.bare, found[-1])
            state = torch.load(found[-1] / "optimizer.pt", map_location="cpu", weights_only=True)
            self.optimizer.load_state_dict(state)
        if self.accelerator.is_main_process:
            self._cut_history(step)
        return step

    def _cut_history(self, step: int) -> None:
        self.out.mkdir(parents=True, exist_ok=True)
        lines = self._history.read_text().splitlines() if self._history.exists() else []
        self._history.write_text("".join(f"{line}\n" for line in lines[:step]))

    # --- pictures
    # ----------------------------------------------------------------------------------

    @torch.no_grad()
    def picture(self, step: int) -> np.ndarray:
        """Frames, truth and prediction of a step's first clip, one above the other (3, H, W)."""
        sample = self.mixture.sample(step * self.settings.batch)
        module = self.bare.eval()
        predicted = _predicted(module, sample)
        self.module.train()
        height, width = sample.frames[0].shape[:2]
        truth = sample.masks
        if truth is None:
            truth = np.zeros((len(sample.frames), height, width), bool)
        rows = [
            np.concatenate(sample.frames, axis=1),
            *(np.concatenate([_grey(m) for m in masks], axis=1) for masks in (truth, predicted)),
        ]
        return np.concatenate(rows).transpose(2, 0, 1)


def _predicted(module: Grounding, sample: ClipSample) -> np.ndarray:
    """Masks (T, H, W) that the model draws when it is given the answer's words."""
    height, width = sample.frames[0].shape[:2]
    if sample.masks is None:
        return np.zeros((len(sample.frames), height, width), bool)
    logits = module.mask_logits(sample)
    masks: Tensor = module.processor.to_frame(logits, height, width) > 0
    return masks.cpu().numpy()


def _grey(mask: np.ndarray) -> np.ndarray:
    return np.repeat(255 * mask[..., None].astype(np.uint8), 3, axis=2)
