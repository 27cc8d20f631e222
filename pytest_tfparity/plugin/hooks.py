"""pytest hooks and options; imports nothing heavy."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ..settings import schema

if TYPE_CHECKING:
    from ..formats.section import Key
    from .items import ManifestFile
    from .session import ParitySession

parity = pytest.mark.parity
"""The marker: ``@parity("digits", atol=1e-5)``. See ``pytest --markers``."""

SESSION: pytest.StashKey[ParitySession] = pytest.StashKey()

_MARKER = (
    "parity(*models, atol=..., rtol=..., **settings): the test is about these models of tfparity.yaml (all of"
    " them if it names none), or about the files given as checkpoint=, frozen_graph=, outputs=[...], under this"
    " tolerance."
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options and ini values; those that are settings of a check come from the schema."""
    group = parser.getgroup("tfparity", "TensorFlow export parity")
    group.addoption(
        "--tfparity-update",
        nargs="?",
        const="all",
        default=None,
        choices=("all", "new", "force"),
        help="Write goldens from the reference: what is missing or differs beyond tolerance; 'new': only what is"
        " missing; 'force': also in CI.",
    )
    group.addoption(
        "--tfparity-prune", action="store_true", help="Remove goldens that no check uses, on a full run."
    )
    group.addoption(
        "--tfparity-report",
        metavar="DIR",
        default=None,
        help="Write report.json, and a page of pictures, into this folder.",
    )
    group.addoption(
        "--tfparity-manifest",
        metavar="FILE",
        default=None,
        help="The manifest, instead of the nearest tfparity.yaml.",
    )
    parser.addini("tfparity_manifest", "The manifest, instead of the nearest tfparity.yaml.", default=None)
    for key in schema.CONFIGURABLE:
        parser.addini(key.ini, f"{key.description} Default: {key.default}.", default=None)
        group.addoption(
            key.flag, metavar=_metavar(key), default=None, help=f"{key.description} Default: {key.default}."
        )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker and the fixtures; refuse to write goldens in CI."""
    config.addinivalue_line("markers", _MARKER)
    option = config.getoption("--tfparity-update")
    if (
        option is not None
        and option != "force"
        and os.environ.get("CI", "").lower() not in ("", "0", "false")
    ):
        raise pytest.UsageError(
            "--tfparity-update does not write goldens in CI (the environment variable CI is set): a red check"
            " must not repair itself. Update on your machine and commit, or say --tfparity-update=force."
        )
    from . import fixtures

    config.pluginmanager.register(fixtures, "tfparity-fixtures")
    config.pluginmanager.register(_Outcome(config), "tfparity-outcome")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Close every model that was opened."""
    if SESSION in config.stash:
        config.stash[SESSION].close()


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> ManifestFile | None:
    """A manifest is a test file."""
    if file_path.name != "tfparity.yaml" and file_path != manifest_setting(parent.config):
        return None
    from .items import ManifestFile

    return ManifestFile.from_parent(parent, path=file_path)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that names no model, or several, once for each."""
    if "_tfparity_model_name" in metafunc.fixturenames:
        from .items import names_of

        names = names_of(metafunc.config, metafunc.definition)
        if names:
            metafunc.parametrize("_tfparity_model_name", names, indirect=True)


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """The report of ``frozen_graph.run(...) == checkpoint_session.run(...)``."""
    outputs = sys.modules.get("pytest_tfparity.check.outputs")
    if op != "==" or outputs is None or not isinstance(left, outputs.Outputs):
        return None
    from .items import explanation

    return explanation(left)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Hand the results of a test to the report, and show a user's mistake as a sentence."""
    report = yield
    if SESSION in item.config.stash:
        from .items import attach

        attach(item, call, report)
    return report


def manifest_setting(config: pytest.Config) -> Path | None:
    """The manifest that an option or ini value names: an option counts from where pytest was started."""
    option = config.getoption("--tfparity-manifest")
    if option:
        return Path(config.invocation_params.dir, option).absolute()
    ini = config.getini("tfparity_manifest")
    return Path(config.rootpath, ini).absolute() if ini else None


def parity_session(config: pytest.Config) -> ParitySession:
    """What all parity checks of this run share, made when the first one needs it."""
    if SESSION not in config.stash:
        from .session import ParitySession, update_mode

        options = {key.name: config.getoption(key.flag) for key in schema.CONFIGURABLE}
        ini = {key.name: config.getini(key.ini) for key in schema.CONFIGURABLE}
        config.stash[SESSION] = ParitySession(
            options={name: value for name, value in options.items() if value is not None},
            ini={name: value for name, value in ini.items() if value not in (None, "")},
            top=config.rootpath,
            manifest=manifest_setting(config),
            update=update_mode(config.getoption("--tfparity-update")),
            details=bool(config.getoption("--tfparity-report")) or config.get_verbosity() > 0,
        )
    return config.stash[SESSION]


class _Outcome:
    """Collects the results of all workers and reports them at the end."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.reports: list[pytest.TestReport] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if hasattr(report, "tfparity_goldens"):
            from .items import dress

            dress(self.config, report)
            self.reports.append(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        if self.reports:
            from .items import tell_junit

            tell_junit(self.config, self.reports)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.reports or self.config.getoption("--tfparity-report"):
            from .items import summarise

            summarise(self.config, terminalreporter, self.reports)


def _metavar(key: Key) -> str:
    return "|".join(key.choices) if key.choices else {"boolean": "BOOL"}.get(key.kind, "X")
