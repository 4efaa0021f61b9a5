"""Every Python snippet of the documentation runs, and prints what the page says.

A page is a program: its ```python blocks run in order in one process, with the page's name for
errors. A block ```output behind one is what it prints; lines in any order with ```output unordered.
```python no-run marks what needs a service that the test has not; there are few.
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "docs/tutorial.md",
    *sorted((ROOT / "docs/how-to").glob("*.md")),
    ROOT / "docs/coming-from-flink.md",
]
_BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MARK = "\x1e"
NO_RUN_MAX = 0.25  # share of a page's snippets that may need what the test has not
#: A reader has the folders of the repository beside the page.
DATA = ROOT / "examples" / "data"


@dataclass(frozen=True)
class Snippet:
    line: int
    code: str
    output: str | None
    ordered: bool


def snippets(text):
    """The page's program."""
    found, skipped = [], 0
    for match in _BLOCK.finditer(text):
        language, info, body = match.groups()
        if language == "python":
            if "no-run" in info:
                skipped += 1
                continue
            found.append(Snippet(text[: match.start(3)].count("\n"), body, None, ordered=True))
        elif language == "output":
            last = found[-1]
            assert last.output is None, f"two outputs behind the snippet at line {last.line}"
            found[-1] = Snippet(last.line, last.code, body, ordered="unordered" not in info)
    return found, skipped


def program(page, found):
    """The snippets as one script whose tracebacks name the page's lines."""
    lines = ["import sys"]
    for number, snippet in enumerate(found):
        code = "\n" * snippet.line + snippet.code
        lines.append(f"print({MARK!r} + '{number}', flush=True)")
        lines.append(f"exec(compile({code!r}, {str(page)!r}, 'exec'))")
    lines.append("sys.stdout.flush()")
    return "\n".join(lines)


def lines_of(text, *, ordered):
    lines = [line.rstrip() for line in text.strip().splitlines()]
    return lines if ordered else sorted(lines)


@pytest.mark.cluster
@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_the_page_runs_as_it_says(page, tmp_path):
    found, skipped = snippets(page.read_text())
    assert found, "a page without a snippet belongs elsewhere"
    assert skipped <= max(1, NO_RUN_MAX * (skipped + len(found)))
    script = tmp_path / "page.py"
    script.write_text(program(page, found))
    done = subprocess.run(
        [sys.executable, "-P", str(script)],
        cwd=tmp_path,
        env={**os.environ, "LESTO_DATA": str(DATA)},
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-1500:]}\n{done.stderr[-3000:]}"
    printed = dict(part.split("\n", 1) for part in done.stdout.split(MARK)[1:])
    for number, snippet in enumerate(found):
        if snippet.output is not None:
            wanted = lines_of(snippet.output, ordered=snippet.ordered)
            told = lines_of(printed[str(number)], ordered=snippet.ordered)
            assert told == wanted, f"{page.name}, snippet at line {snippet.line}"
