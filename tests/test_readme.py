"""The Python of the README and the documentation, run from top to bottom as a reader would."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", *(f"docs/{page.name}" for page in sorted((ROOT / "docs").glob("*.md")))]


def run(page):
    """The names that a page's examples define."""
    examples = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text("utf-8"), re.DOTALL)
    assert examples
    names = {}
    for example in examples:
        exec(compile(example, page, "exec"), names)
    return names


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_run(page, capsys):
    run(page)


def test_the_readmes_examples_give_what_it_says(capsys):
    names = run("README.md")
    assert (names["first"].item(), names["second"].item()) == (12, 12)
    told = capsys.readouterr().out
    assert "gradient up to" in told
    assert told.count("gradients right") == 4
    assert told.count("gradients WRONG") == 1
