"""Several ``report.json`` in one: what a single run of all their tests would have written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..result import ParityResult, Seconds
from .json import read_report
from .terminal import VERDICTS

_WORST_FIRST = ("error", "fail", "pass", "proven")
_NAMED = 3
"""How many tests a remark names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """The checks of several reports by node id, what was installed where they were made, what a reader must know.

    A check that several reports hold with different findings is there once, as the worst of them.
    """

    results: tuple[ParityResult, ...]
    environment: Mapping[str, str]
    remarks: tuple[str, ...] = ()


def merged_reports(paths: Sequence[Path]) -> Merged:
    """The checks of the ``report.json`` at ``paths``, each once. Raises ValueError in a sentence, OSError."""
    chosen: dict[str, tuple[Path, list[ParityResult]]] = {}
    remarks: list[str] = []
    environments: dict[str, dict[str, list[Path]]] = {}
    for path in paths:
        found, environment = read_report(path)
        for nodeid, results in _by_nodeid(found).items():
            before, kept = chosen.setdefault(nodeid, (path, results))
            if kept is results or _timeless(kept) == _timeless(results):
                continue
            worse = min(((before, kept), (path, results)), key=lambda each: _rank(each[1]))
            chosen[nodeid] = worse
            remarks.append(
                f"{nodeid} is {_verdicts(kept)} in {before} and {_verdicts(results)} in {path}: what"
                f" {worse[0]} says stands."
            )
        for name, version in environment.items():
            environments.setdefault(name, {}).setdefault(version, []).append(path)
    remarks += _differences(environments)
    return Merged(
        results=tuple(result for nodeid in sorted(chosen) for result in chosen[nodeid][1]),
        environment={name: " / ".join(versions) for name, versions in environments.items()},
        remarks=tuple(remarks),
    )


def _by_nodeid(results: Sequence[ParityResult]) -> dict[str, list[ParityResult]]:
    """The checks of each test: a test may make several."""
    found: dict[str, list[ParityResult]] = {}
    for result in results:
        found.setdefault(result.nodeid, []).append(result)
    return found


def _timeless(results: Sequence[ParityResult]) -> list[ParityResult]:
    """What was found, whatever time it took."""
    return [replace(result, seconds=Seconds()) for result in results]


def _rank(results: Sequence[ParityResult]) -> int:
    return min(_WORST_FIRST.index(result.verdict) for result in results)


def _verdicts(results: Sequence[ParityResult]) -> str:
    return " and ".join(dict.fromkeys(VERDICTS[result.verdict] for result in results))


def _differences(environments: Mapping[str, Mapping[str, Sequence[Path]]]) -> Iterator[str]:
    """That the reports were not made alike: the last digits of numbers may differ between them."""
    for name, versions in environments.items():
        if len(versions) > 1:
            told = "; ".join(f"{version} in {_named(paths)}" for version, paths in versions.items())
            yield f"The reports were made with different {name}: {told}."


def _named(paths: Sequence[Path]) -> str:
    more = len(paths) - _NAMED
    return ", ".join(str(path) for path in paths[:_NAMED]) + (f" and {more} more" if more > 0 else "")
