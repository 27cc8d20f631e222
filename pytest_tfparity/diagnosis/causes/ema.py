"""Moving averages applied, not applied, or half applied."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from ..averages import averages
from ..cause import Cause, Page, Suspicion
from ..evidence import Evidence
from ..health import global_step, unconverged
from ..places.weights import WrongConstant, nodes, repair, scopes
from ..wording import listed

_ISSUE = "https://github.com/tensorflow/tensorflow/issues/9724"
_RESTORE = "tf.train.Saver(ema.variables_to_restore())"


def _suspicion(
    cause: str, evidence: Evidence, group: Sequence[WrongConstant], message: str, fix: str, *facts: str
) -> Suspicion:
    return Suspicion(
        cause=cause,
        nodes=nodes(evidence, group),
        scopes=scopes(evidence, group),
        message=message,
        fix=fix,
        evidence=tuple(facts),
        repair=repair(group),
    )


def _example(wrong: WrongConstant) -> str:
    assert wrong.origin is not None
    return f"{wrong.constant} equals {wrong.origin.source} of the checkpoint bit for bit, not {wrong.key}."


class DoubleApplied(Cause):
    """The averaging op ran once more in the session that was frozen."""

    id: ClassVar[str] = "ema-double-applied"
    title: ClassVar[str] = "moving averages applied twice"
    page: ClassVar[Page] = Page(
        what=(
            "Every averaged weight of the export lies between the variable and its moving average, at the same"
            " share everywhere: the averages were averaged once more."
        ),
        how=(
            "The export script restores the checkpoint and then runs the op of `ema.apply()`, often hidden in"
            " the train op or in a control dependency, before it copies the averages and freezes."
        ),
        proof=(
            "One number d between 0 and 1 solves `export = d * average + (1 - d) * variable` to rounding for"
            " every weight, where both are tensors of the checkpoint."
        ),
        fix="Never run `ema.apply()` in the export session: restore the averages with"
        " `tf.train.Saver(ema.variables_to_restore())` and freeze.",
    )

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        found = averages(evidence).mixed()
        if found is None:
            return
        share, group = found
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
    title: ClassVar[str] = "raw weights frozen where moving averages are meant"
    page: ClassVar[Page] = Page(
        what=(
            "The checkpoint holds a moving average of each trained variable, the reference restores those, and"
            " the export holds the variables themselves: it answers a little worse and less steadily."
        ),
        how=(
            "The export was made with a plain `tf.train.Saver()` or with `freeze_graph --input_checkpoint`,"
            " which know nothing of averages."
        ),
        proof=(
            "Each constant equals the variable of the checkpoint bit for bit, and the average beside it differs."
            " With the averages put in, the export matches the reference."
        ),
        fix="Restore with `tf.train.Saver(ema.variables_to_restore())` before freezing. If the raw variables are"
        " meant, say so: `ema: none` for the reference.",
        links=(
            _ISSUE,
            "https://stackoverflow.com/questions/44690363",
            "https://github.com/argman/EAST/issues/225",
        ),
    )

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        known = averages(evidence)
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
    title: ClassVar[str] = "moving averages that never left their initial values"
    page: ClassVar[Page] = Page(
        what=(
            "The moving averages of the checkpoint still hold mostly what the variables began with, so a model"
            " that uses them answers as an untrained one would."
        ),
        how=(
            "`tf.train.ExponentialMovingAverage(0.9999)` without `num_updates`, and a run of few steps. The average of"
            " a variable starts at the variable's initial value and is not corrected for that start."
        ),
        proof=(
            "The decay is a constant of the training graph, and `decay ** global_step` is the share of the"
            " initial value that is left; or averages that began at zero are still near it while their variables"
            " are not. How the averages came into use is for the caller to know."
        ),
        fix="Pass `num_updates=global_step`, train on, or export the variables themselves.",
    )

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        known = averages(evidence)
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
    title: ClassVar[str] = "moving averages frozen where raw weights are meant"
    page: ClassVar[Page] = Page(
        what="The export holds the moving averages of the variables, the reference the variables themselves.",
        how=(
            "`ema.variables_to_restore()` was left in the export script; or a second job started from averages that"
            " an earlier one had made, so that they were applied once in training and once in exporting."
        ),
        proof=(
            "Each constant equals the moving average in the checkpoint bit for bit. With the variables put in,"
            " the export matches the reference."
        ),
        fix="Restore with `tf.train.Saver()`. If the averages are meant, say so: `ema: trainable` for the reference.",
    )

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        known = averages(evidence)
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
    title: ClassVar[str] = "moving averages applied to some of the weights only"
    page: ClassVar[Page] = Page(
        what="Some weights of the export are raw and others are moving averages, unlike in the reference.",
        how=(
            "A hand-written map of names for the restore, another list of variables than the one that training"
            " averaged, or a loader that takes the raw value where it does not find an average."
        ),
        proof=(
            "Each averaged weight of the export is compared with both tensors of the checkpoint, bit for bit; those"
            " that are of the other kind than the reference's are named."
        ),
        fix="Let `ema.variables_to_restore()` make the map, and let the restore fail on names that are missing.",
    )

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        known = averages(evidence)
        if known.raw and known.right_averages:
            group = [*known.raw, *known.beside(known.raw, known.raw_statistics)]
            yield self._mixed(evidence, group, ("raw", "moving averages"), known.right_averages)
        if known.averaged and known.right_raw:
            group = [*known.averaged, *known.beside(known.averaged, known.averaged_statistics)]
            yield self._mixed(evidence, group, ("moving averages", "raw"), known.right_raw)

    def _mixed(
        self, evidence: Evidence, group: Sequence[WrongConstant], kinds: tuple[str, str], right: int
    ) -> Suspicion:
        layers = scopes(evidence, group)
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
    title: ClassVar[str] = "batch norm statistics taken from their own moving average"
    page: ClassVar[Page] = Page(
        what=(
            "The moving mean and variance of batch norm are averages already. In the export they come from a"
            " second average of themselves, which lags behind: probabilities move by 0.05 to 0.2."
        ),
        how=(
            "The training job averaged all model variables, and the export adds every restored variable to the"
            " collection `MOVING_AVERAGE_VARIABLES` (or passes `slim.get_model_variables()`), so that"
            " `variables_to_restore()` maps the statistics to their averages as well."
        ),
        proof=(
            "The statistics equal the checkpoint's `.../ExponentialMovingAverage` bit for bit, and all other"
            " weights are what the reference has."
        ),
        fix="Restore with `ema.variables_to_restore(tf.trainable_variables())`.",
        links=(
            "https://github.com/tensorflow/tensorflow/issues/25912",
            "https://github.com/tensorflow/tensorflow/issues/3684",
            "https://github.com/tensorflow/tensorflow/issues/11839",
            "https://github.com/tensorpack/tensorpack/issues/880",
        ),
    )

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        group = averages(evidence).averaged_statistics
        if group:
            layers = scopes(evidence, group)
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
    title: ClassVar[str] = "batch norm statistics raw where their moving average is meant"
    page: ClassVar[Page] = Page(
        what=(
            "The reference restores the moving average of every model variable, batch norm statistics included,"
            " as the evaluation scripts of slim do; the export has the averages of the trained weights only."
        ),
        how="`ema.variables_to_restore()` covers the trainable variables unless it is told otherwise.",
        proof=(
            "The statistics equal the variables of the checkpoint bit for bit while the reference takes their"
            " averages, and all other weights agree."
        ),
        fix="Restore with `ema.variables_to_restore(slim.get_model_variables())`.",
        links=(
            "https://github.com/tensorflow/models/blob/master/research/slim/eval_image_classifier.py",
            "https://github.com/tensorflow/tensorflow/issues/3684",
        ),
    )

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        group = averages(evidence).raw_statistics
        if group:
            layers = scopes(evidence, group)
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
