"""Several numbers at a time: a processor's vector registers as values in a compiled kernel.

LLVM makes vector instructions of simple loops by itself, but not of one that picks the largest of
a window, and it does not keep a block of results in registers while a loop runs over what is
summed into them. With these few functions a kernel says so. A vector holds as many float32 or
float64 as one register of this processor, `lanes` of them. In plain Python (NUMBA_DISABLE_JIT=1)
it is a small array.

Arrays are contiguous and positions in them flat: element i of `array.reshape(-1)`. Nothing keeps
a position inside the array.
"""

from collections.abc import Callable
from inspect import signature
from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.extending import lower_builtin, models, register_model, type_callable

_llvm: Any = cgutils  # which has no types
REGISTER_BYTES = 64 if binding.get_host_cpu_features().get("avx512f") else 32

# ---- what they do --------------------------------------------------------------------------


def lanes(array: Any) -> int:
    """How many of an array's elements a vector holds."""
    return REGISTER_BYTES // array.itemsize


def load(array: Any, i: Any) -> Any:
    """The elements from position i on."""
    return array.reshape(-1)[i : i + lanes(array)].copy()


def store(array: Any, i: Any, vector: Any) -> None:
    """Write a vector to the elements from position i on."""
    array.reshape(-1)[i : i + lanes(array)] = vector


def copy(source: Any, i: Any, target: Any, j: Any, count: Any) -> None:
    """Copy some elements from position i on to position j on, of arrays that do not overlap."""
    target.reshape(-1)[j : j + count] = source.reshape(-1)[i : i + count]


def broadcast(array: Any, i: Any) -> Any:
    """The element at position i in every lane."""
    return np.full(lanes(array), array.reshape(-1)[i])


def zeros(array: Any) -> Any:
    """0 in every lane, of the array's type."""
    return np.zeros(lanes(array), array.dtype)


def add(a: Any, b: Any) -> Any:
    """a + b, lane by lane."""
    return a + b


def subtract(a: Any, b: Any) -> Any:
    """a − b."""
    return a - b


def multiply_add(a: Any, b: Any, c: Any) -> Any:
    """a · b + c, rounded once."""
    return a * b + c


def if_larger(x: Any, y: Any, a: Any, b: Any) -> Any:
    """a where x > y, else b."""
    return np.where(x > y, a, b)


def if_at_most(x: Any, y: Any, a: Any, b: Any) -> Any:
    """a where x ≤ y, else b."""
    return np.where(x <= y, a, b)


def if_equal(x: Any, y: Any, a: Any, b: Any) -> Any:
    """a where x = y, else b."""
    return np.where(x == y, a, b)


def evens(a: Any, b: Any) -> Any:
    """Every second lane of a and b behind each other, from the first on."""
    return np.concatenate([a, b])[::2]


def odds(a: Any, b: Any) -> Any:
    """The others."""
    return np.concatenate([a, b])[1::2]


def mixed_first(a: Any, b: Any) -> Any:
    """a₀ b₀ a₁ b₁ …, the first half of it."""
    return np.stack([a, b], 1).reshape(-1)[: len(a)]


def mixed_last(a: Any, b: Any) -> Any:
    """The last half of it."""
    return np.stack([a, b], 1).reshape(-1)[len(a) :]


def over_lanes(a: Any) -> Any:
    """The sum over the lanes, in float64."""
    return float(np.sum(a, dtype=np.float64))


# ---- how the compiler writes them ----------------------------------------------------------


class Vector(types.Type):
    """The type of a vector, for Numba."""

    def __init__(self, dtype: Any) -> None:
        self.dtype, self.lanes = dtype, REGISTER_BYTES * 8 // dtype.bitwidth
        super().__init__(f"vector of {self.lanes} {dtype}")


@register_model(Vector)
class _Model(models.PrimitiveModel):
    def __init__(self, manager: Any, vector: Vector) -> None:
        element = manager.lookup(vector.dtype).get_value_type()
        lanes_of = ir.VectorType(element, vector.lanes)
        super().__init__(manager, vector, lanes_of)  # type: ignore[no-untyped-call]


def _address(context: Any, builder: Any, kind: Any, array: Any, i: Any) -> Any:
    """Of an element, by its flat position in a contiguous array."""
    if kind.layout != "C":
        raise TypingError(f"vectors are loaded from contiguous arrays, not {kind}")
    return builder.gep(context.make_array(kind)(context, builder, array).data, [i])


def _place(context: Any, builder: Any, signature: Any, array: Any, i: Any) -> Any:
    """Of a vector that begins with this element."""
    kind = signature.args[0]
    address = _address(context, builder, kind, array, i)
    return builder.bitcast(address, context.get_value_type(Vector(kind.dtype)).as_pointer())


def _alignment(signature: Any) -> int:
    """Of arrays: that of an element."""
    return int(signature.args[0].dtype.bitwidth // 8)


def _shuffle(builder: Any, a: Any, b: Any, picked: Any) -> Any:
    """The lanes of a and b behind each other, by number."""
    numbers = ir.Constant(ir.VectorType(ir.IntType(32), len(picked)), list(picked))
    return builder.shuffle_vector(a, b, numbers)


def _load(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    place = _place(context, builder, signature, *arguments)
    return builder.load(place, align=_alignment(signature))


def _store(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    place = _place(context, builder, signature, *arguments[:2])
    builder.store(arguments[2], place, align=_alignment(signature))
    return context.get_dummy_value()


def _copy(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    of, _, to, _, _ = signature.args
    source, i, target, j, count = arguments
    to, of = _address(context, builder, to, target, j), _address(context, builder, of, source, i)
    _llvm.raw_memcpy(builder, to, of, count, _alignment(signature))
    return context.get_dummy_value()


def _broadcast(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    vector = signature.return_type
    element = builder.load(_address(context, builder, signature.args[0], *arguments))
    empty = ir.Constant(context.get_value_type(vector), ir.Undefined)
    one = builder.insert_element(empty, element, ir.Constant(ir.IntType(32), 0))
    return _shuffle(builder, one, empty, [0] * vector.lanes)


def _zeros(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    return ir.Constant(context.get_value_type(signature.return_type), None)


def _lanes(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    return context.get_constant(types.intp, Vector(signature.args[0].dtype).lanes)


def _fma(builder: Any, a: Any, b: Any, c: Any) -> Any:
    name = f"llvm.fma.v{a.type.count}f{32 if isinstance(a.type.element, ir.FloatType) else 64}"
    kind = ir.FunctionType(a.type, [a.type] * 3)
    return builder.call(_llvm.get_or_insert_function(builder.module, kind, name), [a, b, c])


def _over_lanes(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    wide = ir.VectorType(ir.DoubleType(), signature.args[0].lanes)
    name = f"llvm.vector.reduce.fadd.v{wide.count}f64"
    kind = ir.FunctionType(ir.DoubleType(), [ir.DoubleType(), wide])
    (vector,), zero = arguments, ir.Constant(ir.DoubleType(), -0.0)
    vector = vector if vector.type == wide else builder.fpext(vector, wide)
    total = _llvm.get_or_insert_function(builder.module, kind, name)
    return builder.call(total, [zero, vector], fastmath=["reassoc"])  # in pairs


def _compile(plain: Any, typed: Callable[..., Any], write: Callable[..., Any]) -> None:
    """Where a compiled kernel calls the plain function, `write` writes what it does."""
    type_callable(plain)(lambda context: typed)
    lower_builtin(plain, types.VarArg(types.Any))(write)  # type: ignore[no-untyped-call]


_compile(lanes, lambda array: types.intp, _lanes)
_compile(load, lambda array, i: Vector(array.dtype), _load)
_compile(store, lambda array, i, vector: types.void, _store)
_compile(copy, lambda source, i, target, j, count: types.void, _copy)
_compile(broadcast, lambda array, i: Vector(array.dtype), _broadcast)
_compile(zeros, lambda array: Vector(array.dtype), _zeros)
_compile(over_lanes, lambda a: types.float64, _over_lanes)


def _compile_between_vectors(plain: Any, write: Callable[..., Any]) -> None:
    """The same for a function of vectors to a vector."""
    of = {2: lambda a, b: a, 3: lambda a, b, c: a, 4: lambda x, y, a, b: a}
    typed: Any = of[len(signature(plain).parameters)]
    _compile(plain, typed, lambda context, builder, signature, given: write(builder, *given))


def _compile_choice(plain: Any, how: str) -> None:
    _compile_between_vectors(plain, lambda b, x, y, *ab: b.select(b.fcmp_ordered(how, x, y), *ab))


def _compile_shuffle(plain: Any, picked: Callable[[int], Any]) -> None:
    _compile_between_vectors(plain, lambda b, x, y: _shuffle(b, x, y, picked(x.type.count)))


_compile_between_vectors(add, lambda b, x, y: b.fadd(x, y))
_compile_between_vectors(subtract, lambda b, x, y: b.fsub(x, y))
_compile_between_vectors(multiply_add, _fma)
_compile_choice(if_larger, ">")
_compile_choice(if_at_most, "<=")
_compile_choice(if_equal, "==")
_compile_shuffle(evens, lambda n: range(0, 2 * n, 2))
_compile_shuffle(odds, lambda n: range(1, 2 * n, 2))
_compile_shuffle(mixed_first, lambda n: [i // 2 + i % 2 * n for i in range(n)])
_compile_shuffle(mixed_last, lambda n: [i // 2 + i % 2 * n for i in range(n, 2 * n)])
