"""What is otherwise on Windows and macOS, simulated: drives, terminals, modes of folders."""

from __future__ import annotations

import builtins
import os
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import yaml

import pytest_tfparity.locking
from conftest import MANIFEST, Project
from pytest_tfparity.errors import relative_to
from pytest_tfparity.plugin.progress import progress_on_terminal
from pytest_tfparity.settings.draft import manifest_text
from pytest_tfparity.settings.manifest import load_manifest
from pytest_tfparity.settings.resolve import resolve


@pytest.fixture
def other_drive(monkeypatch: pytest.MonkeyPatch) -> None:
    """No relative path leads from one drive to another: ``os.path.relpath`` of Windows."""

    def refused(path: Any, start: Any = None) -> str:
        raise ValueError(f"path is on mount {path!r}, start on mount {start!r}")

    monkeypatch.setattr(os.path, "relpath", refused)


@pytest.mark.usefixtures("other_drive")
def test_a_path_on_another_drive_stays_as_it_is() -> None:
    assert relative_to(Path("/d/model.pb"), Path("/c/project")) == Path("/d/model.pb")


@pytest.mark.usefixtures("other_drive")
def test_a_manifest_about_files_on_another_drive_is_written_and_shown(project: Project) -> None:
    entry = load_manifest(project.path / "tfparity.yaml").models["net"]
    spec = resolve(entry, marker={}, ini={}, options={}, root=project.path, name="net")
    assert spec.shown(spec.export.path) == (project.path / "model.pb").as_posix()
    model = yaml.safe_load(manifest_text([spec], project.path / "tfparity.yaml"))["models"]["net"]
    assert model["export"] == {"frozen_graph": (project.path / "model.pb").as_posix()}


@pytest.mark.usefixtures("other_drive")
def test_goldens_on_another_drive_that_nobody_uses_are_listed(project: Project) -> None:
    project.write("tfparity.yaml", MANIFEST + "    golden: goldens/a.npz\n")
    project.run("--tfparity-update").assert_outcomes(passed=1)
    for file in (project.path / "goldens").glob("a.*"):
        file.rename(file.with_stem("b"))
    project.run("--tfparity-update").assert_outcomes(passed=1)
    project.run().stdout.fnmatch_lines([f"goldens that no check uses*{project.path / 'goldens' / 'b.npz'}*"])


def test_without_dev_tty_a_check_runs_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(file: Any, *arguments: Any, **options: Any) -> Any:
        raise FileNotFoundError(2, "No such file or directory", file)

    reporter = SimpleNamespace(isatty=True)
    config: Any = SimpleNamespace(pluginmanager=SimpleNamespace(get_plugin=lambda name: reporter))
    monkeypatch.setattr(builtins, "open", refused)
    with progress_on_terminal(config, "net"):
        done = True
    assert done


def test_folders_that_all_may_write_to_say_nothing_where_modes_do_not(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("tests/test_it.py", "def test_it(frozen_graph): frozen_graph.inputs\n")
    folder = project.path / "tests"
    folder.chmod(0o777)
    monkeypatch.chdir(folder)
    project.run("--rootdir", str(folder)).assert_outcomes(errors=1)  # anybody may have put the manifest above
    monkeypatch.setattr("pytest_tfparity.plugin.session._HAS_MODES", False)
    project.run("--rootdir", str(folder)).assert_outcomes(passed=1)


def test_a_lock_of_windows_is_waited_for_and_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int]] = []

    def locking(descriptor: int, mode: int, count: int) -> None:
        asked.append((mode, count))
        if mode == windows.LK_NBLCK and len(asked) < 3:
            raise OSError(13, "Permission denied")  # another process holds it

    windows: Any = ModuleType("msvcrt")
    windows.LK_NBLCK, windows.LK_UNLCK, windows.locking = 2, 0, locking
    waits: list[float] = []
    monkeypatch.setitem(sys.modules, "msvcrt", windows)
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr("time.sleep", waits.append)
    found = spec_from_file_location("locking_of_windows", pytest_tfparity.locking.__file__)
    assert found is not None
    assert found.loader is not None
    there = module_from_spec(found)
    found.loader.exec_module(there)
    with there.locked(tmp_path / "a.npz"):
        assert asked == [(2, 1)] * 3
        assert len(waits) == 2
    assert asked[-1] == (0, 1)
