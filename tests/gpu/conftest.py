"""Tests of arrays that are not NumPy's. Those of CuPy run where CuPy has a device: a real one, or
the emulated one (`make test-gpu-emulated`).
"""

# The emulated device has tests of its own; helpers are imported by the tests here.
collect_ignore = ["emulated", "cuda_cases.py", "device.py", "host.py", "standard.py"]
