"""What a check found, as plain data: the one thing that every report reads.

Field for field this is an entry of ``checks`` in ``report.json`` (schema 1).
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from .errors import printable

if TYPE_CHECKING:
    from .result_details import Details

T = TypeVar("T")
Verdict: TypeAlias = Literal["proven", "pass", "fail", "error"]
Certainty: TypeAlias = Literal["proven", "decisive", "suggestive"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """What was asked of an output beside its tolerance, and what it has.

    ``name`` is the key that states it: ``sqnr`` (dB, at least), ``cosine`` (at least), ``steps`` (at most). ``value``
    is None where there is no such number: none at all, or an infinite one, which passes.
    """

    name: str
    asked: float
    value: float | None
    passed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputComparison:
    """How one output of the export compares with its reference. All numbers are plain Python.

    Numbers that do not exist (nothing comparable, no tolerance would pass, not finite) are None.
    ``problem`` is a clause for what cannot be said in numbers: another shape, dtype, NaN.
    ``used`` is the share of the tolerance that the worst element takes, 1.0 being all of it.
    ``against`` says what the export was compared with: ``"reference"`` or ``"golden"``.
    ``rounding`` is the distance from the exact answer that its own arithmetic takes the reference to, and
    ``times_rounding`` that of the export in such units; None where the exact answer was not asked for. Where
    ``rounding_allowed`` says how many of them the export may have, ``atol`` is that in numbers, and differences
    are those from the exact answer; ``ties`` are how many integers are others than the reference's though they pass,
    because the exact answer is a tie. ``criteria`` are the metrics that were asked for, each of which must hold.
    """

    reference: str
    export: str
    max_abs: float | None
    max_rel: float | None
    worst_index: tuple[int, ...] | None
    failing: int
    total: int
    atol: float
    rtol: float
    required_atol: float | None
    required_rtol: float | None
    passed: bool
    problem: str | None = None
    worst_reference: float | int | str | None = None
    worst_export: float | int | str | None = None
    used: float | None = None
    statistic: str = "max"
    against: str = "reference"
    rounding: float | None = None
    times_rounding: float | None = None
    rounding_allowed: float | None = None
    ties: int = 0
    criteria: tuple[Criterion, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A divergence with its evidence, its cause and its fix."""

    cause: str
    certainty: Certainty
    nodes: tuple[str, ...]
    scopes: tuple[str, ...]
    message: str
    fix: str
    evidence: tuple[str, ...] = ()
    repaired_max_abs: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Something wrong with the checkpoint, or with its relation to the export, although parity may hold."""

    cause: str
    scopes: tuple[str, ...]
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Seconds:
    """Wall time of each part of a check, in seconds."""

    load: float = 0.0
    proof: float = 0.0
    run: float = 0.0
    diagnosis: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityResult:
    """One check. ``error`` is a whole message when ``verdict`` is ``"error"``, else None.

    ``unproven`` says why a pass is not a proof (None where it is one), ``notes`` what a reader
    should know beside the verdict, ``reference``, ``export`` and ``golden`` are the files as the user
    named them, ``reference_noun`` is what messages call a reference of its format.
    ``golden_action`` (created, updated, unchanged) and ``golden_change`` (the largest absolute change)
    say what an update did. ``remembered`` says that the verdict was proven of the same content by an earlier run.
    ``details`` are for pictures, there only if a report was asked for.
    """

    nodeid: str
    model: str
    verdict: Verdict
    error: str | None = None
    outputs: tuple[OutputComparison, ...] = ()
    findings: tuple[Finding, ...] = ()
    first_divergence: str | None = None
    downstream: int = 0
    health: tuple[Health, ...] = ()
    seconds: Seconds = field(default_factory=Seconds)
    unproven: str | None = None
    notes: tuple[str, ...] = ()
    reference: str = ""
    reference_noun: str = "checkpoint"
    export: str = ""
    golden: str | None = None
    golden_action: str | None = None
    golden_change: float | None = None
    details: Details | None = None
    remembered: bool = False

    @property
    def passed(self) -> bool:
        """Whether the check passes: proven equal, or within tolerance."""
        return self.verdict in ("proven", "pass")

    def to_json(self) -> dict[str, Any]:
        """This result as an entry of ``checks`` in ``report.json``."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> ParityResult:
        """The inverse of :meth:`to_json`, also after a trip through a JSON file."""
        plain = dict(entry)
        plain["outputs"] = tuple(
            OutputComparison(
                **{
                    **output,
                    "worst_index": _tuple(output["worst_index"]),
                    "criteria": tuple(Criterion(**each) for each in output.get("criteria", ())),
                }
            )
            for output in plain.get("outputs", ())
        )
        plain["findings"] = tuple(
            Finding(**{**finding, **{key: tuple(finding[key]) for key in ("nodes", "scopes", "evidence")}})
            for finding in plain.get("findings", ())
        )
        plain["health"] = tuple(
            Health(**{**health, "scopes": tuple(health["scopes"])}) for health in plain.get("health", ())
        )
        plain["seconds"] = Seconds(**plain.get("seconds", {}))
        plain["notes"] = tuple(plain.get("notes", ()))
        details = plain.pop("details", None)
        if details:
            from .result_details import Details

            plain["details"] = Details.from_json(details)
        return cls(**plain)


def _tuple(value: Any) -> tuple[int, ...] | None:
    return None if value is None else tuple(value)


def quotable(value: T) -> T:
    """A result with all its texts as any reader may show them, see :func:`.errors.printable`."""
    return with_texts(value, printable)


def with_texts(value: T, change: Callable[[str], str]) -> T:
    """A result with ``change`` made to each of its texts."""
    return _with_texts(value, change)  # type: ignore[no-any-return]


def _with_texts(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, tuple):
        made = tuple([_with_texts(each, change) for each in value])
        return value if all(map(operator.is_, made, value)) else made
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return value
    fields = {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
    changed = {name: new for name, old in fields.items() if (new := _with_texts(old, change)) is not old}
    return dataclasses.replace(value, **changed) if changed else value
