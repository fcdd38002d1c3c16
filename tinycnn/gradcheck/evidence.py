"""What was found about one input whose gradient is wrong: what a diagnosis has to go by."""

from __future__ import annotations

from dataclasses import dataclass

from tinycnn.kernels.types import Array


@dataclass(frozen=True)
class Evidence:
    """The gradient of one input, as computed by the code under check and as it should be.

    With X the input's shape and Y the output's:

    Attributes:
        x: X, the input.
        result: Y, the output.
        cotangent: Y, the cotangent for which the gradients were taken.
        analytic: X, what the code under check gives (another shape if that is what is wrong).
        numeric: X, the independent derivative.
        tolerance: X, by how much the two may differ.
        slopes: (*X, *Y), the independent derivative of every output by every element of x; the
            gradient is its product with the cotangent. None if x is too large.
        rows: for some elements of the output, given by index in Y: the gradients X that the code
            under check gives for the cotangent that is 1 there and 0 elsewhere.
        earlier: true gradients X of an earlier call, at another point: what a stale cache gives.
        kinks: X, true where x lies on a kink or a tie; there `numeric` is a one-sided slope.
    """

    x: Array
    result: Array
    cotangent: Array
    analytic: Array
    numeric: Array
    tolerance: Array
    slopes: Array | None
    rows: dict[tuple[int, ...], Array]
    earlier: tuple[Array, ...]
    kinks: Array

    @property
    def wrong(self) -> Array:
        """X, true where the two differ by more than they may; a NaN always does."""
        return ~(abs(self.analytic - self.numeric) <= self.tolerance)
