"""Modules made of modules: in a row, in lists, and side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tinycnn import ops
from tinycnn.nn import fusion
from tinycnn.nn.module import Module
from tinycnn.tensor import Tensor


class Sequential(Module):
    """One module after the other. Takes modules, or one dict of names to modules.

    >>> from tinycnn import nn
    >>> nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    Sequential(
      (0): Linear(in_features=2, out_features=3, bias=True)
      (1): ReLU()
    )
    """

    def __init__(self, *modules: Module | Mapping[str, Module]) -> None:
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            named = dict(modules[0])
        else:
            named = {str(i): module for i, module in enumerate(modules)}  # type: ignore[misc]
        for name, module in named.items():
            self.add_module(name, module)

    def forward(self, x: Any) -> Any:
        """The last module's output. Layers that can be computed together are, see `fusion.py`."""
        return fusion.run(list(self._modules.values()), x)

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return self.children()

    def __getitem__(self, index: int | slice) -> Module:
        """One module, or a Sequential of some."""
        if isinstance(index, slice):
            return Sequential(dict(list(self.named_children())[index]))
        return list(self.children())[index]


class ModuleList(Module):
    """Modules in a list, registered but not connected."""

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__()
        for module in modules:
            self.append(module)

    def append(self, module: Module) -> None:
        """Add one at the end."""
        self.add_module(str(len(self)), module)

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return self.children()

    def __getitem__(self, index: int) -> Module:
        return list(self.children())[index]


class ModuleDict(Module):
    """Modules by name, registered but not connected."""

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        super().__init__()
        for name, module in (modules or {}).items():
            self[name] = module

    def __setitem__(self, name: str, module: Module) -> None:
        self.add_module(name, module)

    def __getitem__(self, name: str) -> Module:
        found: Module = self._modules[name]
        return found

    def __contains__(self, name: str) -> bool:
        return name in self._modules

    def __len__(self) -> int:
        return len(self._modules)

    def items(self) -> Iterator[tuple[str, Module]]:
        """Names and modules."""
        return self.named_children()


class Concat(Module):
    """Branches that see the same input, their outputs one behind the other along the channels.
    Szegedy et al. (2015).
    """

    def __init__(self, *branches: Module, dim: int = 1) -> None:
        super().__init__()
        self.dim = dim
        for i, branch in enumerate(branches):
            self.add_module(str(i), branch)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C₁ + C₂ + …, H, W)."""
        return ops.cat([branch(x) for branch in self.children()], self.dim)
