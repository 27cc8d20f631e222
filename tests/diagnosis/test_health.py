"""A checkpoint that is broken in itself is warned of, and a right one never is."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_tfparity.diagnosis.health import checkpoint_health
from pytest_tfparity.graph.graph import DType, Graph, Node, Tensor, tensor_name


def tensor(value: object, dtype: str = "float32") -> Tensor:
    array = np.asarray(value, dtype)
    return Tensor(DType({"float32": 1, "int64": 9}[dtype]), array.shape, lambda: array)


def trained(steps: int | None = 80, **changes: object) -> dict[str, Tensor]:
    parts = {
        "gamma": [1.1, 0.9],
        "beta": [0.1, -0.2],
        "moving_mean": [0.5, 0.4],
        "moving_variance": [2.0, 3.0],
    }
    tensors = {
        f"net/bn/{name}": tensor(value) for name, value in (parts | changes).items() if value is not None
    }
    if steps is not None:
        tensors["global_step"] = tensor(steps, "int64")
    return tensors


UNTOUCHED = {"moving_mean": [0, 0], "moving_variance": [1, 1]}


def test_a_trained_checkpoint_is_healthy() -> None:
    assert checkpoint_health(trained(), named=list(trained())) == ()


def test_statistics_at_their_start_after_training_are_warned_of() -> None:
    (found,) = checkpoint_health(trained(**UNTOUCHED))
    assert (found.cause, found.scopes) == ("bn-stats-never-updated", ("net/bn",))
    assert found.message == (
        "net/bn/moving_mean is still 0 and net/bn/moving_variance still 1 after 80 steps: the update ops were"
        " never run. Wrap minimize in tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS))."
    )


@pytest.mark.parametrize("steps", [0, None])
def test_an_untrained_checkpoint_is_healthy(steps: int | None) -> None:
    assert checkpoint_health(trained(steps, **UNTOUCHED, gamma=[1, 1], beta=[0, 0])) == ()


def test_a_layer_that_never_moved_at_all_is_frozen_and_healthy() -> None:
    assert checkpoint_health(trained(**UNTOUCHED, gamma=[1, 1], beta=[0, 0])) == ()


def training_graph(updated: bool) -> Graph:
    nodes = [Node("net/bn/moving_mean", "VariableV2"), Node("train/ApplyAdam", "ApplyAdam")]
    if updated:
        inputs = (tensor_name("net/bn/moving_mean"), tensor_name("delta"))
        nodes.append(Node("net/bn/AssignMovingAvg", "AssignSub", inputs))
    return Graph({node.name: node for node in nodes})


def test_a_training_graph_that_means_to_keep_the_statistics_is_healthy() -> None:
    assert checkpoint_health(trained(**UNTOUCHED), graph=training_graph(False)) == ()
    assert len(checkpoint_health(trained(**UNTOUCHED), graph=training_graph(True))) == 1


def test_statistics_that_the_graph_names_and_the_checkpoint_lacks_are_warned_of() -> None:
    lost = trained(moving_mean=None, moving_variance=None)
    (found,) = checkpoint_health(lost, named=list(trained()))
    assert (found.cause, found.scopes) == ("bn-stats-not-saved", ("net/bn",))
    assert found.message.startswith(
        "The checkpoint has net/bn/gamma and net/bn/beta but no net/bn/moving_mean, net/bn/moving_variance:"
    )


@pytest.mark.parametrize(
    ("name", "cause"), [("moving_variance", "bn-variance-nonfinite"), ("gamma", "non-finite")]
)
def test_values_that_are_not_finite_are_warned_of(name: str, cause: str) -> None:
    (found,) = checkpoint_health(trained(**{name: [np.nan, 1.0]}), noun="SavedModel")
    assert (found.cause, found.scopes) == (cause, ("net/bn",))
    assert found.message.startswith(f"net/bn/{name} of the SavedModel holds NaN or infinity in 1 of 2 values")


def test_an_optimiser_slot_that_is_not_finite_is_no_matter() -> None:
    assert checkpoint_health(trained() | {"net/bn/gamma/Adam": tensor([np.inf, 0.0])}) == ()


def averages(decay: float) -> tuple[dict[str, Tensor], Graph]:
    tensors = trained(100) | {
        "net/bn/beta/ExponentialMovingAverage": tensor(np.array([0.1, -0.2]) * (1 - decay**100)),
    }
    node = Node("ExponentialMovingAverage/decay", "Const", attrs={"value": tensor(decay)})
    return tensors, Graph({node.name: node})


def test_an_average_that_still_holds_its_start_is_warned_of_where_it_is_used() -> None:
    tensors, graph = averages(0.9999)
    (found,) = checkpoint_health(tensors, graph=graph)
    assert found.cause == "ema-unconverged"
    assert found.message.startswith("After 100 steps a decay of 0.9999 leaves 99% of the initial value")
    assert checkpoint_health(tensors, graph=graph, averages_used=False) == ()


def test_a_variable_outside_of_all_scopes_is_its_own_layer() -> None:
    tensors, graph = averages(0.9999)
    outside = {name.rpartition("bn/")[2]: value for name, value in tensors.items()}
    (found,) = checkpoint_health(outside, graph=graph)
    assert (found.cause, found.scopes) == ("ema-unconverged", ("beta",))


def test_an_average_that_converged_is_healthy() -> None:
    tensors, graph = averages(0.9)
    assert checkpoint_health(tensors, graph=graph) == ()


def test_layers_with_one_fault_are_one_warning() -> None:
    tensors = trained(**UNTOUCHED)
    tensors |= {name.replace("net/", "top/"): value for name, value in trained(None, **UNTOUCHED).items()}
    (found,) = checkpoint_health(tensors)
    assert found.scopes == ("net/bn", "top/bn")
    assert "(as in 1 more of its layers)" in found.message


def test_a_graph_that_updates_no_statistic_did_not_train_a_checkpoint_with_moved_ones() -> None:
    tensors = trained(**UNTOUCHED)
    tensors |= {name.replace("net/", "top/"): value for name, value in trained(None).items()}
    (found,) = checkpoint_health(tensors, graph=training_graph(False))
    assert found.scopes == ("net/bn",)
