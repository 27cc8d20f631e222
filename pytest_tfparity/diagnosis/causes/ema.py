"""Moving averages applied, not applied, or half applied."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from ..averages import averages, in_layers_of, mixture_of_averages
from ..cause import Cause, Suspicion
from ..evidence import Evidence
from ..health import global_step, unconverged
from ..places.weights import WrongConstant, weight_nodes, weight_scopes, weights_as_reference
from ..wording import listed

_ISSUE = "https://github.com/tensorflow/tensorflow/issues/9724"
_RESTORE = "tf.train.Saver(ema.variables_to_restore())"


def _suspicion(
    cause: str, evidence: Evidence, group: Sequence[WrongConstant], message: str, fix: str, *facts: str
) -> Suspicion:
    return Suspicion(
        cause=cause,
        nodes=weight_nodes(evidence, group),
        scopes=weight_scopes(evidence, group),
        message=message,
        fix=fix,
        evidence=tuple(facts),
        repair=weights_as_reference(group),
    )


def _example(wrong: WrongConstant) -> str:
    assert wrong.origin is not None
    return f"{wrong.constant} equals {wrong.origin.source} of the checkpoint bit for bit, not {wrong.key}."


class DoubleApplied(Cause):
    """The averaging op ran once more in the session that was frozen."""

    id: ClassVar[str] = "ema-double-applied"

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        found = evidence[mixture_of_averages]
        if found is None:
            return
        share, group = found.share, found.weights
        yield _suspicion(
            self.id,
            evidence,
            group,
            f"{len(group)} weights of {evidence.case.export_name} are {share:.4g} * average +"
            f" {1 - share:.4g} * variable: the moving averages were applied twice.",
            f"Never run ema.apply() in the export session; restore with {_RESTORE}.",
            f"The same share {share:.4g} fits every one of them to rounding.",
        )


class NotApplied(Cause):
    """Raw weights where the reference has their moving averages."""

    id: ClassVar[str] = "ema-not-applied"

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        known = evidence[averages]
        if not known.raw or known.right_averages:
            return
        group = [*known.raw, *known.raw_statistics]
        yield _suspicion(
            self.id,
            evidence,
            group,
            f"{evidence.case.export_name} holds the raw value of all {len(group)} variables whose moving"
            f" average the reference restores from {evidence.case.reference_name}.",
            f"Restore with {_RESTORE} before freezing (or, if raw weights are meant, state `ema: none`).",
            _example(group[0]),
        )


class Unconverged(Cause):
    """Moving averages, which never left their initial values, where the reference has raw weights."""

    id: ClassVar[str] = "ema-unconverged"

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        known = evidence[averages]
        if not known.averaged or known.right_raw:
            return
        case = evidence.case
        young = unconverged(case.checkpoint, global_step(case.checkpoint), evidence.reference.graph)
        if not young:
            return
        group = [*known.averaged, *known.averaged_statistics]
        yield _suspicion(
            self.id,
            evidence,
            group,
            f"{case.export_name} holds the moving averages of {len(group)} variables, the reference the"
            f" variables themselves, and the averages never converged: {young[0].message}",
            "Export the variables (tf.train.Saver()), or pass num_updates=global_step to"
            " tf.train.ExponentialMovingAverage and train on.",
            _example(group[0]),
        )


class AppliedUnexpectedly(Cause):
    """Moving averages where the reference has raw weights."""

    id: ClassVar[str] = "ema-applied-unexpectedly"

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        known = evidence[averages]
        if not known.averaged or known.right_raw:
            return
        group = [*known.averaged, *known.averaged_statistics]
        yield _suspicion(
            self.id,
            evidence,
            group,
            f"{evidence.case.export_name} holds the moving averages of {len(group)} variables, the reference"
            f" ({evidence.case.reference_name}) the variables themselves.",
            "Restore with tf.train.Saver() before freezing (or, if averages are meant, state `ema: trainable`).",
            _example(group[0]),
        )


class PartiallyApplied(Cause):
    """Some weights raw, the others averaged."""

    id: ClassVar[str] = "ema-partially-applied"

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        known = evidence[averages]
        if known.raw and known.right_averages:
            group = [*known.raw, *in_layers_of(evidence, known.raw, known.raw_statistics)]
            yield self._mixed(evidence, group, ("raw", "moving averages"), known.right_averages)
        if known.averaged and known.right_raw:
            group = [*known.averaged, *in_layers_of(evidence, known.averaged, known.averaged_statistics)]
            yield self._mixed(evidence, group, ("moving averages", "raw"), known.right_raw)

    def _mixed(
        self, evidence: Evidence, group: Sequence[WrongConstant], kinds: tuple[str, str], right: int
    ) -> Suspicion:
        layers = weight_scopes(evidence, group)
        verb = "is" if len(layers) == 1 else "are"
        return _suspicion(
            self.id,
            evidence,
            group,
            f"{listed(layers)} {verb} {kinds[0]} in {evidence.case.export_name}; the other {right} weights are"
            f" {kinds[1]}, as all are in the reference.",
            "Restore all of them through one map, ema.variables_to_restore(), and fail on missing names.",
            _example(group[0]),
        )


class AppliedToStatistics(Cause):
    """Moving statistics of batch norm taken from their own moving average."""

    id: ClassVar[str] = "ema-applied-to-bn-stats"

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        group = evidence[averages].averaged_statistics
        if group:
            layers = weight_scopes(evidence, group)
            yield _suspicion(
                self.id,
                evidence,
                group,
                f"The moving statistics of {listed(layers)} ({len(group)} constants) were restored from their own"
                " moving average, not from the variables.",
                "Restore with ema.variables_to_restore(tf.trainable_variables()).",
                _example(group[0]),
            )


class NotAppliedToStatistics(Cause):
    """Raw moving statistics where the reference has their moving average."""

    id: ClassVar[str] = "ema-not-applied-to-bn-stats"

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        group = evidence[averages].raw_statistics
        if group:
            layers = weight_scopes(evidence, group)
            yield _suspicion(
                self.id,
                evidence,
                group,
                f"The moving statistics of {listed(layers)} ({len(group)} constants) are raw; the reference"
                " restores their moving average, as it does for the weights.",
                "Restore with ema.variables_to_restore(slim.get_model_variables()).",
                _example(group[0]),
            )


CAUSES: tuple[Cause, ...] = (
    DoubleApplied(),
    NotApplied(),
    Unconverged(),
    AppliedUnexpectedly(),
    PartiallyApplied(),
    AppliedToStatistics(),
    NotAppliedToStatistics(),
)
