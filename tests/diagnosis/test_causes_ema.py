"""Moving averages in the place of weights, and weights in the place of averages."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from graphs.plain import Plan
from graphs.weights import SHADOW, SHAPES, STATISTICS, Weights, averaged, causes, findings, trained
from pytest_tfparity.diagnosis.causes import CAUSES
from pytest_tfparity.diagnosis.diagnose import diagnose

WEIGHTS = tuple(name for name in SHAPES if name not in STATISTICS)
LAYERS = ("a/bn", "a/conv", "b/bn", "b/conv", "c/bn", "c/conv", "head")
NORMS = ("a/bn", "b/bn", "c/bn")


def network(expected: tuple[str, ...]) -> Weights:
    """A checkpoint with averages of everything, of which the reference restores those of ``expected``."""
    values = trained()
    keys = {name: f"{name}{SHADOW}" for name in expected}
    return Weights(values=values, tensors=averaged(values), keys=keys)


def export(of: Weights, means: tuple[str, ...]) -> dict[str, np.ndarray]:
    return {
        name: of.tensors[f"{name}{SHADOW}"] if name in means else value for name, value in of.values.items()
    }


def test_the_averages_that_are_meant_are_no_finding() -> None:
    meant = network(WEIGHTS)
    assert findings(meant, export(meant, WEIGHTS)) == []


def test_raw_weights_where_averages_are_meant() -> None:
    meant = network(WEIGHTS)
    (found,) = findings(meant, meant.values)
    assert (found.cause, tuple(sorted(found.scopes))) == ("ema-not-applied", LAYERS)
    assert "raw value of all 11 variables" in found.message


def test_a_fix_says_how_an_export_of_this_format_is_made_again() -> None:
    meant = network(WEIGHTS)
    case = meant.case(meant.values)
    fixes = [
        diagnose(replace(case, remake=remake), CAUSES).findings[0].fix
        for remake in ("freeze again", "export again")
    ]
    assert fixes == [
        f"Restore with tf.train.Saver(ema.variables_to_restore()), {remake} (or, if raw weights are meant, state"
        " `ema: none`)."
        for remake in ("freeze again", "export again")
    ]


def test_raw_statistics_belong_to_it_where_all_averages_are_meant() -> None:
    meant = network(tuple(SHAPES))
    assert causes(findings(meant, meant.values)) == {"ema-not-applied": LAYERS}


def test_averages_where_raw_weights_are_meant() -> None:
    meant = network(())
    assert causes(findings(meant, export(meant, tuple(SHAPES)))) == {"ema-applied-unexpectedly": LAYERS}


def test_averages_that_never_converged_are_told() -> None:
    def decay(plan: Plan) -> None:
        plan.const("ExponentialMovingAverage/decay", 0.9999)

    meant = network(())
    meant.reference_edit = decay
    meant.tensors["global_step"] = np.asarray(100, np.int64)
    for name in meant.values:
        meant.tensors[f"{name}{SHADOW}"] = (meant.values[name] * 0.01).astype(np.float32)
    (found,) = findings(meant, export(meant, WEIGHTS))
    assert found.cause == "ema-unconverged"
    assert "99% of the initial value" in found.message


def test_one_raw_kernel_among_averages_is_named_alone() -> None:
    meant = network(WEIGHTS)
    mixed = tuple(name for name in WEIGHTS if name != "b/conv/kernel")
    (found,) = findings(meant, export(meant, mixed))
    assert (found.cause, found.scopes) == ("ema-partially-applied", ("b/conv",))
    assert (
        "b/conv holds raw weights in model.pb, where the reference has their moving averages; 10 other weights are"
        in found.message
    )


def test_one_average_among_raw_weights_is_named_alone() -> None:
    meant = network(())
    assert causes(findings(meant, export(meant, ("head/kernel",)))) == {"ema-partially-applied": ("head",)}


def test_a_raw_batch_norm_among_averages_takes_its_statistics_along() -> None:
    meant = network(tuple(SHAPES))
    mixed = tuple(name for name in SHAPES if not name.startswith("a/bn"))
    assert causes(findings(meant, export(meant, mixed))) == {"ema-partially-applied": ("a/bn",)}


def test_statistics_from_their_own_average() -> None:
    meant = network(WEIGHTS)
    assert causes(findings(meant, export(meant, tuple(SHAPES)))) == {"ema-applied-to-bn-stats": NORMS}


def test_raw_statistics_where_their_average_is_meant() -> None:
    meant = network(tuple(SHAPES))
    assert causes(findings(meant, export(meant, WEIGHTS))) == {"ema-not-applied-to-bn-stats": NORMS}


def test_averages_averaged_once_more() -> None:
    meant = network(WEIGHTS)
    twice = {
        name: (0.99 * meant.tensors[f"{name}{SHADOW}"] + np.float32(0.01) * value).astype(np.float32)
        if name in WEIGHTS
        else value
        for name, value in meant.values.items()
    }
    (found,) = findings(meant, twice)
    assert (found.cause, tuple(sorted(found.scopes))) == ("ema-double-applied", LAYERS)
    assert "0.99 * average + 0.01 * variable" in found.message


def test_raw_weights_and_a_layer_that_was_not_restored_are_two_findings() -> None:
    meant = network(WEIGHTS)
    lost = {"head/kernel": trained(8)["head/kernel"], "head/bias": np.zeros(5, np.float32)}
    assert causes(findings(meant, meant.values | lost)) == {
        "ema-not-applied": ("a/bn", "a/conv", "b/bn", "b/conv", "c/bn", "c/conv"),
        "partial-restore": ("head",),
    }
