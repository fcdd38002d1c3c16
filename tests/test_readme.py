"""The README's Python, run from top to bottom as a reader would."""

import re
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def test_the_readmes_examples_run(capsys):
    examples = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    assert len(examples) >= 4
    names = {}
    for example in examples:
        exec(compile(example, "README.md", "exec"), names)
    assert (names["first"].item(), names["second"].item()) == (12, 12)
    assert "gradient up to" in capsys.readouterr().out
