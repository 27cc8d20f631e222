"""Two graphs written with TensorFlow: as the proof gets them, and what TensorFlow computes with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import tensorflow as tf

from graphs import plain
from pytest_tfparity.graph.graph import DType, Graph, Tensor, tensor_name
from pytest_tfparity.graph.proof.fingerprint import Contents
from pytest_tfparity.graph.proof.proof import NormalSide, Proof, Side, normalised
from pytest_tfparity.graph.read.graphdef import read_graph

Feeds = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Written:
    """A graph with its inputs and outputs. ``variables`` are the values that a restore puts into variable nodes."""

    definition: Any
    inputs: Sequence[str]
    outputs: Sequence[str]
    variables: Mapping[str, Any] = field(default_factory=dict)

    @property
    def graph(self) -> Graph:
        with TemporaryDirectory() as folder:
            path = Path(folder, "graph.pb")
            path.write_bytes(self.definition.SerializeToString())
            return read_graph(path)

    @property
    def side(self) -> Side:
        return Side(
            graph=self.graph,
            outputs=tuple(map(tensor_name, self.outputs)),
            inputs=tuple(map(tensor_name, self.inputs)),
            variables={name: tensor(value) for name, value in self.variables.items()},
        )

    def run(self, *values: Any) -> list[np.ndarray]:
        """What TensorFlow computes."""
        with self.running() as run:
            return run(*values)

    @contextmanager
    def running(self) -> Iterator[Callable[..., list[np.ndarray]]]:
        """:meth:`run` in one session; variables are restored before each run."""
        with tf.Graph().as_default() as graph:
            tf.import_graph_def(self.definition, name="")
            with tf.compat.v1.Session(graph=graph, config=AS_WRITTEN) as session:
                restores = [restore(graph, name, value) for name, value in self.variables.items()]
                names = [str(tensor_name(name)) for name in self.inputs]
                fetches = [str(tensor_name(name)) for name in self.outputs]

                def run(*values: Any) -> list[np.ndarray]:
                    feeds = dict(zip(names, values, strict=True))
                    for each in restores:
                        session.run(each, feeds)
                    return list(session.run(fetches, feeds))

                yield run


def restore(graph: tf.Graph, name: str, value: Any) -> tf.Operation:
    variable = graph.get_tensor_by_name(f"{name}:0")
    if variable.dtype == tf.resource:
        return tf.raw_ops.AssignVariableOp(resource=variable, value=value)
    return tf.raw_ops.Assign(ref=variable, value=value).op


def _config() -> Any:
    config = tf.compat.v1.ConfigProto()
    config.graph_options.rewrite_options.disable_meta_optimizer = True
    config.graph_options.optimizer_options.opt_level = -1
    return config


AS_WRITTEN = _config()


def tensor(value: Any) -> Tensor:
    array = np.asarray(value)
    return Tensor(DType(tf.as_dtype(array.dtype).as_datatype_enum), array.shape, lambda: array)


def written(
    build: Callable[[], None],
    *,
    inputs: Sequence[str] = ("x",),
    outputs: Sequence[str] = ("y",),
    variables: Mapping[str, Any] | None = None,
    functional: bool = False,
) -> Written:
    """What ``build`` adds to an empty graph; ``functional`` keeps conditionals and loops as functions."""
    with tf.Graph().as_default() as graph:
        if functional:
            tf.compat.v1.enable_control_flow_v2()
        else:
            tf.compat.v1.disable_control_flow_v2()
        build()
    return Written(definition=graph.as_graph_def(), inputs=inputs, outputs=outputs, variables=variables or {})


def prove(reference: Side, export: Side) -> Proof:
    """The proof that a check asks for."""
    contents = Contents()
    return prove_normal(normalised(reference, contents), normalised(export, contents))


def prove_normal(reference: NormalSide, export: NormalSide) -> Proof:
    """:func:`prove` of sides in normal form; what holds from left to right holds from right to left."""
    made = plain.prove_normal(reference, export)
    assert plain.prove_normal(export, reference).proven is made.proven
    return made


def differ(reference: Written, export: Written, *values: Any) -> None:
    """Fail if the two are proven to be one function, or if TensorFlow sees no difference between them."""
    one, other = reference.run(*values), export.run(*values)
    assert not all(np.array_equal(a, b) for a, b in zip(one, other, strict=True)), (
        "TensorFlow sees no difference"
    )
    assert not prove(reference.side, export.side).proven
