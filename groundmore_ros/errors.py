# SPDX-License-Identifier: Apache-2.0
"""The exception family of the package.

Every error that a user's input can cause is a :class:`GroundmoreError`; the command line prints its
message as one line, the node turns it into an answer's status. Messages show the offending value
and what was expected.
"""

__all__ = [
    "BadFrameError",
    "BadQuestionError",
    "GroundmoreError",
    "MissingDependencyError",
    "ModelError",
    "SourceError",
]


class GroundmoreError(Exception):
    """Base of all errors raised on purpose by this package."""


class BadFrameError(GroundmoreError):
    """An image that cannot be decoded: unknown encoding, short data, impossible size."""


class BadQuestionError(GroundmoreError):
    """A question that cannot be asked: empty, too long, an unknown camera, a bad window."""


class MissingDependencyError(GroundmoreError):
    """An optional library or system package is absent; the message says how to get it."""


class ModelError(GroundmoreError):
    """A model that cannot be found, read or run as asked."""


class SourceError(GroundmoreError):
    """A bag, video, folder or data set that cannot be read as asked."""
