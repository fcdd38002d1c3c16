"""Matrix products that are made of small ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinycnn.kernels.cpu import matrix

sizes = st.integers(1, 40)


@given(sizes, sizes, sizes, st.booleans(), st.booleans())
def test_product_of_pieces_is_the_product(n, k, m, turn_x, turn_y):
    rng = np.random.default_rng(n * 1681 + k * 41 + m)
    x = rng.integers(-9, 9, (k, n)).T if turn_x else rng.integers(-9, 9, (n, k))
    y = rng.integers(-9, 9, (m, k)).T if turn_y else rng.integers(-9, 9, (k, m))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matrix, "SMALL", 100)
        matrix._pieces.cache_clear()
        assert (matrix.matmul(x.astype("f"), y.astype("f")) == x @ y).all()
    matrix._pieces.cache_clear()


@given(st.integers(1, 300), st.integers(1, 5000), st.integers(1, 300))
def test_no_piece_of_a_product_is_large_enough_for_blas_to_share_it(n, k, m):
    for rows, columns in matrix._pieces(n, k, m):
        assert (rows.stop - rows.start) * (columns.stop - columns.start) * k <= matrix.SMALL
