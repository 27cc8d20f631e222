"""Other ops, other edges, other outputs and inputs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from graphs.fake_runner import FakeRunner
from graphs.layers import FLOAT, Layers, case, findings, only
from graphs.staged import VALUES, Stage, all_of, dropout, multiplied, op, set_by, shifted, staged, with_inputs
from pytest_tfparity.diagnosis.cause import Cause, Suspicion
from pytest_tfparity.diagnosis.diagnose import diagnose
from pytest_tfparity.graph.edit.repair import Constant, Repair, tensor_of_array
from pytest_tfparity.graph.proof.proof import Side
from pytest_tfparity.result import OutputComparison

PLAIN = staged(frozen=False)
SOFTMAX = op("Softmax", "prob")


def spelt_softmax(net: Layers, x: str) -> str:
    axis = net.const("prob/axis", [-1], "int32")
    exp = net.add("Exp", "prob/Exp", x, T=FLOAT)
    return net.add("RealDiv", "prob/div", exp, net.add("Sum", "prob/Sum", exp, axis, T=FLOAT), T=FLOAT)


def test_logits_under_the_name_of_probabilities_miss_a_softmax() -> None:
    named = op("Identity", "prob")
    for stage in (SOFTMAX, spelt_softmax):
        found = findings(staged(frozen=False, output=stage), staged(frozen=True, output=named))
        only(found, "missing-softmax")


def test_another_activation_that_is_missing_at_the_end_is_an_op() -> None:
    export = staged(frozen=True, output=op("Identity", "prob"))
    finding = only(findings(staged(frozen=False, output=op("Sigmoid", "prob")), export), "graph-op-missing")
    assert finding.nodes == ("prob",)
    assert finding.message == "model.pb lacks Sigmoid prob."


def test_a_softmax_too_many_is_told_as_an_op() -> None:
    export = staged(frozen=True, output=all_of(SOFTMAX, op("Softmax", "prob_1")))
    assert only(findings(staged(frozen=False, output=SOFTMAX), export), "graph-op-differs").nodes


def test_a_missing_activation_is_put_back_for_everyone_who_reads_it() -> None:
    def skipped(net: Layers, x: str) -> str:
        return net.add("AddV2", "sum", net.conv("second/conv", x), x, T=FLOAT)

    found = findings(
        staged(frozen=False, second=skipped), staged(frozen=True, second=skipped, activation=None)
    )
    assert only(found, "graph-op-missing").nodes == ("first/act",)


def test_another_activation_and_another_slope_are_one_finding() -> None:
    reference = staged(frozen=False, middle=op("LeakyRelu", "leaky", alpha=0.2))
    export = staged(
        frozen=True, middle=op("LeakyRelu", "leaky", alpha=0.1), activation=op("Tanh", "first/act")
    )
    found = findings(reference, export)
    assert set(only(found, "graph-op-differs").nodes) == {"leaky", "first/act"}


def test_a_difference_that_the_message_tells_is_no_evidence_beside_it() -> None:
    def gains(*values: float) -> Stage:
        return all_of(*(multiplied(f"gain_{number}", value) for number, value in enumerate(values)))

    found = findings(
        staged(frozen=False, middle=gains(2.0, 3.0, 5.0)),
        staged(frozen=True, middle=gains(7.0, 8.0, 9.0)),
    )
    finding = only(found, "graph-const-differs")
    assert finding.message.endswith(" And 1 more.")
    assert len(finding.evidence) == 1
    assert finding.evidence[0].rpartition(":")[0] not in finding.message


def test_a_constant_that_is_no_weight_is_told_with_both_values() -> None:
    found = findings(
        staged(frozen=False, middle=multiplied("gain", 2.0)),
        staged(frozen=True, middle=multiplied("gain", 3.0)),
    )
    assert (
        only(found, "graph-const-differs").message
        == "gain/y is 2 in the checkpoint's graph and 3 in model.pb."
    )


def test_operands_that_change_places_are_wiring() -> None:
    def minus(*order: int) -> Stage:
        def stage(net: Layers, x: str) -> str:
            parts = (x, op("Tanh", "tanh")(net, x))
            return net.add("Sub", "difference", *(parts[index] for index in order), T=FLOAT)

        return stage

    found = findings(staged(frozen=False, middle=minus(0, 1)), staged(frozen=True, middle=minus(1, 0)))
    assert only(found, "graph-wiring-differs").nodes == ("difference",)


def test_a_skip_connection_that_starts_elsewhere_is_wiring() -> None:
    def skip(late: bool) -> Stage:
        def stage(net: Layers, x: str) -> str:
            inner = op("Tanh", "tanh")(net, x)
            return net.add("AddV2", "sum", inner, inner if late else x, T=FLOAT)

        return stage

    found = findings(staged(frozen=False, middle=skip(False)), staged(frozen=True, middle=skip(True)))
    assert only(found, "graph-wiring-differs").nodes == ("sum",)


def test_a_layer_that_is_read_past_is_wiring() -> None:
    def layered(net: Layers, x: str) -> str:
        return net.conv("aux/conv", x)

    finding = only(
        findings(staged(frozen=False, middle=layered), staged(frozen=True)), "graph-wiring-differs"
    )
    assert finding.nodes == ("second/conv/Conv2D", "aux/conv/Conv2D")


def gated(net: Layers, x: str) -> str:
    gate = net.add("Sigmoid", "gate/sigmoid", net.conv("aux/conv", x), T=FLOAT)
    return net.add("Mul", "gate/mul", x, gate, T=FLOAT)


def test_a_product_that_is_gone_with_the_branch_it_read_is_missing() -> None:
    finding = only(findings(staged(frozen=False, middle=gated), staged(frozen=True)), "graph-op-missing")
    assert finding.nodes == ("gate/mul", "gate/sigmoid", "aux/conv/Conv2D")


def test_a_node_without_a_scope_is_called_as_the_reference_calls_it() -> None:
    found = findings(
        staged(frozen=False, middle=op("Tanh", "block/step/act")), staged(frozen=True, middle=op("Elu", "n7"))
    )
    finding = only(found, "graph-op-differs")
    assert (finding.nodes, finding.scopes) == (("n7",), ("block/step",))


def test_the_same_change_where_it_does_not_matter_is_named_too() -> None:
    def acting(first: str, second: str, third: str, *, frozen: bool) -> Side:
        rest = all_of(
            op(second, "second/act"), lambda net, x: net.conv("aux/conv", x), op(third, "third/act")
        )
        return staged(frozen=frozen, activation=op(first, "first/act"), output=rest)

    runs = case(acting("Relu6", "Relu6", "Tanh", frozen=False), acting("Relu", "Relu", "Elu", frozen=True))

    def run(export: Side) -> tuple[OutputComparison, ...]:
        """As if only the first ever met a value on which it matters."""
        node = export.graph.nodes["second/conv/Conv2D"].inputs[0].node
        return (compared(float(export.graph.nodes[node].op != "Relu6")),)

    found = diagnose(replace(runs, runner=FakeRunner(comparison=run), outputs=run(runs.export.side))).findings
    assert [(each.cause, set(each.nodes)) for each in found] == [
        ("graph-op-differs", {"first/act", "second/act"})
    ]


def test_a_difference_without_a_cause_is_told_with_its_place() -> None:
    reference = staged(frozen=False, middle=op("Tanh", "act"))
    differs = (compared(1.0),)
    held = replace(case(reference, staged(frozen=True, middle=op("Elu", "act"))), outputs=differs)
    assert diagnose(held, ()).notes == (
        "No known cause explains the difference. The graphs first diverge at act (Tanh act in the reference, Elu act in"
        " the export).",
    )
    same = replace(case(reference, staged(frozen=True, middle=op("Tanh", "act"))), outputs=differs)
    assert "both sides compute the same" in diagnose(same, ()).notes[0]


def test_what_cannot_be_repaired_is_not_said_to_have_been() -> None:
    sides = staged(frozen=False, middle=op("Tanh", "act")), staged(frozen=True, middle=op("Elu", "act"))
    held = replace(
        case(*sides), outputs=(compared(1.0),), runner=FakeRunner(comparison=lambda side: (compared(1.0),))
    )

    def seen(repair: Repair) -> tuple[str, ...]:
        one = Suspicion(
            cause="graph-op-differs",
            nodes=("act",),
            scopes=("act",),
            message="It differs.",
            fix="",
            repair=repair,
        )
        return diagnose(held, (Cause(id="graph-op-differs", ways=(lambda evidence: [one],)),)).notes

    place = "at act (Tanh act in the reference, Elu act in the export)"
    assert seen(()) == (
        "None of this can be repaired in memory, so whether it is all that differs is not proven. The graphs first"
        f" diverge {place}.",
    )
    other = tensor_of_array(VALUES["first/conv/kernel"] + np.float32(1))
    (note,) = seen((Constant(node="first/conv/kernel", value=other),))
    assert note.startswith(
        "With this repair the export still differs by up to 1; it diverges at first/conv/kernel"
    )


def test_what_parity_came_without_and_may_be_harmless_is_no_finding() -> None:
    sides = staged(frozen=False, middle=op("Tanh", "act")), staged(frozen=True, middle=op("Elu", "act"))
    mended = Constant(
        node="first/conv/kernel", value=tensor_of_array(VALUES["first/conv/kernel"] * np.float32(2))
    )

    def run(export: Side) -> tuple[OutputComparison, ...]:
        changed = export.graph.nodes[mended.node] != sides[1].graph.nodes[mended.node]
        return (compared(0.0 if changed else 1.0),)

    held = replace(case(*sides), outputs=(compared(1.0),), runner=FakeRunner(comparison=run))
    plain = Suspicion(cause="graph-op-differs", nodes=("act",), scopes=("act",), message="Act.", fix="")
    needed = replace(plain, nodes=(mended.node,), message="Kernel.", fix="It.", repair=(mended,))

    def told(other: Suspicion) -> list[str]:
        causes = [
            Cause(id="graph-op-differs", ways=(lambda evidence, one=one: [one],)) for one in (needed, other)
        ]
        return [each.message for each in diagnose(held, causes).findings]

    assert told(replace(plain, certainty="suggestive")) == ["Kernel."]
    assert told(replace(plain, rewrite=True)) == ["Kernel."]
    assert told(plain) == ["Kernel.", "Act."]


# --- outputs and inputs


def head(net: Layers, x: str) -> str:
    return net.conv("aux/conv", x)


def test_an_auxiliary_head_is_another_output() -> None:
    export = with_inputs(staged(frozen=True, also=head), "x", outputs=("aux/conv/Conv2D",))
    finding = only(findings(staged(frozen=False, also=head), export), "wrong-output-node")
    assert finding.message == (
        "aux/conv/Conv2D:0 of model.pb is aux/conv/Conv2D:0 of the checkpoint's graph, not second/conv/Conv2D:0."
    )
    assert finding.fix == "Export second/conv/Conv2D (output_node_names)."


def test_outputs_that_changed_places_are_two_findings_of_one_cause() -> None:
    pair = ("second/conv/Conv2D", "aux/conv/Conv2D")
    reference = staged(frozen=False, also=head, outputs=pair)
    found = findings(reference, staged(frozen=True, also=head, outputs=pair[::-1]))
    assert {each.cause for each in found} == {"wrong-output-node"}
    assert all(each.certainty == "proven" for each in found)


def test_a_copy_of_the_network_in_training_is_no_other_output() -> None:
    def tower(net: Layers, x: str) -> str:
        kept = dropout("train/drop")(net, x)
        return net.add(
            "Conv2D",
            "train/out",
            kept,
            "second/conv/kernel/read",
            T=FLOAT,
            strides=(1, 1, 1, 1),
            padding=b"SAME",
        )

    export = with_inputs(staged(frozen=True, also=tower), "x", outputs=("train/out",))
    found = findings(staged(frozen=False, also=tower), export)
    assert "dropout-active" in {each.cause for each in found}
    assert "wrong-output-node" not in {each.cause for each in found}


def test_an_input_behind_the_preprocessing_is_told() -> None:
    steps = all_of(shifted("preprocess/sub", 1.0), multiplied("preprocess/mul", 2.0))
    reference = staged(frozen=False, input=steps)

    def cut(net: Layers, x: str) -> str:
        return net.add("Placeholder", "preprocess/mul", dtype=FLOAT)

    export = with_inputs(staged(frozen=True, input=cut), "preprocess/mul")
    finding = only(findings(reference, export), "wrong-input-node")
    assert finding.nodes == ("preprocess/mul",)
    assert finding.scopes == ("preprocess",)
    assert (
        "preprocess/mul is an input of model.pb; the checkpoint's graph computes it from x" in finding.message
    )


def two_inputs(*, frozen: bool, swapped: bool, act: str = "Relu") -> Side:
    net = Layers(VALUES, frozen=frozen)
    left, right = net.add("Placeholder", "left", dtype=FLOAT), net.add("Placeholder", "right", dtype=FLOAT)
    left, right = (right, left) if swapped else (left, right)
    one = net.add(act, "act", net.conv("first/conv", left), T=FLOAT)
    out = net.add("Sub", "out", one, net.conv("second/conv", right), T=FLOAT)
    return with_inputs(net.side(out), "left", "right")


def test_exchanged_inputs_are_told_also_beside_another_fault() -> None:
    reference = two_inputs(frozen=False, swapped=False)
    finding = only(findings(reference, two_inputs(frozen=True, swapped=True)), "inputs-swapped")
    assert finding.scopes == ("left", "right")
    found = findings(reference, two_inputs(frozen=True, swapped=True, act="Elu"))
    assert {each.cause for each in found} == {"inputs-swapped", "graph-op-differs"}
    assert all(each.certainty == "proven" for each in found)


# --- what is no fault


def test_what_changes_no_number_is_not_named_beside_a_fault() -> None:
    """Equality of fingerprints is not asked for here: whatever runs, agrees once the slope is right."""
    reference = staged(frozen=False, middle=op("LeakyRelu", "leaky", alpha=0.2))
    export = staged(
        frozen=True,
        middle=op("LeakyRelu", "leaky", alpha=0.1),
        input=set_by("Reshape", "spelling/reshape", [-1, 8, 8, 3]),
    )

    def run(side: Side) -> tuple[OutputComparison, ...]:
        alphas = [node.attrs["alpha"] for node in side.graph.nodes.values() if node.op == "LeakyRelu"]
        return (compared(0.0 if np.allclose(alphas, 0.2) else 1.0),)

    diagnosis = diagnose(replace(case(reference, export), runner=FakeRunner(comparison=run)))
    assert [(each.cause, each.nodes) for each in diagnosis.findings] == [("graph-op-differs", ("leaky",))]
    assert diagnosis.findings[0].certainty == "proven"


def test_findings_come_in_the_order_of_what_each_explains() -> None:
    reference = staged(frozen=False, middle=multiplied("gain", 2.0), output=SOFTMAX)
    export = staged(frozen=True, middle=multiplied("gain", 3.0))

    def run(side: Side) -> tuple[OutputComparison, ...]:
        ops = {side.graph.nodes[each.node].op for each in side.outputs}
        right = bool((side.graph.nodes["gain/y"].attrs["value"].array == 2.0).all())  # type: ignore[union-attr]
        return (compared((0.0 if "Softmax" in ops else 5.0) + (0.0 if right else 0.1)),)

    diagnosis = diagnose(replace(case(reference, export), runner=FakeRunner(comparison=run)))
    assert [each.cause for each in diagnosis.findings] == ["missing-softmax", "graph-const-differs"]
    assert diagnosis.findings[0].evidence[-1] == "On its own it changes the outputs by up to 5."


def compared(difference: float) -> OutputComparison:
    return OutputComparison(
        reference="out:0",
        export="out:0",
        max_abs=difference,
        max_rel=None,
        worst_index=None,
        failing=int(difference > 0),
        total=1,
        atol=1e-5,
        rtol=0.0,
        required_atol=difference,
        required_rtol=None,
        passed=difference == 0,
    )
