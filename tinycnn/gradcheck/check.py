"""The check: claimed gradients against independent ones.

Small inputs are gone through element by element: the slope of every output along each element
gives the whole Jacobian, and its product with a cotangent must be the gradient for it. For large
ones the dot-product test is made, ⟨J v, g⟩ = ⟨v, Jᵀ g⟩, for directions v and cotangents g drawn at
random: the left side takes one slope along v, the right side one backward pass.
"""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np

from tinycnn.gradcheck import contract, telling
from tinycnn.gradcheck.complex_step import Unsuited
from tinycnn.gradcheck.elements import jacobian
from tinycnn.gradcheck.oracle import Oracle
from tinycnn.gradcheck.report import Finding, Report
from tinycnn.gradcheck.subject import Subject
from tinycnn.gradcheck.telling import Elsewhere
from tinycnn.gradcheck.verdict import Verdict
from tinycnn.gradcheck.witness import Witness
from tinycnn.kernels.types import Array

ELEMENTS = 256  # of all inputs, up to which each is looked at
PRODUCT = 2**22  # elements of the inputs × of the output, likewise
COTANGENTS = 2  # drawn at random
UNITS = 2  # cotangents that look at a single output
DIRECTIONS = 2  # for each cotangent and each input, where it is large
METHODS = ("complex step", "differences")


def check(subject: Subject, seed: int, method: str | None) -> Report:
    """Check a subject; by differences if complex numbers do not pass and no method is forced."""
    if not subject.point:
        raise ValueError(
            "gradcheck: none of the inputs is an array of float32 or float64 numbers; "
            "make one by np.asarray(x, float), and give several in a tuple"
        )
    for name, x in zip(subject.names, subject.point, strict=True):
        if not np.isfinite(x).all():
            raise ValueError(f"gradcheck: {name} holds a NaN or infinity, where nothing is smooth")
    if method not in (None, *METHODS):
        raise ValueError(f"gradcheck: no method {method!r}; there are {', '.join(METHODS)}")
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("error", np.exceptions.ComplexWarning)
        if method != "differences":
            try:
                return _checked(subject, seed, "complex step")
            except Unsuited as reason:
                if method is not None:
                    raise ValueError(f"gradcheck: no complex step here: {reason}") from reason
        return _checked(subject, seed, "differences")


def _checked(subject: Subject, seed: int, method: str) -> Report:
    rng = np.random.default_rng(seed)
    elsewhere = _call_elsewhere(subject, rng) if subject.order == 1 else None
    kept = [x.copy() for x in subject.point]
    output = subject.forward(subject.point)
    broken = contract.changed(subject, kept, "forward")
    if subject.order == 1 and not (broken or contract.same(output, subject.forward(subject.point))):
        told = "the forward function gives another output for the same inputs"
        broken.append(Finding("output", "not the same twice", told=told))
    if output.dtype.kind != "f":
        raise ValueError(f"gradcheck: the output is of {output.dtype}, which has no derivative")
    oracle = Oracle(subject, method, rng)
    verdict = Verdict(Witness(subject, oracle, output, rng))
    elements = sum(x.size for x in subject.point)
    small = elements <= ELEMENTS and elements * output.size <= PRODUCT
    findings = broken or _findings(verdict, small, elsewhere)
    single = any(x.dtype == np.float32 for x in subject.point)
    return Report(
        tuple(findings),
        method + ("" if small else ", directions"),
        verdict.worst,
        verdict.worst * 2**23 if single else None,
        verdict.compared,
        verdict.kinks,
        verdict.unresolved,
    )


def _call_elsewhere(subject: Subject, rng: np.random.Generator) -> Elsewhere | None:
    """A call at another point, which the calls that count must not remember: the same elements in
    another order, and a little changed, so that the function is defined there too.
    """
    point = []
    for x in subject.point:
        shuffled = rng.permutation(x.flatten()).reshape(x.shape)
        point.append((shuffled * (1 + rng.uniform(-0.25, 0.25, x.shape))).astype(x.dtype))
    try:
        output = subject.forward([x.copy() for x in point])
        g = np.asarray(rng.standard_normal(output.shape), output.dtype)
        subject.backward([x.copy() for x in point], g.copy())
    except Exception:  # whatever a function says at a point for which it is not defined
        return None
    return Elsewhere(point, g)


def _findings(verdict: Verdict, small: bool, elsewhere: Elsewhere | None) -> list[Finding]:
    """Everything that is to be checked, as far as it makes sense after what was found before."""
    witness = verdict.witness
    if not all(np.isfinite(y).all() for y in (witness.oracle.y, witness.output)):
        return [Finding("output", "not finite", told="so nothing can be checked")]
    cotangents = [witness.cotangent() for _ in range(COTANGENTS)]
    findings: list[Finding] = []
    if witness.subject.order == 1:
        findings += contract.breaches(witness.subject, cotangents[0])
    if any(f.trouble == "changed in place" for f in findings):
        return findings
    if witness.oracle.method == "complex step":
        witness.oracle.trust()
    if any(f.trouble == "wrong shape" for f in findings):
        return _diagnosed(verdict, findings, cotangents[0]) if small else findings
    if small:
        findings += _element_by_element(verdict, cotangents, elsewhere)
    else:
        findings += _along_directions(verdict, cotangents)
    return findings or list(contract.accumulation(witness.subject, cotangents[0]))


def _element_by_element(
    verdict: Verdict, cotangents: list[Array], elsewhere: Elsewhere | None
) -> list[Finding]:
    witness = verdict.witness
    known = [jacobian(witness.oracle, i) for i in range(len(witness.subject.point))]
    verdict.kinks = sum(len(columns.sides) for columns in known)
    findings: dict[int, Finding] = {}  # the first of each input
    if witness.subject.order == 1:
        cotangents = [*cotangents, *witness.units(UNITS).values()]
    for g in cotangents:
        for i, (analytic, columns) in enumerate(zip(witness.gradients(g), known, strict=True)):
            if i not in findings and not verdict.is_right(i, analytic, columns, g):
                findings[i] = telling.finding(
                    witness, i, analytic, columns, g, verdict.rtol(i), elsewhere
                )
    return list(findings.values())


def _diagnosed(verdict: Verdict, findings: list[Finding], g: Array) -> list[Finding]:
    """Gradients of a wrong shape, with what they look like."""
    witness = verdict.witness
    claimed = witness.subject.backward(witness.subject.point, g)
    told = []
    for finding in findings:
        i = witness.subject.names.index(finding.input)
        analytic = claimed[i]
        if finding.trouble == "wrong shape" and analytic is not None:
            looks_like = telling.of_another_shape(
                witness, i, np.asarray(analytic), g, verdict.rtol(i)
            )
            finding = replace(finding, looks_like=looks_like)
        told.append(finding)
    return told


def _along_directions(verdict: Verdict, cotangents: list[Array]) -> list[Finding]:
    return [
        telling.finding_in_large(verdict.witness, i, cotangents[0], verdict.rtol(i))
        for i in range(len(verdict.witness.subject.point))
        if not all(verdict.is_right_along(i, g) for g in cotangents * DIRECTIONS)
    ]
