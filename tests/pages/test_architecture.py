"""docs/architecture.md: its tree has each module once, and the modules and names that it mentions exist."""

import re
from pathlib import PurePosixPath

import pytest

from tests.support import pages
from tests.test_house import MODULES, PACKAGE

PAGES = ("docs/architecture.md", "docs/architecture.zh.md")


def paths(tree: str) -> list[str]:
    """Return the files of an indented tree without its root, as paths with slashes."""
    found: list[str] = []
    folders: list[str] = []
    for line in tree.splitlines()[1:]:
        name = line.split()[0]
        depth = (len(line) - len(line.lstrip())) // 2 - 1
        folders = [*folders[:depth], name.rstrip("/")]
        if not name.endswith("/") or name == "assets/":
            found.append("/".join(folders))
    return found


@pytest.mark.parametrize("name", PAGES)
def test_the_tree_has_every_module_and_no_other(name: str) -> None:
    """Ours: a newcomer finds each file in it; a package's own file is described once for all."""
    (tree,) = (block.text for block in pages.blocks(pages.page(name)) if block.language == "text")
    modules = [module for module in MODULES if module == "__init__.py" or not module.endswith("__init__.py")]
    assert sorted(paths(tree)) == sorted([*modules, "web/assets"])


@pytest.mark.parametrize("name", PAGES)
def test_the_files_and_names_of_the_walk_exist(name: str) -> None:
    """Ours: the steps name the module, and the functions and classes in it."""
    (walk,) = pages.tables(pages.page(name))
    for number, where, words in walk.rows:
        files = re.findall(r"`([\w/]+\.py)`", where)
        assert files, number
        assert [file for file in files if not (PACKAGE / PurePosixPath(file)).is_file()] == []
        source = "".join((PACKAGE / file).read_text(encoding="utf-8") for file in files)
        names = [found.rpartition(".")[2] for found in re.findall(r"`([A-Z]\w+(?:\.\w+)?)`", words)]
        assert [found for found in names if not re.search(rf"(?:class|def) {found}\b|\b{found}\(", source)] == []
