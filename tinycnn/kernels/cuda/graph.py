"""CUDA graphs: launches that are recorded once and then repeated, all of them by one call.

A recording keeps the addresses and the numbers that each kernel was given. So arrays have to stay
where they are, and a number that is to change has to lie in the device's memory.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from tinycnn.kernels.types import Array

# While something is recorded: where the device counts the replays, which begin at 1.
replay: Array | None = None


class Graph:
    """What a function launches on a card.

    Attributes:
        result: what the function gave. Every launch of the graph writes to the same arrays.
    """

    def __init__(self, work: Callable[[], Any], card: Any) -> None:
        global replay
        import cupy

        with card:
            # The memory of the graph's arrays is given to nobody else, also when they are freed.
            self._memory, stream = cupy.cuda.MemoryPool(), cupy.cuda.Stream(non_blocking=True)
            self._replay = cupy.zeros((), np.uint64)
            self._replay += 1  # so that this kernel is compiled before the recording
            replay = self._replay
            with stream, cupy.cuda.using_allocator(self._memory.malloc):
                stream.begin_capture()
                try:
                    self.result = work()
                    self._replay += 1
                finally:
                    replay = None
                    self._graph = stream.end_capture()

    def launch(self) -> None:
        """Do it all once more, without waiting for it."""
        self._graph.launch()
