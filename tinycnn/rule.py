"""What is known of an operation's derivatives before it is called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Rule(NamedTuple):
    """A derivative as it was declared: the places of the arguments it is with respect to, and the
    places in an operation's row of what it asks for.
    """

    of: tuple[int, ...]
    needs: tuple[int, ...]
    apply: Callable[..., Any]

    def fed(self) -> Callable[[Any, list[Any]], Any]:
        """The derivative as a function of the cotangent and the row."""
        apply, needs = self.apply, self.needs
        if not needs:
            return lambda g, row: apply(g)
        if len(needs) == 1:  # cheaper than a list of one
            (place,) = needs
            return lambda g, row: apply(g, row[place])
        return lambda g, row: apply(g, *[row[place] for place in needs])


class Plan:
    """The way back through an operation where certain of its arguments want a gradient.

    Attributes:
        name: the operation's.
        row: the names of the places: the arguments, the result, and what else rules ask for.
        single: the place of an argument, and the derivative with respect to it.
        joint: the places of several arguments, and the derivatives of one rule for all of them.
        inputs: the places of the arguments that a rule needs, as they are now.
        result: whether a rule needs the result.
        dropped: the places of what no rule needs.
    """

    def __init__(self, name: str, row: list[str], arguments: int, rules: list[Rule]) -> None:
        self.name, self.row = name, tuple(row)
        self.single = [(rule.of[0], rule.fed()) for rule in rules if len(rule.of) == 1]
        self.joint = [(rule.of, rule.fed()) for rule in rules if len(rule.of) > 1]
        needed = {place for rule in rules for place in rule.needs}
        self.inputs = [place for place in range(arguments) if place in needed]
        self.result = arguments in needed
        self.dropped = [place for place in range(len(row)) if place not in needed]
