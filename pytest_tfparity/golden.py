"""The golden store: inputs and the reference's outputs, kept in files.

``NAME.npz`` holds the arrays (see :mod:`~pytest_tfparity.archive`), ``NAME.yaml`` beside it says what they
are (see :mod:`~pytest_tfparity.golden_summary`). The npz file is written first: where a crash came
between the two, the hash in the yaml file does not fit, and reading says so.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from .archive import ArchiveProblem, Array, foreign, read_archive, tensor_sha256, write_archive
from .compare import Tolerance, compare
from .environment import environment
from .errors import GoldenError
from .golden_summary import Summary, SummaryProblem, read_summary, tolerance_facts, write_summary
from .locking import locked, write_atomically

__all__ = ["Golden", "GoldenChange", "environment", "prune", "read_golden", "stale_goldens", "update_golden"]

WRITE = "pytest --tfparity-update"
"""The command that writes goldens."""

Action: TypeAlias = Literal["created", "updated", "unchanged"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """What one golden file holds: read-only arrays by the reference's tensor names.

    ``fingerprint`` is that of the reference that made the outputs (None where none could be
    made), ``environment`` where they were made.
    """

    path: Path
    inputs: Mapping[str, Array]
    outputs: Mapping[str, Array]
    fingerprint: str | None
    environment: Mapping[str, str]


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
    try:
        return _read(path)[0]
    except GoldenError:
        if not path.exists():
            raise
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError):  # no place for a lock: then nobody writes here either
                stack.enter_context(locked(path))
            return _read(path)[0]  # another process may have been between its two files


def update_golden(
    path: Path,
    *,
    inputs: Mapping[str, Array],
    outputs: Mapping[str, Array],
    tolerances: Mapping[str, Tolerance],
    fingerprint: str | None,
    environment: Mapping[str, str],
    mode: Literal["all", "new"] = "all",
) -> GoldenChange:
    """Bring the goldens in ``path`` up to date with what the reference answers now.

    A file that is missing is created. All arrays are written again when an input changed by a bit, an
    output by more than its tolerance, or the set of tensors changed. When everything is within
    tolerance the stored arrays stay, and the npz file is not touched; the yaml file is written
    again if the reference's fingerprint or a tolerance is another than it says. A new environment alone
    changes nothing. Mode ``"new"`` creates missing files and adds missing outputs to files whose
    other outputs still hold. A damaged file is never replaced: GoldenError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path):
        if not path.exists() and not _summary_path(path).exists():
            _write(path, inputs, outputs, tolerances, fingerprint, environment)
            return GoldenChange(path=path, action="created")
        golden, summary = _read(path)
        changed, max_change = _changes(golden, inputs, outputs, tolerances)
        if mode == "new":
            return _add_missing(golden, inputs, outputs, tolerances, summary, changed)
        if changed:
            _write(path, inputs, outputs, tolerances, fingerprint, environment)
        else:
            stated = [
                *(["fingerprint"] if fingerprint not in (None, golden.fingerprint) else []),
                *(["tolerance"] if _tolerances(outputs, tolerances) != summary.tolerances else []),
            ]
            if not stated:
                return GoldenChange(path=path, action="unchanged", max_change=max_change)
            changed = tuple(stated)
            known = fingerprint if fingerprint is not None else golden.fingerprint
            _write(path, golden.inputs, golden.outputs, tolerances, known, environment)
        return GoldenChange(path=path, action="updated", max_change=max_change, changed=changed)


def stale_goldens(used: Iterable[Path]) -> list[Path]:
    """The goldens in the folders of ``used`` that are not in it; an npz file is one by our yaml beside it."""
    known = {_same(path) for path in used}
    folders = sorted({Path(path).parent for path in known})
    found = (file for folder in folders for file in sorted(folder.glob("*.npz")))
    return [path for path in found if _same(path) not in known and _is_ours(path)]


def prune(paths: Iterable[Path]) -> list[Path]:
    """Remove goldens, each with its yaml file; returns those that were removed. Leaves what is not ours."""
    removed = []
    for path in paths:
        with locked(path):
            if _is_ours(path):
                path.unlink()
                _summary_path(path).unlink()
                removed.append(path)
    return removed


def _summary_path(path: Path) -> Path:
    if path.suffix != ".npz":
        raise GoldenError(f"Goldens are npz files with a yaml file beside them: {path} must end in .npz.")
    return path.with_suffix(".yaml")


def _same(path: Path) -> str:
    return os.path.normcase(os.path.realpath(path))


def _is_ours(path: Path) -> bool:
    try:
        read_summary(_summary_path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return path.is_file()


def _read(path: Path) -> tuple[Golden, Summary]:
    summary = _read_summary(path)
    data = path.read_bytes()
    if problem := foreign(data):
        raise GoldenError(f"{path} {problem}.{_restore(problem)}")
    try:
        tensors = read_archive(data)
    except ArchiveProblem as error:
        raise GoldenError(f"{path} {error}.{_restore(str(error))}") from None
    _check(path, tensors, summary)
    if hashlib.sha256(data).hexdigest() != summary.archive:
        raise GoldenError(
            f"{path} is not the file that pytest-tfparity wrote: its arrays are those of"
            f" {_summary_path(path).name}, its bytes are not.{_restore('')}"
        )
    golden = Golden(
        path=path,
        inputs={name: tensors[name] for name in summary.inputs},
        outputs={name: tensors[name] for name in summary.outputs},
        fingerprint=summary.fingerprint,
        environment=summary.environment,
    )
    return golden, summary


def _read_summary(path: Path) -> Summary:
    beside = _summary_path(path)
    if not path.exists():
        found = (
            f", but {beside.name} is there. Restore it from version control, or" if beside.exists() else "."
        )
        what = " delete that file too and write both" if beside.exists() else " Write them from the reference"
        raise GoldenError(f"The goldens {path} do not exist{found}{what}: {WRITE}")
    try:
        return read_summary(beside.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise GoldenError(
            f"{path} has no {beside.name} beside it, so it is not a golden that pytest-tfparity wrote, or a"
            f" part of it is lost.{_restore('')}"
        ) from None
    except UnicodeDecodeError:
        raise GoldenError(f"{beside} is damaged (not UTF-8).{_restore('')}") from None
    except SummaryProblem as error:
        raise GoldenError(f"{beside} {error}.{_restore('')}") from None


def _check(path: Path, tensors: Mapping[str, Array], summary: Summary) -> None:
    """Raise a GoldenError that names the tensors in which npz and yaml differ."""
    beside = _summary_path(path).name
    for here, there, names in (
        (beside, path.name, sorted(summary.tensors.keys() - tensors.keys())),
        (path.name, beside, sorted(tensors.keys() - summary.tensors.keys())),
    ):
        if names:
            raise GoldenError(
                f"{path} and {beside} do not belong together: {', '.join(names)} is in {here} and not in"
                f" {there}.{_restore('')}"
            )
    differing = [
        name for name in sorted(tensors) if tensor_sha256(name, tensors[name]) != summary.tensors[name]
    ]
    if differing:
        raise GoldenError(
            f"{path} and {beside} do not belong together: the hash of {', '.join(differing)} is another."
            f" One of the two files was changed, or only one was committed.{_restore('')}"
        )


def _restore(problem: str) -> str:
    """What to do about a damaged pair of files; nothing where the problem says it itself."""
    if "git lfs pull" in problem or "pip install" in problem:
        return ""
    return f" Restore both files from version control, or delete both and write them again: {WRITE}"


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
        name for name in sorted(both_inputs) if not _identical(name, golden.inputs[name], inputs[name])
    ]
    largest: float | None = None
    for name in sorted(both_outputs):
        stored, now = golden.outputs[name], outputs[name]
        if _identical(name, stored, now):
            largest = max(largest or 0.0, 0.0)
            continue
        result = compare(
            stored,
            now,
            tolerances.get(name, Tolerance()),
            reference_name=name,
            export_name=name,
            against="golden",
        )
        if result.max_abs is not None:
            largest = max(largest or 0.0, result.max_abs)
        if not result.passed:
            changed.append(name)
    return tuple(changed), largest


def _add_missing(
    golden: Golden,
    inputs: Mapping[str, Array],
    outputs: Mapping[str, Array],
    tolerances: Mapping[str, Tolerance],
    summary: Summary,
    changed: tuple[str, ...],
) -> GoldenChange:
    """Add outputs that the goldens lack, if all that they hold is still right; else leave them alone."""
    missing = tuple(sorted(outputs.keys() - golden.outputs.keys()))
    if not missing or set(changed) != set(missing):
        return GoldenChange(path=golden.path, action="unchanged")
    merged = {**golden.outputs, **{name: outputs[name] for name in missing}}
    _write(golden.path, inputs, merged, tolerances, golden.fingerprint, summary.environment)
    return GoldenChange(path=golden.path, action="updated", changed=missing)


def _identical(name: str, stored: Array, now: Array) -> bool:
    """Whether both have the same dtype, shape and bits."""
    return stored.shape == now.shape and tensor_sha256(name, stored) == tensor_sha256(name, now)


def _hash(path: Path, name: str, array: Array) -> str:
    try:
        return tensor_sha256(name, array)
    except ArchiveProblem as error:
        raise GoldenError(f"{path} cannot hold {name}: the tensor {error}.") from None


def _tolerances(
    outputs: Mapping[str, Array], tolerances: Mapping[str, Tolerance]
) -> dict[str, dict[str, object]]:
    return {name: tolerance_facts(tolerances[name]) if name in tolerances else {} for name in outputs}


def _write(
    path: Path,
    inputs: Mapping[str, Array],
    outputs: Mapping[str, Array],
    tolerances: Mapping[str, Tolerance],
    fingerprint: str | None,
    environment: Mapping[str, str],
) -> None:
    """Write both files, the npz file only if its bytes change."""
    arrays = {name: np.asarray(array) for name, array in (*inputs.items(), *outputs.items())}
    for name in inputs.keys() & outputs.keys():
        if not _identical(name, np.asarray(inputs[name]), np.asarray(outputs[name])):
            raise GoldenError(f"{path}: {name} is an input and an output, with other values. Leave one out.")
    for name, array in arrays.items():
        _hash(path, name, array)
    data = write_archive(arrays)
    summary = write_summary(
        inputs=inputs,
        outputs=outputs,
        tolerances=tolerances,
        fingerprint=fingerprint,
        environment=environment,
        archive=hashlib.sha256(data).hexdigest(),
    )
    if not path.exists() or path.read_bytes() != data:
        write_atomically(path, data)
    write_atomically(_summary_path(path), summary.encode())
