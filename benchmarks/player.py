"""The worker process of a library, as the one that gives the orders sees it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from benchmarks.machine import ROOT, environment


class Trouble(Exception):
    """A library could not do what it was asked."""


class Player:
    """A worker process, which lives until `close`."""

    def __init__(self, library: str) -> None:
        self.library = library
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", library],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
            env=environment(),
        )

    def ask(self, do: str, **order: Any) -> Any:
        """Give an order and wait for the answer.

        Raises:
            Trouble: the library raised, or the process ended.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps({"do": do, **order}) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise Trouble(f"{self.library}: its process has ended") from None
        line = self.process.stdout.readline()
        if not line:
            raise Trouble(f"{self.library}: its process ended with code {self.process.wait()}")
        answer = json.loads(line)
        if "trouble" in answer:
            raise Trouble(answer["trouble"])
        return answer["answer"]

    def close(self) -> None:
        """Let the process end."""
        self.process.communicate()
