"""The Pythons that are said to be tested are the same everywhere; `.ci/run` reads them from `setup.cfg`."""

import configparser
import re

import pytest
from packaging.specifiers import SpecifierSet

from tests.support import pages

SETUP = configparser.ConfigParser()
SETUP.read_string(pages.page("setup.cfg"))
TESTED = re.findall(r"^Programming Language :: Python :: (3\.\d+)$", SETUP["metadata"]["classifiers"], re.MULTILINE)


def test_every_python_that_is_tested_is_supported() -> None:
    """Ours: and the oldest that is supported is tested."""
    supported = SpecifierSet(SETUP["options"]["python_requires"])
    assert [version for version in TESTED if version not in supported] == []
    assert str(supported) == f">={TESTED[0]}"


@pytest.mark.parametrize(
    ("page", "words"),
    [
        pytest.param("README.md", r"\(tested on ([\d., and]+)\)", id="README"),
        pytest.param("README.zh.md", r"已在 ([\d.、]+) 上测试", id="its translation"),
    ],
)
def test_a_readme_says_which_pythons_are_tested(page: str, words: str) -> None:
    """Ours: whoever has another one knows it before it matters."""
    said = [re.findall(r"3\.\d+", found) for found in re.findall(words, pages.page(page))]
    assert said == [TESTED]


def test_a_package_is_pinned_to_one_version() -> None:
    """Ours: what the suite runs with is what is installed, and what the hosts of `docs/deploy` run with."""
    sources = (*SETUP["options.extras_require"].values(), pages.page("tests/interop/hosting/pins.txt"))
    pins = re.findall(r"^([\w.-]+)==([\w.]+)$", "\n".join([pages.page("requirements.txt"), *sources]), re.MULTILINE)
    versions: dict[str, set[str]] = {}
    for name, version in pins:
        versions.setdefault(name.lower(), set()).add(version)
    assert len(versions) > 20
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}
    assert len(pins) > len(versions)  # some are pinned twice


def test_setup_cfg_fmt_keeps_the_classifiers() -> None:
    """Ours: without its options it takes them out."""
    (options,) = re.findall(
        r"entry: setup-cfg-fmt (.+?)(?:  #.*)?$", pages.page(".pre-commit-config.yaml"), re.MULTILINE
    )
    assert options.split() == ["--include-version-classifiers", "--max-py-version", TESTED[-1]]
