"""Two TensorFlow graphs over one set of weights, written as checkpoint and export and checked against each other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphs import networks
from pytest_tfparity.check.check import check
from pytest_tfparity.formats.store import ModelStore
from pytest_tfparity.result import Finding, ParityResult

tf = pytest.importorskip("tensorflow")
v1 = tf.compat.v1

BATCH = np.random.default_rng(3).normal(size=(4, 6)).astype(np.float32)
Build = Callable[[], None]


def dense(x: Any, name: str = "fc", units: int = 3) -> Any:
    """A dense layer of the graph being built."""
    with v1.variable_scope(name):
        kernel = v1.get_variable("kernel", (int(x.shape[-1]), units), use_resource=False)
        bias = v1.get_variable("bias", (units,), use_resource=False)
    return tf.matmul(x, kernel) + bias


def compare(
    folder: Path,
    reference: Build,
    export: Build | None = None,
    *,
    batch: np.ndarray = BATCH,
    outputs: tuple[str, ...] = ("y:0",),
    change: Callable[[Any], None] = lambda graph: None,
    values: dict[str, np.ndarray] | None = None,
    frozen: bool = True,
    **options: Any,
) -> ParityResult:
    """Check an export that ``export`` builds against a checkpoint of what ``reference`` builds.

    ``change`` gets the frozen GraphDef before it is written; ``values`` replace random weights.
    """
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        reference()
        weights = {**networks.weights(v1.global_variables()), **(values or {})}
        networks.load(session, weights)
        v1.train.Saver().save(session, str(folder / "model"))
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        (export or reference)()
        networks.load(session, weights)
        names = [name.partition(":")[0] for name in outputs]
        made = graph.as_graph_def()
        if frozen:
            made = v1.graph_util.convert_variables_to_constants(session, made, names)
        change(made)
        networks.write_graph(made, folder / "model.pb")
    np.savez(folder / "inputs.npz", **{"x:0": batch})
    spec = networks.stated_check(
        folder / "model",
        folder / "model.pb",
        inputs={"x:0": {"npz": str(folder / "inputs.npz")}},
        outputs=list(outputs),
        **options,
    )
    return check(spec, ModelStore())


def only(result: ParityResult) -> Finding:
    assert len(result.findings) == 1, [finding.cause for finding in result.findings]
    return result.findings[0]
