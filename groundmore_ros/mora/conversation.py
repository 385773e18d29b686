# SPDX-License-Identifier: Apache-2.0
"""Prompt templates: the text around the picture and the question.

A prompt is a list of parts: plain text, IMAGE (where the visual tokens go) and Special tokens.
What a user types is only ever plain text, so "[SEG]" or "<s>" in a question cannot act as a token.
"""

from collections.abc import Callable
from typing import NamedTuple

__all__ = ["IMAGE", "Image", "Part", "Special", "build_prompt"]


class Special(NamedTuple):
    """A token that is looked up by name, never spelled out."""

    token: str


class Image(NamedTuple):
    """The place of the visual tokens."""


Part = str | Special | Image
IMAGE = Image()

_LLAVA_SYSTEM = (
    "A chat between a curious human and an artificial intelligence assistant. The assistant gives "
    "helpful, detailed, and polite answers to the human's questions."
)
_LLAMA_2_SYSTEM = (
    "You are a helpful language and vision assistant. You are able to understand the visual "
    "content that the user provides, and assist the user with a variety of tasks using natural "
    "language."
)
_PICTURE: list[Part] = [Special("<im_start>"), IMAGE, Special("<im_end>")]


def _llava_v1(question: str) -> list[Part]:
    return [f"{_LLAVA_SYSTEM} USER: ", *_PICTURE, f"\n{question} ASSISTANT:"]


def _llava_llama_2(question: str) -> list[Part]:
    return [
        f"[INST] <<SYS>>\n{_LLAMA_2_SYSTEM}\n<</SYS>>\n\n",
        *_PICTURE,
        f"\n{question} [/INST]",
    ]


def _plain(question: str) -> list[Part]:
    """For models with a small vocabulary: a word is one word, wherever it stands in a sentence."""
    return [IMAGE, f" {question.strip().rstrip('?!. ').lower()}\n"]


_TEMPLATES: dict[str, Callable[[str], list[Part]]] = {
    "llava_v1": _llava_v1,
    "llava_llama_2": _llava_llama_2,
    "plain": _plain,
}


def build_prompt(template: str, question: str) -> list[Part]:
    """The parts of a first turn, up to where the answer begins.

    Args:
        template: ``llava_v1``, ``llava_llama_2`` or ``plain``.
        question: as the model is to read it, any suffix included.
    """
    return _TEMPLATES[template](question)
