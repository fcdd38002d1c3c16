"""Arrays of any library that keeps the array API standard, with NumPy's methods.

The standard has functions where NumPy also has methods, and no current device. Each name here is
one that the reference kernels use, said in the standard's words; where they use another one, a
test says so.
"""

import numpy as np


def unwrapped(value):
    if isinstance(value, tuple):
        return tuple(map(unwrapped, value))
    return value.array if isinstance(value, StandardArray) else value


class StandardNamespace:
    """The functions and dtypes of a library, on one of its devices."""

    def __init__(self, library, device):
        self.library, self.device = library, device

    def __call__(self, array):
        return StandardArray(self, array)

    def __getattr__(self, name):
        """What is the same in the standard."""
        found = getattr(self.library, name)
        if not callable(found) or isinstance(found, type):
            return found

        def function(*arguments, **options):
            made = found(*map(unwrapped, arguments), **options)
            return self(made) if hasattr(made, "shape") else made

        return function

    def asarray(self, values, dtype=None):
        return self(self.library.asarray(values, dtype=dtype, device=self.device))

    def zeros(self, shape, dtype):
        return self(self.library.zeros(shape, dtype=dtype, device=self.device))

    def full(self, shape, value, dtype):
        return self(self.library.full(shape, value, dtype=dtype, device=self.device))

    def expand_dims(self, x, axis):
        return self(self.library.expand_dims(x.array, axis=axis))

    def argmax(self, x, axis):
        return self(self.library.argmax(x.array, axis=axis))

    def take_along_axis(self, x, index, axis):
        return self(self.library.take_along_axis(x.array, index.array, axis=axis))

    def put_along_axis(self, x, index, value, axis):
        """The standard has none: one number at one index."""
        shape = [-1 if i == axis % x.ndim else 1 for i in range(x.ndim)]
        places = self.library.arange(x.shape[axis], device=self.device)
        chosen = self.library.reshape(places, tuple(shape)) == index.array
        x.array = self.library.where(chosen, value, x.array)


class StandardArray:
    """An array and the namespace it belongs to."""

    def __init__(self, namespace, array):
        self.namespace, self.array = namespace, array

    shape = property(lambda self: tuple(self.array.shape))
    ndim = property(lambda self: len(self.array.shape))
    dtype = property(lambda self: self.array.dtype)
    real = property(lambda self: self)  # of a real number

    def astype(self, dtype):
        return self.namespace(self.namespace.library.astype(self.array, dtype))

    def copy(self):
        return self.namespace.asarray(self.namespace.library.asarray(self.array, copy=True))

    def reshape(self, *shape):
        shape = shape[0] if isinstance(shape[0], tuple) else shape
        return self.namespace(self.namespace.library.reshape(self.array, shape))

    def swapaxes(self, first, second):
        axes = list(range(self.ndim))
        axes[first], axes[second] = axes[second], axes[first]
        return self.namespace(self.namespace.library.permute_dims(self.array, tuple(axes)))

    def sum(self, axis, keepdims=False):
        return self.namespace(self.namespace.library.sum(self.array, axis=axis, keepdims=keepdims))

    def mean(self, axis):
        return self.namespace(self.namespace.library.mean(self.array, axis=axis))

    def dot(self, other):
        return self @ other

    def __getitem__(self, index):
        return self.namespace(self.array[index])

    def __setitem__(self, index, value):
        self.array[index] = unwrapped(value)


def _operator(name):
    def method(self, *other):
        return self.namespace(getattr(self.array, name)(*map(unwrapped, other)))

    return method


def _in_place(name):
    def method(self, other):
        self.array = getattr(self.array, name)(unwrapped(other))
        return self

    return method


for _name in ("add", "sub", "mul", "truediv", "matmul", "pow"):
    setattr(StandardArray, f"__{_name}__", _operator(f"__{_name}__"))
for _name in ("add", "mul", "truediv"):
    setattr(StandardArray, f"__r{_name}__", _operator(f"__r{_name}__"))
for _name in ("neg", "invert", "and", "or", "eq", "lt", "le", "gt", "ge"):
    setattr(StandardArray, f"__{_name}__", _operator(f"__{_name}__"))
for _name in ("iadd", "isub", "imul"):
    setattr(StandardArray, f"__{_name}__", _in_place(f"__{_name}__"))


def strict():
    """The library that has the standard and nothing else, on its second device: an array that was
    made on the first one, where NumPy's would land, does not mix with it.
    """
    import array_api_strict

    return StandardNamespace(array_api_strict, array_api_strict.Device("device1"))


def torch():
    """PyTorch's tensors, by way of array-api-compat."""
    import array_api_compat.torch

    return StandardNamespace(array_api_compat.torch, array_api_compat.torch.device("cpu"))


def host(x):
    """The values as NumPy's, for a comparison."""
    if hasattr(x, "get"):  # CuPy's own array
        return x.get()
    home = x.namespace.library.__array_namespace_info__().default_device()
    return np.asarray(x.array.to_device(home) if hasattr(x.array, "to_device") else x.array)
