# SPDX-License-Identifier: Apache-2.0
"""Fine-tuning of whole models: it learns, resumes after a kill, and spreads over processes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import layouts
import numpy as np
import pytest
import torch
import yaml
from conftest import tiny_mora
from safetensors.torch import load_file

from groundmore_ros.datasets import open_dataset
from groundmore_ros.errors import GroundmoreError
from groundmore_ros.mora import Mora
from groundmore_ros.training.adapters import adapt, extended, merged
from groundmore_ros.training.clips import Mixture, NoClipError
from groundmore_ros.training.finetuning import FinetuneSettings, Finetuning, merge_run, start_from
from groundmore_ros.training.grounding import Grounding
from groundmore_ros.training.recipe import load_recipe

TRAINING: dict[str, Any] = {
    "steps": 20, "batch": 2, "clip_frames": 2, "learning_rate": 3e-3, "warmup": 2,
    "precision": "no", "lora": {"r": 2, "alpha": 4, "dropout": 0.1, "targets": ["q_proj"]},
    "trained": ["lm_head", "mask_decoder", "text_hidden_fcs", "temporal_head"],
    "checkpoint_every": 5, "picture_every": 10, "gradient_checkpointing": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model without object tokens, as the published ones are, and without [LOC]."""
    folder = tmp_path_factory.mktemp("base")
    made = tiny_mora(object_queries=0, temporal_head=False, answer_template="It is [SEG].")
    made.model.save_pretrained(folder)
    made.tokenizer.save(folder)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return layouts.groundmore(tmp_path_factory.mktemp("groundmore"))


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    config = load_recipe("finetune")["config"]
    path.write_text(yaml.safe_dump({"kind": "finetune", "config": config, "training": TRAINING}))
    return path


def _history(out: Path) -> list[dict[str, float]]:
    path = out / "history.jsonl"
    return [json.loads(x) for x in path.read_text().splitlines()] if path.exists() else []


def _command(recipe: Path, base: Path, data: Path, out: Path) -> list[str]:
    return [
        "-m", "groundmore_ros", "train", "--recipe", str(recipe), "--model", str(base),
        "--data", f"{data}@1", "--out", str(out), "--threads", "1",
    ]  # fmt: skip


def _run(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, *arguments],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def _losses(out: Path) -> np.ndarray:
    return np.array([h["total"] for h in _history(out)])


def test_samples_are_functions_of_their_number(data: Path) -> None:
    one, two = (Mixture([open_dataset(str(data))], [1], 3, seed=4) for _ in range(2))
    for number in (0, 7, 8):
        first, second = one.sample(number), two.sample(number)
        assert first.question == second.question
        assert all(np.array_equal(a, b) for a, b in zip(first.frames, second.frames, strict=True))
    sample = one.sample(0)
    assert sample.masks is not None
    assert sample.masks.any()
    assert len(sample.masks) == len(sample.frames) <= 3


def test_rates_decide_who_is_drawn(data: Path, tmp_path: Path) -> None:
    other = layouts.refer_youtube_vos(tmp_path)
    both = [open_dataset(str(d)) for d in (data, other)]
    assert all("player" in Mixture(both, [1, 0], 2).sample(n).name for n in range(5))
    questions = {Mixture(both, [0, 1], 2).sample(n).question for n in range(20)}
    assert all(q.endswith(("?", ".")) for q in questions)
    with pytest.raises(GroundmoreError, match="rates are"):
        Mixture(both, [0, 0], 2)


def test_data_without_frames_is_an_error(data: Path) -> None:
    dataset = open_dataset(str(data))
    dataset.ids = [i for i in dataset.ids if dataset.video(i).missing]
    with pytest.raises(NoClipError, match="no usable clip"):
        Mixture([dataset], [1], 2).sample(0)


def test_changes_keep_what_was_loaded_and_add_what_is_new(base: Path) -> None:
    before, tokenizer = start_from(str(base), {}, "no")
    state = {k: v.clone() for k, v in before.state_dict().items()}
    after = extended(before, tokenizer, {"temporal_head": True})
    new = after.state_dict()
    assert all(torch.equal(new[k], v) for k, v in state.items())
    assert {k.split(".")[0] for k in new.keys() - state.keys()} == {"temporal_head"}


def test_only_adapters_and_named_parts_are_trained_and_merging_keeps_the_function(
    base: Path,
) -> None:
    model, _ = start_from(str(base), {}, "no")
    adapt(model, TRAINING["lora"], ["text_hidden_fcs"])
    trained = [n for n, p in model.named_parameters() if p.requires_grad]
    assert all("lora_" in n or "text_hidden_fcs" in n for n in trained)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            weight.data.normal_(std=0.3)
    model.eval()
    x = torch.randn(1, 5, model.config.text_config.hidden_size)
    with torch.no_grad():
        adapted = model(inputs_embeds=x).logits
        plain = merged(model)(inputs_embeds=x).logits
    assert not any("lora" in n for n, _ in model.named_parameters())
    assert torch.allclose(adapted, plain, atol=1e-5)
    with pytest.raises(GroundmoreError, match="no weights named 'nonsense'"):
        adapt(model, None, ["nonsense"])


def test_losses_fall_and_frozen_parts_stay(base: Path, data: Path, tmp_path: Path) -> None:
    model, tokenizer = start_from(str(base), load_recipe("finetune")["config"], "no")
    settings = FinetuneSettings.of(
        TRAINING | {"steps": 60, "learning_rate": 1e-2, "picture_every": 0}
    )
    mixture = Mixture([open_dataset(str(data))], [1], 2)
    run = Finetuning(model, tokenizer, mixture, settings, tmp_path / "run")
    frozen = {n: p.clone() for n, p in model.named_parameters() if not p.requires_grad}
    assert run.run()
    losses = _losses(tmp_path / "run")
    assert losses[-5:].mean() < 0.7 * losses[:5].mean()
    after = dict(model.named_parameters())
    assert all(torch.equal(after[n], v) for n, v in frozen.items())
    run.save_model(tmp_path / "model")
    mora = Mora.from_pretrained(tmp_path / "model")
    assert mora.config.temporal_head
    answer = mora.answer([np.zeros((40, 50, 3), np.uint8)] * 3, [0, 0.1, 0.2], "Who moves?")
    assert answer.masks.shape == (3, 40, 50)


def test_pictures_show_frames_truth_and_prediction(base: Path, data: Path, tmp_path: Path) -> None:
    model, tokenizer = start_from(str(base), {}, "no")
    settings = FinetuneSettings.of(TRAINING | {"trained": ["lm_head"]})
    mixture = Mixture([open_dataset(str(data))], [1], 2)
    run = Finetuning(model, tokenizer, mixture, settings, tmp_path)
    frames = len(mixture.sample(0).frames)
    assert run.picture(0).shape == (3, 3 * layouts.HEIGHT, frames * layouts.WIDTH)


def test_curves_and_pictures_go_to_tensorboard(base: Path, data: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    model, tokenizer = start_from(str(base), {}, "no")
    settings = FinetuneSettings.of(
        TRAINING | {"steps": 4, "log_every": 2, "picture_every": 4, "trained": ["lm_head"]}
    )
    mixture = Mixture([open_dataset(str(data))], [1], 2)
    run = Finetuning(model, tokenizer, mixture, settings, tmp_path / "run")
    writer = SummaryWriter(str(tmp_path / "logs"))
    assert run.run(log=writer)
    writer.close()
    told = EventAccumulator(str(tmp_path / "logs")).Reload()
    tags = told.Tags()
    assert {"train/total", "train/words", "train/dice", "train/clips a second"} <= set(
        tags["scalars"]
    )
    assert [e.step for e in told.Scalars("train/total")] == [2, 4]
    assert told.Scalars("train/total")[1].value == pytest.approx(
        _history(tmp_path / "run")[3]["total"]
    )
    assert tags["images"] == ["frames, truth, prediction"]


def test_killed_at_any_moment_it_goes_on_as_if_it_had_not_been(
    recipe: Path, base: Path, data: Path, tmp_path: Path
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    _run(*_command(recipe, base, data, whole))
    process = subprocess.Popen(
        [sys.executable, *_command(recipe, base, data, killed)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 200
    while len(_history(killed)) < 8 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = len(_history(killed))
    assert 8 <= done < 20
    _run(*_command(recipe, base, data, killed))
    assert [h["step"] for h in _history(killed)] == list(range(1, 21))
    assert np.allclose(_losses(killed), _losses(whole), atol=1e-6)
    assert merge_run(killed, tmp_path / "merged") == 20
    model, again = (
        load_file(f / "model.safetensors") for f in (killed / "model", tmp_path / "merged")
    )
    assert model.keys() == again.keys()
    assert all(torch.allclose(model[k], again[k], atol=1e-6) for k in model)
    with pytest.raises(GroundmoreError, match="holds no checkpoint of a fine-tuning"):
        merge_run(tmp_path, tmp_path / "nothing")


def test_two_processes_see_what_one_sees(
    recipe: Path, base: Path, data: Path, tmp_path: Path
) -> None:
    """Over gloo: the losses of 20 steps are those of one process with twice the accumulation."""
    one, two = tmp_path / "one", tmp_path / "two"
    _run(*_command(recipe, base, data, one))
    launch = ["--cpu", "--num_processes", "2", "--num_machines", "1", "--mixed_precision", "no",
              "--dynamo_backend", "no", "--main_process_port", "0"]  # fmt: skip
    _run("-m", "accelerate.commands.launch", *launch, *_command(recipe, base, data, two))
    assert len(_losses(two)) == 20
    assert np.allclose(_losses(one), _losses(two), atol=1e-5)


def test_losses_have_their_published_weights(base: Path, data: Path) -> None:
    model, tokenizer = start_from(str(base), {}, "no")
    grounding = Grounding(model, tokenizer).eval()
    sample = Mixture([open_dataset(str(data))], [1], 2).sample(0)
    with torch.no_grad():
        losses = grounding(sample).losses
        logits = grounding.mask_logits(sample)
        truth, there = grounding._truth(sample, logits.shape[-1])
    pixels = torch.nn.functional.binary_cross_entropy_with_logits(
        logits[there > 0], truth[there > 0]
    )
    assert losses["pixels"] == pytest.approx(2 * float(pixels), rel=1e-4)
    assert set(losses) == {"words", "pixels", "dice"}


def test_unknown_settings_name_the_known_ones() -> None:
    with pytest.raises(GroundmoreError, match="no setting speed; there are: batch, betas"):
        FinetuneSettings.of({"speed": 3})


@pytest.mark.parametrize("name", ["zero-shot", "finetune", "finetune-no-loc"])
def test_shipped_recipes_are_as_published(name: str) -> None:
    recipe = load_recipe(name)
    settings = FinetuneSettings.of(recipe["training"])
    assert (settings.steps, settings.batch, settings.clip_frames) == (10_000, 20, 5)
    assert (settings.learning_rate, settings.betas, settings.weight_decay) == (3e-4, (0.9, 0.95), 0)
    assert settings.lora == {"r": 8, "alpha": 16, "dropout": 0.05, "targets": ["q_proj", "v_proj"]}
    assert recipe["config"]["temporal_head"] == (name == "finetune")
    assert ("[LOC]" in recipe["config"]["answer_template"]) == (name == "finetune")
    assert settings.rate(0) == pytest.approx(3e-6)
    assert settings.rate(100) == pytest.approx(3e-4)
    assert settings.rate(9_999) < 1e-7
