"""tinycnn beside PyTorch, JAX and MyGrad: see `python -m benchmarks --help`."""
