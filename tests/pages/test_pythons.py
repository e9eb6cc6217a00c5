"""The tested Python versions are the same everywhere; `.ci/run` reads them from `setup.cfg`."""

import configparser
import re

import pytest
from packaging.specifiers import SpecifierSet

from tests.support import pages

SETUP = configparser.ConfigParser()
SETUP.read_string(pages.page("setup.cfg"))
TESTED = re.findall(r"^Programming Language :: Python :: (3\.\d+)$", SETUP["metadata"]["classifiers"], re.MULTILINE)


def test_every_tested_python_is_supported() -> None:
    """Ours: and the oldest supported version is tested."""
    supported = SpecifierSet(SETUP["options"]["python_requires"])
    assert [version for version in TESTED if version not in supported] == []
    assert str(supported) == f">={TESTED[0]}"


@pytest.mark.parametrize(
    ("page", "words"),
    [
        pytest.param("README.md", r"\(tested on ([\d., and]+)\)", id="README"),
        pytest.param("README.zh.md", r"已在 ([\d.、]+) 上测试", id="Chinese README"),
        pytest.param("README.md", r"badge/Python-([\d._%7C]+)-", id="badge"),
        pytest.param("README.zh.md", r"badge/Python-([\d._%7C]+)-", id="badge of the Chinese README"),
    ],
)
def test_a_readme_lists_the_tested_pythons(page: str, words: str) -> None:
    """Ours: users of another version know in advance that it is not tested."""
    named = [re.findall(r"3\.\d+", found) for found in re.findall(words, pages.page(page))]
    assert named == [TESTED]


def test_a_package_is_pinned_to_one_version() -> None:
    """Ours: the suite, installations and the hosts of `docs/deploy` all use the same versions."""
    sources = (*SETUP["options.extras_require"].values(), pages.page("tests/interop/hosting/pins.txt"))
    pins = re.findall(r"^([\w.-]+)==([\w.]+)$", "\n".join([pages.page("requirements.txt"), *sources]), re.MULTILINE)
    versions: dict[str, set[str]] = {}
    for name, version in pins:
        versions.setdefault(name.lower(), set()).add(version)
    assert len(versions) > 20
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}
    assert len(pins) > len(versions)  # some packages are pinned in more than one file


def test_setup_cfg_fmt_keeps_the_classifiers() -> None:
    """Ours: without its options it removes them."""
    (options,) = re.findall(
        r"entry: setup-cfg-fmt (.+?)(?:  #.*)?$", pages.page(".pre-commit-config.yaml"), re.MULTILINE
    )
    assert options.split() == ["--include-version-classifiers", "--max-py-version", TESTED[-1]]
