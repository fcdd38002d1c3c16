"""Which device an array is on, moving to one, and what is said where there is none. Without CuPy:
a stand-in takes its place; tests/gpu has the real one."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

import tinycnn as tc
from tinycnn import nn
from tinycnn.device import DeviceError, check_device, device_of, names_device, to_device
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
