# SPDX-License-Identifier: Apache-2.0
"""The batches that mora-nano learns from, by step, drawn with random numbers of that step."""

import itertools
from collections.abc import Iterator, Sequence
from enum import IntEnum
from pathlib import Path

import numpy as np
import torch

from groundmore_ros.mora.configuration import MoraConfig
from groundmore_ros.mora.tokenization import MoraTokenizer
from groundmore_ros.training.augmentation import varied
from groundmore_ros.training.cache import CachedEpisode
from groundmore_ros.training.collage import collage
from groundmore_ros.training.data import FrameSample, frame_samples
from groundmore_ros.training.packing import ReasoningBatch, collate_reasoning
from groundmore_ros.training.perception import PerceptionBatch, collate
from groundmore_ros.training.reading import Lessons, Reading, draw_reading
from groundmore_ros.training.wordings import Wordings

__all__ = ["FrameBatches", "QuestionBatches", "Stream"]

POOL = 20  # shards held in memory while perception trains
STEPS_A_POOL = 200


class Stream(IntEnum):
    """Streams of random numbers: what is drawn from one does not change what others give."""

    FRAMES = 0
    REASONING = 1
    PICTURES = 2
    COLLAGES = 3
    TEACHING = 5
    LESSONS = 6
    REFINING = 7
    FINISHING = 8
    WORDINGS = 9


class FrameBatches:
    """Batches of frames by step: a pool of shards is drawn anew every so many steps.

    A share of them are collages; never all, as the losses of names need some with names.
    """

    def __init__(
        self, shards: list[Path], batch: int, frames: int, side: int, collages: float
    ) -> None:
        """Draw batches from shards.

        Args:
            shards: files of episodes.
            batch: episodes a step.
            frames: of each episode.
            side: of the pictures, in pixels.
            collages: chance that an episode is a collage instead, but for one of each batch.
        """
        self.shards, self.batch, self.frames, self.side = shards, batch, frames, side
        self.collages = collages
        self.next = -1
        self.samples: Iterator[FrameSample] = iter(())

    def at(self, step: int) -> PerceptionBatch:
        """The batch of a step; quick where steps are asked for in their order."""
        if step != self.next or step % STEPS_A_POOL == 0:
            self._go_to(step)
        self.next = step + 1
        samples = list(itertools.islice(self.samples, self.batch))
        rng = np.random.default_rng([Stream.COLLAGES, step])
        for i in np.flatnonzero(rng.random(self.batch - 1) < self.collages):
            samples[i] = collage(rng, self.frames, samples[i].masks.shape[1:])
        batch = collate(samples, self.side, np.random.default_rng([Stream.PICTURES, step]))
        pixels = batch.pixels.contiguous(memory_format=torch.channels_last)
        return batch._replace(pixels=pixels)

    def _go_to(self, step: int) -> None:
        pool, done = divmod(step, STEPS_A_POOL)
        rng = np.random.default_rng([Stream.FRAMES, pool])
        order = rng.permutation(len(self.shards))[:POOL]
        samples = frame_samples([self.shards[i] for i in order], rng, self.frames)
        self.samples = itertools.islice(samples, done * self.batch, None)


class QuestionBatches:
    """Batches of episodes with their questions, and of questions without a picture, by step."""

    def __init__(
        self,
        episodes: Sequence[CachedEpisode],
        lessons: Lessons | None,
        wordings: Wordings | None,
        tokenizer: MoraTokenizer,
        config: MoraConfig,
    ) -> None:
        """Draw batches from episodes.

        Args:
            episodes: as perception sees them.
            lessons: what a teacher of words says is asked.
            wordings: of questions about clips, which it vetted.
            tokenizer: the model's.
            config: the model's, for how questions are put and answers are said.
        """
        self.episodes, self.lessons, self.wordings = episodes, lessons, wordings
        self.tokenizer = tokenizer
        self.templates = (config.conversation, config.answer_template, config.nothing_template)

    def at(
        self,
        step: int,
        stream: Stream,
        batch: int,
        questions: int,
        read: int,
        vetted: float = 0.0,
    ) -> tuple[ReasoningBatch, Reading]:
        """The batch of a step.

        Args:
            step: of the round.
            stream: the round's.
            batch: episodes.
            questions: of each episode, at most.
            read: questions without a picture.
            vetted: share of the others in vetted wordings, where there are any.
        """
        rng = np.random.default_rng([stream, step])
        drawn = rng.integers(len(self.episodes), size=batch)
        say = self.wordings.mixed(vetted) if self.wordings and vetted else None
        episodes = [varied(self.episodes[i], rng, say) for i in drawn]
        asked = collate_reasoning(episodes, self.tokenizer, self.templates, rng, most=questions)
        conversation = self.templates[0]
        reading = draw_reading(rng, read, self.tokenizer, conversation, self.lessons)
        return asked, reading
