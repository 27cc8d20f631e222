"""Real tools that rewrite a graph, over networks of many kinds: whether the result is the same to the bit, and proven.

    PYTHONPATH=.:tests python -m soundness.rewrites [NETWORK...]

prints a line for each tool: how many graphs it changed, in how many of these TensorFlow computes the same bits on
ordinary and adversarial inputs, and how many of those are proven.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import rewriter_config_pb2
from tensorflow.python.framework import meta_graph
from tensorflow.python.grappler import tf_optimizer

from faults.layers import Layers
from faults.networks import NETWORKS
from soundness.mutants import equal
from soundness.networks import batches, networks
from soundness.pairs import Written, prove, restore

v1 = tf.compat.v1

Feed: TypeAlias = "tuple[np.ndarray, ...]"
Tool: TypeAlias = Callable[[Written], Any]
"""From a frozen graph to the GraphDef that a tool makes of it."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A network with variables, the same frozen, and what it is fed."""

    reference: Written
    frozen: Written
    feeds: Sequence[Feed]


def frozen(model: Written) -> Written:
    """``model`` with its variables as constants."""
    if not model.variables:
        return model
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(model.definition, name="")
        with v1.Session(graph=graph) as session:
            for name, value in model.variables.items():
                session.run(restore(graph, name, value))
            outputs = [name.partition(":")[0] for name in model.outputs]
            definition = v1.graph_util.convert_variables_to_constants(session, model.definition, outputs)
    return replace(model, definition=definition, variables={})


def subjects(seeds: range = range(2)) -> Iterator[tuple[str, Subject]]:
    """Networks of every family, and those of the fault corpus, by a name."""
    for name, model in networks(seeds):
        feeds = [(batch,) for batch in batches(model, 7)]
        yield name, Subject(reference=model, frozen=frozen(model), feeds=feeds)
    for name, network in NETWORKS.items():
        with tf.Graph().as_default() as graph:
            network.build(Layers({}, **network.options))
            shapes = {each.op.name: each.shape.as_list() for each in v1.global_variables()}
        model = Written(
            definition=graph.as_graph_def(),
            inputs=tuple(network.inputs),
            outputs=network.outputs,
            variables=dict(_values(shapes)),
        )
        inputs = tuple(network.inputs.values())
        feeds = [inputs, tuple(each[:1] for each in inputs), tuple(map(_strange, inputs))]
        yield name, Subject(reference=model, frozen=frozen(model), feeds=feeds)


def _strange(values: np.ndarray) -> np.ndarray:
    """Numbers that rewrites treat otherwise, in the place of others; what is no float stays."""
    if values.dtype.kind != "f":
        return values
    random = np.random.default_rng(11)
    special = np.array([0.0, -0.0, np.nan, np.inf, 1e-40, 3e38], values.dtype)
    return np.where(random.random(values.shape) < 0.02, random.choice(special, values.shape), values)


def _values(shapes: Mapping[str, Sequence[int]]) -> Iterator[tuple[str, np.ndarray]]:
    random = np.random.default_rng(3)
    for name, shape in sorted(shapes.items()):
        values = random.normal(0, 0.4, shape).astype(np.float32)
        yield name, np.abs(values) + np.float32(0.1) if "variance" in name else values


# --- tools


def grappler(*optimizers: str, **options: Any) -> Tool:
    """TensorFlow's graph optimiser with these of its passes, or with all, and other ``options``."""

    def tool(model: Written) -> Any:
        with tf.Graph().as_default() as graph:
            tf.import_graph_def(model.definition, name="")
            exported = v1.train.export_meta_graph(graph=graph)
        outputs = [name if ":" in name else f"{name}:0" for name in model.outputs]
        exported.collection_def["train_op"].node_list.value.extend(outputs)
        config = v1.ConfigProto()
        rewrites = config.graph_options.rewrite_options
        rewrites.min_graph_nodes = -1
        rewrites.meta_optimizer_iterations = rewriter_config_pb2.RewriterConfig.TWO
        rewrites.optimizers.extend(optimizers)
        for name, value in options.items():
            setattr(rewrites, name, value)
        return tf_optimizer.OptimizeGraph(config, exported)

    return tool


def _outputs(model: Written) -> list[str]:
    return [name.partition(":")[0] for name in model.outputs]


def _without_training_nodes(model: Written) -> Any:
    return v1.graph_util.remove_training_nodes(model.definition, protected_nodes=_outputs(model))


def _extracted(model: Written) -> Any:
    return v1.graph_util.extract_sub_graph(model.definition, _outputs(model))


def _stripped(model: Written) -> Any:
    stripped = v1.MetaGraphDef(graph_def=model.definition)
    meta_graph.strip_graph_default_valued_attrs(stripped)
    return stripped.graph_def


OFF = rewriter_config_pb2.RewriterConfig.OFF
EXACT = ("constant folding", "common subexpressions", "functions", "dependencies", "default, no remapper")
"""Tools that mean to change no bit, and mostly do not.

What is left of these stays so: a folded ``Rsqrt``, a factor that went into a kernel and a ``Transpose`` that went
into a product are the same bits on one machine, not by what TensorFlow guarantees; ``_SwitchN`` is an op of the
executor's own.
"""

TOOLS: Mapping[str, Tool] = {
    "freezing": lambda model: model.definition,
    "constant folding": grappler("constfold"),
    "common subexpressions": grappler("common_subgraph_elimination"),
    "functions": grappler("function"),
    "dependencies": grappler("dependency"),
    "default, no remapper": grappler(remapping=OFF),
    "arithmetic": grappler("arithmetic"),
    "shapes": grappler("shape"),
    "loops": grappler("loop"),
    "pruning": grappler("pruning"),
    "remapper": grappler("remap"),
    "default": grappler(),
    "remove_training_nodes": _without_training_nodes,
    "extract_sub_graph": _extracted,
    "default attributes stripped": _stripped,
}


# --- the table


@dataclass
class Tally:
    """What became of the graphs that one tool made."""

    changed: int = 0
    exact: int = 0
    proven: int = 0
    false: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def same(one: Written, other: Written, feeds: Sequence[Feed]) -> bool:
    """Whether TensorFlow computes the same bits of both."""
    answers: list[tuple[Feed, list[np.ndarray]]] = []
    with one.running() as run:
        for feed in feeds:
            with suppress(tf.errors.OpError, ValueError):
                answers.append((feed, run(*feed)))
    assert answers, "no input is one that the network takes"
    try:
        with other.running() as run:
            return all(all(map(equal, expected, run(*feed))) for feed, expected in answers)
    except (tf.errors.OpError, ValueError) as error:
        print(str(error).splitlines()[0], file=sys.stderr)
        return False


def weigh(name: str, subject: Subject, tool: Tool, tally: Tally) -> None:
    """Apply ``tool`` to a network and note what is said of the result."""
    try:
        definition = tool(subject.frozen)
    except Exception as error:  # a tool that fails made no graph to judge
        tally.failed.append(f"{name}: {str(error).splitlines()[0][:90]}")
        return
    made = replace(subject.frozen, definition=definition)
    tally.changed += _nodes(definition) != _nodes(subject.frozen.definition)
    proof = prove(subject.reference.side, made.side)
    is_same = same(subject.reference, made, subject.feeds)
    tally.exact += is_same
    tally.proven += proof.proven
    if proof.proven and not is_same:
        tally.false.append(name)
    if is_same and not proof.proven:
        tally.open.append(f"{name}: {proof.reason}")


def _nodes(definition: Any) -> set[bytes]:
    """The nodes of a graph in any order."""
    return {node.SerializeToString(deterministic=True) for node in definition.node}


def table(tallies: Mapping[str, Tally]) -> str:
    """A line for each tool."""
    rows = [["tool", "changed", "exact", "proven", "false", "failed"]]
    for name, tally in tallies.items():
        counts = (tally.changed, tally.exact, tally.proven, len(tally.false), len(tally.failed))
        rows.append([name, *map(str, counts)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)) for row in rows)


def applied(
    subjects: Iterable[tuple[str, Subject]], tools: Mapping[str, Tool] = TOOLS
) -> Mapping[str, Tally]:
    """What becomes of every network with every tool."""
    tallies = {name: Tally() for name in tools}
    for name, subject in subjects:
        for tool, apply in tools.items():
            weigh(name, subject, apply, tallies[tool])
    return tallies


def main(names: Sequence[str]) -> None:
    tallies = applied(each for each in subjects() if not names or each[0] in names)
    print(table(tallies))
    for tool, tally in tallies.items():
        for told in (*tally.open, *(f"FALSE {each}" for each in tally.false), *tally.failed):
            print(f"{tool}: {told}")


if __name__ == "__main__":
    main(sys.argv[1:])
