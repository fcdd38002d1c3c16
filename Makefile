# Everything happens in a virtual environment of its own; a fresh machine needs git, make and
# Python >= 3.11.

PYTHON ?= python3
BIN := .venv/bin
KIT := tests/gpu/emulated
export EMULATED_GPU_HOME ?= $(CURDIR)/.emulated_gpu

.PHONY: demo test test-gpu-emulated gpu-report proof parity mutants bench clean

# Train on phantoms, judge on others, and say where the pictures are.
demo: .venv/demo
	rm -rf runs/demo
	$(BIN)/tinycnn train --epochs 30 --out runs/demo
	$(BIN)/tinycnn evaluate runs/demo
	@echo
	@echo "The pictures are in runs/demo/figures:" && ls runs/demo/figures

# Lint, types, floors, then every test that needs no PyTorch.
test: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict
	$(BIN)/lint-imports
	$(BIN)/pytest -n auto -q

# The same code on CuPy's arrays, on a card that the CPU emulates (tests/gpu/emulated): the tests;
# the backend's with threads and streams in another order; then every CUDA source that they
# compiled once more, by NVIDIA's compiler.
test-gpu-emulated: $(EMULATED_GPU_HOME)/ready
	rm -rf $(EMULATED_GPU_HOME)/sources
	CUPY_DUMP_DIR=$(EMULATED_GPU_HOME)/sources \
		$(KIT)/run.sh python -m pytest -p dump_plugin -n auto -q tests/gpu
	FAKEHIP_ORDER=7 FAKEHIP_LAZY=1 $(KIT)/run.sh python -m pytest -n auto -q -m gpu -k cuda tests/gpu
	$(KIT)/run.sh python -m pytest -n auto -q $(KIT)
	$(PYTHON) $(KIT)/nvrtc_check.py --dump $(EMULATED_GPU_HOME)/sources

# The same tests on this computer's NVIDIA card, and how long it takes beside PyTorch: one file to
# send, gpu-report.md. Nothing is installed where there is no card.
gpu-report:
	@test -n "$(CUDA)" || \
		{ echo "gpu-report: no NVIDIA driver or card: nvidia-smi tells no CUDA version" >&2; exit 1; }
	$(MAKE) .venv/cuda$(CUDA)
	$(BIN)/python tests/gpu/report.py gpu-report.md

CUDA = $(shell nvidia-smi 2>/dev/null | sed -n 's/.*CUDA[A-Za-z ]*Version: *\([0-9]*\).*/\1/p')

.venv/cuda%: .venv/parity
	$(BIN)/pip install -q -e ".[cuda$*]"
	touch $@

# Every derivative over 200 generated cases; some five minutes.
proof: .venv/demo
	$(BIN)/tinycnn gradcheck

# The tests against PyTorch.
parity: .venv/parity
	$(BIN)/pytest -n auto -q -m parity tests/parity tests/gpu

# Planted mistakes, and who finds them: this checker, PyTorch's, autograd's, JAX's.
mutants: .venv/bench
	$(BIN)/python benchmarks/mutants

# This library beside PyTorch, JAX and MyGrad: docs/benchmarks; up to ten minutes on two idle cores.
bench: .venv/bench
	$(BIN)/python -m benchmarks --out docs/benchmarks

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/demo: .venv/bin/python pyproject.toml
	$(BIN)/pip install -q -e .
	touch $@

.venv/test: .venv/bin/python pyproject.toml
	$(BIN)/pip install -q -e ".[test]"
	touch $@ .venv/demo

.venv/parity: .venv/test
	$(BIN)/pip install -q -e ".[parity]"
	touch $@

.venv/bench: .venv/parity
	$(BIN)/pip install -q -e ".[bench]"
	touch $@

$(EMULATED_GPU_HOME)/ready: pyproject.toml $(wildcard $(KIT)/requirements*.txt)
	EMULATED_GPU_PYTHON=$(PYTHON) $(KIT)/setup.sh --nvrtc
	$(KIT)/run.sh python -m pip install -q -e .
	touch $@

clean:
	rm -rf .venv .emulated_gpu runs build *.egg-info
