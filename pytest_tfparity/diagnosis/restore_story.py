"""What the provenances of all constants say together: which restore made this export."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal, TypeAlias

from .evidence import Evidence
from .places.batch_norms import statistics
from .places.weights import provenances
from .provenance import Provenance, ProvenanceKind
from .query import query
from .tensor_names import averaged_by, is_statistic

Averages: TypeAlias = Literal["none", "raw", "shadow", "mixed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreStory:
    """The weights of an export taken together. Only informative constants are counted, unless said.

    ``kind`` is that of most constants (``"nothing"`` if there is none), ``exceptions`` those of
    another kind; ``own`` and ``shadow`` count as one kind here, ``"restored"``, because which of
    them is right is a matter of ``weights`` and ``statistics``: what the variables that have a moving average
    different from themselves hold, BN statistics apart. ``raw`` and ``shadow`` name
    them. ``checkpoint`` is the other checkpoint that explains all constants that are not this
    one's, if one does. ``share`` is the common d of a mixture. ``cosine`` is the median over kernels of
    unknown origin: near 1 another step, near 0 another run. ``initial`` are constants
    that hold zeros, ones or initial values in place of trained ones (not informative ones included).
    """

    kind: ProvenanceKind | Literal["restored", "nothing"]
    total: int
    exceptions: tuple[Provenance, ...]
    weights: Averages
    statistics: Averages
    raw: tuple[str, ...]
    shadow: tuple[str, ...]
    initial: tuple[str, ...]
    checkpoint: str | None = None
    share: float | None = None
    cosine: float | None = None

    @property
    def unanimous(self) -> bool:
        """Whether every informative constant is of one kind."""
        return self.total > 0 and not self.exceptions

    @property
    def is_checkpoint(self) -> bool:
        """Whether every constant is the checkpoint's own, raw or averaged, and none was left at its start."""
        return self.kind == "restored" and self.unanimous and not self.initial


def restore_story(
    provenances: Sequence[Provenance], statistics: Collection[str] | None = None
) -> RestoreStory:
    """Sum up ``provenances``. ``statistics`` are the variables that are BN statistics, default by name."""
    telling = [each for each in provenances if each.informative and _placed(each)]
    kinds = Counter(_kind(each) for each in telling)
    kind = kinds.most_common(1)[0][0] if kinds else "nothing"
    averaged = [each for each in provenances if each.averaged and each.kind in ("own", "shadow")]

    def statistic(each: Provenance) -> bool:
        name = each.variable or ""
        return is_statistic(name) if statistics is None else name in statistics

    kernels = [each.cosine for each in telling if each.cosine is not None and len(each.shape) > 1]
    shares = [each.number for each in telling if each.kind == "mixture" and each.number is not None]
    return RestoreStory(
        kind=kind,
        total=len(telling),
        exceptions=tuple(each for each in telling if _kind(each) != kind),
        weights=_averages([each for each in averaged if not statistic(each)]),
        statistics=_averages([each for each in averaged if statistic(each)]),
        raw=tuple(each.constant for each in averaged if each.kind == "own"),
        shadow=tuple(each.constant for each in averaged if each.kind == "shadow"),
        initial=tuple(each.constant for each in provenances if each.kind == "initial"),
        checkpoint=_checkpoint(telling),
        share=median(shares) if shares and max(shares) - min(shares) <= 1e-3 else None,
        cosine=median(kernels) if kernels else None,
    )


def _placed(each: Provenance) -> bool:
    return each.variable is not None or each.kind in ("variable", "shadow")


def _kind(each: Provenance) -> ProvenanceKind | Literal["restored", "nothing"]:
    return "restored" if each.kind in ("own", "shadow", "variable") else each.kind


def _averages(provenances: Sequence[Provenance]) -> Averages:
    kinds = {each.kind for each in provenances}
    if not kinds:
        return "none"
    return "mixed" if len(kinds) > 1 else "raw" if "own" in kinds else "shadow"


def _checkpoint(provenances: Sequence[Provenance]) -> str | None:
    """The other checkpoint that holds every constant that this one does not, the earliest such."""
    strange = [each for each in provenances if _kind(each) != "restored"]
    if not strange:
        return None
    for label in strange[0].checkpoints:
        if all(label in each.checkpoints for each in strange):
            return label
    return None


@query
def story(evidence: Evidence) -> RestoreStory:
    """What the provenances of all constants say together."""
    case = evidence.case
    keys = {case.keys.get(name, name) for name in evidence[statistics]}
    raw = {averaged_by(key, case.checkpoint) or key for key in keys}
    return restore_story(list(evidence[provenances].values()), raw)
