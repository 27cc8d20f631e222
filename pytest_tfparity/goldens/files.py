"""A golden on disk: ``NAME.npz`` and ``NAME.yaml``, which only count together."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..comparison.compare import as_array
from ..comparison.decided import Decided
from ..comparison.tolerance import Tolerance
from ..errors import GoldenError, irregular
from ..graph.graph import Array
from .archive import ArchiveProblem, foreign, read_archive, tensor_sha256, write_archive
from .commit import commit
from .summary import (
    NO_ARRAYS,
    NO_DECISIONS,
    ForeignSummary,
    Summary,
    SummaryProblem,
    exact_name,
    read_summary,
    write_summary,
)

WRITE = "pytest --tfparity-update"
"""The command that writes goldens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """What one golden file holds: read-only arrays by the reference's tensor names.

    ``exact`` are the exact answers of outputs, as far as they were asked for, in float64 or complex128; of those that
    are integers, ``decided`` is what decides them.
    ``fingerprint`` is that of the reference that made the outputs (None where none could be
    made), ``environment`` where they were made.
    """

    path: Path
    inputs: Mapping[str, Array]
    outputs: Mapping[str, Array]
    fingerprint: str | None
    environment: Mapping[str, str]
    exact: Mapping[str, Array] = field(default_factory=dict)
    decided: Mapping[str, Decided] = field(default_factory=dict)


def read_pair(path: Path) -> tuple[Golden, Summary]:
    """The golden at ``path`` and its summary. GoldenError unless both files are whole and belong together."""
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
            f" {summary_path(path).name}, its bytes are not.{_restore('')}"
        )
    golden = Golden(
        path=path,
        inputs={name: tensors[name] for name in summary.inputs},
        outputs={name: tensors[name] for name in summary.outputs},
        fingerprint=summary.fingerprint,
        environment=summary.environment,
        exact={name: tensors[exact_name(name)] for name in summary.exact if name not in summary.decided},
        decided={
            name: Decided(kind=kind, exact=tensors[exact_name(name)], unit=unit)
            for name, (kind, unit) in summary.decided.items()
        },
    )
    return golden, summary


def _read_summary(path: Path) -> Summary:
    beside = summary_path(path)
    require_files(path)
    if not path.exists() and not beside.exists():
        raise GoldenError(f"The goldens {path} do not exist. Write them from the reference: {WRITE}")
    try:
        summary = read_summary(beside.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise GoldenError(
            f"{path} has no {beside.name} beside it. If pytest-tfparity wrote it, restore {beside.name} from"
            " version control; if the file is your own, give the goldens another name."
        ) from None
    except ForeignSummary as error:
        raise GoldenError(f"{beside} {error}. Give the goldens another name than {path.name}.") from None
    except UnicodeDecodeError:
        raise GoldenError(f"{beside} is damaged (not UTF-8).{_restore('')}") from None
    except SummaryProblem as error:
        raise GoldenError(f"{beside} {error}.{_restore('')}") from None
    if not path.exists():
        raise GoldenError(f"The goldens {path} do not exist, but {beside.name} is there.{_restore('')}")
    return summary


def require_files(path: Path) -> None:
    """Raise a GoldenError if one of the two files of a golden is a device or a pipe."""
    for file in (path, summary_path(path)):
        if kind := irregular(file):
            raise GoldenError(f"{file} is {kind}, not a file.")


def _check(path: Path, tensors: Mapping[str, Array], summary: Summary) -> None:
    """Raise a GoldenError that names the tensors in which npz and yaml differ."""
    beside = summary_path(path).name
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


def identical(name: str, stored: Array, now: Array) -> bool:
    """Whether both have the same dtype, shape and bits."""
    return stored.shape == now.shape and tensor_sha256(name, stored) == tensor_sha256(name, now)


def write_pair(
    path: Path,
    inputs: Mapping[str, Array],
    outputs: Mapping[str, Array],
    tolerances: Mapping[str, Tolerance],
    fingerprint: str | None,
    environment: Mapping[str, str],
    exact: Mapping[str, Array] = NO_ARRAYS,
    decided: Mapping[str, Decided] = NO_DECISIONS,
) -> None:
    """Write both files in one step, the npz file only if its bytes change."""
    behind = {**exact, **{name: each.exact for name, each in decided.items()}}
    data = write_archive({**inputs, **outputs, **{exact_name(name): behind[name] for name in behind}})
    for name in inputs.keys() & outputs.keys():
        if not identical(name, inputs[name], outputs[name]):
            raise GoldenError(f"{path}: {name} is an input and an output, with other values. Leave one out.")
    summary = write_summary(
        inputs=inputs,
        outputs=outputs,
        tolerances=tolerances,
        fingerprint=fingerprint,
        environment=environment,
        archive=hashlib.sha256(data).hexdigest(),
        exact=exact,
        decided=decided,
    )
    require_files(path)
    commit(path, data, summary_path(path), summary.encode())


def storable(path: Path, tensors: Mapping[str, Array]) -> dict[str, Array]:
    """``tensors`` as arrays. Raises a GoldenError that names one that ``path`` cannot hold."""
    return {name: _storable(path, name, as_array(value)) for name, value in tensors.items()}


def _storable(path: Path, name: str, array: Array) -> Array:
    try:
        tensor_sha256(name, array)
    except ArchiveProblem as error:
        raise GoldenError(f"{path} cannot hold {name}: the tensor {error}.") from None
    return array


def summary_path(path: Path) -> Path:
    """The yaml file beside the npz file ``path``."""
    if path.suffix != ".npz":
        raise GoldenError(f"Goldens are npz files with a yaml file beside them: {path} must end in .npz.")
    return path.with_suffix(".yaml")
