"""Derivatives by a complex step: exact to rounding.

Where f is analytic, f(x + ihv) = f(x) + ih·f′(x)v − h²·f″/2 + …, so its imaginary part over h is
the derivative along v with an error of order h². Nothing is subtracted, so nothing cancels, and h
may be as small as 1e-100: a derivative of 1e-30 comes with all its digits.

Squire & Trapp, Using complex variables to estimate derivatives of real functions, SIAM Review 40
(1998) 110.
"""

from __future__ import annotations

import numpy as np

from tinycnn.gradcheck.subject import Arrays, Subject
from tinycnn.kernels.types import Array

STEP = 1e-100
UNDERFLOW = float(np.finfo(np.float64).tiny) / STEP  # smaller derivatives are lost: 2e-208


class Unsuited(Exception):
    """The function does not let complex numbers pass, or does not treat them as an analytic
    function does.
    """


def slope(subject: Subject, point: Arrays, direction: Arrays) -> tuple[Array, Array]:
    """The derivative of the output along a direction, and its error apart from rounding: what is
    lost by underflow.

    Args:
        subject: what is differentiated.
        point: float64 arrays, where.
        direction: float64 arrays of the same shapes.

    Raises:
        Unsuited: complex numbers do not pass.
    """
    moved = [x + (1j * STEP) * v for x, v in zip(point, direction, strict=True)]
    try:
        y = subject.forward(moved)
    except Exception as error:  # whatever a function says of numbers it does not expect
        raise Unsuited(str(error)) from error
    if y.dtype.kind != "c":
        raise Unsuited(f"gives {y.dtype} numbers for complex ones")
    along = y.imag / STEP
    return along, np.full_like(along, UNDERFLOW)
