"""The rules of the house: which room may import what, and what loading the plugin may cost."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import pytest_tfparity

PACKAGE = Path(pytest_tfparity.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))


def imports(path: Path, *, top_level: bool = False) -> set[str]:
    """Absolute names of everything that a module imports (with ``top_level``: when it is loaded)."""
    tree = ast.parse(path.read_text("utf-8"))
    package = ["pytest_tfparity", *path.relative_to(PACKAGE).parent.parts]
    found: set[str] = set()
    for node in ast.walk(tree):
        if top_level and not any(node is child for child in tree.body):
            continue
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            home = ".".join([*base, *([node.module] if node.module else [])])
            found.add(home)
            found.update(f"{home}.{alias.name}" for alias in node.names)
    return found


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix().removesuffix(".py")


@pytest.mark.parametrize("path", MODULES, ids=room_of)
def test_pytest_is_imported_in_its_three_adapters_alone(path: Path) -> None:
    uses_pytest = any(name == "pytest" or name.startswith("_pytest") for name in imports(path))
    assert not uses_pytest or room_of(path) in ("plugin", "fixtures", "collection")


@pytest.mark.parametrize("path", MODULES, ids=room_of)
def test_tensorflow_is_imported_by_models_alone_and_late(path: Path) -> None:
    if any(name.split(".")[0] == "tensorflow" for name in imports(path)):
        assert room_of(path).startswith("models/") or room_of(path) == "diagnosis/activations"
    assert not any(name.split(".")[0] == "tensorflow" for name in imports(path, top_level=True))


@pytest.mark.parametrize("path", MODULES, ids=room_of)
def test_reports_see_results_only(path: Path) -> None:
    if room_of(path).startswith("reports/"):
        inside = {name for name in imports(path) if name.startswith("pytest_tfparity.")}
        assert all(name.startswith(("pytest_tfparity.result", "pytest_tfparity.reports")) for name in inside)


@pytest.mark.parametrize("path", MODULES, ids=room_of)
def test_graphs_numbers_and_settings_know_nothing_of_models(path: Path) -> None:
    rooms = ("graph/", "comparison/", "goldens/", "settings/", "reports/")
    if room_of(path).startswith(rooms):
        assert not any(name.startswith("pytest_tfparity.models") for name in imports(path))


def test_loading_the_plugin_imports_nothing_heavy() -> None:
    code = (
        "import sys, pytest_tfparity.plugin, pytest_tfparity.fixtures;"
        "print(*sorted({'numpy', 'yaml', 'tensorflow', 'google.protobuf'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_public_names_are_all_there() -> None:
    for name in pytest_tfparity.__all__:
        assert getattr(pytest_tfparity, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = pytest_tfparity.no_such_name
