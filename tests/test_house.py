"""The house rules that a program can check: who imports what, how long things are, what is never written."""

import ast
import configparser
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from .support.pages import ROOT

PACKAGE = ROOT / "scenext_service"
MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))
TESTS = sorted(
    path for file in (ROOT / "tests").rglob("test_*.py") if "/." not in (path := file.relative_to(ROOT).as_posix())
)

# What each room may import of this package. A room's own modules are not named.
ROOMS = {
    "mcp": set(),
    "scenext": {"version"},
    "tools": {"mcp", "scenext"},
    "serving": {"environment", "version"},
    "views": {"version"},
    "environment": set(),
    "config": {"environment", "scenext"},
    "check": {"config", "environment", "factory", "scenext", "serving", "tools"},
    "wsgi": {"create_app", "environment", "serving"},
    "__init__": {"config", "factory", "serving"},
    "__main__": {"check", "config", "environment", "serving", "version"},
    "version": set(),
}
FREE = "factory"  # wires all
# Where each library may be imported, beside the factory. A folder is a room.
LIBRARIES = {
    "flask": ("mcp/transport.py", "serving", "views/answers.py", "views/media.py", "views/page.py"),
    "jinja2": ("views/media.py", "views/page.py"),
    "werkzeug": ("mcp/refusals.py", "serving"),
    "requests": ("scenext", "check.py", "__init__.py"),
    "urllib3": ("scenext",),
    "gunicorn": ("serving",),
    "prometheus_client": ("serving",),
}
LONGEST_MODULE, LONGEST_FUNCTION = 200, 40  # lines
LONGEST_NAME = 70  # characters, of a test
CHECKED_AT_LEAST = 30  # modules; a wrong path must not make a rule pass by finding nothing

Function = ast.FunctionDef | ast.AsyncFunctionDef


def tree(module: str) -> ast.Module:
    return ast.parse((PACKAGE / module).read_text(encoding="utf-8"))


def imports(source: ast.Module, module: str) -> Iterator[str]:
    """Yield the absolute name of everything that a module of the package imports, wherever in it."""
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


@pytest.mark.parametrize("module", MODULES)
def test_each_module_imports_only_what_its_place_allows(module: str) -> None:
    """Ours: the protocol, the API and the web framework each have their place."""
    assert broken(tree(module), module) == []


@pytest.mark.parametrize(
    ("module", "line", "found"),
    [
        pytest.param("mcp/registry.py", "from ..config import Config", ["scenext_service.config.Config"], id="up"),
        pytest.param("mcp/registry.py", "from .. import scenext", ["scenext_service.scenext"], id="across"),
        pytest.param(
            "mcp/eras.py", "import scenext_service.serving.logs", ["scenext_service.serving.logs"], id="whole"
        ),
        pytest.param("scenext/client.py", "from ..mcp import Tool", ["scenext_service.mcp.Tool"], id="api-to-protocol"),
        pytest.param(
            "serving/logs.py", "from ..mcp import Record", ["scenext_service.mcp.Record"], id="serving-to-mcp"
        ),
        pytest.param("serving/health.py", "from ..tools import tools", ["scenext_service.tools.tools"], id="to-tools"),
        pytest.param("tools/asking.py", "from ..serving import logs", ["scenext_service.serving.logs"], id="tools"),
        pytest.param("config.py", "from .mcp import Tool", ["scenext_service.mcp.Tool"], id="config"),
        pytest.param("tools/asking.py", "from ..mcp import Call", [], id="tools-to-mcp"),
        pytest.param("mcp/eras.py", "from .jsonrpc import RpcError", [], id="beside"),
        pytest.param("mcp/eras.py", "import orjson", [], id="library"),
        pytest.param("tools/asking.py", "def f() -> None:\n    import flask", ["flask"], id="flask-inside-a-function"),
        pytest.param("mcp/transport.py", "from werkzeug.wsgi import f", ["werkzeug.wsgi.f"], id="werkzeug"),
        pytest.param("serving/health.py", "import urllib3.util", ["urllib3.util"], id="urllib3"),
        pytest.param("scenext/client.py", "from gunicorn import util", ["gunicorn.util"], id="gunicorn"),
        pytest.param("serving/worker.py", "import gunicorn", [], id="gunicorn-in-its-place"),
        pytest.param("__init__.py", "from .mcp import Tool", ["scenext_service.mcp.Tool"], id="the-door"),
        pytest.param("environment.py", "from .config import f", ["scenext_service.config.f"], id="to-config"),
        pytest.param("serving/settings.py", "from ..config import f", ["scenext_service.config.f"], id="settings"),
        pytest.param("factory.py", "import requests\nfrom .mcp import Tool", [], id="the-factory"),
    ],
)
def test_the_import_rule_notices_what_it_forbids(module: str, line: str, found: list[str]) -> None:
    """Ours: a rule that cannot fail holds nothing."""
    assert broken(ast.parse(line), module) == found


def test_the_rules_look_at_the_whole_package() -> None:
    """Ours: a rule that cannot fail holds nothing."""
    assert len(MODULES) >= CHECKED_AT_LEAST
    assert {module.removesuffix(".py").split("/")[0] for module in MODULES} == {*ROOMS, FREE}
    assert Path(__file__).relative_to(ROOT).as_posix() in TESTS
    assert {name.split("/")[1] for name in TESTS if name.count("/") > 1} >= {"mcp", "scenext", "tools", "serving"}


@pytest.mark.parametrize("module", MODULES)
def test_no_module_and_no_function_is_long(module: str) -> None:
    """Ours: no module over 200 lines, no function over 40."""
    source = tree(module)
    functions = [node for node in ast.walk(source) if isinstance(node, Function)]
    long = {node.name: length for node in functions if (length := lines_of(node)) > LONGEST_FUNCTION}
    assert len((PACKAGE / module).read_text(encoding="utf-8").splitlines()) <= LONGEST_MODULE
    assert long == {}


def lines_of(node: Function) -> int:
    """Return the number of lines of a function, its decorators included."""
    assert node.end_lineno is not None
    return node.end_lineno + 1 - min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])


@pytest.mark.parametrize("module", MODULES)
def test_everything_public_has_a_docstring(module: str) -> None:
    """Ours: module, class and function, each in a sentence."""
    source = tree(module)
    public = [
        node
        for node in source.body
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and not node.name.startswith("_")
    ]
    assert ast.get_docstring(source)
    assert [node.name for node in public if not ast.get_docstring(node)] == []


@pytest.mark.parametrize("module", MODULES)
def test_nothing_rebinds_a_name_of_a_module(module: str) -> None:
    """Ours: no module-level mutable state."""
    assert [node.names for node in ast.walk(tree(module)) if isinstance(node, ast.Global)] == []


@pytest.mark.parametrize("module", TESTS)
def test_each_test_says_where_its_expectation_comes_from(module: str) -> None:
    """Ours: tests say where what they hold comes from."""
    source = ast.parse((ROOT / module).read_text(encoding="utf-8"))
    tests = [node for node in ast.walk(source) if isinstance(node, Function) and node.name.startswith("test_")]
    sources = ("Spec: ", "Ours: ", "Gap: ")
    assert tests
    assert [node.name for node in tests if not (ast.get_docstring(node) or "").startswith(sources)] == []


@pytest.mark.parametrize("module", TESTS)
def test_no_name_of_a_test_is_long(module: str) -> None:
    """Ours: a name is read in one go, in a list of failures too."""
    source = ast.parse((ROOT / module).read_text(encoding="utf-8"))
    names = [node.name for node in ast.walk(source) if isinstance(node, Function) and node.name.startswith("test_")]
    assert [name for name in names if len(name) > LONGEST_NAME] == []


def tracked() -> dict[str, str]:
    """Return the text files of the repository by name."""
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


def test_no_file_speaks_of_the_place_where_it_was_written() -> None:
    """Ours: a repository stands on its own."""
    words = ["/".join(["", "work", ""]), "".join(["sha", "red/"])]
    texts = tracked()
    assert {f"scenext_service/{module}" for module in MODULES} <= set(texts)
    assert [(name, word) for name, text in texts.items() for word in words if word in text] == []


def test_setup_cfg_holds_everything_but_what_it_cannot() -> None:
    """Ours: [project] or [tool.mypy] in pyproject.toml would silently take its place."""
    setup = configparser.ConfigParser()
    setup.read_string((ROOT / "setup.cfg").read_text(encoding="utf-8"))
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert setup["metadata"]["name"] == "scenext_service"
    assert setup["metadata"]["version"] == "attr: scenext_service.version.VERSION"
    needed = [line.split(">=")[0] for line in setup["options"]["install_requires"].split()]
    assert needed == ["fastjsonschema", "flask", "gunicorn", "orjson", "requests", "urllib3"]
    assert (setup["mypy"]["strict"], setup["coverage:report"]["fail_under"]) == ("True", "100")
    assert setup["tool:pytest"]["filterwarnings"].split() == ["error"]
    assert (set(pyproject), set(pyproject["tool"])) == ({"build-system", "tool"}, {"ruff"})
