"""The structure of the library, read from its source: one test per rule, and each test lists all violations at once."""

from __future__ import annotations

import ast
import dataclasses
import functools
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from .conftest import SLOWEST

ROOT = Path(__file__).parent.parent
PACKAGES = {  # folder -> package; a folder may import itself and the folders below it
    "api": "litetuner",
    "reports": "litetuner.reports",
    "search": "litetuner.search",
    "objectives": "litetuner.objectives",
    "spaces": "litetuner.spaces",
}
LATE = {"tensorflow", "keras", "tf_keras", "tensorflow_model_optimization"}  # take seconds to import
HEAVY = LATE | {"optuna"}

LINES = 300  # a file has fewer
FUNCTION_LINES = 50  # a function has fewer
PARAMETERS = 7  # at most
MODULES = 13  # at most, in a folder
REGISTRIES = {  # may hold more modules: a new unit is one more file
    "spaces/steps": "one file per compression step",
    "objectives/metrics": "one file per metric",
    "reports/html/sections": "one file per section of the report",
    "api/cli": "one file per command",
}
BESIDE = ("tests", "examples", "docs")  # files there are short too
PICKLES = ("pickle", "cPickle", "dill", "cloudpickle")
IN_MEMORY = ("spaces/jobs/python_functions.py", "spaces/jobs/code_identity.py")  # functions for workers, never stored
OTHER_TESTS = {"recorded": "outputs of the whole library, compared with recorded ones"}  # folders of tests/

# Known violations: (rule, file or function) -> reason. A violation that is fixed must be removed here, or its test fails.
STILL_BROKEN: Mapping[tuple[str, str], str] = {}


@dataclasses.dataclass(frozen=True)
class Source:
    """One module of the library."""

    path: str  # from the root of the repository
    name: str  # such as litetuner.spaces.store; a package has the name of its folder
    text: str
    tree: ast.Module

    @property
    def folder(self) -> str:
        return self.path.split("/")[0]


@dataclasses.dataclass(frozen=True)
class Import:
    module: str
    names: tuple[str, ...]  # what `from module import ...` names
    in_function: bool
    relative: bool

    @property
    def library(self) -> str:
        return self.module.split(".")[0]


@functools.cache
def sources() -> Mapping[str, Source]:
    """All modules of the library by name."""
    found = {}
    for folder, package in PACKAGES.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            inner = path.relative_to(ROOT / folder).with_suffix("").parts
            name = ".".join((package, *(part for part in inner if part != "__init__")))
            text = path.read_text(encoding="utf-8")
            found[name] = Source(path.relative_to(ROOT).as_posix(), name, text, ast.parse(text))
    assert len(found) > 100, "the library was not found"
    return found


@functools.cache
def imports(name: str) -> tuple[Import, ...]:
    """Every import of a module: at the top, inside functions and below ``if TYPE_CHECKING``."""

    def walk(node: ast.AST, in_function: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from (Import(alias.name, (), in_function, False) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                names = tuple(alias.name for alias in child.names)
                yield Import(child.module or "", names, in_function, bool(child.level))
            function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from walk(child, in_function or function)

    return tuple(walk(sources()[name].tree, False))


@functools.cache
def imported_modules(name: str) -> frozenset[str]:
    """The modules of the library that a module imports: ``from package import module`` imports the module."""
    found = set()
    for item in imports(name):
        modules = {f"{item.module}.{inner}" for inner in item.names} & set(sources())
        found |= modules
        if item.module in sources() and len(modules) < max(len(item.names), 1):
            found.add(item.module)
    return frozenset(found - {name})


def reachable(name: str) -> set[str]:
    """Every module that a module imports, or that one of these imports."""
    found: set[str] = set()
    waiting = list(imported_modules(name))
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting += imported_modules(module)
    return found


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """All functions and methods of the library, inner ones too: ``file: Class.function``."""

    def walk(node: ast.AST, outer: tuple[str, ...]) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
        for child in ast.iter_child_nodes(node):
            function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            names = (*outer, child.name) if function or isinstance(child, ast.ClassDef) else outer
            if function:
                yield ".".join(names), child
            yield from walk(child, names)

    for source in sources().values():
        for name, function in walk(source.tree, ()):
            yield f"{source.path}: {name}", function


def count_parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Parameters of a function; ``self`` and ``cls`` do not count."""
    given = function.args
    names = [argument.arg for argument in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    names += [argument.arg for argument in (given.vararg, given.kwarg) if argument]
    return len(names) - (names[:1] in (["self"], ["cls"]))


RULES = ("cycle", "long file", "long function", "many parameters", "many modules")


def check(rule: str, found: Mapping[str, object]) -> None:
    """Fail with every violation that is not known, and with every known one that is gone."""
    assert rule in RULES
    known = {where for of, where in STILL_BROKEN if of == rule}
    new = [f"{rule}: {where}: {found[where]}" for where in sorted(set(found) - known)]
    gone = [f"fixed, remove it from STILL_BROKEN: {rule}: {where}" for where in sorted(known - set(found))]
    assert not new + gone, "\n" + "\n".join(new + gone)


def test_known_violations_name_a_rule() -> None:
    assert {rule for rule, _ in STILL_BROKEN} <= set(RULES)


def test_imports_point_downward() -> None:
    order = list(PACKAGES)
    wrong = []
    for name, source in sources().items():
        for module in sorted(imported_modules(name)):
            folder = sources()[module].folder
            if order.index(folder) < order.index(source.folder):
                wrong.append(f"{source.path} imports {module}, which is above it")
            if folder == "api" and module.startswith("litetuner.cli") and not source.path.startswith("api/cli/"):
                wrong.append(f"{source.path} imports {module}: only the command line imports the command line")
    assert not wrong, "\n".join(wrong)


def test_no_import_cycles() -> None:
    found = {}
    for name, source in sources().items():
        onward = reachable(name)
        if name in onward:
            others = sorted(sources()[other].path for other in onward - {name} if name in reachable(other))
            found[source.path] = f"in a cycle with {', '.join(others)}"
    check("cycle", found)


def test_heavy_libraries_are_imported_late_and_where_they_belong() -> None:
    wrong = []
    for name, source in sources().items():
        for item in imports(name):
            said = f"{source.path} imports {item.module}"
            if item.library in LATE and not item.in_function:
                wrong.append(f"{said} at module level: import it inside the function that needs it")
            if item.library in HEAVY and source.folder == "reports":
                wrong.append(f"{said}: a report only reads records")
            if item.library == "optuna" and source.folder != "search":
                wrong.append(f"{said}: only search/ may")
            if item.library == "pydantic" and not source.path.startswith(("search/config/", "search/runs/")):
                wrong.append(f"{said}: only search/config/ and search/runs/ may")
    assert not wrong, "\n".join(wrong)


def test_no_pickle_no_print_and_no_relative_imports() -> None:
    wrong = []
    for name, source in sources().items():
        for item in imports(name):
            if item.library in PICKLES and source.path not in IN_MEMORY:
                wrong.append(f"{source.path} imports {item.module}: records are JSON, arrays are .npz")
            if item.relative:
                wrong.append(f"{source.path}: relative import of {item.module or ', '.join(item.names)}")
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
                wrong.append(f"{source.path}:{node.lineno} prints: the command line prints, by its console")
    assert not wrong, "\n".join(wrong)


def test_files_are_short() -> None:
    lines = {source.path: len(source.text.splitlines()) for source in sources().values()}
    beside = (path for folder in BESIDE for path in (ROOT / folder).rglob("*.py"))
    lines |= {path.relative_to(ROOT).as_posix(): len(path.read_text().splitlines()) for path in beside}
    check("long file", {path: f"{count} lines" for path, count in lines.items() if count >= LINES})


def test_functions_are_short() -> None:
    lines = {where: (node.end_lineno or 0) - node.lineno + 1 for where, node in functions()}
    check("long function", {where: f"{count} lines" for where, count in lines.items() if count >= FUNCTION_LINES})


def test_functions_have_few_parameters() -> None:
    counts = {where: count_parameters(node) for where, node in functions()}
    check("many parameters", {where: count for where, count in counts.items() if count > PARAMETERS})


def test_folders_hold_few_modules() -> None:
    assert all((ROOT / folder).is_dir() for folder in REGISTRIES)
    modules = [Path(source.path) for source in sources().values()]
    counts = Counter(path.parent.as_posix() for path in modules if path.name != "__init__.py")
    many = {folder: f"{count} modules" for folder, count in counts.items() if count > MODULES}
    check("many modules", {folder: said for folder, said in many.items() if folder not in REGISTRIES})


def test_the_package_list_is_the_folders() -> None:
    """Each folder with Python files is a package, and the wheel holds all of them."""
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    found = set()
    for source in sources().values():
        parts = Path(source.path).parts
        found.add(".".join((PACKAGES[parts[0]], *parts[1:-1])))
    assert set(setuptools["packages"]) == found
    assert found <= set(sources()), f"without __init__.py: {sorted(found - set(sources()))}"
    assert setuptools["package-dir"] == {package: folder for folder, package in PACKAGES.items()}


def test_tests_mirror_the_tree() -> None:
    tests = [path.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("test_*.py")]
    assert len(tests) > 100, "the tests were not found"
    inner = {path.parent for path in tests if path.parts[0] not in OTHER_TESTS}
    lacking = sorted(str(folder) for folder in inner if not (ROOT / folder).is_dir())
    assert not lacking, f"folders of tests/ that the library does not have: {lacking}"
    gone = [name for name in SLOWEST if not (ROOT / name).is_file()]
    assert not gone, f"tests/conftest.py names files that do not exist: {gone}"


def test_public_names_exist_and_hide_no_folder() -> None:
    import litetuner

    assert not set(litetuner.__all__) & set(PACKAGES)
    assert not [name for name in litetuner.__all__ if not hasattr(litetuner, name)]


def test_importing_and_helping_load_nothing_heavy() -> None:
    loaded = {}
    for code in (
        "import litetuner",
        "from litetuner.cli import run; run(['--help'])",
        "from litetuner.cli import run; run(['search', '--help'])",
    ):
        program = f"import sys; {code}; print('LOADED', *sorted(set(sys.modules) & {HEAVY!r}))"
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        loaded[code] = done.stdout.split()[done.stdout.split().index("LOADED") + 1 :]
    assert not any(loaded.values()), loaded
