"""Batch norm in another mode, with another epsilon, axis, scale or another layer's statistics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from graphs.batch_norm import names, tensor
from graphs.fake_runner import FakeRunner
from graphs.layers import FLOAT, Layers, Values, case, evidence, findings, only, weights
from pytest_tfparity.diagnosis.alignment import divergences
from pytest_tfparity.diagnosis.causes import CATALOGUE
from pytest_tfparity.diagnosis.diagnose import diagnose
from pytest_tfparity.graph.graph import DType, TensorName
from pytest_tfparity.graph.proof.proof import Side
from pytest_tfparity.result import Finding

BOOL = DType(10)
SCOPES = ("a", "b", "c")
Norm = Callable[[Layers, str, str], str]


def chain(
    values: Values, *, frozen: bool, norms: dict[str, Norm] | None = None, scopes: tuple[str, ...] = SCOPES
) -> Side:
    """Convolution, batch norm and ReLU for each scope; ``norms`` says how some batch norms are made."""
    net = Layers(values, frozen=frozen)
    x = net.image()
    for scope in scopes:
        make = (norms or {}).get(scope, lambda net, name, x: net.norm(name, x))
        x = net.relu(f"{scope}/relu", make(net, f"{scope}/bn", net.conv(f"{scope}/conv", x)))
    return net.side(x)


def trained(net: Layers, scope: str, x: str) -> str:
    return net.norm(scope, x, training=True)


def test_the_one_fused_batch_norm_in_training_mode_is_named_and_no_other() -> None:
    values = weights(*SCOPES)
    found = findings(chain(values, frozen=False), chain(values, frozen=True, norms={"b": trained}))
    finding = only(found, "bn-training-mode")
    assert finding.scopes == ("b/bn",)
    assert finding.nodes == ("b/bn/FusedBatchNormV3",)
    assert finding.message == (
        "model.pb runs b/bn (1 of its 3 batch norms) in training mode: it normalises with the current batch"
        " and ignores moving_mean and moving_variance."
    )
    assert finding.fix == "Build the export graph with training=False, restore model.ckpt, freeze again."


def test_the_words_for_the_reference_are_those_of_its_format() -> None:
    """A frozen graph is not restored, and its graph is not that of a checkpoint."""
    values = weights(*SCOPES)
    given = case(chain(values, frozen=True), chain(values, frozen=True, norms={"b": trained}))
    named = replace(
        given, reference_name="good.pb", reference_noun="frozen graph", reference_graph="frozen graph"
    )
    (finding,) = diagnose(named).findings
    assert finding.cause == "bn-training-mode"
    assert finding.fix == (
        "Build the export graph with training=False, take the weights of good.pb, freeze again."
    )


def test_moments_that_feed_the_normalisation_are_training_mode_too() -> None:
    values = weights(*SCOPES)
    reference = {scope: lambda net, name, x: net.plain_norm(name, x) for scope in SCOPES}
    export = reference | {"c": lambda net, name, x: net.plain_norm(name, x, training=True)}
    found = findings(chain(values, frozen=False, norms=reference), chain(values, frozen=True, norms=export))
    assert only(found, "bn-training-mode").scopes == ("c/bn",)


def test_the_repair_of_the_mode_does_not_hide_a_wrong_gamma() -> None:
    values = weights(*SCOPES)
    other = values | {"b/bn/gamma": values["a/bn/gamma"]}
    before = evidence(chain(values, frozen=False), chain(other, frozen=True, norms={"b": trained}))
    (suspicion,) = CATALOGUE["bn-training-mode"].ways[0](before)
    after = before.after(suspicion.repair)
    assert [each.export for each in after[divergences]] == [("b/bn/gamma",)]


def test_a_batch_norm_in_training_mode_on_both_sides_is_no_fault() -> None:
    values = weights(*SCOPES)
    wrong = values | {"a/conv/kernel": values["b/conv/kernel"]}
    found = findings(
        chain(values, frozen=False, norms={"b": trained}), chain(wrong, frozen=True, norms={"b": trained})
    )
    assert "bn-training-mode" not in [each.cause for each in found]


def test_a_training_graph_as_reference_is_told_from_a_training_export() -> None:
    values = weights(*SCOPES)
    found = findings(chain(values, frozen=False, norms={"b": trained}), chain(values, frozen=True))
    finding = only(found, "bn-training-mode")
    assert "the reference is a training graph" in finding.message


def switched(phase: str, *, inside: bool = False, epsilon: float = 1e-3) -> Norm:
    """Both modes of a fused batch norm, chosen by ``phase``; ``inside``: each with a ReLU behind it."""

    def make(net: Layers, scope: str, x: str) -> str:
        net.add("Switch", f"{scope}/Switch", x, phase, T=FLOAT)
        reads = [
            net.weight(f"{scope}/{name}") for name in ("gamma", "beta", "moving_mean", "moving_variance")
        ]
        empty = [net.const(f"{scope}/Const", []), net.const(f"{scope}/Const_1", [])]
        attrs = {"epsilon": epsilon, "data_format": b"NHWC", "T": FLOAT}
        name = f"{scope}/cond/FusedBatchNormV3"
        net.add(
            name.rpartition("/")[2], name, f"{scope}/Switch:1", *reads[:2], *empty, is_training=True, **attrs
        )
        net.add("FusedBatchNormV3", f"{name}_1", f"{scope}/Switch", *reads, is_training=False, **attrs)
        sides = [f"{name}_1", name]
        if inside:
            sides = [net.relu(f"{scope}/cond/relu_{index}", side) for index, side in enumerate(sides)]
        return net.add("Merge", f"{scope}/cond/Merge", *sides, T=FLOAT, N=2)

    return make


def conditional(
    values: Values, phase: str, *, frozen: bool, default: bool, op: str, inside: bool = False
) -> Side:
    net = Layers(values, frozen=frozen)
    if op == "Const":
        net.add("Const", phase, dtype=BOOL, value=tensor(default, "bool"))
    else:
        net.add("Const", f"{phase}/default", dtype=BOOL, value=tensor(default, "bool"))
        net.add(op, phase, f"{phase}/default", dtype=BOOL)
    x = net.image()
    for scope in SCOPES:
        x = net.relu(
            f"{scope}/relu", switched(phase, inside=inside)(net, f"{scope}/bn", net.conv(f"{scope}/conv", x))
        )
    return net.side(x, feeds={} if frozen else {phase: np.asarray(False)})


@pytest.mark.parametrize(
    ("phase", "op", "cause", "fix"),
    [
        ("is_training", "PlaceholderWithDefault", "bn-training-mode", "Feed is_training:0=False"),
        ("flag", "Const", "bn-training-mode", "Build the export graph with flag=False"),
        ("keras_learning_phase", "PlaceholderWithDefault", "keras-learning-phase", "K.set_learning_phase(0)"),
    ],
)
def test_a_phase_that_decides_the_mode_is_named_and_fed(phase: str, op: str, cause: str, fix: str) -> None:
    values = weights(*SCOPES)
    found = findings(
        conditional(values, phase, frozen=False, default=True, op="PlaceholderWithDefault"),
        conditional(values, phase, frozen=True, default=True, op=op),
    )
    finding = only(found, cause)
    assert finding.scopes == ("a/bn", "b/bn", "c/bn")
    assert phase in finding.message
    assert fix in finding.fix


def test_a_phase_is_found_although_more_than_the_batch_norm_hangs_on_it() -> None:
    values = weights(*SCOPES)
    reference, export = (
        conditional(values, "phase", frozen=frozen, default=True, op="PlaceholderWithDefault", inside=True)
        for frozen in (False, True)
    )
    finding = only(findings(reference, export), "bn-training-mode")
    assert "placeholder phase decides that" in finding.message


def test_a_phase_with_the_right_default_is_no_fault() -> None:
    values = weights(*SCOPES)
    wrong = values | {"a/conv/kernel": values["b/conv/kernel"]}
    found = findings(
        conditional(values, "phase", frozen=False, default=False, op="PlaceholderWithDefault"),
        conditional(wrong, "phase", frozen=True, default=False, op="PlaceholderWithDefault"),
    )
    assert "bn-training-mode" not in [each.cause for each in found]


def undecided(values: Values, phase: str, *, frozen: bool) -> Side:
    """Batch norms whose mode is up to the placeholder ``phase``, an input, in the export alone."""
    net = Layers(values, frozen=frozen)
    net.add("Placeholder", phase, dtype=BOOL)
    x = net.image()
    for scope in SCOPES:
        conv = net.conv(f"{scope}/conv", x)
        norm = switched(phase)(net, f"{scope}/bn", conv) if frozen else net.norm(f"{scope}/bn", conv)
        x = net.relu(f"{scope}/relu", norm)
    return replace(net.side(x), inputs=tuple(names("x", phase)))


def fed(phase: bool | None) -> tuple[Finding, ...]:
    """What is found where a run feeds the export's placeholder this; None: nothing is run."""
    values = weights(*SCOPES)
    given = case(undecided(values, "phase", frozen=False), undecided(values, "phase", frozen=True))
    inputs = {"phase:0": np.asarray(phase)}
    runner = None if phase is None else FakeRunner(inputs=inputs)
    return diagnose(replace(given, runner=runner)).findings


def test_a_mode_that_this_run_feeds_as_training_is_training_mode() -> None:
    finding = only(fed(True), "bn-training-mode")
    assert finding.scopes == ("a/bn", "b/bn", "c/bn")
    assert "(placeholder phase decides that, which this run feeds True)" in finding.message
    assert "Feed phase:0=False wherever the export runs" in finding.fix


@pytest.mark.parametrize(("phase", "known"), [(False, "feeds False"), (None, "does not feed")])
def test_a_mode_that_a_feed_decides_otherwise_is_never_called_training(
    phase: bool | None, known: str
) -> None:
    finding = only(fed(phase), "graph-op-differs")
    assert finding.message == (
        "Whether a/bn, b/bn and c/bn of model.pb normalise with the current batch or with their moving statistics is"
        f" up to phase (which this run {known}); the checkpoint's graph always uses the moving statistics."
    )
    assert finding.fix == (
        "Feed phase wherever the export runs, or export it with the value of inference as a constant."
    )


def test_a_hundred_faulty_layers_are_all_in_the_scopes_and_few_in_the_message() -> None:
    scopes = tuple(f"block{index // 10}/unit{index}" for index in range(100))
    values = weights(*scopes, channels=2)
    norms = dict.fromkeys(scopes, trained)
    found = findings(
        chain(values, frozen=False, scopes=scopes), chain(values, frozen=True, scopes=scopes, norms=norms)
    )
    finding = only(found, "bn-training-mode")
    assert len(finding.scopes) == 100
    assert len(finding.message) < 300
    assert "and 97 more" in finding.message


def test_another_epsilon_is_named_with_both_numbers() -> None:
    values = weights(*SCOPES)
    export: dict[str, Norm] = {"b": lambda net, name, x: net.norm(name, x, epsilon=1e-5)}
    finding = only(
        findings(chain(values, frozen=False), chain(values, frozen=True, norms=export)), "bn-epsilon-mismatch"
    )
    assert finding.scopes == ("b/bn",)
    assert finding.message == "b/bn: epsilon is 1e-05 in model.pb, 0.001 in the checkpoint's graph."


def test_another_epsilon_is_named_in_a_branch_that_a_conjunction_with_false_leaves_alive() -> None:
    values = weights(*SCOPES)

    def side(*, frozen: bool, epsilon: float) -> Side:
        net = Layers(values, frozen=frozen)
        net.add("Placeholder", "q", dtype=BOOL)
        net.const("never", False, "bool")
        net.add("LogicalAnd", "phase", "never", "q")
        x = net.image()
        for scope in SCOPES:
            make = switched("phase", epsilon=epsilon) if frozen and scope == "b" else Layers.norm
            x = net.relu(f"{scope}/relu", make(net, f"{scope}/bn", net.conv(f"{scope}/conv", x)))
        return replace(net.side(x), inputs=(TensorName("x", 0), TensorName("q", 0)))

    found = findings(side(frozen=False, epsilon=1e-3), side(frozen=True, epsilon=0.1))
    assert [each.cause for each in found] == ["bn-epsilon-mismatch"]
    finding = only(found, "bn-epsilon-mismatch")
    assert (finding.certainty, finding.scopes) == ("proven", ("b/bn",))


def test_the_epsilon_that_fused_ops_raise_is_no_mismatch() -> None:
    values = weights(*SCOPES)
    wrong = values | {"a/conv/kernel": values["b/conv/kernel"]}
    reference = dict.fromkeys(SCOPES, lambda net, name, x: net.norm(name, x, epsilon=1.001e-5))
    export = dict.fromkeys(SCOPES, lambda net, name, x: net.norm(name, x, epsilon=1e-5))
    found = findings(chain(values, frozen=False, norms=reference), chain(wrong, frozen=True, norms=export))
    assert "bn-epsilon-mismatch" not in [each.cause for each in found]


@pytest.mark.parametrize(("variance", "cause"), [(0.0, "nan-zero-epsilon"), (0.5, "bn-epsilon-mismatch")])
def test_epsilon_0_is_fatal_with_a_variance_of_0_alone(variance: float, cause: str) -> None:
    values = weights(*SCOPES)
    values["b/bn/moving_variance"][3] = variance
    export: dict[str, Norm] = {"b": lambda net, name, x: net.norm(name, x, epsilon=0.0)}
    finding = only(findings(chain(values, frozen=False), chain(values, frozen=True, norms=export)), cause)
    assert finding.scopes == ("b/bn",)
    assert ("channel 3 has variance 0" in finding.message) is (variance == 0.0)


def along(axis: list[int]) -> Norm:
    """Weights reshaped to lie along an axis."""

    def make(net: Layers, scope: str, x: str) -> str:
        net.const(f"{scope}/shape", axis, "int32")
        names = ("moving_mean", "moving_variance", "beta", "gamma")
        parts = [
            net.add("Reshape", f"{scope}/{n}/Reshape", net.weight(f"{scope}/{n}"), f"{scope}/shape")
            for n in names
        ]
        return net.nn(scope, x, parts[0], parts[1], parts[2], parts[3])

    return make


def test_another_axis_is_named() -> None:
    values = weights(*SCOPES)
    reference, export = along([1, 1, 1, 8]), along([1, 8, 1, 1])
    found = findings(
        chain(values, frozen=False, norms=dict.fromkeys(SCOPES, reference)),
        chain(values, frozen=True, norms=dict.fromkeys(SCOPES, reference) | {"b": export}),
    )
    finding = only(found, "bn-axis")
    assert finding.scopes == ("b/bn",)
    assert finding.message == "b/bn: axis 1 in model.pb, -1 in the checkpoint's graph."


def test_a_gamma_that_the_export_does_without_is_named() -> None:
    values = weights(*SCOPES)
    reference: dict[str, Norm] = dict.fromkeys(SCOPES, lambda net, name, x: net.plain_norm(name, x))
    export = reference | {"b": lambda net, name, x: net.plain_norm(name, x, scale=False)}
    found = findings(chain(values, frozen=False, norms=reference), chain(values, frozen=True, norms=export))
    finding = only(found, "bn-gamma-missing")
    assert finding.scopes == ("b/bn",)
    assert "scale=True" in finding.fix


def test_ones_that_never_were_a_variable_are_no_gamma() -> None:
    values = weights(*SCOPES)

    def without(net: Layers, scope: str, x: str) -> str:
        return net.norm(scope, x, gamma=net.const(f"{scope}/Const", np.ones(8)))

    found = findings(chain(values, frozen=False), chain(values, frozen=True, norms={"b": without}))
    assert only(found, "bn-gamma-missing").scopes == ("b/bn",)


def test_a_gamma_that_was_not_restored_is_not_missing() -> None:
    values = weights(*SCOPES)
    wrong = values | {"b/bn/gamma": np.ones(8, np.float32)}
    found = findings(chain(values, frozen=False), chain(wrong, frozen=True))
    assert "bn-gamma-missing" not in [each.cause for each in found]


def numbered(numbers: dict[str, int], values: Values, *, frozen: bool) -> Side:
    """Two layers whose statistics are named after numbered scopes, as ``ema.average(batch_mean)`` does."""
    net = Layers(values, frozen=frozen)
    x = net.image()
    for scope, number in numbers.items():
        mean, variance = (net.weight(f"bn_{number}/{each}") for each in ("mean", "variance"))
        beta, gamma = net.weight(f"{scope}/beta"), net.weight(f"{scope}/gamma")
        x = net.relu(f"{scope}/relu", net.nn(f"bn_{number}", x, mean, variance, beta, gamma))
    return net.side(x)


def test_statistics_that_changed_places_with_their_names_are_named_by_consumer() -> None:
    plain = weights("left", "right")
    values = {}
    for number, scope in enumerate(("left", "right")):
        values[f"bn_{number}/mean"] = plain[f"{scope}/bn/moving_mean"]
        values[f"bn_{number}/variance"] = plain[f"{scope}/bn/moving_variance"]
        values[f"{scope}/gamma"], values[f"{scope}/beta"] = (
            plain[f"{scope}/bn/gamma"],
            plain[f"{scope}/bn/beta"],
        )
    found = findings(
        numbered({"left": 0, "right": 1}, values, frozen=False),
        numbered({"left": 1, "right": 0}, values, frozen=True),
    )
    finding = only(found, "bn-stats-names-shifted")
    assert finding.scopes == ("bn_1", "bn_0")
    assert "left reads bn_1/mean in model.pb and bn_0/mean in the checkpoint's graph" in finding.message
