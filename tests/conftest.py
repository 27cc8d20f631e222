"""Networks that several tests share, and a project folder to run pytest in."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from graphs.networks import Network, small_network, stated_check

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # as the plugin does, before anything imports TensorFlow
pytest_plugins = ["pytester"]

HERE = ("-o", "tfparity_isolate=false")
"""This process has TensorFlow at hand; one of its own would load it for each of hundreds of tests."""
QUIET = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest", *HERE)  # hypothesis takes seconds to load
MANIFEST = """\
models:
  net:
    reference: {checkpoint: model.ckpt-7}
    export: {frozen_graph: model.pb}
    inputs:
      "image:0": {npz: images.npz, key: image}
    outputs: ["logits:0", "probabilities:0"]
"""


@pytest.fixture(autouse=True)
def commands_run_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ``tfparity check`` runs in a process of its own it runs in this one, for the reason of ``HERE``."""
    from pytest_tfparity.check.check import check

    monkeypatch.setattr("pytest_tfparity.cli.commands.decided_without_running", check)


@pytest.fixture(scope="session")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Network]:
    """Small networks by their options, each written once."""
    _import_all(tmp_path_factory.mktemp("first"))
    written: dict[tuple[tuple[str, object], ...], Network] = {}

    def network(**options: object) -> Network:
        key = tuple(sorted(options.items()))
        if key not in written:
            folder = tmp_path_factory.mktemp("network")
            written[key] = small_network(folder, **options)  # type: ignore[arg-type]
        return written[key]

    return network


def _import_all(folder: Path) -> None:
    """Make a whole check once. pytester forgets modules that a test session imported, and C extensions
    (numpy, yaml, TensorFlow) cannot be imported twice in one process: so they come in here."""
    import pytest_tfparity.plugin.items
    from pytest_tfparity.check.check import check
    from pytest_tfparity.formats.store import ModelStore
    from pytest_tfparity.plugin.session import ParitySession
    from pytest_tfparity.reports.html import missing_packages

    if not missing_packages():
        import pytest_tfparity.reports.html.page  # noqa: F401
    ParitySession(options={}, ini={}, top=folder).close()
    network = small_network(folder)
    np.savez(folder / "images.npz", **{"image:0": network.images})
    inputs = {"image:0": {"npz": str(folder / "images.npz")}}
    spec = stated_check(network.checkpoint, network.frozen_graph, inputs=inputs, run="always")
    assert check(spec, ModelStore()).verdict == "proven"


WORKERS = [
    pytest.param([], id="alone"),
    pytest.param(["-n", "1"], id="xdist", marks=pytest.mark.slow),
]
"""Options of a run without and with pytest-xdist, whose start takes seconds."""


@pytest.fixture(autouse=True)
def control_flow() -> Iterator[None]:
    """Conditionals and loops as TensorFlow 2 writes them, whatever the test before has chosen."""
    yield
    tensorflow = sys.modules.get("tensorflow")
    if hasattr(tensorflow, "compat"):
        tensorflow.compat.v1.enable_control_flow_v2()


class Project:
    """A folder with a checkpoint, an export, golden images and a manifest, and a pytest to run in it."""

    def __init__(self, pytester: pytest.Pytester, networks: Callable[..., Network]) -> None:
        self.pytester = pytester
        self.path = pytester.path
        self._networks = networks

    def add(self, **options: object) -> Network:
        """Copy the files of a network here and write its images."""
        network = self._networks(**options)
        for file in network.folder.iterdir():
            shutil.copy(file, self.path / file.name)
        np.savez(self.path / "images.npz", image=network.images)
        return network

    def write(self, name: str, text: str) -> Path:
        """Write a text file."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        return path

    def run(self, *arguments: str) -> pytest.RunResult:
        """Run pytest here, in this process."""
        # this process makes errors of warnings; a project of its own does not
        return self.pytester.runpytest_inprocess(*QUIET, "-W", "default", *arguments)

    def run_apart(self, *arguments: str) -> pytest.RunResult:
        """Run pytest here, in a process of its own; with workers only where pytest-xdist is installed."""
        if "-n" in arguments:
            pytest.importorskip("xdist")
        return self.pytester.runpytest_subprocess(*QUIET, *arguments)


@pytest.fixture
def empty_project(
    pytester: pytest.Pytester, networks: Callable[..., Network], monkeypatch: pytest.MonkeyPatch
) -> Project:
    """A folder to run pytest in, as on a developer's machine (not CI)."""
    monkeypatch.delenv("CI", raising=False)
    return Project(pytester, networks)


@pytest.fixture
def project(empty_project: Project) -> Project:
    """A folder with a right export and its manifest."""
    empty_project.add()
    empty_project.write("tfparity.yaml", MANIFEST)
    return empty_project


@pytest.fixture
def broken_project(empty_project: Project) -> Project:
    """A folder whose export has BN in training mode."""
    empty_project.add(training_bn=True)
    empty_project.write("tfparity.yaml", MANIFEST)
    return empty_project
