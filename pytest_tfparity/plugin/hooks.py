"""The hooks by which pytest knows of the plugin; each imports what it needs when it needs it."""

from __future__ import annotations

import sys
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ..settings import schema
from . import marker, options, record

if TYPE_CHECKING:
    from .items import ManifestFile


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options and ini values."""
    options.add_options(parser)


def pytest_load_initial_conftests(args: list[str]) -> None:
    """Take ``--tfparity-update tfparity.yaml::digits`` for what it says, before pytest reads its options."""
    options.separate_update(args)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, the fixtures and, where reports arrive, the closing; refuse goldens in CI."""
    config.addinivalue_line("markers", marker.DESCRIPTION)
    options.refuse_update_in_ci(config)
    from . import closing, fixtures

    config.pluginmanager.register(fixtures, "tfparity-fixtures")
    if not hasattr(config, "workerinput"):  # a worker of pytest-xdist sends its reports on
        config.pluginmanager.register(closing.Closing(config), "tfparity-closing")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> ManifestFile | None:
    """A manifest is a test file."""
    if file_path.name not in schema.MANIFEST_FILES and file_path != options.manifest_setting(parent.config):
        return None
    from .items import ManifestFile

    return ManifestFile.from_parent(parent, path=file_path)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that names no model, or several, once for each."""
    if "_tfparity_model_name" in metafunc.fixturenames:
        from .session import models_to_run

        names = models_to_run(metafunc.definition)
        if names:
            metafunc.parametrize("_tfparity_model_name", names, indirect=True)


@pytest.hookimpl(tryfirst=True)  # pytest-xdist writes the groups into the node ids
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where pytest-xdist hands out tests by groups, keep those together that share a file."""
    if config.getoption("loadgroup", False) or config.getoption("dist", None) == "loadgroup":
        from .groups import group_by_files

        group_by_files(config, items)


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """The first line of the report of ``frozen_graph.run(...) == checkpoint_session.run(...)``.

    pytest would cut off the rest; it follows in a section of its own.
    """
    outputs = sys.modules.get("pytest_tfparity.check.outputs")
    if op != "==" or outputs is None or not isinstance(left, outputs.Outputs) or left.comparison is None:
        return None
    from ..reports.terminal import headline

    return [headline(left.comparison)]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Hand what the checks of a test found to its report, and show a user's mistake as a sentence."""
    report = yield
    if record.concerns(item, call):
        from .attachment import attach

        attach(item, call, report)
    return report
