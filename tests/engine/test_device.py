"""Which device an array is on, moving to one, and what is said where there is none. Without CuPy:
a stand-in takes its place; tests/gpu has the real one."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

import tinycnn as tc
from tinycnn import nn
from tinycnn.device import (
    DeviceError,
    OutOfMemory,
    check_device,
    device_of,
    names_device,
    to_device,
)
from tinycnn.errors import InputError


class OnCard(np.ndarray):
    """An array that says it is on the second card, and does not mix with NumPy's."""

    @property
    def device(self):
        return SimpleNamespace(id=1)

    def get(self):
        return np.array(self.tolist(), self.dtype)

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        if any(type(value) is np.ndarray for value in inputs):
            raise TypeError("Unsupported type <class 'numpy.ndarray'>")
        bare = [np.asarray(v).view(np.ndarray) for v in inputs]
        return getattr(ufunc, method)(*bare, **options).view(OnCard)


def on_card(*numbers):
    return np.array(numbers, np.float32).view(OnCard)


@pytest.fixture
def cupy(monkeypatch):
    """A CuPy with two cards."""

    class CUDARuntimeError(RuntimeError):
        pass

    class Device:
        def __init__(self, number):
            assert number == 1

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    runtime = SimpleNamespace(getDeviceCount=lambda: 2, CUDARuntimeError=CUDARuntimeError)
    module = SimpleNamespace(
        cuda=SimpleNamespace(runtime=runtime, Device=Device),
        asarray=lambda array: np.array(array).view(OnCard),
    )
    monkeypatch.setitem(sys.modules, "cupy", module)
    return module


def test_names_of_devices_are_told_from_dtypes():
    assert all(map(names_device, ("cpu", "cuda", "cuda:0", "cuda:12")))
    assert not any(map(names_device, ("float32", "gpu", "cuda:", "cuda:-1", np.float32, None)))


def test_there_and_back(cupy):
    x = np.arange(3, dtype=np.float32)
    there = to_device(x, "cuda:1")
    assert device_of(x) == "cpu"
    assert device_of(there) == "cuda:1"
    back = to_device(there, "cpu")
    assert type(back) is np.ndarray
    np.testing.assert_array_equal(back, x)
    assert to_device(x, "cpu") is x
    assert to_device(there, "cuda:1") is there


def test_a_tensor_s_gradient_comes_back_to_where_the_tensor_is(cupy):
    x = tc.tensor([1.0, 2.0], requires_grad=True)
    y = x.to("cuda:1")
    assert (x.device, y.device) == ("cpu", "cuda:1")
    y.backward(tc.Tensor(on_card(3.0, 4.0)))
    assert x.grad.device == "cpu"
    assert x.grad.tolist() == [3.0, 4.0]
    assert repr(y.detach()) == "tensor([1., 2.], device='cuda:1')"


def test_a_module_moves_with_all_it_has(cupy):
    model = nn.Sequential(nn.Linear(2, 1), nn.BatchNorm2d(3))
    before = list(model.parameters())
    model.to("cuda:1")
    state = model.state_dict()
    assert {t.device for t in state.values()} == {"cuda:1"}
    assert all(a is b for a, b in zip(before, model.parameters(), strict=True))
    assert {t.device for t in model.to("cpu").state_dict().values()} == {"cpu"}


def test_arrays_of_two_devices_do_not_mix_and_the_error_names_both():
    x, y = tc.tensor([1.0, 2.0]), tc.Tensor(on_card(3.0, 4.0))
    with pytest.raises(TypeError, match=r"add: its arrays are on cpu and cuda:1; move them"):
        x + y
    assert (y * 2.0).device == "cuda:1"


def test_an_array_elsewhere_is_no_numpy_array():
    with pytest.raises(TypeError, match=r"numpy: the tensor is on cuda:1; copy it with \.to"):
        tc.Tensor(on_card(1.0)).numpy()


def test_without_cupy_one_line_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(DeviceError, match=r"^device 'cuda': CuPy is missing .*tinycnn\[cuda13\]"):
        check_device("cuda")


def test_without_a_driver_one_line_says_so(cupy):
    def fails():
        raise cupy.cuda.runtime.CUDARuntimeError("cudaErrorNoDevice: no CUDA-capable device")

    cupy.cuda.runtime.getDeviceCount = fails
    with pytest.raises(DeviceError, match=r"^device 'cuda': no NVIDIA driver or card: cudaErr"):
        check_device("cuda")


def test_a_card_too_many_and_a_device_of_no_such_name(cupy):
    with pytest.raises(DeviceError, match=r"^device 'cuda:2': this computer has 2 such"):
        check_device("cuda:2")
    with pytest.raises(InputError, match=r"^device 'tpu': there are 'cpu', 'cuda', 'cuda:1', …$"):
        check_device("tpu")


MADE = {
    "full": lambda **where: tc.full((2, 3), 7, **where),
    "zeros": lambda **where: tc.zeros(2, 3, **where),
    "ones": lambda **where: tc.ones((2, 3), dtype=np.float64, **where),
    "eye": lambda **where: tc.eye(3, **where),
    "arange": lambda **where: tc.arange(1, 5, **where),
    "linspace": lambda **where: tc.linspace(0, 1, 7, **where),
    "rand": lambda **where: tc.rand(2, 3, **where),
    "randn": lambda **where: tc.randn(2, 3, **where),
    "tensor": lambda **where: tc.tensor([1.0, 2.0], **where),
}


@pytest.mark.parametrize("name", MADE)
def test_what_is_made_on_a_device_is_what_is_made_here(cupy, name):
    tc.manual_seed(0)
    here = MADE[name]()
    tc.manual_seed(0)
    there = MADE[name](device="cuda:1")
    assert (here.device, there.device) == ("cpu", "cuda:1")
    assert there.dtype == here.dtype
    np.testing.assert_array_equal(there.to("cpu").array, here.array)


def test_a_tensor_made_on_a_device_is_a_leaf_that_wants_a_gradient_there(cupy):
    x = tc.zeros(2, requires_grad=True, device="cuda:1")
    assert (x.device, x.is_leaf, x.requires_grad) == ("cuda:1", True, True)


class OutOfMemoryError(MemoryError):
    """CuPy's, for 3 MiB."""

    __module__ = "cupy.cuda.memory"
    _size = 3 << 20


class Fails(nn.Module):
    def __init__(self, error):
        super().__init__()
        self.error = error

    def forward(self, x):
        raise self.error


def fill(cupy, limit):
    """Let 100 MiB of the card's 8 GiB be free; and 2 MiB lie unused in CuPy's hands, 5 in use."""
    cupy.cuda.Device = lambda: SimpleNamespace(id=1, mem_info=(100 << 20, 8 << 30))
    pool = SimpleNamespace(
        get_limit=lambda: limit, used_bytes=lambda: 5 << 20, free_bytes=lambda: 2 << 20
    )
    cupy.get_default_memory_pool = lambda: pool


@pytest.mark.parametrize(
    ("limit", "free"),
    [(0, "102.0 MiB of 8,192.0"), (7 << 20, "2.0 MiB of 7.0"), (1 << 20, "0.0 MiB of 1.0")],
)
def test_a_card_out_of_memory_names_the_layer_and_what_was_wanted_and_free(cupy, limit, free):
    fill(cupy, limit)
    model = nn.Sequential(nn.ReLU(), nn.Sequential(Fails(OutOfMemoryError())))
    with pytest.raises(OutOfMemory) as caught:
        model(tc.zeros(1))
    assert str(caught.value) == (
        f"layer '1.0' (Fails): cuda:1 ran out of memory: 3.0 MiB wanted, {free} MiB free; "
        "make the batch smaller (--batch-size)"
    )
    assert isinstance(caught.value, MemoryError)  # who catches either, catches this
    assert isinstance(caught.value, InputError)


def test_a_layer_alone_has_no_name_but_its_type(cupy):
    fill(cupy, 0)
    with pytest.raises(OutOfMemory, match=r"^Fails: cuda:1 ran out"):
        Fails(OutOfMemoryError())(tc.zeros(1))


def test_the_computers_own_memory_running_out_is_left_as_it_is():
    error = MemoryError("Unable to allocate 8 EiB")
    with pytest.raises(MemoryError) as caught:
        nn.Sequential(Fails(error))(tc.zeros(1))
    assert caught.value is error
    x = tc.tensor(1.0, requires_grad=True)
    y = x * 2
    y.register_hook(Fails(error))
    with pytest.raises(MemoryError) as caught:
        y.backward()
    assert caught.value is error
