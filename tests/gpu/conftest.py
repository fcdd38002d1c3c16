"""Tests of arrays that are not NumPy's. Those of CuPy run where CuPy has a device: a real one, or
the emulated one (`make test-gpu-emulated`).
"""

# The emulated device has tests of its own; the rest is helpers, imported by the tests here.
HELPERS = ["benchmark.py", "cuda_cases.py", "device.py", "host.py", "report.py", "standard.py"]
collect_ignore = ["emulated", *HELPERS]
