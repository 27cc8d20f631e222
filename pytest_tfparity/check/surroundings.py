"""What code of a project finds around it in the process of the tests, for a worker to find the same."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple


class Conftest(NamedTuple):
    """A ``conftest.py`` that pytest has imported, and the module that it is."""

    module: str
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """The current folder, where modules are looked for, the environment, and what ``conftest.py`` files set up."""

    folder: Path
    path: tuple[str, ...]
    environ: Mapping[str, str]
    conftests: tuple[Conftest, ...]


def surroundings(conftests: tuple[Conftest, ...]) -> Surroundings:
    """Those of this process."""
    return Surroundings(
        folder=Path.cwd(), path=tuple(sys.path), environ=dict(os.environ), conftests=conftests
    )


def enter(there: Surroundings) -> Iterator[str]:
    """Make them those of this process; a sentence for each ``conftest.py`` that cannot be imported here."""
    os.chdir(there.folder)
    sys.path[:] = there.path
    for name in set(os.environ).difference(there.environ):
        del os.environ[name]
    for name, value in there.environ.items():
        if os.environ.get(name) != value:
            os.environ[name] = value
    for conftest in there.conftests:
        if conftest not in _failures:
            _failures[conftest] = _imported(conftest)
        if _failures[conftest]:
            yield _failures[conftest]


_failures: dict[Conftest, str] = {}
"""What has been imported here, and the sentence if it failed."""


def _imported(conftest: Conftest) -> str:
    """Import it under the name that it has in pytest; the sentence if that fails."""
    spec = importlib.util.spec_from_file_location(conftest.module, conftest.path)
    if spec is None or spec.loader is None:
        return ""
    module = sys.modules[conftest.module] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException as error:  # pytest's Skipped is no Exception
        reason = str(error).strip().partition("\n")[0]
        return (
            f"{conftest.path.name} could not be imported in the process of the check ({type(error).__name__}:"
            f" {reason}): what it sets up is missing there. `isolate: false` checks in the process of the tests."
        )
    return ""
