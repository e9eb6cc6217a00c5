"""`benchmarks/prices.md`: one row for each departure from a plain library."""

import re

from tests.support import pages

PACKAGE = pages.ROOT / "scenext_service"


def test_each_row_is_measured_and_explained() -> None:
    """Ours: the page has the tricks of the programs, and the code's docstrings name all of them and no others."""
    shown = re.findall(r"^\| ([^|]+) \| `", pages.page("benchmarks/prices.md"), re.MULTILINE)
    measured = re.findall(r'\bTrick\(\s*"([^"]+)"', pages.page("benchmarks/tricks.py"))
    texts = [" ".join(path.read_text(encoding="utf-8").split()) for path in sorted(PACKAGE.rglob("*.py"))]
    named = {
        name
        for text in texts
        for names in re.findall(r'benchmarks/prices\.py((?:, "[^"]+")+)', text)
        for name in re.findall(r'"([^"]+)"', names)
    }
    assert sorted(shown) == sorted(["worker and threads", *measured]) == sorted(named)
