"""What a check found, as data and as a text that reads well."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """One element of a wrong gradient: what the code gives, what it should be, and by how much the
    latter may be off.
    """

    index: tuple[int, ...]
    analytic: float
    numeric: float
    error: float


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with one input's gradient.

    Attributes:
        input: its name.
        trouble: "wrong gradient", "wrong shape", "wrong dtype", "changed in place", "shares
            memory", "not the same twice", "not linear", "depends on the layout", "not
            asked for", "not accumulated" or "not finite".
        looks_like: the mistake that would give such a gradient; "" if none that is known would.
        entries: the worst elements.
        told: more about it, for the reader.
    """

    input: str
    trouble: str
    looks_like: str = ""
    entries: tuple[Entry, ...] = ()
    told: str = ""

    def __str__(self) -> str:
        lines = [f"{self.input}: {self.trouble}" + (f", {self.told}" if self.told else "")]
        if self.looks_like:
            lines.append(f"  looks like: {self.looks_like}")
        if self.entries:
            lines.append(f"  {'at':12} {'computed':>23} {'should be':>23} {'known to ±':>11}")
        for e in self.entries:
            place = str(list(e.index))
            lines.append(f"  {place:12} {e.analytic:23.16g} {e.numeric:23.16g} {e.error:11.1e}")
        return "\n".join(lines)


@dataclass(frozen=True)
class Report:
    """The outcome of a check; `str()` tells it.

    Attributes:
        findings: what is wrong; none if all is right.
        method: how the independent derivative was found: "complex step" or "differences", with
            ", directions" where the inputs were too large to go through element by element.
        worst: the largest difference, relative to the sum of the absolute values of the terms
            that the derivative adds up.
        ulp: for float32 inputs the same in units of the last place, else None.
        compared: numbers compared, or directions of large inputs.
        kinks: elements (or directions) that lie on a kink or a tie, where there is no derivative:
            what the code gives there is between the slopes on the two sides, or in the findings.
        unresolved: elements whose independent derivative is known to less than three digits.
    """

    findings: tuple[Finding, ...]
    method: str
    worst: float
    ulp: float | None
    compared: int
    kinks: int
    unresolved: int

    @property
    def ok(self) -> bool:
        """Whether nothing wrong was found."""
        return not self.findings

    def __str__(self) -> str:
        how = f"{self.compared} numbers by {self.method}"
        if self.ok:
            worst = f"{self.ulp:.1f} ulp" if self.ulp is not None else f"{self.worst:.1e}"
            head = f"gradients right: {how}, worst error {worst}"
        else:
            head = f"gradients WRONG: {how}"
        if self.kinks:
            head += f"; {self.kinks} on a kink or tie, where any slope between is right"
        if self.unresolved:
            head += f"; {self.unresolved} could not be resolved"
        return "\n".join([head, *map(str, self.findings)])
