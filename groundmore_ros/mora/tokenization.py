# SPDX-License-Identifier: Apache-2.0
"""Text to token ids and back, with special tokens looked up and never parsed out of text."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from groundmore_ros.errors import ModelError
from groundmore_ros.mora.conversation import Image, Part, Special

__all__ = ["IMAGE_ID", "MoraTokenizer"]

IMAGE_ID = -200  # stands for the visual tokens in input ids, as in LLaVA
_BASE = ("<unk>", "<s>", "</s>")
_ADDED = ("[SEG]", "[LOC]", "<im_start>", "<im_end>")


class MoraTokenizer:
    """A ``tokenizer.json`` with the tokens that MoRA adds."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        # Text that looks like a special token is spelled out like any other text.
        tokenizer.encode_special_tokens = True
        self._tokenizer = tokenizer
        self.bos, self.eos = self.id_of("<s>"), self.id_of("</s>")

    @classmethod
    def load(cls, folder: Path) -> "MoraTokenizer":
        """Read a model folder's tokenizer.

        Raises:
            ModelError: it is missing or lacks a token that MoRA needs.
        """
        path = folder / "tokenizer.json"
        if not path.is_file():
            raise ModelError(f"{folder} holds no tokenizer.json")
        return cls(Tokenizer.from_file(str(path)))

    @classmethod
    def train(cls, texts: Iterable[str], vocabulary: int) -> "MoraTokenizer":
        """A byte-level BPE vocabulary learned from texts; any text can be encoded."""
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocabulary,
            special_tokens=[*_BASE, *_ADDED],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        tokenizer.train_from_iterator(texts, trainer)
        return cls(tokenizer)

    def save(self, folder: Path) -> None:
        """Write ``tokenizer.json``."""
        self._tokenizer.save(str(folder / "tokenizer.json"))

    def __len__(self) -> int:
        return int(self._tokenizer.get_vocab_size())

    def id_of(self, token: str) -> int:
        """The id of a special token.

        Raises:
            ModelError: the vocabulary has no such token.
        """
        number = self._tokenizer.token_to_id(token)
        if number is None:
            raise ModelError(f"the tokenizer has no token {token!r}")
        return int(number)

    def encode(self, parts: Sequence[Part]) -> list[int]:
        """Ids of a prompt, ``<s>`` first and IMAGE_ID for the picture."""
        ids = [self.bos]
        for part in parts:
            if isinstance(part, Image):
                ids.append(IMAGE_ID)
            elif isinstance(part, Special):
                ids.append(self.id_of(part.token))
            else:
                ids.extend(self.encode_text(part))
        return ids

    def encode_text(self, text: str) -> list[int]:
        """Ids of plain text, whatever it looks like."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def encode_answer(self, text: str) -> list[int]:
        """Ids of a template's answer, in which [SEG] and [LOC] are tokens, ``</s>`` last."""
        ids: list[int] = []
        for piece in re.split(r"(\[SEG\]|\[LOC\])", text):
            if piece in ("[SEG]", "[LOC]"):
                ids.append(self.id_of(piece))
            elif piece:
                ids.extend(self.encode_text(piece))
        return [*ids, self.eos]

    def decode(self, ids: Sequence[int]) -> str:
        """Text of generated ids; special tokens are shown, ``</s>`` is not."""
        pieces: list[str] = []
        run: list[int] = []
        specials = {self.id_of(t): t for t in _ADDED}
        for number in ids:
            if number in specials or number == self.eos:
                pieces.append(self._tokenizer.decode(run, skip_special_tokens=False))
                pieces.append(specials.get(number, ""))
                run = []
            else:
                run.append(number)
        pieces.append(self._tokenizer.decode(run, skip_special_tokens=False))
        return "".join(pieces)
