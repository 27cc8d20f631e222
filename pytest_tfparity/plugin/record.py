"""The record of a test: what its checks found, kept with the item until a report takes it along."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ..result import ParityResult
    from ..settings.spec import ParitySpec


class Record:
    """``results`` are verdicts, ``written`` what became of goldens, ``goldens`` the files that the test uses.

    Defined by hand: as a dataclass it would cost a session without any parity test half a millisecond.
    """

    def __init__(self) -> None:
        self.results: list[ParityResult] = []
        self.written: list[ParityResult] = []
        self.goldens: list[str] = []


RECORD: pytest.StashKey[Record] = pytest.StashKey()


def record_of(item: pytest.Item) -> Record:
    """The record of ``item``, begun when it is first asked for."""
    return item.stash.setdefault(RECORD, Record())


def take(item: pytest.Item) -> Record:
    """The record of ``item``, which begins anew: what one report carries no later one repeats."""
    taken = record_of(item)
    item.stash[RECORD] = Record()
    return taken


def keep(item: pytest.Item, result: ParityResult) -> None:
    """Keep ``result`` with its test, and warn of an unsound checkpoint; a failure says it itself."""
    record_of(item).results.append(result)
    for health in result.health if result.passed else ():
        from ..errors import HealthWarning

        item.warn(HealthWarning(f"{result.model}: {health.message}"))


def keep_golden(item: pytest.Item, spec: ParitySpec) -> None:
    """Remember that ``item`` uses the goldens of ``spec``, if they are files of this machine."""
    from ..formats.format import is_elsewhere

    if spec.golden is not None and not is_elsewhere(spec.golden):
        record_of(item).goldens.append(str(spec.golden))


def concerns(item: pytest.Item, call: pytest.CallInfo[None]) -> bool:
    """Whether a test has anything to do with parity: it has a record, or ended in a user's mistake."""
    if RECORD in item.stash:
        return True
    errors = sys.modules.get("pytest_tfparity.errors")  # not loaded where no part of ours has run
    return (
        errors is not None
        and call.excinfo is not None
        and isinstance(call.excinfo.value, errors.TfparityError)
    )
