"""One code for all devices: nothing but `kernels/` and the device helper asks where an array is."""

import ast
from pathlib import Path

import tinycnn

HOUSE = Path(tinycnn.__file__).parent
# What devices are for: the helper, the move between them, and a tensor's own account of itself.
ABOUT_DEVICES = {"device.py", "ops/transfer.py", "tensor.py"}
WORDS = {"cuda", "cupy", "device", "device_of", "is_cuda", "get_array_module"}


def words_of(node):
    """The names and short texts in an expression."""
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            yield part.id
        elif isinstance(part, ast.Attribute):
            yield part.attr
        elif isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value.partition(":")[0]


def branches(source):
    """The lines on which a condition speaks of devices."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.If | ast.IfExp | ast.While | ast.Assert):
            tests = [node.test]
        elif isinstance(node, ast.comprehension):
            tests = node.ifs
        elif isinstance(node, ast.Compare | ast.BoolOp):
            tests = [node]
        elif isinstance(node, ast.Match):
            tests = [node.subject]
        else:
            continue
        for test in tests:
            if WORDS & set(words_of(test)):
                yield test.lineno


def imports(source):
    """The modules that a source imports, however it does."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_no_operation_layer_optimiser_or_loop_asks_for_the_device():
    found = []
    for path in sorted(HOUSE.rglob("*.py")):
        name = path.relative_to(HOUSE).as_posix()
        if name in ABOUT_DEVICES or name.startswith("kernels/"):
            continue
        source = path.read_text()
        found += [f"{name}:{line}" for line in branches(source)]
        found += [f"{name}: {module}" for module in imports(source) if "cupy" in module]
    assert found == []


def test_the_search_finds_what_it_looks_for():
    for source in (
        "if x.device == 'cpu': pass",
        "y = f(x) if device_of(x) else x",
        "while device != 'cuda:0': pass",
        "z = [a for a in b if a.device]",
        "wins = is_cuda and y",
        "match x.device:\n    case _: pass",
    ):
        assert list(branches(source)), source
    assert list(imports("import cupy.cuda")) == ["cupy.cuda"]
    assert not list(branches("y = x.to(device)"))
