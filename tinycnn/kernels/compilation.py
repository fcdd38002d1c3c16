"""Who wants to know that kernels have to be compiled, which takes some seconds."""

from collections.abc import Callable

_to_tell: list[Callable[[], None]] = []


def tell(listener: Callable[[], None]) -> None:
    """Have it called when the next kernel is compiled, once, instead of who was to be told before.

    >>> tell(lambda: print("a moment, please"))
    >>> begins()
    a moment, please
    >>> begins()
    """
    _to_tell[:] = [listener]


def begins() -> None:
    """A kernel is about to be compiled."""
    while _to_tell:
        _to_tell.pop()()
