# SPDX-License-Identifier: Apache-2.0
"""The recipe ``nano``: from nothing to a small MoRA, on a CPU, in stages that each resume."""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from groundmore_ros.errors import GroundmoreError
from groundmore_ros.mora.configuration import MoraConfig
from groundmore_ros.mora.conversation import build_prompt
from groundmore_ros.mora.modeling import MoraForCausalLM
from groundmore_ros.mora.tokenization import BpeTokenizer, MoraTokenizer
from groundmore_ros.simulation.rewording import reword, templates_of
from groundmore_ros.simulation.shards import write_shards
from groundmore_ros.simulation.unrelated import unrelated
from groundmore_ros.simulation.wording import TEMPLATES
from groundmore_ros.simulation.world import ACTORS, COLOURS, SHAPES
from groundmore_ros.training.batches import FrameBatches, QuestionBatches, Stream
from groundmore_ros.training.cache import CachedEpisode, cache_shards, load_cache
from groundmore_ros.training.data import shard_files
from groundmore_ros.training.lessons import NearWords, draw_lessons
from groundmore_ros.training.perception import Drawing, Perception
from groundmore_ros.training.reading import Lessons, draw_asked
from groundmore_ros.training.reasoning import Reasoner
from groundmore_ros.training.teacher import Teacher
from groundmore_ros.training.trainer import Schedule, fit, mean_weights
from groundmore_ros.training.validation import validate
from groundmore_ros.training.wordings import Wordings

__all__ = ["NanoTraining", "Progress"]

TEXTS_A_TEMPLATE = 4
ROUNDS = {
    "reasoning": Stream.REASONING,
    "refining": Stream.REFINING,
    "finishing": Stream.FINISHING,
}


@dataclass
class Progress:
    """What a run tells while it goes on; the command line draws it."""

    stage: Callable[[str, int], None] = lambda name, total: None
    step: Callable[[int, dict[str, float]], None] = lambda done, figures: None
    stop: Callable[[], bool] = lambda: False


class NanoTraining:
    """All stages of a run in one folder; what is there already is not done again."""

    def __init__(
        self,
        recipe: dict[str, Any],
        out: Path,
        progress: Progress | None = None,
        perception: Path | None = None,
    ) -> None:
        """Prepare a run.

        Args:
            recipe: from :func:`load_recipe`.
            out: folder of the run.
            progress: who is told.
            perception: folder of another run whose data and trained perception are used, or of a
                model whose perception is.

        Raises:
            GroundmoreError: that run has not got as far, or the recipe averages no rounds.
        """
        if not recipe["averaged"] or not set(recipe["averaged"]) <= set(ROUNDS):
            raise GroundmoreError(f"averaged is {recipe['averaged']}, not some of {list(ROUNDS)}")
        self.recipe = recipe
        self.out = out
        self.progress = progress or Progress()
        self.data = out / "data"
        self.model_folder = out / "model"
        self.model_folder.mkdir(parents=True, exist_ok=True)
        self._lessons = out / "lessons.pt"
        self._wordings = out / "wordings.json"
        self.eyes: Path | None = None
        if perception is not None and (perception / "config.json").exists():
            self.eyes = perception
        elif perception is not None:
            self._adopt(perception)

    def _adopt(self, run: Path) -> None:
        taught = [self._lessons.name, self._wordings.name] if self.recipe.get("words") else []
        names = ("data", "cache", "perception.pt", "drawing.pt", *taught)
        for name in names:
            if not (run / name).exists():
                raise GroundmoreError(f"{run} holds no {name}; train it that far first")
        for name in names:
            if not (self.out / name).exists():
                (self.out / name).symlink_to((run / name).resolve())

    def run(self) -> bool:
        """Go through the stages; false where the run was asked to stop.

        Raises:
            GroundmoreError: the model whose perception is to be used is of other sizes, or the run
                was begun by another recipe.
        """
        self._hold_to_recipe()
        if not self.teach():
            return False
        tokenizer = self.tokenizer()
        torch.manual_seed(0)
        config = MoraConfig(**self._model_settings(len(tokenizer)))
        model = MoraForCausalLM(config)
        if self.eyes:
            self._see_like(model, self.eyes)
        self.simulate()
        if not self.eyes and not (self.see(model) and self.draw(model)):
            return False
        self.remember(model)
        if not self.reason(model, tokenizer):
            return False
        model.eval().save_pretrained(self.model_folder)
        return True

    def _hold_to_recipe(self) -> None:
        """A run that is gone on with has to stay what it was: stages that are done stay done."""
        path, recipe = self.out / "recipe.json", json.dumps(self.recipe, indent=1)
        if not path.exists():
            part = path.with_suffix(".part")
            part.write_text(recipe, "utf-8")
            part.rename(path)
            return
        before, now = json.loads(path.read_text("utf-8")), json.loads(recipe)
        if changed := [k for k in before | now if before.get(k) != now.get(k)]:
            raise GroundmoreError(
                f"{self.out} was begun with other settings of {', '.join(changed)}; take another "
                f"folder, or remove {path} to go on all the same"
            )

    def _model_settings(self, vocabulary: int) -> dict[str, Any]:
        settings = dict(self.recipe["model"])
        settings["text_config"] = settings["text_config"] | {"vocab_size": vocabulary}
        return settings

    def teach(self) -> bool:
        """Let a teacher of words learn what is asked, and note what it says of other words."""
        made = self._lessons.exists() and self._wordings.exists()
        if made or not self.recipe.get("words"):
            return True
        settings = dict(self.recipe["words"])
        lessons, wordings = settings.pop("lessons"), settings.pop("wordings")
        schedule = Schedule(**settings)
        self.progress.stage("teach", schedule.steps)
        torch.manual_seed(0)
        teacher = Teacher.load()
        near = NearWords(teacher)  # before it learns anything but language
        finished = self._fit(
            "teacher",
            teacher.train(),
            lambda step: draw_asked(np.random.default_rng([Stream.TEACHING, step]), schedule.batch),
            schedule,
        )
        if finished:
            self._note(lessons, wordings, near, teacher)
        return finished

    def _note(self, lessons: int, wordings: int, near: NearWords, teacher: Teacher) -> None:
        """Write what the taught teacher says of other words."""
        if not self._lessons.exists():
            taught = draw_lessons(np.random.default_rng(Stream.LESSONS), lessons, near, teacher)
            part = self._lessons.with_suffix(".part")
            torch.save(taught._asdict(), part)
            part.rename(self._lessons)
        if not self._wordings.exists():
            rng = np.random.default_rng(Stream.WORDINGS)
            Wordings.draw(rng, wordings, near, teacher).save(self._wordings)

    def simulate(self) -> None:
        """Generate the episodes."""
        ranges = [range(*self.recipe["data"][part]) for part in ("seeds", "validation")]
        self.progress.stage("simulate", sum(map(len, ranges)))
        done = 0

        def count(episodes: int) -> None:
            nonlocal done
            done += episodes
            self.progress.step(done, {})

        for seeds in ranges:
            settings = self.recipe["data"]["settings"]
            write_shards(self.data, seeds, settings, os.cpu_count() or 1, count)

    def tokenizer(self) -> MoraTokenizer:
        """The vocabulary, learned from the wordings."""
        path = self.model_folder / "tokenizer.json"
        if not path.exists():
            texts = list(_all_texts(self.recipe["model"]["conversation"]))
            if lessons := self._taught():
                texts += lessons.texts
            tokenizer = BpeTokenizer.train(texts, self.recipe["vocabulary"])
            tokenizer.save(self.model_folder)
        return MoraTokenizer.load(self.model_folder)

    def _taught(self) -> Lessons | None:
        if not self._lessons.exists():
            return None
        return Lessons(**torch.load(self._lessons, weights_only=True))

    def see(self, model: MoraForCausalLM) -> bool:
        """Train image encoder, object queries and mask decoder."""
        perception = Perception(model.config, model.segmenter, model.object_queries).train()
        return self._fit_frames("see", "perception", perception, model)

    def draw(self, model: MoraForCausalLM) -> bool:
        """Train the mask decoder alone, with the encoder as it will be used."""
        perception = Perception(model.config, model.segmenter, model.object_queries)
        return self._fit_frames("draw", "drawing", Drawing(perception), model)

    def _see_like(self, model: MoraForCausalLM, folder: Path) -> None:
        seeing = MoraForCausalLM.from_pretrained(folder)
        try:
            for part in ("segmenter", "object_queries"):
                getattr(model, part).load_state_dict(getattr(seeing, part).state_dict())
        except (AttributeError, RuntimeError) as error:
            message = f"the perception of {folder} is not of the recipe's sizes: {error}"
            raise GroundmoreError(message) from error

    def _fit_frames(
        self, stage: str, name: str, module: torch.nn.Module, model: MoraForCausalLM
    ) -> bool:
        settings = dict(self.recipe[name])
        drawn, frames, collages = (settings.pop(k) for k in ("drawn", "frames", "collage_share"))
        schedule = Schedule(**settings)
        model.segmenter.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.progress.stage(stage, schedule.steps)
        batches = FrameBatches(
            self._shards("seeds"), schedule.batch, frames, model.config.image_size, collages
        )
        return self._fit(name, module, lambda step: (batches.at(step), drawn), schedule)

    def remember(self, model: MoraForCausalLM) -> None:
        """Run the trained perception over all episodes."""
        (self.out / "cache").mkdir(exist_ok=True)
        jobs = [(s, self._cached(s)) for s in self._shards("validation") + self._shards("seeds")]
        self.progress.stage("remember", len(jobs))
        model.save_pretrained(self.out / "seeing")
        workers = os.cpu_count() or 1
        cache_shards(self.out / "seeing", jobs, workers, lambda n: self.progress.step(n, {}))

    def reason(self, model: MoraForCausalLM, tokenizer: MoraTokenizer) -> bool:
        """Train everything else on what was seen, in rounds (SGDR, Loshchilov & Hutter 2017).

        The model becomes the mean of what it was at the ends of some.
        """
        for part in (model.segmenter, model.object_queries):
            part.requires_grad_(False)
        lessons = self._taught()
        module = Reasoner(model, tokenizer, lessons).train()
        train, validation = (
            load_cache([self._cached(s) for s in self._shards(part)])
            for part in ("seeds", "validation")
        )
        wordings = Wordings.load(self._wordings) if self._wordings.exists() else None
        batches = QuestionBatches(train, lessons, wordings, tokenizer, model.config)
        finished = all(
            self._fit_round(name, stream, module, batches, validation)
            for name, stream in ROUNDS.items()
        )
        if finished:
            rounds = self.recipe["averaged"]
            self.progress.stage("average", len(rounds))
            module.load_state_dict(mean_weights([self.out / f"{name}.pt" for name in rounds]))
            figures = validate(module, validation, batches.tokenizer, batches.templates)
            self.progress.step(len(rounds), figures)
        return finished

    def _fit_round(
        self,
        name: str,
        stream: Stream,
        module: Reasoner,
        batches: QuestionBatches,
        validation: list[CachedEpisode],
    ) -> bool:
        settings = self.recipe["reasoning"] | self.recipe[name]
        questions, read, vetted = (settings.pop(k) for k in ("questions", "read", "vetted"))
        schedule = Schedule(**settings)
        self.progress.stage(name, schedule.steps)
        return self._fit(
            name,
            module,
            lambda step: batches.at(step, stream, schedule.batch, questions, read, vetted),
            schedule,
            lambda: validate(module, validation, batches.tokenizer, batches.templates),
        )

    def _shards(self, part: str) -> list[Path]:
        first, last = self.recipe["data"][part]
        return [f for f in shard_files(self.data) if first <= int(f.stem.split("-")[1]) < last]

    def _cached(self, shard: Path) -> Path:
        return self.out / "cache" / f"{shard.stem}.pt"

    def _fit(
        self,
        name: str,
        module: torch.nn.Module,
        batch_at: Callable[[int], tuple[Any, ...]],
        schedule: Schedule,
        evaluate: Callable[[], dict[str, float]] | None = None,
    ) -> bool:
        from torch.utils.tensorboard import SummaryWriter

        return fit(
            module,
            batch_at,
            schedule,
            self.out / f"{name}.pt",
            log=SummaryWriter(str(self.out / "logs" / name)),
            evaluate=evaluate,
            on_step=self.progress.step,
            stop=self.progress.stop,
        )


def _all_texts(conversation: str) -> Iterator[str]:
    """Questions like those of training, as they are prompted, and every answer."""
    rng = np.random.default_rng(0)
    shapes = (*SHAPES, *ACTORS)
    looks = [(c, s) for c in COLOURS for s in shapes]
    names = [f"the {c} {s}" for c in COLOURS for s in (*shapes, "object", "thing", "one")]
    names += [f"the {s}" for s in shapes]
    names += [f"the object that is {side} at the start" for side in ("leftmost", "rightmost")]
    asked = [
        reword(rng, predicate, names[int(rng.integers(len(names)))])
        for predicate in (*TEMPLATES, "referring")
        for _ in range(TEXTS_A_TEMPLATE * len(templates_of(predicate, "known")))
    ]
    asked += [unrelated(rng, looks[: len(SHAPES)])[0] for _ in range(len(asked) // 8)]
    for question in asked:
        yield from (p for p in build_prompt(conversation, question) if isinstance(p, str))
    for name in names:
        yield from [f"The {name.removeprefix('the ')}."] * 3
    yield from ["Nothing."] * 3
