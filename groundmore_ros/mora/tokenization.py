# SPDX-License-Identifier: Apache-2.0
"""Text to token ids and back, with special tokens looked up and never parsed out of text."""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path

import sentencepiece
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from groundmore_ros.errors import ModelError
from groundmore_ros.mora.conversation import Image, Part, Special

__all__ = ["IMAGE_ID", "BpeTokenizer", "LlamaTokenizer", "MoraTokenizer"]

IMAGE_ID = -200  # stands for the visual tokens in input ids, as in LLaVA
_BASE = ("<unk>", "<s>", "</s>")
_ADDED = ("[SEG]", "[LOC]", "<im_start>", "<im_end>")


class MoraTokenizer(ABC):
    """What models share: prompts are lists of parts, answers hold [SEG] and [LOC]."""

    bos: int
    eos: int

    @staticmethod
    def load(folder: Path) -> "MoraTokenizer":
        """Read a model folder's tokenizer: ``tokenizer.json``, or Llama's ``tokenizer.model``.

        Raises:
            ModelError: both are missing, or it is damaged.
        """
        if (folder / "tokenizer.json").is_file():
            return BpeTokenizer(Tokenizer.from_file(str(folder / "tokenizer.json")))
        if (folder / "tokenizer.model").is_file():
            return LlamaTokenizer(folder)
        raise ModelError(f"{folder} holds no tokenizer.json and no tokenizer.model")

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the files that :meth:`load` reads."""

    @abstractmethod
    def __len__(self) -> int:
        """Size of the vocabulary."""

    @abstractmethod
    def find(self, token: str) -> int | None:
        """The id of a special token, or None where the vocabulary has none."""

    @abstractmethod
    def encode_text(self, text: str) -> list[int]:
        """Ids of plain text, whatever it looks like."""

    @abstractmethod
    def decode(self, ids: Sequence[int]) -> str:
        """Text of generated ids; special tokens are shown, ``</s>`` is not."""

    @abstractmethod
    def add(self, token: str) -> None:
        """Add a special token behind the others."""

    def id_of(self, token: str) -> int:
        """The id of a special token.

        Raises:
            ModelError: the vocabulary has no such token.
        """
        number = self.find(token)
        if number is None:
            raise ModelError(f"the tokenizer has no token {token!r}")
        return number

    def encode(self, parts: Sequence[Part]) -> list[int]:
        """Ids of a prompt, ``<s>`` first and IMAGE_ID for the picture."""
        ids = [self.bos]
        for i, part in enumerate(parts):
            if isinstance(part, Image):
                ids.append(IMAGE_ID)
            elif isinstance(part, Special):
                ids.append(self.id_of(part.token))
            else:
                before = i > 0 and isinstance(parts[i - 1], Special)
                after = i + 1 < len(parts) and isinstance(parts[i + 1], Special)
                ids.extend(self._between(part, before, after))
        return ids

    def encode_answer(self, text: str) -> list[int]:
        """Ids of a template's answer, in which [SEG] and [LOC] are tokens, ``</s>`` last."""
        ids: list[int] = []
        pieces = re.split(r"(\[SEG\]|\[LOC\])", text)
        for i, piece in enumerate(pieces):
            if piece in ("[SEG]", "[LOC]"):
                ids.append(self.id_of(piece))
            else:
                ids.extend(self._between(piece, i > 0, i + 1 < len(pieces)))
        return [*ids, self.eos]

    def _between(self, text: str, before: bool, after: bool) -> list[int]:
        """Ids of text with an added token before or after it."""
        del before, after
        return self.encode_text(text) if text else []


class BpeTokenizer(MoraTokenizer):
    """A ``tokenizer.json`` with the tokens that MoRA adds."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        # Text that looks like a special token is spelled out like any other text.
        tokenizer.encode_special_tokens = True
        self._tokenizer = tokenizer
        self.bos, self.eos = self.id_of("<s>"), self.id_of("</s>")

    @classmethod
    def train(cls, texts: Iterable[str], vocabulary: int) -> "BpeTokenizer":
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

    def find(self, token: str) -> int | None:
        """The id of a special token, or None."""
        number = self._tokenizer.token_to_id(token)
        return None if number is None else int(number)

    def add(self, token: str) -> None:
        """Add a special token behind the others."""
        self._tokenizer.add_special_tokens([token])

    def encode_text(self, text: str) -> list[int]:
        """Ids of plain text, whatever it looks like."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of generated ids; special tokens are shown, ``</s>`` is not."""
        pieces: list[str] = []
        run: list[int] = []
        specials = {self.find(t): t for t in _ADDED}
        for number in ids:
            if number in specials or number == self.eos:
                pieces.append(self._tokenizer.decode(run, skip_special_tokens=False))
                pieces.append(specials.get(number, ""))
                run = []
            else:
                run.append(number)
        pieces.append(self._tokenizer.decode(run, skip_special_tokens=False))
        return "".join(pieces)


class LlamaTokenizer(MoraTokenizer):
    """Llama's sentencepiece model with added tokens, as the transformers of LISA's time did it.

    Later versions give other ids for the same text: the white space beside added tokens goes, and
    every piece between them is encoded by itself, with the space that sentencepiece puts in front.
    """

    def __init__(self, folder: Path) -> None:
        """Read ``tokenizer.model`` and ``added_tokens.json``.

        Raises:
            ModelError: they are damaged.
        """
        self._model = (folder / "tokenizer.model").read_bytes()
        added = folder / "added_tokens.json"
        try:
            self._pieces = sentencepiece.SentencePieceProcessor(model_proto=self._model)
            self._added = {
                str(token): int(number)
                for token, number in json.loads(
                    added.read_text() if added.is_file() else "{}"
                ).items()
            }
        except (RuntimeError, ValueError, AttributeError) as error:
            raise ModelError(f"{folder} holds a damaged tokenizer: {error}") from error
        self._texts = {number: token for token, number in self._added.items()}
        self.bos, self.eos = self._pieces.bos_id(), self._pieces.eos_id()

    def save(self, folder: Path) -> None:
        """Write ``tokenizer.model`` and ``added_tokens.json``."""
        (folder / "tokenizer.model").write_bytes(self._model)
        (folder / "added_tokens.json").write_text(json.dumps(self._added, indent=1) + "\n")

    def __len__(self) -> int:
        return max([len(self._pieces), *(n + 1 for n in self._texts)])

    def find(self, token: str) -> int | None:
        """The id of a special token, or None."""
        if token in self._added:
            return self._added[token]
        number = int(self._pieces.piece_to_id(token))
        return None if number == self._pieces.unk_id() and token != "<unk>" else number

    def add(self, token: str) -> None:
        """Add a special token behind the others."""
        number = len(self)
        self._added[token], self._texts[number] = number, token

    def encode_text(self, text: str) -> list[int]:
        """Ids of plain text, whatever it looks like."""
        return list(self._pieces.encode(text))

    def _between(self, text: str, before: bool, after: bool) -> list[int]:
        text = text.lstrip() if before else text
        text = text.rstrip() if after else text
        return self.encode_text(text) if text else []

    def decode(self, ids: Sequence[int]) -> str:
        """Text of generated ids, white space around added tokens; ``</s>`` is not shown."""
        pieces: list[str] = []
        run: list[int] = []
        for number in [*ids, self.eos]:
            if number in self._texts or number == self.eos:
                pieces += [self._pieces.decode(run), self._texts.get(number, "")]
                run = []
            else:
                run.append(number)
        return " ".join(p for p in pieces if p)
