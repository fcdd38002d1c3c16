"""Do gradient checkers find wrong gradients, and say what is wrong with them?

Every applicable mistake is planted in the derivative of every operation, and every checker is
asked about each, on the same inputs: ten minutes. Then one gradient that has vanished,
right and wrong.

    pip install tinycnn[bench]
    python benchmarks/mutants [--markdown] [OPERATION ...]
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import vanished
from checkers import CHECKERS
from kinds import Mutant, Pair, changes_nothing, mutants
from operations import OPERATIONS, Operation

OURS = "tinycnn"
SMALL = 1e-7  # what averaging over a large batch of images makes of a gradient


class Tally(NamedTuple):
    """How many mutants of each kind there are, and what each checker made of them."""

    kinds: Counter[str]
    caught: dict[str, Counter[str]]
    named: Counter[str]
    alarms: dict[str, list[str]]


def scaled(pair: Pair, factor: float) -> Pair:
    """A function times a factor, and its gradient likewise."""
    forward, backward = pair
    return (
        lambda *inputs: factor * forward(*inputs),
        lambda g, *inputs: [factor * d for d in backward(g, *inputs)],
    )


def count(
    operations: Sequence[Operation], chosen: Sequence[Mutant], factor: float, quiet: bool
) -> Tally:
    """Ask every checker about every mutant, and about every operation as it is."""
    tally = Tally(Counter(), defaultdict(Counter), Counter(), defaultdict(list))
    for op in operations:
        for name, checker in CHECKERS.items():
            if not checker(*scaled((op.forward, op.backward), factor), op.inputs)[0]:
                tally.alarms[name].append(op.name)
    for mutant in chosen:
        tally.kinds[mutant.kind] += 1
        for name, checker in CHECKERS.items():
            right, told = checker(*scaled(mutant.make(), factor), mutant.operation.inputs)
            tally.caught[name][mutant.kind] += not right
            if name != OURS:
                continue
            named = any(t.startswith(mutant.names) for t in told.split("; "))
            tally.named[mutant.kind] += named
            if not named and not quiet:
                what = "missed" if right else f"called {told!r}"
                print(f"{mutant.operation.name}, input {mutant.input}: {mutant.kind}: {what}")
    return tally


def percent(part: int, whole: int) -> str:
    """With one digit, and never rounded up to 100."""
    return f"{np.floor(1000 * part / whole) / 10:.1f} %"


def by_checker(tally: Tally, small: Tally, operations: int) -> Iterator[tuple[str, ...]]:
    """The table's rows: how many were caught, named, and how many false alarms."""
    whole = tally.kinds.total()
    yield (
        "checker",
        "caught",
        "caught where all is 10⁻⁷ as large",
        "rightly named",
        f"false alarms ({operations} right operations)",
    )
    for name in CHECKERS:
        alarms = sorted({*tally.alarms[name], *small.alarms[name]})
        yield (
            name,
            percent(tally.caught[name].total(), whole),
            percent(small.caught[name].total(), whole),
            percent(tally.named.total(), whole) if name == OURS else "–",
            f"{len(alarms)} ({'; '.join(alarms)})" if alarms else "none",
        )


def by_kind(tally: Tally) -> Iterator[tuple[str, ...]]:
    """The table's rows: how many of each kind were caught by whom."""
    yield "mistake", "planted", *(f"caught by {name}" for name in CHECKERS), f"named by {OURS}"
    for kind, planted in tally.kinds.items():
        caught = [tally.caught[name][kind] for name in CHECKERS]
        yield kind, *map(str, (planted, *caught, tally.named[kind]))


def of_vanished() -> Iterator[tuple[str, ...]]:
    """The table's rows: what each checker says of the vanished gradient."""
    forward, backward, inputs = vanished.make()
    yield "first-layer gradient", *CHECKERS
    for told, factor in vanished.CHANGES.items():
        verdicts = [
            checker(forward, lambda g, w, factor=factor: (factor * backward(g, w)[0],), inputs)[0]
            for checker in CHECKERS.values()
        ]
        yield told, *("passes" if right else "**caught**" for right in verdicts)


def show(rows: Iterator[tuple[str, ...]]) -> None:
    """Print a table that is Markdown, and lined up for the eye."""
    table = list(rows)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    table.insert(1, tuple("-" * width for width in widths))
    for row in table:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print(f"| {' | '.join(cells)} |")
    print()


def main() -> None:
    """Count, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("operations", nargs="*", metavar="OPERATION", help="by default all")
    parser.add_argument("--markdown", action="store_true", help="the tables alone")
    options = parser.parse_args()
    chosen = [op for op in OPERATIONS if not options.operations or op.name in options.operations]
    made = [mutant for op in chosen for mutant in mutants(op)]
    wrong = [mutant for mutant in made if not changes_nothing(mutant)]
    tally = count(chosen, wrong, 1, options.markdown)
    small = count(chosen, wrong, SMALL, options.markdown)
    print(
        f"{len(wrong)} wrong gradients of {len(chosen)} operations "
        f"(and {len(made) - len(wrong)} mutants that change nothing, left out).\n"
    )
    show(by_checker(tally, small, len(chosen)))
    show(by_kind(tally))
    _, backward, inputs = vanished.make()
    size = np.abs(backward(np.ones(vanished.WIDTH), *inputs)[0])
    print(f"{vanished.LAYERS} sigmoid layers; gradients {size.min():.0e} to {size.max():.0e}.\n")
    show(of_vanished())


if __name__ == "__main__":
    main()
