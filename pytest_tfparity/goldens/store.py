"""The golden store: inputs and the reference's outputs, kept in files.

``NAME.npz`` holds the arrays (see :mod:`~pytest_tfparity.archive`), ``NAME.yaml`` beside it says what they
are (see :mod:`~pytest_tfparity.goldens.summary`).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from ..comparison.decided import Decided
from ..comparison.tolerance import Tolerance
from ..errors import GoldenError
from ..graph.graph import Array
from ..locking import locked
from .commit import settle
from .files import (
    Golden,
    identical,
    read_pair,
    require_files,
    storable,
    summary_path,
    write_pair,
)
from .summary import NO_ARRAYS, NO_DECISIONS, Summary, exact_name, read_summary, tolerance_facts

__all__ = ["Golden", "GoldenChange", "prune_goldens", "read_golden", "stale_goldens", "update_golden"]

Action: TypeAlias = Literal["created", "updated", "unchanged"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenChange:
    """What an update did to ``path``.

    ``max_change`` is the largest change of a stored output: None where none can be stated in
    numbers (a new file, another shape, strings). ``changed`` names what was not as stored: tensors,
    ``"fingerprint"``, ``"tolerance"``.
    """

    path: Path
    action: Action
    max_change: float | None = None
    changed: tuple[str, ...] = ()


def read_golden(path: Path) -> Golden:
    """The goldens in ``path`` (an npz file). Every defect is a GoldenError that says what to do."""
    with _file_errors(path, "read"):
        try:
            return read_pair(path)[0]
        except GoldenError:
            if not path.exists():
                raise
        # Another process may be between its two files: wait until it is done, or finish what it began.
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(
                OSError
            ):  # no place for a lock or a file: then nobody writes here either
                stack.enter_context(locked(path))
                settle(path, summary_path(path))
            return read_pair(path)[0]


def update_golden(
    path: Path,
    *,
    inputs: Mapping[str, Array],
    outputs: Mapping[str, Array],
    tolerances: Mapping[str, Tolerance],
    fingerprint: str | None,
    environment: Mapping[str, str],
    mode: Literal["all", "new"] = "all",
    exact: Mapping[str, Array] = NO_ARRAYS,
    decided: Mapping[str, Decided] = NO_DECISIONS,
) -> GoldenChange:
    """Bring the goldens in ``path`` up to date with what the reference answers now.

    A file that is missing is created. All arrays are written again when an input changed by a bit, an
    output by more than its tolerance, or the set of tensors changed. When everything is within
    tolerance the stored arrays stay, and the npz file is not touched; the yaml file is written
    again if the reference's fingerprint or a tolerance is another than it says. A new environment alone
    changes nothing. Mode ``"new"`` creates missing files and adds missing outputs to files whose
    other outputs still hold. A damaged file is never replaced: GoldenError. ``exact`` are exact answers of outputs
    that are held against them, ``decided`` is what decides those that are integers: where one is not stored yet, or is
    decided by other values than are stored, all arrays are written again.
    """
    inputs, outputs = storable(path, inputs), storable(path, outputs)
    asked = {name: tolerance.rounding is not None for name, tolerance in tolerances.items()}
    exact = {name: exact[name] for name in outputs if asked.get(name) and name in exact}
    decided = {name: decided[name] for name in outputs if asked.get(name) and name in decided}
    with _file_errors(path, "written"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path):
            settle(path, summary_path(path))
            return _update(path, inputs, outputs, tolerances, fingerprint, environment, mode, exact, decided)


def _update(
    path: Path,
    inputs: Mapping[str, Array],
    outputs: Mapping[str, Array],
    tolerances: Mapping[str, Tolerance],
    fingerprint: str | None,
    environment: Mapping[str, str],
    mode: Literal["all", "new"],
    exact: Mapping[str, Array],
    decided: Mapping[str, Decided],
) -> GoldenChange:
    """:func:`update_golden` for one process at a time."""
    if not path.exists() and not summary_path(path).exists():
        write_pair(path, inputs, outputs, tolerances, fingerprint, environment, exact, decided)
        return GoldenChange(path=path, action="created")
    golden, summary = read_pair(path)
    changed, max_change = _changes(golden, inputs, outputs, tolerances)
    if mode == "new":
        return _add_missing(golden, inputs, outputs, tolerances, summary, changed, exact, decided)
    unlike = (
        name for name in decided if not _is_decided_alike(golden, name, decided[name], tolerances[name])
    )
    changed += tuple(exact_name(name) for name in sorted({*(exact.keys() - golden.exact.keys()), *unlike}))
    if changed:
        write_pair(path, inputs, outputs, tolerances, fingerprint, environment, exact, decided)
    else:
        stated = [
            *(["fingerprint"] if fingerprint not in (None, golden.fingerprint) else []),
            *(["tolerance"] if _tolerances(outputs, tolerances) != summary.tolerances else []),
        ]
        if not stated:
            return GoldenChange(path=path, action="unchanged", max_change=max_change)
        changed = tuple(stated)
        known = fingerprint if fingerprint is not None else golden.fingerprint
        kept = {name: golden.exact[name] for name in exact}
        decided = {name: golden.decided[name] for name in decided}
        write_pair(path, golden.inputs, golden.outputs, tolerances, known, environment, kept, decided)
    return GoldenChange(path=path, action="updated", max_change=max_change, changed=changed)


def stale_goldens(used: Iterable[Path]) -> list[Path]:
    """The goldens in the folders of ``used`` that are not in it, told by our yaml file, beside its npz file or left."""
    known = {_same(path) for path in used}
    folders = sorted({Path(path).parent for path in known})
    found = (file.with_suffix(".npz") for folder in folders for file in sorted(folder.glob("*.yaml")))
    return [path for path in found if _same(path) not in known and _is_ours(path)]


def prune_goldens(paths: Iterable[Path]) -> list[Path]:
    """Remove goldens, each with its yaml file; returns those that were removed. Leaves what is not ours."""
    removed = []
    for path in paths:
        with _file_errors(path, "removed"), locked(path):
            if _is_ours(path):
                settle(path, summary_path(path))
                path.unlink(missing_ok=True)  # first: what is left of a prune that was killed is still ours
                summary_path(path).unlink()
                removed.append(path)
    return removed


@contextlib.contextmanager
def _file_errors(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        place = error.filename or path
        raise GoldenError(f"{path} cannot be {what}: {error.strerror or error} ({place}).") from error


def _same(path: Path) -> str:
    return os.path.normcase(os.path.realpath(path))


def _is_ours(path: Path) -> bool:
    try:
        require_files(path)
        read_summary(summary_path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, GoldenError):
        return False
    return True


def _changes(
    golden: Golden,
    inputs: Mapping[str, Array],
    outputs: Mapping[str, Array],
    tolerances: Mapping[str, Tolerance],
) -> tuple[tuple[str, ...], float | None]:
    """The tensors that are not as stored, and the largest change of an output in numbers."""
    changed = sorted(golden.inputs.keys() ^ inputs.keys()) + sorted(golden.outputs.keys() ^ outputs.keys())
    both_inputs, both_outputs = golden.inputs.keys() & inputs.keys(), golden.outputs.keys() & outputs.keys()
    changed += [
        name for name in sorted(both_inputs) if not identical(name, golden.inputs[name], inputs[name])
    ]
    largest: float | None = None
    for name in sorted(both_outputs):
        stored, now = golden.outputs[name], outputs[name]
        if identical(name, stored, now):
            largest = max(largest or 0.0, 0.0)
            continue
        from ..comparison.compare import compare  # needed here alone, and no golden is changed in most runs

        result = compare(
            stored,
            now,
            tolerances.get(name, Tolerance()).of_reference.within(_unit(golden, name)),
            reference_name=name,
            export_name=name,
            against="golden",
        )
        if result.max_abs is not None:
            largest = max(largest or 0.0, result.max_abs)
        if not result.passed:
            changed.append(name)
    return tuple(changed), largest


def _is_decided_alike(golden: Golden, output: str, decided: Decided, tolerance: Tolerance) -> bool:
    """Whether what decides an output of integers is what is stored, but for the roundings that ``tolerance`` allows."""
    stored = golden.decided.get(output)
    if stored is None or stored.kind != decided.kind:
        return False
    from ..comparison.rounding import distance

    apart = distance(decided.exact, stored.exact)
    return apart is not None and apart <= (tolerance.rounding or 0.0) * stored.unit


def _unit(golden: Golden, output: str) -> float:
    """The rounding of a stored output; 0 where its exact answer is not stored."""
    if output not in golden.exact:
        return 0.0
    from ..comparison.rounding import rounding_of

    rounding = rounding_of(golden.outputs[output], golden.exact[output])
    return rounding.unit if rounding is not None else 0.0


def _add_missing(
    golden: Golden,
    inputs: Mapping[str, Array],
    outputs: Mapping[str, Array],
    tolerances: Mapping[str, Tolerance],
    summary: Summary,
    changed: tuple[str, ...],
    exact: Mapping[str, Array],
    decided: Mapping[str, Decided],
) -> GoldenChange:
    """Add outputs that the goldens lack, if all that they hold is still right; else leave them alone."""
    missing = tuple(sorted(outputs.keys() - golden.outputs.keys()))
    if not missing or set(changed) != set(missing):
        return GoldenChange(path=golden.path, action="unchanged")
    merged = {**golden.outputs, **{name: outputs[name] for name in missing}}
    added = {name: exact[name] for name in missing if name in exact}
    decided = {name: decided[name] for name in missing if name in decided}
    write_pair(
        golden.path,
        inputs,
        merged,
        tolerances,
        golden.fingerprint,
        summary.environment,
        {**golden.exact, **added},
        {**golden.decided, **decided},
    )
    return GoldenChange(path=golden.path, action="updated", changed=missing)


def _tolerances(
    outputs: Mapping[str, Array], tolerances: Mapping[str, Tolerance]
) -> dict[str, dict[str, object]]:
    return {name: tolerance_facts(tolerances[name]) if name in tolerances else {} for name in outputs}
