"""Exceptions with the names of the official SDK."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from iofog_sdk import IoFogError, RequestRefused

__all__ = ["IoFogException", "IoFogHttpException"]


class IoFogException(Exception):  # noqa: N818 - the official name
    """A call failed. Its argument is the text or the exception that says why."""


class IoFogHttpException(IoFogException):
    """The node answered a request with an error status; the argument of the IoFogException that a call raises.

    Parameters:
        code: HTTP status.
        message: text of the reply.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(code, message)
        self.code, self.message = code, message

    def __str__(self) -> str:
        return f"Error code: {self.code}, reason: {self.message}"


@contextlib.contextmanager
def as_iofog_exceptions() -> Iterator[None]:
    """Raises errors of `iofog_sdk`, and of values that it cannot use, as IoFogException."""
    try:
        yield
    except RequestRefused as refusal:
        raise IoFogException(IoFogHttpException(refusal.status, refusal.text)) from refusal
    except (IoFogError, ValueError, TypeError) as error:
        raise IoFogException(error) from error
