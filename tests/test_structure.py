"""The structure of the package: who may import whom, with what a start and a proof may cost."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

import pytest_tfparity

PACKAGE = Path(pytest_tfparity.__file__).parent
RUNTIMES = frozenset({"tensorflow", "ai_edge_litert", "onnxruntime"})
_ENGINE = ("settings", "goldens", "comparison", "diagnosis", "formats", "runtime", "graph", "remote")
_FRONT = frozenset({"check", "reports", "remembered", *_ENGINE})
BELOW: Mapping[str, frozenset[str]] = {
    "plugin": _FRONT,
    "cli": _FRONT,
    "remembered": frozenset({"settings", "formats"}),
    "check": frozenset(_ENGINE),
    "settings": frozenset({"comparison", "formats", "remote"}),
    "goldens": frozenset({"comparison", "graph"}),
    "diagnosis": frozenset({"comparison", "formats", "runtime", "graph"}),
    "formats": frozenset({"runtime", "graph", "remote"}),
    "runtime": frozenset({"graph"}),
    "comparison": frozenset({"graph"}),
    "graph": frozenset(),
    "remote": frozenset(),
    "reports": frozenset(),
}
"""Each package, and those that it may import; what lies at the top (errors, wording, result) is open to all."""


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def statements(path: Path, *, late: bool = True) -> Iterator[ast.stmt]:
    """The imports of a module that happen at run time; without ``late`` those of loading it alone."""
    waiting: list[ast.AST] = [ast.parse(path.read_text("utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting.extend(node.orelse)
        elif late or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            waiting.extend(ast.iter_child_nodes(node))


@cache
def imported(name: str, *, late: bool = True) -> frozenset[str]:
    """What module ``name`` imports: modules of the package by their whole names, others by their first part."""
    path = MODULES[name]
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found: set[str] = set()
    for node in statements(path, late=late):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")
            home = ".".join([*base[: len(base) - node.level + 1], *filter(None, [node.module])])
            home = home if node.level else node.module or ""
            members = [f"{home}.{alias.name}" for alias in node.names]
            found.update(member if member in MODULES else home for member in members)
    own = {each for each in found if each in MODULES}
    return frozenset(own | {each.partition(".")[0] for each in found - own})


def reached(name: str, *, late: bool = False) -> set[str]:
    """All that loading ``name`` imports, directly or not; packages on the way included."""
    found: set[str] = set()
    stack = [name]
    while stack:
        each = stack.pop()
        if each in found:
            continue
        found.add(each)
        if each in MODULES:
            stack.extend(imported(each, late=late))
            stack.extend(parent for parent in [each.rpartition(".")[0]] if parent in MODULES)
    return found


def cycles(edges: Mapping[str, set[str]]) -> list[list[str]]:
    """The strongly connected components of more than one node, and nodes that read themselves (Tarjan)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in edges[name]:
            if other not in index:
                visit(other)
            if other in stack:
                low[name] = min(low[name], low[other])
        if low[name] == index[name]:
            start = stack.index(name)
            part = stack[start:]
            del stack[start:]
            if len(part) > 1 or name in edges[name]:
                found.append(sorted(part))

    for name in edges:
        if name not in index:
            visit(name)
    return found


def package_of(name: str) -> str:
    """The package that a module lies in; empty for those at the top (errors, wording, result)."""
    found = ".".join(name.split(".")[:2])
    return found.partition(".")[2] if found in MODULES and MODULES[found].name == "__init__.py" else ""


def test_no_module_imports_itself_on_any_way() -> None:
    edges = {name: {other for other in imported(name) if other in MODULES} for name in MODULES}
    assert cycles(edges) == []


def test_no_package_imports_itself_on_any_way() -> None:
    edges: dict[str, set[str]] = {package_of(name): set() for name in MODULES}
    for name in MODULES:
        for other in imported(name):
            if other in MODULES and package_of(other) not in (package_of(name), ""):
                edges[package_of(name)].add(package_of(other))
    edges.pop("")
    assert cycles(edges) == []


def test_a_cycle_is_seen() -> None:
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]
    assert cycles({"a": {"b"}, "b": set(), "c": {"a", "b"}}) == []


@pytest.mark.parametrize("name", [name for name in MODULES if package_of(name) in BELOW])
def test_a_package_imports_what_lies_below_it(name: str) -> None:
    package = package_of(name)
    allowed = {package, "", *BELOW[package]}
    above = {each for each in imported(name) if each in MODULES and package_of(each) not in allowed}
    assert not above


def test_every_package_has_its_place() -> None:
    packages = {package_of(name) for name, path in MODULES.items() if path.name == "__init__.py"}
    assert packages - {""} == set(BELOW)


@pytest.mark.parametrize("name", MODULES)
def test_pytest_is_reached_from_the_plugin_alone(name: str) -> None:
    if package_of(name) != "plugin":
        assert not {"pytest", "_pytest"} & reached(name, late=name != "pytest_tfparity")


@pytest.mark.parametrize("name", MODULES)
def test_runtimes_are_imported_by_the_runtime_alone_and_late(name: str) -> None:
    if package_of(name) != "runtime":
        assert not RUNTIMES & imported(name)
    assert not RUNTIMES & reached(name)


def loaded(code: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after ``code``."""
    script = f"import sys\n{code}\nprint('loaded:', *sys.modules)"
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment
    )
    return set(done.stdout.rpartition("loaded:")[2].split())


def test_loading_the_plugin_imports_nothing_heavy() -> None:
    names = loaded("import pytest_tfparity.plugin.hooks, pytest_tfparity.plugin.fixtures")
    assert not {"numpy", "yaml", "tensorflow", "google.protobuf"} & names


def test_a_public_name_is_found_and_imports_no_more_than_it_needs() -> None:
    heavy = {"numpy", "yaml", "tensorflow", "google.protobuf"}
    light = "HealthWarning, ParityFailure, ParityResult, TfparityError, parity"
    assert not heavy & loaded(f"from pytest_tfparity import {light}")


MOST_MODULES = 90
"""Modules of ours that a proven check may load: reading, proof, health and report, no cause and no session."""


def test_a_proven_check_loads_what_it_needs() -> None:
    artifacts = PACKAGE.parent / "example_project" / "artifacts"
    files = [str(artifacts / "model.ckpt-400"), str(artifacts / "digits.pb")]
    command = ["check", *files, "--ema", "trainable"]
    names = loaded(f"from pytest_tfparity.__main__ import main\nassert main({command!r}) == 0")
    package = {name for name in names if name.partition(".")[0] == "pytest_tfparity"}
    assert len(package) <= MOST_MODULES, sorted(package)
    assert not {name for name in package if "diagnosis.causes" in name}
    assert not RUNTIMES & names


def test_public_names_are_all_there() -> None:
    assert pytest_tfparity.__all__ == sorted(pytest_tfparity.__all__)
    assert set(pytest_tfparity.__all__) <= set(dir(pytest_tfparity))
    for name in pytest_tfparity.__all__:
        each = getattr(pytest_tfparity, name)
        assert each is not None
        if isinstance(each, type):  # it is where it says that it is, so it can be named and pickled
            assert getattr(sys.modules[each.__module__], each.__name__) is each
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = pytest_tfparity.no_such_name
