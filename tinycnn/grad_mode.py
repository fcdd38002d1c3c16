"""Whether operations remember how their results were made."""

from __future__ import annotations

import threading
from contextlib import ContextDecorator
from types import TracebackType


class _Mode(threading.local):
    remembering = True


_mode = _Mode()


def is_grad_enabled() -> bool:
    """Whether operations are recorded in this thread."""
    return _mode.remembering


class _Switch(ContextDecorator):
    """Turns recording on or off, as a `with` block or a decorator."""

    to: bool

    def __init__(self) -> None:
        self._before: list[bool] = []

    def _recreate_cm(self) -> _Switch:
        # a decorator's switch serves every call: each needs its own, whatever its thread
        return type(self)()

    def __enter__(self) -> None:
        self._before.append(_mode.remembering)
        _mode.remembering = self.to

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _mode.remembering = self._before.pop()


class no_grad(_Switch):
    """Nothing is recorded in this block: for inference, and for changing parameters.

    >>> import tinycnn as tc
    >>> x = tc.tensor([1.0], requires_grad=True)
    >>> with tc.no_grad():
    ...     (x * 2).requires_grad
    False
    """

    to = False


class enable_grad(_Switch):
    """Operations are recorded in this block, also inside `no_grad`."""

    to = True
