"""Code conventions that can be checked automatically: imports, lengths, docstrings and forbidden text."""

import ast
import configparser
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from .support.pages import ROOT

PACKAGE = ROOT / "scenext_service"
MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))
TESTS = sorted(
    path for file in (ROOT / "tests").rglob("test_*.py") if "/." not in (path := file.relative_to(ROOT).as_posix())
)

# The parts of this package that each room (subpackage or top-level module) may import, besides its own modules.
ROOMS = {
    "mcp": set(),
    "scenext": {"__version__"},
    "tools": {"mcp", "scenext"},
    "server": {"environment", "__version__"},
    "signin": set(),
    "web": {"__version__"},
    "environment": set(),
    "config": {"environment", "scenext", "server", "__version__"},
    "check": {"config", "environment", "scenext", "server", "tools"},
    "wsgi": {"create_app", "environment", "server"},
    "__init__": {"app", "config", "server", "tools"},
    "__main__": {"check", "config", "environment", "server", "__version__"},
}
FREE = "app"  # wires everything together
# The places that may import each library, besides the factory. A folder stands for all of its modules.
LIBRARIES = {
    "cryptography": ("signin/envelopes.py",),
    "flask": ("mcp/http.py", "server", "signin/http.py", "web/media.py", "web/page.py", "web/static_response.py"),
    "jinja2": ("web/static_response.py",),
    "werkzeug": ("mcp/http_request.py", "server", "signin/http.py"),
    "requests": ("scenext", "check.py", "__init__.py"),
    "urllib3": ("scenext",),
    "gunicorn": ("server",),
    "prometheus_client": ("server",),
}
LONGEST_FUNCTION = 40  # lines
LONGEST_NAME = 70  # characters, of a test
CHECKED_AT_LEAST = 30  # modules; with a wrong path, the rules would pass vacuously

Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def tree(module: str) -> ast.Module:
    return ast.parse((PACKAGE / module).read_text(encoding="utf-8"))


@cache
def functions_in(module: str) -> list[Function]:
    """Return the test functions of a test module."""
    source = ast.parse((ROOT / module).read_text(encoding="utf-8"))
    return [node for node in ast.walk(source) if isinstance(node, Function) and node.name.startswith("test_")]


def imports(source: ast.Module, module: str) -> Iterator[str]:
    """Yield the absolute name of each import of a module, including imports inside functions."""
    package = ["scenext_service", *module.split("/")[:-1]]
    for node in ast.walk(source):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            parts = [*base, *([node.module] if node.module else [])]
            yield from (".".join([*parts, name.name]) for name in node.names)


def broken(source: ast.Module, module: str) -> list[str]:
    """Return the imports of a module that the rules forbid."""

    def forbidden(name: str) -> bool:
        room = module.removesuffix(".py").split("/")[0]
        if room == FREE:
            return False
        library, *rest = name.split(".")
        if library == "scenext_service":
            return not rest or rest[0] not in ROOMS[room] | {room}
        return not any(module.startswith(place) for place in LIBRARIES.get(library, (module,)))

    return [name for name in imports(source, module) if forbidden(name)]


def offenders(check: Callable[[str], object]) -> dict[str, object]:
    """Return the findings of a check by module, for the modules that have any."""
    return {module: found for module in MODULES if (found := check(module))}


def test_each_module_has_only_allowed_imports() -> None:
    """Ours: the protocol, the Scenext API and the web framework stay separate."""
    assert offenders(lambda module: broken(tree(module), module)) == {}


@pytest.mark.parametrize(
    ("module", "line", "found"),
    [
        pytest.param(
            "mcp/registry.py", "from ..config import Config", ["scenext_service.config.Config"], id="import-of-config"
        ),
        pytest.param(
            "mcp/registry.py", "from .. import scenext", ["scenext_service.scenext"], id="import-of-another-room"
        ),
        pytest.param(
            "mcp/eras.py", "import scenext_service.server.logs", ["scenext_service.server.logs"], id="absolute-import"
        ),
        pytest.param("scenext/client.py", "from ..mcp import Tool", ["scenext_service.mcp.Tool"], id="scenext-to-mcp"),
        pytest.param("server/logs.py", "from ..mcp import Record", ["scenext_service.mcp.Record"], id="server-to-mcp"),
        pytest.param(
            "server/health.py", "from ..tools import tools", ["scenext_service.tools.tools"], id="server-to-tools"
        ),
        pytest.param(
            "tools/api_call.py", "from ..server import logs", ["scenext_service.server.logs"], id="tools-to-server"
        ),
        pytest.param("config.py", "from .mcp import Tool", ["scenext_service.mcp.Tool"], id="config-to-mcp"),
        pytest.param("tools/api_call.py", "from ..mcp import Call", [], id="tools-to-mcp"),
        pytest.param("mcp/eras.py", "from .jsonrpc import RpcError", [], id="import-within-a-room"),
        pytest.param("mcp/eras.py", "import orjson", [], id="unrestricted-library"),
        pytest.param(
            "tools/api_call.py", "def f() -> None:\n    import flask", ["flask"], id="flask-inside-a-function"
        ),
        pytest.param("signin/http.py", "from ..mcp import Gate", ["scenext_service.mcp.Gate"], id="signin-to-mcp"),
        pytest.param(
            "signin/sign_in.py", "from cryptography import x509", ["cryptography.x509"], id="cryptography-elsewhere"
        ),
        pytest.param("config.py", "from .signin import f", ["scenext_service.signin.f"], id="config-to-signin"),
        pytest.param("mcp/http.py", "from werkzeug.wsgi import f", ["werkzeug.wsgi.f"], id="werkzeug"),
        pytest.param("server/health.py", "import urllib3.util", ["urllib3.util"], id="urllib3"),
        pytest.param("scenext/client.py", "from gunicorn import util", ["gunicorn.util"], id="gunicorn"),
        pytest.param("server/gunicorn/worker.py", "import gunicorn", [], id="gunicorn-in-server"),
        pytest.param("__init__.py", "from .mcp import Tool", ["scenext_service.mcp.Tool"], id="package-to-mcp"),
        pytest.param(
            "environment.py", "from .config import f", ["scenext_service.config.f"], id="environment-to-config"
        ),
        pytest.param(
            "server/gunicorn/settings.py",
            "from ...config import f",
            ["scenext_service.config.f"],
            id="settings-to-config",
        ),
        pytest.param("app.py", "import requests\nfrom .mcp import Tool", [], id="factory"),
    ],
)
def test_the_import_check_finds_forbidden_imports(module: str, line: str, found: list[str]) -> None:
    """Ours: a check that cannot fail proves nothing."""
    assert broken(ast.parse(line), module) == found


def test_the_checks_cover_the_whole_package() -> None:
    """Ours: a check that cannot fail proves nothing."""
    assert len(MODULES) >= CHECKED_AT_LEAST
    assert {module.removesuffix(".py").split("/")[0] for module in MODULES} == {*ROOMS, FREE}
    assert Path(__file__).relative_to(ROOT).as_posix() in TESTS
    assert {name.split("/")[1] for name in TESTS if name.count("/") > 1} >= {"mcp", "scenext", "tools", "server"}


def test_no_function_is_long() -> None:
    """Ours: no function over 40 lines."""

    def long(module: str) -> dict[str, int]:
        functions = [node for node in ast.walk(tree(module)) if isinstance(node, Function)]
        return {node.name: length for node in functions if (length := lines_of(node)) > LONGEST_FUNCTION}

    assert offenders(long) == {}


def lines_of(node: Function) -> int:
    """Return the number of lines of a function, including its decorators."""
    assert node.end_lineno is not None
    return node.end_lineno + 1 - min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])


def test_everything_public_has_a_docstring() -> None:
    """Ours: each module, class and function has a summary."""

    def undocumented(module: str) -> list[str]:
        source = tree(module)
        public = [
            node
            for node in source.body
            if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and not node.name.startswith("_")
        ]
        missing = [node.name for node in public if not ast.get_docstring(node)]
        return missing if ast.get_docstring(source) else ["the module", *missing]

    assert offenders(undocumented) == {}


def test_no_function_rebinds_a_module_level_name() -> None:
    """Ours: no module-level mutable state."""

    def rebound(module: str) -> list[str]:
        return [name for node in ast.walk(tree(module)) if isinstance(node, ast.Global) for name in node.names]

    assert offenders(rebound) == {}


def test_each_test_names_the_source_of_its_expectation() -> None:
    """Ours: each docstring names the source of the expectation."""
    sources = ("Spec: ", "Ours: ", "Gap: ")
    assert [module for module in TESTS if not functions_in(module)] == []
    assert [
        f"{module}::{node.name}"
        for module in TESTS
        for node in functions_in(module)
        if not (ast.get_docstring(node) or "").startswith(sources)
    ] == []


def test_no_test_name_is_long() -> None:
    """Ours: a name must be easy to read in a list of failures."""
    names = [
        f"{module}::{node.name}" for module in TESTS for node in functions_in(module) if len(node.name) > LONGEST_NAME
    ]
    assert names == []


def test_every_test_named_in_the_package_exists() -> None:
    """Ours: `server/gunicorn` and `scenext/transport` name a test for each internal that they replace."""
    sources = {name: (ROOT / name).read_text(encoding="utf-8") for name in TESTS}
    known = {Path(name).stem for name in TESTS} | {
        name for text in sources.values() for name in re.findall(r"^def (test_\w+)", text, re.MULTILINE)
    }
    texts = {module: (PACKAGE / module).read_text(encoding="utf-8") for module in MODULES}
    named = {module: set(re.findall(r"\btest_\w+", text)) for module, text in texts.items()}
    assert named["server/gunicorn/__init__.py"]
    assert {module: names - known for module, names in named.items() if names - known} == {}


def tracked() -> dict[str, str]:
    """Return the contents of the repository's text files, keyed by name."""
    git = shutil.which("git")
    assert git is not None
    listed = subprocess.run([git, "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    texts = {}
    for name in filter(None, listed.split("\0")):
        path = ROOT / name
        content = path.read_bytes() if path.is_file() else b"\0"
        if b"\0" not in content:
            texts[name] = content.decode("utf-8")
    return texts


def test_no_file_names_a_path_of_the_development_machine() -> None:
    """Ours: the repository must make sense without its authors' machine."""
    words = ["/".join(["", "work", ""]), "".join(["sha", "red/"])]
    texts = tracked()
    untracked = {f"scenext_service/{module}" for module in MODULES} - set(texts)
    assert not untracked, "`git add` these files first: the check reads tracked files"
    assert [(name, word) for name, text in texts.items() for word in words if word in text] == []


def test_setup_cfg_holds_all_settings_that_it_can() -> None:
    """Ours: [project] or [tool.mypy] in pyproject.toml would silently replace its counterpart in setup.cfg."""
    setup = configparser.ConfigParser()
    setup.read_string((ROOT / "setup.cfg").read_text(encoding="utf-8"))
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert setup["metadata"]["name"] == "scenext_service"
    assert setup["metadata"]["version"] == "attr: scenext_service.__version__"
    needed = [line.split(">=")[0] for line in setup["options"]["install_requires"].split()]
    assert needed == ["fastjsonschema", "flask", "gunicorn", "orjson", "requests", "urllib3"]
    assert (setup["mypy"]["strict"], setup["coverage:report"]["fail_under"]) == ("True", "100")
    assert setup["tool:pytest"]["filterwarnings"].split() == ["error"]
    assert (set(pyproject), set(pyproject["tool"])) == ({"build-system", "tool"}, {"ruff"})
