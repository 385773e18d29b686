# SPDX-License-Identifier: Apache-2.0
"""What may be asked."""

from groundmore_ros.errors import BadQuestionError

__all__ = ["MAX_QUESTION", "check_question"]

MAX_QUESTION = 1000  # characters


def check_question(question: str) -> str:
    """The question as it is asked: printable, its white space made single.

    Raises:
        BadQuestionError: it is empty or too long.
    """
    if len(question) > MAX_QUESTION:
        raise BadQuestionError(
            f"the question has {len(question)} characters; expected at most {MAX_QUESTION}"
        )
    text = " ".join("".join(c if c.isprintable() else " " for c in question).split())
    if not text:
        raise BadQuestionError("the question is empty")
    return text
